// The page is painted first; the library is read and run after that.
requestAnimationFrame(() => setTimeout(() => {
  const library = document.createElement("script");
  library.textContent = document.getElementById("bokeh").textContent;
  document.head.append(library);
  if (window.Bokeh) { Bokeh.set_log_level("error"); window.xrdcompPlots(); }
}, 0));
