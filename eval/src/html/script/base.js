// What all parts of the page share. Text from data goes into text nodes and attributes only.

const SVG = "http://www.w3.org/2000/svg"; // a name, which nothing is loaded from

function make(space, name, attributes, children) {
  const node = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const el = (name, attributes, ...children) => make(null, name, attributes, children);
const svg = (name, attributes, ...children) => make(SVG, name, attributes, children);

const WORDS = { inf: Infinity, "-inf": -Infinity, nan: NaN };

/** A number of the data, NaN where there is none. */
function number(value) {
  if (typeof value === "number") return value;
  return value in WORDS ? WORDS[value] : NaN;
}

/** A number for people. */
function show(value) {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  return value.toFixed(size < 10 ? 4 : size < 1000 ? 2 : 0).replace("-", "−");
}

const showBytes = (value) => (Number.isFinite(value) ? String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f") : "–");
const showTime = (value) => (Number.isFinite(value) ? value.toFixed(value < 10 ? 2 : 1) + " ms" : "–");

const data = JSON.parse(document.getElementById("data").textContent);

/** A metric by its key. */
const metric = (key) => data.metrics[key] || { label: key, scaled: key, lower: false, similarity: false };
const direction = (key) => (metric(key).lower ? "↓ lower is better" : "↑ higher is better");
const rateUnit = (kind) => (kind === "audio" ? "kbit/s" : "bits per pixel");
const isOriginal = (key) => key.startsWith("task.") && key.endsWith(".original");

/** A file inside the page, as a URL that only this page knows. */
const urls = new Map();
function mediaUrl(stored) {
  let url = urls.get(stored.id);
  if (!url) {
    const text = atob(document.getElementById("media-" + stored.id).textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    url = URL.createObjectURL(new Blob([bytes], { type: stored.type }));
    urls.set(stored.id, url);
  }
  return url;
}

/** Calls `act` when `node` comes near the window for the first time. */
function whenNear(node, act) {
  if (!("IntersectionObserver" in window)) return act();
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    act();
  }, { rootMargin: "400px" });
  observer.observe(node);
}

/** Calls `act` with the width of `node`, now and whenever it changes. */
function withWidth(node, act) {
  let last = -1;
  const tell = () => {
    const width = node.clientWidth;
    if (width > 0 && width !== last) act((last = width));
  };
  new ResizeObserver(tell).observe(node);
  tell();
}

function choice(label, options, selected, change) {
  const select = el("select", { onchange: () => change(select.value) },
    options.map(([value, text]) => el("option", { value, selected: value === selected }, text)));
  return el("label", {}, label, select);
}

/** Buttons of which one is pressed. `press` may be called to choose one. */
function pressOne(label, options, selected, change) {
  const buttons = options.map(([value, text]) =>
    el("button", { type: "button", "aria-pressed": String(value === selected), onclick: () => press(value) }, text));
  function press(value) {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(options[i][0] === value)));
    change(value);
  }
  return { node: el("span", { class: "group", role: "group", "aria-label": label }, buttons), press };
}

/** Colours from dark to light, rising evenly in brightness, by share of the way. */
const RAMP = [[0, 0, 0], [20, 28, 92], [105, 24, 125], [190, 45, 92], [240, 110, 45], [252, 190, 70], [255, 255, 225]];
const COLOURS = Array.from({ length: 256 }, (_, i) => {
  const at = (i / 255) * (RAMP.length - 1);
  const low = Math.min(Math.floor(at), RAMP.length - 2);
  return RAMP[low].map((from, c) => Math.round(from + (RAMP[low + 1][c] - from) * (at - low)));
});

function rampLegend(from, to, what) {
  const stops = RAMP.map((c) => "rgb(" + c.join() + ")").join();
  return el("div", { class: "ramp" }, from, el("i", { style: "background:linear-gradient(to right," + stops + ")" }), to, el("span", {}, what));
}

/** Metrics of several versions as a table with a row for each metric. The best of a row is bold. */
function valueTable(versions, kind, names) {
  const keys = [...new Set(versions.flatMap((version) => Object.keys(version.values)))].sort();
  const row = (label, cells, best) => el("tr", {}, el("th", { scope: "row" }, label),
    cells.map((cell, i) => el("td", { class: best === i && "best" }, cell)));
  const bestOf = (key) => {
    // An original, which has no bytes, is no rival.
    const values = versions.map((version) => (version.bytes === null ? NaN : number(version.values[key]) * (metric(key).lower ? -1 : 1)));
    const known = values.filter((value) => !Number.isNaN(value));
    const top = Math.max(...known);
    return known.length > 1 && known.filter((value) => value === top).length === 1 ? values.indexOf(top) : -1;
  };
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", {}, ""), names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {},
      row("setting", versions.map((version) => version.setting || "–")),
      row("bytes", versions.map((version) => showBytes(number(version.bytes)))),
      row(rateUnit(kind), versions.map((version) => show(number(version.rate)))),
      keys.map((key) => row(metric(key).label + (metric(key).lower ? " ↓" : " ↑"),
        versions.map((version) => show(number(version.values[key]))), bestOf(key))))));
}
