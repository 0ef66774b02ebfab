"use strict";
// Interactive plots of the curves that the page carries, built with Bokeh's models; the drawings stay for print.
window.xrdcompPlots = () => {
  const M = Bokeh.Models, { Document } = Bokeh.require("document");
  const payload = JSON.parse(document.getElementById("xrdcomp-data").textContent);
  const PHASE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
  const AMORPHOUS = ["#E69F00", "#9C6B00", "#56B4E9", "#009E73", "#CC79A7", "#CC79A7", "#CC79A7"];
  const DASHES = [[12, 3, 2, 3], [2, 3], [14, 4], [8, 2, 2, 2], [4, 2], [4, 2], [4, 2]];
  const LOOK = { observed: ["#7F7F7F", []], calculated: ["#000000", []], background: ["#767676", [6, 4]], difference: ["#5a5a5a", []] };
  const UNITS = { counts: "counts", cps: "counts/s", arbitrary: "arb. units" };
  const SERIES_DASHES = [[], [8, 3], [2, 3], [10, 3, 2, 3]];
  const unpack = text => Float32Array.from(new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer));
  const look = curve => curve.role === "phase" ? [curve.look, []] : curve.role === "amorphous" ? [AMORPHOUS[curve.look], DASHES[curve.look]] : LOOK[curve.role];
  const reduced = matchMedia("(max-width: 34rem)").matches;

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) key in made && typeof value !== "string" ? made[key] = value : made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const choice = (label, options, act, name) => {
    const select = element("select", { name });
    for (const [value, text] of options) select.append(element("option", { value }, text));
    select.addEventListener("change", () => act(select.value));
    return element("label", {}, label + " ", select);
  };
  const button = (text, label, act) => {
    const made = element("button", { type: "button", "aria-label": label, title: label }, text);
    made.addEventListener("click", act);
    return made;
  };

  // Numbers of the axes, with the decimal sign of the page; another sign draws them again.
  // A function, not code in a text: a page that is served with a strict policy may not evaluate texts.
  const NUMBER = { linear: tick => tick, sqrt: tick => tick * tick, log: tick => 10 ** tick }, FIGURES = { linear: 8, sqrt: 3, log: 2 }, axes = [];
  const formatter = scale => {
    const made = new M.BasicTickFormatter();
    made.xrdcompScale = scale;
    made.doFormat = ticks => ticks.map(tick => {
      const text = String(Number(NUMBER[scale](tick).toPrecision(FIGURES[scale]))).replace("-", "\u2212");
      return document.documentElement.dataset.decimal === "," ? text.replace(".", ",") : text;
    });
    return made;
  };
  document.addEventListener("xrdcomp-decimal", () => { for (const axis of axes) axis.formatter = formatter(axis.formatter.xrdcompScale); });

  // One figure: panels above each other that share the range along x.
  const panel = (x_range, y_range, { height, ylabel, xlabel, tools, name }) => {
    const sizes = height ? { height, sizing_mode: "stretch_width" } : { sizing_mode: "stretch_both" };
    const plot = new M.Plot({ name, x_range, y_range, ...sizes, toolbar_location: null, min_border_left: reduced ? 48 : 74, min_border_right: 14, min_border_top: 6, min_border_bottom: xlabel ? 40 : 4, outline_line_color: "#888", output_backend: "canvas" });
    const xaxis = new M.LinearAxis({ axis_label: xlabel || null, axis_label_text_font_style: "normal", major_label_text_font_size: xlabel ? "12px" : "0px", major_label_text_color: "#1a1a1a", axis_label_text_color: "#1a1a1a" });
    const yaxis = new M.LinearAxis({ axis_label: ylabel, axis_label_text_font_style: "normal", major_label_text_font_size: "12px", major_label_text_color: "#1a1a1a", axis_label_text_color: "#1a1a1a" });
    for (const axis of [xaxis, yaxis]) { axis.formatter = formatter("linear"); axes.push(axis); }
    if (xlabel !== null) plot.add_layout(xaxis, "below");
    plot.add_layout(yaxis, "left");
    plot.add_layout(new M.Grid({ dimension: 0, axis: xaxis, grid_line_color: "#e4e4e4" }), "center");
    const rows = new M.Grid({ dimension: 1, axis: yaxis, grid_line_color: "#e4e4e4" });
    plot.add_layout(rows, "center");
    const pan = new M.PanTool({ dimensions: "both" }), box = new M.BoxZoomTool({ dimensions: "auto" });
    plot.add_tools(pan, box, new M.WheelZoomTool({ dimensions: "width", modifiers: { ctrl: true } }), ...(tools || []));
    plot.toolbar.active_drag = box;
    return { plot, xaxis, yaxis, rows, pan, box };
  };
  const line = (plot, source, x, y, [color, dash], name, width = 1.3) => {
    const drawn = plot.add_glyph(new M.Line({ x: { field: x }, y: { field: y }, line_color: color, line_dash: dash, line_width: width }), source);
    drawn.name = name;
    return drawn;
  };
  const extent = (values, from = 0, to = values.length) => {
    let low = Infinity, high = -Infinity;
    for (let i = from; i < to; i++) { if (values[i] < low) low = values[i]; if (values[i] > high) high = values[i]; }
    return [low, high];
  };
  const show = async (host, canvas, models) => {
    const made = new Document();
    made.add_root(models.length === 1 ? models[0] : new M.Column({ children: models, sizing_mode: "stretch_both", spacing: 0 }));
    canvas.replaceChildren();
    await Bokeh.embed.add_document_standalone(made, canvas);
    host.xrdcomp = made;
    host.classList.add("interactive");
  };

  // Buttons and keys that move along x; `home` is the whole range.
  const navigation = (canvas, ranges, home, drag) => {
    const set = (start, end) => { const r = ranges().x; r.setv({ start, end }); };
    const zoom = factor => { const r = ranges().x, c = (r.start + r.end) / 2, h = (r.end - r.start) / 2 * factor; set(c - h, c + h); };
    const move = share => { const r = ranges().x, w = (r.end - r.start) * share; set(r.start + w, r.end + w); };
    const keys = { "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "ArrowLeft": () => move(-0.25), "ArrowRight": () => move(0.25), "0": home, "Home": home };
    canvas.addEventListener("keydown", event => {
      const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
      if (act) { event.preventDefault(); act(); }
    });
    return [
      button("+", "zoom in (key +)", () => zoom(0.5)), button("−", "zoom out (key −)", () => zoom(2)),
      button("←", "move left (key ←)", () => move(-0.25)), button("→", "move right (key →)", () => move(0.25)),
      button("whole", "show the whole range (key 0)", home),
      choice("drag", [["box", "zooms in"], ["pan", "moves"]], drag, "drag"),
    ];
  };
  const frame = (host, label, half) => {
    const canvas = element("div", { class: half ? "canvas half" : "canvas", tabindex: "0", role: "group", "aria-label": label + " Keys: plus and minus zoom, arrows move, 0 shows all. The table or the drawing of the printed page tells the same." });
    return canvas;
  };

  const AXES = { tt: "2θ (°)", d: "d (Å)", q: "q (1/Å)" };
  const converter = (wavelength, axis) => {
    const s = tt => Math.sin(tt * Math.PI / 360);
    return axis === "d" ? tt => wavelength / (2 * s(tt)) : axis === "q" ? tt => 4 * Math.PI * s(tt) / wavelength : tt => tt;
  };
  const inverse = (wavelength, axis) => axis === "d" ? d => 360 / Math.PI * Math.asin(Math.min(1, wavelength / (2 * d))) : axis === "q" ? q => 360 / Math.PI * Math.asin(Math.min(1, q * wavelength / (4 * Math.PI))) : tt => tt;
  const scaled = (values, scale, floor) => scale === "sqrt" ? values.map(v => Math.sqrt(Math.max(v, 0))) : scale === "log" ? values.map(v => Math.log10(Math.max(v, floor))) : values;

  const pattern = (host, data) => {
    const state = { axis: "tt", scale: "linear", drag: "box", hidden: new Set() };
    const tt = unpack(data.x), curves = data.curves.map(curve => ({ ...curve, values: unpack(curve.y) }));
    const unit = UNITS[data.unit] || "arb. units", canvas = frame(host, `Pattern of ${data.id}, interactive.`);
    let now = null, window_ = null;
    const fitHeight = () => {
      const { x, y, xs, shown } = now, [a, b] = [Math.min(x.start, x.end), Math.max(x.start, x.end)];
      let low = Infinity, high = -Infinity;
      for (const ys of shown()) for (let i = 0; i < xs.length; i++) if (xs[i] >= a && xs[i] <= b) { if (ys[i] < low) low = ys[i]; if (ys[i] > high) high = ys[i]; }
      if (high > low) y.setv({ start: state.scale === "linear" ? Math.min(0, low) : low, end: high + 0.07 * (high - Math.min(low, 0)) });
    };
    const home = () => { now.x.setv({ start: now.home[0], end: now.home[1] }); fitHeight(); };
    const build = async () => {
      const to = converter(data.wavelength, state.axis), xs = tt.map(to), main = curves.filter(c => c.role !== "difference");
      const floor = Math.max(extent(main[0].values)[1] * 1e-4, 1e-9);
      const ends = [xs[0], xs[xs.length - 1]], view = window_ ? window_.map(to) : ends;
      const x = new M.Range1d({ name: "x", start: view[0], end: view[1] }), y = new M.Range1d({ name: "y", start: 0, end: 1 });
      const columns = { x: xs, tt, d: data.wavelength ? tt.map(converter(data.wavelength, "d")) : tt };
      curves.forEach((curve, i) => { columns["c" + i] = curve.role === "difference" ? curve.values : scaled(curve.values, state.scale, floor); });
      const source = new M.ColumnDataSource({ name: "curves", data: columns });
      const top = panel(x, y, { name: "main", ylabel: `intensity (${unit})`, xlabel: "" });
      top.yaxis.formatter = formatter(state.scale);
      const drawn = [];
      curves.forEach((curve, i) => {
        if (curve.role === "difference") return;
        const renderer = curve.role === "observed"
          ? top.plot.add_glyph(new M.Scatter({ x: { field: "x" }, y: { field: "c" + i }, size: 2.5, fill_color: LOOK.observed[0], line_color: null }), source)
          : line(top.plot, source, "x", "c" + i, look(curve), curve.label);
        renderer.name = curve.label; renderer.visible = !state.hidden.has(curve.label);
        drawn.push([curve.label, renderer, "c" + i]);
      });
      const known = data.unexplained.length ? new M.ColumnDataSource({ data: { x: data.unexplained.map(p => to(p.x)), label: data.unexplained.map(p => p.label || "nothing near"), tt: data.unexplained.map(p => p.x) } }) : null;
      const panels = [top], models = [top.plot];
      if (data.reflections.length) {
        const rows = data.reflections.length, marks = panel(x, new M.Range1d({ start: -rows + 0.4, end: 0.6 }), { name: "reflections", height: 20 * rows + 14, ylabel: "", xlabel: null });
        marks.yaxis.visible = false; marks.rows.visible = false;
        data.reflections.forEach((phase, row) => {
          const place = phase.x.map(to), d = data.wavelength ? phase.x.map(converter(data.wavelength, "d")) : phase.x.map(() => NaN);
          const ticks = new M.ColumnDataSource({ name: "ticks-" + phase.phase, data: { x: place, low: place.map(() => -row - 0.38), high: place.map(() => -row + 0.38), middle: place.map(() => -row), tt: phase.x, d, hkl: phase.hkl, i: phase.i, phase: place.map(() => phase.phase) } });
          marks.plot.add_glyph(new M.Segment({ x0: { field: "x" }, x1: { field: "x" }, y0: { field: "low" }, y1: { field: "high" }, line_color: phase.colour, line_width: 1.4 }), ticks);
          const wide = marks.plot.add_glyph(new M.Scatter({ x: { field: "x" }, y: { field: "middle" }, size: 12, fill_alpha: 0, line_alpha: 0 }), ticks);
          marks.plot.add_tools(new M.HoverTool({ renderers: [wide], tooltips: [["phase", "@phase"], ["hkl", "@hkl"], ["2θ", "@tt{0.000}°"], ["d", "@d{0.0000} Å"], ["relative", "@i{0.0} %"]] }));
        });
        panels.push(marks); models.push(marks.plot);
      }
      if (known) {
        const at = top.plot.add_glyph(new M.Ray({ x: { field: "x" }, y: 0, length: 0, angle: Math.PI / 2, line_color: "#a80020", line_dash: [2, 3], line_width: 1.5 }), known);
        at.name = "unexplained peaks"; drawn.push(["unexplained peaks", at, null]);
        top.plot.add_tools(new M.HoverTool({ renderers: [at], tooltips: [["unexplained", "@tt{0.00}°"], ["near", "@label"]] }));
      }
      const place = curves.findIndex(curve => curve.role === "difference");
      if (place >= 0) {
        const most = Math.max(4, ...extent(curves[place].values).map(Math.abs));
        const lower = panel(x, new M.Range1d({ start: -most, end: most }), { name: "residual", height: 130, ylabel: "diff. / σ", xlabel: AXES[state.axis] });
        line(lower.plot, source, "x", "c" + place, LOOK.difference, "difference", 1);
        panels.push(lower); models.push(lower.plot);
      } else top.xaxis.axis_label = AXES[state.axis];
      now = { x, y, xs, home: ends, drawn, panels, shown: () => drawn.filter(([, r, c]) => c && r.visible).map(([, , c]) => columns[c]) };
      fitHeight();
      const back = inverse(data.wavelength, state.axis);
      x.change.connect(() => { window_ = [back(x.start), back(x.end)]; });
      dragging(state.drag);
      await show(host, canvas, models);
    };
    const dragging = kind => { state.drag = kind; for (const { pan, box } of now.panels) { pan.active = kind === "pan"; box.active = kind === "box"; } };
    const controls = element("fieldset", { class: "controls" }, element("legend", {}, "View"),
      choice("scale", [["linear", "linear"], ["sqrt", "square root"], ["log", "logarithm"]], value => { state.scale = value; build(); }, "scale"),
      ...(data.wavelength ? [choice("axis", Object.entries(AXES), value => { state.axis = value; build(); }, "axis")] : []),
      ...navigation(canvas, () => now, home, kind => dragging(kind)));
    const toggles = element("fieldset", { class: "controls" }, element("legend", {}, "Curves"));
    const labels = curves.filter(c => c.role !== "difference").map(c => [c.label, look(c)]);
    if (data.unexplained.length) labels.push(["unexplained peaks", ["#a80020", [2, 3]]]);
    for (const [label, [color, dash]] of labels) {
      const box = element("input", { type: "checkbox", name: label, checked: true });
      box.addEventListener("change", () => { box.checked ? state.hidden.delete(label) : state.hidden.add(label); now.drawn.find(([name]) => name === label)[1].visible = box.checked; });
      toggles.append(element("label", {}, box, element("span", { class: "swatch", style: `border-color:${color};border-top-style:${dash.length ? "dashed" : "solid"}`, "aria-hidden": "true" }), label));
    }
    host.append(controls, toggles, canvas);
    if (data.all > data.points) host.append(element("p", { class: "note" }, `${data.points} of ${data.all} points are shown here, lowest and highest of each interval.`));
    return build();
  };

  const thermogram = (host, data) => {
    const canvas = frame(host, `Thermogravimetric curve of ${data.id}, interactive.`), T = unpack(data.x), mass = unpack(data.mass), rate = unpack(data.rate);
    const [a, b] = extent(T), [low, high] = extent(mass), [slow, fast] = extent(rate), pad = 0.05 * (high - low || 1);
    const x = new M.Range1d({ name: "x", start: a, end: b });
    const upper = panel(x, new M.Range1d({ start: low - pad, end: high + pad }), { name: "mass panel", ylabel: "mass (wt%)", xlabel: "" });
    const lower = panel(x, new M.Range1d({ start: Math.min(0, slow), end: 1.06 * fast || 1 }), { name: "rate panel", height: 150, ylabel: "DTG (wt%/min)", xlabel: "temperature (°C)" });
    const source = new M.ColumnDataSource({ name: "thermogram", data: { x: T, mass, rate } }), tangents = [], shades = [];
    data.steps.forEach((step, i) => {
      for (const { plot } of [upper, lower]) { const shade = new M.BoxAnnotation({ left: step.start, right: step.end, fill_color: i % 2 ? "#f6ecdd" : "#e3edf6", fill_alpha: 0.9, level: "underlay", line_color: null, propagate_hover: true }); plot.add_layout(shade, "center"); shades.push(shade); }
      if (step.tangent) { const t = new M.ColumnDataSource({ data: { x: step.tangent.x, y: step.tangent.y } }); tangents.push(line(upper.plot, t, "x", "y", ["#0072B2", [8, 3, 2, 3]], "construction " + step.label, 1.6)); }
    });
    const curve = line(upper.plot, source, "x", "mass", ["#000000", []], "mass", 1.8), dtg = line(lower.plot, source, "x", "rate", ["#767676", []], "rate", 1.4);
    upper.plot.add_tools(new M.HoverTool({ renderers: [curve], mode: "vline", tooltips: [["T", "@x{0.0} °C"], ["mass", "@mass{0.00} wt%"], ["DTG", "@rate{0.000} wt%/min"]] }));
    const panels = [upper, lower], dragging = kind => { for (const { pan, box } of panels) { pan.active = kind === "pan"; box.active = kind === "box"; } };
    const controls = element("fieldset", { class: "controls" }, element("legend", {}, "View"), ...navigation(canvas, () => ({ x }), () => x.setv({ start: a, end: b }), dragging));
    const toggle = (label, models) => { const box = element("input", { type: "checkbox", name: label, checked: true }); box.addEventListener("change", () => { for (const m of models()) m.visible = box.checked; }); return element("label", {}, box, label); };
    controls.append(toggle("steps", () => shades), toggle("constructions", () => tangents), toggle("DTG", () => [dtg]));
    host.append(controls, canvas);
    dragging("box");
    return show(host, canvas, [upper.plot, lower.plot]);
  };

  // Many specimens above each other: patterns (relative to their highest point) or mass curves, shifted by an offset.
  const overlay = (host, all, kind) => {
    const isPattern = kind === "patterns", canvas = frame(host, isPattern ? "Patterns of all specimens." : "Mass curves of all specimens.");
    const series = all.map(item => { const x = unpack(item.x), y = isPattern ? unpack(item.curves[0].y) : unpack(item.mass); const top = isPattern ? extent(y)[1] || 1 : 1; return { id: item.id, x, y: isPattern ? y.map(v => 100 * v / top) : y, shown: true }; });
    const [a, b] = series.reduce(([l, h], s) => [Math.min(l, s.x[0], s.x[s.x.length - 1]), Math.max(h, s.x[0], s.x[s.x.length - 1])], [Infinity, -Infinity]);
    const x = new M.Range1d({ name: "x", start: a, end: b }), y = new M.Range1d({ name: "y", start: 0, end: 1 });
    const one = panel(x, y, { name: "overlay", ylabel: isPattern ? "intensity (% of the highest), shifted" : "mass (wt%), shifted", xlabel: isPattern ? AXES.tt : "temperature (°C)" });
    const state = { offset: isPattern ? 15 : 0, scale: "linear" }, sources = series.map(s => new M.ColumnDataSource({ data: { x: s.x, y: s.y } }));
    const lines = series.map((s, i) => line(one.plot, sources[i], "x", "y", [PHASE[i % 7], SERIES_DASHES[Math.floor(i / 7) % 4]], s.id, 1.2));
    lines.forEach((drawn, i) => one.plot.add_tools(new M.HoverTool({ renderers: [drawn], tooltips: series[i].id, mode: "mouse" })));
    const place = () => {
      let rank = 0, low = Infinity, high = -Infinity;
      series.forEach((s, i) => {
        lines[i].visible = s.shown;
        if (!s.shown) return;
        const shift = state.offset * rank++, root = state.scale === "sqrt", ys = Array.from(s.y, v => (root ? 10 * Math.sqrt(Math.max(v, 0)) : v) + shift), [l, h] = extent(ys);
        sources[i].data = { x: s.x, y: ys }; low = Math.min(low, l); high = Math.max(high, h);
      });
      if (high > low) y.setv({ start: low - 0.03 * (high - low), end: high + 0.03 * (high - low) });
    };
    const offset = element("input", { type: "number", name: "offset", value: String(state.offset), min: "0", step: "5" });
    offset.addEventListener("input", () => { state.offset = Number(offset.value) || 0; place(); });
    const dragging = how => { one.pan.active = how === "pan"; one.box.active = how === "box"; };
    const controls = element("fieldset", { class: "controls" }, element("legend", {}, "View"), element("label", {}, "offset ", offset),
      ...(isPattern ? [choice("scale", [["linear", "linear"], ["sqrt", "square root"]], value => { state.scale = value; place(); }, "scale")] : []),
      ...navigation(canvas, () => ({ x }), () => { x.setv({ start: a, end: b }); place(); }, dragging));
    const toggles = element("fieldset", { class: "controls" }, element("legend", {}, "Specimens"));
    series.forEach((s, i) => {
      const box = element("input", { type: "checkbox", name: s.id, checked: true });
      box.addEventListener("change", () => { s.shown = box.checked; place(); });
      toggles.append(element("label", {}, box, element("span", { class: "swatch", style: `border-color:${PHASE[i % 7]};border-top-style:${i < 7 ? "solid" : "dashed"}`, "aria-hidden": "true" }), s.id));
    });
    host.append(controls, toggles, canvas);
    place(); dragging("box");
    return show(host, canvas, [one.plot]);
  };

  const makers = {
    pattern: host => pattern(host, payload.patterns[Number(host.dataset.index)]),
    tga: host => thermogram(host, payload.tga[Number(host.dataset.index)]),
    patterns: host => overlay(host, payload.patterns, "patterns"),
    curves: host => overlay(host, payload.tga, "curves"),
  };
  const build = host => { const make = makers[host.dataset.plot]; host.removeAttribute("data-waiting"); return make(host).catch(error => { host.classList.remove("interactive"); console.error(error); }); };
  const watch = new IntersectionObserver(entries => { for (const entry of entries) if (entry.isIntersecting) { watch.unobserve(entry.target); build(entry.target); } }, { rootMargin: "300px" });
  for (const host of document.querySelectorAll("[data-plot]")) { host.setAttribute("data-waiting", ""); watch.observe(host); }
};
