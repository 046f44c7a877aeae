// Rate-distortion charts.

const DASHES = [null, "7 4", "2 3", "10 3 2 3"];
const MARKS = [
  (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (x, y, r) => `M${x} ${y - 1.2 * r}l${1.2 * r} ${2.2 * r}h${-2.4 * r}z`,
  (x, y, r) => `M${x} ${y - 1.4 * r}l${1.4 * r} ${1.4 * r}l${-1.4 * r} ${1.4 * r}l${-1.4 * r} ${-1.4 * r}z`,
];
const colourOf = (index) => `var(--c${index % 8})`;
const dashOf = (index) => DASHES[Math.floor(index / 8) % DASHES.length];
const markOf = (index) => MARKS[index % MARKS.length];

/** Round numbers between `low` and `high`, about `count` of them. */
function linearTicks(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => [(first + i) * step, ((first + i) * step).toFixed(digits).replace("-", "−")]);
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push([value, String(+value.toPrecision(3))]);
    }
  }
  return ticks.length > 1 ? ticks : linearTicks(low, high, 4);
}

/** A chart of one kind of curves over some of their metrics. */
class Chart {
  constructor(kind, keys) {
    this.kind = kind;
    this.curves = data.curves.map((curve, index) => ({ ...curve, index })).filter((curve) =>
      curve.kind === kind && curve.points.some((point) => keys.some((key) => key in point.values)));
    this.hidden = new Set();
    this.key = ["psnr-rgb", "si-sdr"].find((key) => keys.includes(key)) || keys[0];
    this.log = false;
    this.even = true;
    const rates = this.curves.flatMap((curve) => curve.points.map((point) => number(point.rate)));
    this.most = kind === "image" && Math.max(...rates) > 2.5 ? 2 : null;
    this.build(keys);
  }

  build(keys) {
    const redraw = () => this.draw();
    this.plot = svg("svg", { role: "img", tabindex: "0", onpointermove: (e) => this.hover(e), onpointerdown: (e) => this.hover(e),
      onpointerleave: (e) => e.pointerType === "mouse" && this.mark(null), onkeydown: (e) => this.step(e), onblur: () => this.mark(null) });
    this.tip = el("div", { class: "tip", role: "status", hidden: true });
    this.box = el("div", { class: "chart" }, this.plot, this.tip);
    this.way = el("small", {});
    this.note = el("small", {});
    const limit = el("input", { type: "number", min: "0", step: "any", placeholder: "all", value: this.most, "data-part": "limit",
      oninput: () => { this.most = limit.value > 0 ? +limit.value : null; redraw(); } });
    const even = el("input", { type: "checkbox", checked: true, onchange: () => { this.even = even.checked; redraw(); } });
    this.evenBox = el("label", { title: "−10·log₁₀(1 − value): steps near 1 become visible" }, even, "in dB");
    this.legend = el("div", { class: "legend", role: "group", "aria-label": "Curves" });
    this.buttons = this.curves.map((curve) => el("button", { type: "button", "aria-pressed": "true", title: curve.description,
      onclick: () => this.toggle(curve.index) }, this.swatch(curve.index), curve.name));
    this.legend.append(...this.buttons);
    if (this.curves.length > 3) {
      this.legend.append(el("button", { type: "button", onclick: () => this.all() }, "all / none"));
    }
    this.node = el("div", {},
      el("div", { class: "bar" },
        choice("metric", keys.map((key) => [key, metric(key).label]), this.key, (key) => { this.key = key; redraw(); }),
        this.way,
        pressOne("Rate axis", [[false, "linear rate"], [true, "log rate"]], false, (log) => { this.log = log; redraw(); }).node,
        el("label", {}, "rates up to", limit), this.evenBox),
      this.box, this.note, this.legend);
  }

  start() { withWidth(this.box, (width) => { this.width = width; this.draw(); }); }

  swatch(index) {
    return svg("svg", { width: 26, height: 12, "aria-hidden": "true" },
      svg("path", { d: "M0 6H26", stroke: colourOf(index), "stroke-width": 2, "stroke-dasharray": dashOf(index) }),
      svg("path", { d: markOf(index)(13, 6, 3.5), fill: colourOf(index) }));
  }

  toggle(index) {
    if (!this.hidden.delete(index)) this.hidden.add(index);
    this.draw();
  }

  all() {
    const none = this.hidden.size > 0;
    this.hidden = new Set(none ? [] : this.curves.map((curve) => curve.index));
    this.draw();
  }

  value(raw) {
    const { similarity, lower } = metric(this.key);
    return similarity && this.even && !lower ? -10 * Math.log10(1 - raw) : raw;
  }

