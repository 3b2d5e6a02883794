(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const role = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const painted = (value) => {
    if (typeof value === "string") return value.startsWith("role:") ? role(value.slice(5)) : value;
    if (Array.isArray(value)) return value.every((one) => one === null || typeof one === "number") ? value : value.map(painted);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v)]));
    return value;
  };
  const layout = (told) => {
    const axis = { gridcolor: role("line"), zerolinecolor: role("line"), linecolor: role("line"), automargin: false };
    const y = { ...axis, ...(told.yaxis || {}), ...(told.percent ? { tickformat: ".1%" } : {}), ...(told.range ? { range: told.range } : {}) };
    return painted({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: role("ink"), size: 12, family: "system-ui, sans-serif" },
      margin: { l: told.left || 56, r: 10, t: 8, b: told.bottom || 34 }, showlegend: Boolean(told.tall), legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      xaxis: { ...axis, ...(told.plain_x ? {} : { type: "date" }), ...(told.xaxis || {}) }, yaxis: y,
      shapes: told.shapes || [], annotations: told.annotations || [], hovermode: "closest",
    });
  };
  const draw = () => figures.forEach((f) => {
    Plotly.react(f.id, painted(f.data), layout(f.layout), { displayModeBar: false, responsive: true, scrollZoom: false });
  });
  // The library is deferred, so that the words are there before it is: it has run, or failed to load, by this event.
  document.addEventListener("DOMContentLoaded", () => {
    if (window.Plotly) { draw(); dark.addEventListener("change", draw); document.body.dataset.drawn = "yes"; }
    else document.getElementById("no-figures").hidden = false;
  });
})();
