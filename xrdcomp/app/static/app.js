// The bench app works by forms and links; this makes it quicker: files are dropped, settings are saved as they are
// chosen, the queue is followed, the range is drawn with the mouse.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const pause = ms => new Promise(done => setTimeout(done, ms));

// Parts of the page that follow the server: each has an id and data-live.
const shown = new Map(all("[data-live]").map(part => [part.id, part.innerHTML]));
let asked = 0, newest = 0;
async function refresh() {
  const number = ++asked;
  let answer;
  try { answer = await fetch(location.href, { headers: { accept: "text/html" } }); } catch { lost(true); return; }
  lost(answer.status === 403);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (number < newest) return;  // an answer that was overtaken is older than what is shown
  newest = number;
  for (const part of all("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (!other || other.innerHTML === shown.get(part.id)) continue;
    const open = all("details[open]", part).map(item => item.id), held = document.activeElement?.id;
    part.innerHTML = other.innerHTML;
    shown.set(part.id, other.innerHTML);
    for (const id of open) if (id) document.getElementById(id)?.setAttribute("open", "");
    if (held && !document.activeElement?.id) document.getElementById(held)?.focus();
  }
  draw();
}
function lost(is) {
  const words = document.getElementById("lost");
  if (words) words.hidden = !is;
}
async function follow() {
  for (;;) {
    await pause(document.hidden ? 5000 : 1000);
    if (document.querySelector("[data-active]") || !document.getElementById("lost")?.hidden) await refresh();
  }
}

// Files
const drop = document.getElementById("drop");
if (drop) {
  const list = document.getElementById("taken");
  const most = Number(drop.dataset.most);
  async function take(file) {
    const line = document.createElement("li");
    line.textContent = `${file.name}: being taken …`;
    list.append(line);
    const say = (text, bad) => { line.textContent = `${file.name}: ${text}`; line.className = bad ? "error" : ""; };
    if (file.size > most) return say(`larger than ${most / 2 ** 20} MB, the most that is taken. Is it a measurement?`, true);
    for (let attempt = 0; attempt < 60; attempt++) {
      let answer;
      try {
        answer = await fetch(`/files?name=${encodeURIComponent(file.name)}&modified=${file.lastModified}`, { method: "PUT", body: file, headers: { accept: "application/json" } });
      } catch { return say("the app does not answer. Is it still running?", true); }
      if (answer.status === 429) { await pause(400 + 200 * attempt); continue; }
      const told = (answer.headers.get("content-type") ?? "").includes("json") ? await answer.json() : { said: `refused (${answer.status})` };
      if (!answer.ok) return say(told.said, true);
      if (told.problem) return say(told.problem, true);
      return say(told.note || (told.kind === "xrd" ? "a pattern" : told.kind === "tga" ? "a TGA run" : told.kind));
    }
    say("the app is busy. Drop it again later.", true);
  }
  async function takeAll(files) {
    list.replaceChildren();
    const waiting = [...files];
    await Promise.all([0, 1, 2].map(async () => { while (waiting.length) { await take(waiting.shift()); await refresh(); } }));
    await refresh();
  }
  for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, event => {
    if ([...event.dataTransfer.types].includes("Files")) { event.preventDefault(); drop.classList.add("over"); }
  });
  document.addEventListener("dragleave", event => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", event => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault(); drop.classList.remove("over"); takeAll(event.dataTransfer.files);
  });
  const chooser = document.getElementById("chooser");
  chooser.addEventListener("change", () => { const files = [...chooser.files]; chooser.value = ""; takeAll(files); });
}

// Settings
const form = document.getElementById("settings");
let saving = Promise.resolve();
if (form) {
  const state = document.getElementById("saved");
  const show = told => {
    for (const item of all("[data-error]", form)) {
      const words = told.errors?.[item.dataset.error] ?? "";
      item.textContent = words; item.hidden = !words;
      for (const field of all(`[name="${item.dataset.error}"]`, form)) words ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
    }
    if (told.conflict) state.textContent = `${told.conflict} Load this page again to see what was saved.`;
    else state.textContent = Object.keys(told.errors ?? {}).length ? "Not saved: see the message beside the field." : "Saved.";
    state.className = told.conflict || Object.keys(told.errors ?? {}).length ? "error" : "note";
  };
  const save = async () => {
    const body = new URLSearchParams(new FormData(form));
    body.set("action", "save");
    try {
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { accept: "application/json" } });
      const told = await answer.json();
      if (told.said) { state.textContent = told.said; state.className = "error"; return; }
      if (told.revision) for (const field of all('[name="revision"]')) field.value = told.revision;
      show(told);
      if (told.revision) await refresh();
    } catch { state.textContent = "Not saved: the app does not respond. Is it still running?"; state.className = "error"; }
  };
  const pairs = [["range_min", "range_max"], ["spike", "spike_percent"]];
  form.addEventListener("change", event => {
    // what needs two fields is saved when both are filled, or both empty
    const pair = pairs.find(names => names.includes(event.target.name));
    if (pair && new Set(pair.map(name => !form.elements[name].value.trim())).size > 1) return;
    saving = saving.then(save);
  });
  form.addEventListener("submit", async event => {
    const button = event.submitter;
    if (form.dataset.going) return;
    event.preventDefault();
    form.dataset.going = "1";
    await saving;   // a field that was just left is saved first
    await pause(0);  // the form is not to be submitted within its own submission
    form.requestSubmit(button);
    delete form.dataset.going;
  });
  form.dataset.ready = "";  // from here on a change is saved
}

// The range, with the mouse in the pattern
function draw() {
  const svg = document.querySelector("#view svg[data-low]");
  const ends = ["range_min", "range_max"].map(name => form?.elements[name]);
  if (!svg || !ends[0] || svg.dataset.ready) return;
  svg.dataset.ready = "1";
  const [left, width, low, high] = ["left", "width", "low", "high"].map(key => Number(svg.dataset[key]));
  const angle = event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
    return Math.min(high, Math.max(low, low + (at - left) / width * (high - low)));
  };
  const place = value => left + (value - low) / (high - low) * width;
  const shade = (a, b) => {
    for (const [side, from, to] of [["low", low, a], ["high", b, high]]) {
      const box = svg.querySelector(`[data-side="${side}"]`);
      box.setAttribute("x", place(from)); box.setAttribute("width", Math.max(place(to) - place(from), 0));
    }
  };
  let begin = null;
  svg.addEventListener("pointerdown", event => { begin = angle(event); svg.setPointerCapture(event.pointerId); event.preventDefault(); });
  svg.addEventListener("pointermove", event => { if (begin !== null) { const now = angle(event); shade(Math.min(begin, now), Math.max(begin, now)); } });
  svg.addEventListener("pointerup", event => {
    const now = angle(event), [a, b] = [Math.min(begin, now), Math.max(begin, now)];
    begin = null;
    if (b - a < 0.01 * (high - low)) { const [c, d] = ends.map(item => Number(item.value.replace(",", "."))); shade(c || low, d || high); return; }
    ends[0].value = a.toFixed(1); ends[1].value = b.toFixed(1);
    ends[1].dispatchEvent(new Event("change", { bubbles: true }));
  });
}

// Tick all
document.addEventListener("change", event => {
  if (event.target.matches("[data-ticks]")) for (const box of all(`[name="${event.target.dataset.ticks}"]`)) box.checked = event.target.checked;
});
draw();
follow();