  /** What the task gives on originals: one line, or one for each curve where they differ. */
  originals(curves) {
    const lines = [];
    for (const curve of curves) {
      const values = curve.points.map((point) => number(point.values[this.key + ".original"])).filter(Number.isFinite);
      if (values.length) lines.push({ index: curve.index, name: curve.name, y: this.value(values.reduce((a, b) => a + b) / values.length) });
    }
    const same = lines.every((line) => Math.abs(line.y - lines[0].y) < 1e-9);
    return same && lines.length ? [{ y: lines[0].y, name: "originals" }] : lines.map((l) => ({ ...l, name: "originals of " + l.name }));
  }

  draw() {
    if (!this.width) return;
    const { key, kind } = this;
    this.evenBox.hidden = !metric(key).similarity;
    this.way.textContent = direction(key);
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(!this.hidden.has(this.curves[i].index))));
    const shown = this.curves.filter((curve) => !this.hidden.has(curve.index));
    let beyond = 0, unplaced = 0;
    this.dots = [];
    const lines = shown.map((curve) => {
      const dots = [];
      for (const point of curve.points) {
        if (!(key in point.values)) continue;
        const x = number(point.rate), raw = number(point.values[key]), y = this.value(raw);
        if (!Number.isFinite(y) || !Number.isFinite(x) || (this.log && x <= 0)) unplaced++;
        else if (this.most && x > this.most) beyond++;
        else dots.push({ x, y, raw, curve, point });
      }
      dots.sort((a, b) => a.x - b.x);
      this.dots.push(...dots);
      return { curve, dots };
    });
    const told = [];
    if (beyond) told.push(beyond + " points at higher rates are not shown.");
    if (unplaced) told.push(unplaced + " points have no place on the axes (nothing lost, or no value).");
    this.note.textContent = told.join(" ");
    const width = this.width, height = Math.round(Math.min(480, Math.max(300, width * 0.55)));
    this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.plot.setAttribute("height", height);
    this.plot.setAttribute("aria-label", `${metric(key).label} over rate of ${shown.map((curve) => curve.name).join(", ")}. Arrow keys go from point to point.`);
    this.plot.replaceChildren();
    this.mark(null);
    const originals = this.originals(shown);
    if (!this.dots.length) {
      this.plot.append(svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "no points to show"));
      return;
    }
    this.frame(width, height, originals);
    for (const line of originals) {
      const y = this.y(line.y), colour = line.index === undefined ? "var(--text)" : colourOf(line.index);
      this.plot.append(svg("path", { class: "original", d: `M${this.left} ${y}H${this.right}`, stroke: colour }),
        svg("text", { x: this.right - 4, y: y - 5, "text-anchor": "end" }, line.name));
    }
    for (const { curve, dots } of lines) {
      const at = dots.map((dot) => [(dot.px = this.x(dot.x)), (dot.py = this.y(dot.y))]);
      const colour = colourOf(curve.index);
      this.plot.append(svg("path", { d: at.map(([x, y], i) => (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join(""), fill: "none", stroke: colour,
        "stroke-width": 2, "stroke-linejoin": "round", "stroke-dasharray": dashOf(curve.index), "data-curve": curve.name }));
      for (const [x, y] of at) this.plot.append(svg("path", { d: markOf(curve.index)(+x.toFixed(1), +y.toFixed(1), 3.5), fill: colour }));
    }
    this.ring = svg("circle", { r: 8, fill: "none", stroke: "var(--text)", "stroke-width": 2, visibility: "hidden" });
    this.plot.append(this.ring);
  }

  /** Axes, and the functions from values to pixels. */
  frame(width, height, originals) {
    const xs = this.dots.map((dot) => dot.x), ys = this.dots.map((dot) => dot.y).concat(originals.map((line) => line.y));
    let [low, high] = [Math.min(...ys), Math.max(...ys)];
    const pad = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
    low -= pad; high += pad;
    const yTicks = linearTicks(low, high, height / 60);
    const left = (this.left = 30 + 7 * Math.max(...yTicks.map((tick) => tick[1].length)));
    const right = (this.right = width - 12), top = 10, bottom = height - 46;
    const most = Math.max(...xs);
    let [from, to] = this.log ? [Math.min(...xs) / 1.08, most * 1.08] : [0, most * 1.03 || 1];
    const ln = this.log ? Math.log : (x) => x;
    this.x = (x) => left + ((ln(x) - ln(from)) / (ln(to) - ln(from))) * (right - left);
    this.y = (y) => bottom - ((y - low) / (high - low)) * (bottom - top);
    const xTicks = this.log ? logTicks(from, to) : linearTicks(from, to, width / 90);
    for (const [value, text] of xTicks) {
      const x = this.x(value);
      this.plot.append(svg("path", { class: "grid", d: `M${x} ${top}V${bottom}` }), svg("text", { x, y: bottom + 17, "text-anchor": "middle" }, text));
    }
    for (const [value, text] of yTicks) {
      const y = this.y(value);
      this.plot.append(svg("path", { class: "grid", d: `M${left} ${y}H${right}` }), svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, text));
    }
    const label = metric(this.key).similarity && this.even ? metric(this.key).scaled : metric(this.key).label;
    const arrow = metric(this.key).lower ? " (lower is better)" : "";
    this.plot.append(svg("path", { class: "frame", d: `M${left} ${top}V${bottom}H${right}` }),
      svg("text", { class: "label", x: (left + right) / 2, y: height - 8, "text-anchor": "middle" }, `rate (${rateUnit(this.kind)}${this.log ? ", log" : ""})`),
      svg("text", { class: "label", transform: `translate(14 ${(top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, label + arrow));
  }

  hover(event) {
    if (!this.dots.length) return;
    const box = this.plot.getBoundingClientRect();
    const scale = this.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const far = (dot) => Math.hypot(dot.px - x, dot.py - y);
    const near = this.dots.reduce((a, b) => (far(b) < far(a) ? b : a));
    this.mark(far(near) < 45 ? near : null);
  }

  /** Arrow keys: left and right along a curve, up and down to the next curve. */
  step(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") this.mark(null);
    if (!move || !this.dots.length) return;
    event.preventDefault();
    if (!this.marked) return this.mark(this.dots[0]);
    const groups = [...new Set(this.dots.map((dot) => dot.curve))].map((curve) => this.dots.filter((dot) => dot.curve === curve));
    const g = groups.findIndex((group) => group.includes(this.marked));
    const group = groups[(g + move[1] + groups.length) % groups.length];
    if (move[1]) return this.mark(group.reduce((a, b) => (Math.abs(b.x - this.marked.x) < Math.abs(a.x - this.marked.x) ? b : a)));
    this.mark(group[Math.min(group.length - 1, Math.max(0, group.indexOf(this.marked) + move[0]))]);
  }

  mark(dot) {
    this.marked = dot;
    this.tip.hidden = !dot;
    if (this.ring) this.ring.setAttribute("visibility", dot ? "visible" : "hidden");
    if (!dot) return;
    this.ring.setAttribute("cx", dot.px);
    this.ring.setAttribute("cy", dot.py);
    const { point } = dot;
    const lines = [`quality ${number(point.quality)}`, `${show(dot.x)} ${rateUnit(this.kind)}`, `${metric(this.key).label}: ${show(dot.raw)}`];
    if (/ \(\d+\)$/.test(dot.curve.name)) lines.unshift(dot.curve.description); // one of several with this name
    if (dot.y !== dot.raw) lines.push(`${metric(this.key).scaled}: ${show(dot.y)}`);
    if (point.encode !== null) lines.push("encode " + showTime(number(point.encode)));
    if (point.decode !== null) lines.push("decode " + showTime(number(point.decode)));
    this.tip.replaceChildren(el("b", {}, dot.curve.name), ...lines.flatMap((line, i) => (i ? [el("br"), line] : [line])));
    const left = dot.px + this.tip.offsetWidth + 14 < this.width ? dot.px + 14 : Math.max(0, dot.px - this.tip.offsetWidth - 14);
    this.tip.style.left = left + "px";
    this.tip.style.top = Math.max(0, dot.py - this.tip.offsetHeight / 2) + "px";
  }
}

/** Charts of all kinds: what is measured, and what machines see. */
function charts(parent) {
  for (const kind of ["image", "audio"]) {
    const keys = [...new Set(data.curves.filter((curve) => curve.kind === kind)
      .flatMap((curve) => curve.points.flatMap((point) => Object.keys(point.values))))].sort();
    const word = data.curves.some((curve) => curve.kind !== kind) ? (kind === "audio" ? ": sound" : ": pictures") : "";
    const parts = [
      ["curves", "Rate and quality" + word, keys.filter((key) => !key.startsWith("task."))],
      ["machines", "What machines see" + word, keys.filter((key) => key.startsWith("task.") && !isOriginal(key))],
    ];
    for (const [id, heading, keys] of parts) {
      if (!keys.length) continue;
      const chart = new Chart(kind, keys);
      const intro = id === "machines" ? el("p", {}, "How well models that look at or listen to the decoded files do their task. " +
        "A dashed line tells what they do on the originals, where that is known.") : null;
      parent.append(el("section", { id: id + "-" + kind, "data-short": (id === "machines" ? "Machines" : "Curves") + word }, el("h2", {}, heading), intro, chart.node));
      chart.start();
    }
  }
}
