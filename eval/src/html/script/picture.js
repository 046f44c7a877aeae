// Pictures side by side: a slider between two versions, zoom, and the difference.

const GAINS = [1, 2, 4, 8, 16, 32];

class Pictures {
  constructor(set) {
    this.set = set;
    [this.width, this.height] = set.size;
    this.left = 0;
    this.right = Math.min(1, set.versions.length - 1);
    this.at = 0.5;
    this.zoom = 0; // 0 fits the window
    this.middle = [this.width / 2, this.height / 2];
    this.mode = "slider";
    this.gain = 8;
    this.build();
  }

  name(index) {
    const { codec, setting } = this.set.versions[index];
    return setting ? `${codec}, ${setting}` : codec;
  }

  build() {
    const { set } = this;
    const names = set.versions.map((_, i) => [String(i), this.name(i)]);
    const pick = (side) => (value) => { this[side] = +value; this.load(); };
    this.images = [el("img", { alt: "" }), el("img", { alt: "" })];
    this.canvas = el("canvas", { width: this.width, height: this.height });
    this.layers = [el("div", { class: "layer" }, this.images[1]), el("div", { class: "layer" }, this.images[0]), el("div", { class: "layer" }, this.canvas)];
    this.tags = [el("span", { class: "tag left" }), el("span", { class: "tag right" })];
    this.handle = el("div", { class: "handle", role: "slider", tabindex: "0", "aria-label": "Border between left and right",
      "aria-valuemin": "0", "aria-valuemax": "100", onkeydown: (e) => this.key(e, true) });
    this.stage = el("div", { class: "stage", tabindex: "0", role: "group", "aria-label": "Pictures", onkeydown: (e) => this.key(e, false),
      onpointerdown: (e) => this.down(e), onpointermove: (e) => this.move(e), onpointerup: () => { this.drag = null; },
      onpointercancel: () => { this.drag = null; } }, this.layers, this.tags, this.handle);
    this.zooms = pressOne("Zoom", [[0, "fit"], [1, "1×"], [2, "2×"], [4, "4×"]], 0, (zoom) => { this.zoom = zoom; this.place(); });
    const gain = choice("amplified", GAINS.map((g) => [String(g), g + "×"]), "8", (value) => { this.gain = +value; this.difference(); });
    this.gainBox = gain;
    this.modes = pressOne("View", [["slider", "slider"], ["difference", "difference"]], "slider", (mode) => { this.mode = mode; this.refresh(); });
    this.legend = el("div", {});
    this.values = el("div", {});
    this.node = el("div", { class: "pictures" }, el("div", { class: "bar" },
      choice("left", names, String(this.left), pick("left")), choice("right", names, String(this.right), pick("right")),
      this.modes.node, this.zooms.node, gain), this.stage, this.legend, this.values);
  }

  start() {
    withWidth(this.node, (width) => {
      // As large as the window allows, in the picture's own shape.
      const room = Math.min(width, (Math.max(window.innerHeight, 400) * 0.75 * this.width) / this.height);
      this.size = [Math.round(room), Math.round((room * this.height) / this.width)];
      this.stage.style.width = this.size[0] + "px";
      this.stage.style.height = this.size[1] + "px";
      this.place();
    });
    this.load();
  }

  load() {
    const chosen = [this.left, this.right];
    const versions = chosen.map((index) => this.set.versions[index]);
    this.images.forEach((image, i) => { image.src = mediaUrl(versions[i].media); });
    this.tags.forEach((tag, i) => {
      tag.textContent = this.name(chosen[i]) + (versions[i].bytes === null ? "" : ` · ${showBytes(versions[i].bytes)} B`);
    });
    this.values.replaceChildren(valueTable(versions, "image", chosen.map((index) => this.name(index))));
    this.refresh();
  }

  refresh() {
    const difference = this.mode === "difference";
    this.layers[0].hidden = this.layers[1].hidden = difference;
    this.layers[2].hidden = !difference;
    this.handle.hidden = difference;
    this.gainBox.hidden = this.legend.hidden = !difference;
    if (difference) this.difference();
    this.place();
  }

  scale() { return this.zoom || this.size[0] / this.width; }

  /** Puts pictures and border where they belong. */
  place() {
    if (!this.size) return;
    const scale = this.scale();
    const shift = [0, 1].map((axis) => {
      const length = [this.width, this.height][axis] * scale, room = this.size[axis];
      if (length <= room) {
        this.middle[axis] = length / scale / 2;
        return (room - length) / 2;
      }
      const half = room / 2 / scale;
      this.middle[axis] = Math.min(length / scale - half, Math.max(half, this.middle[axis]));
      return room / 2 - this.middle[axis] * scale;
    });
    const rounded = this.zoom ? shift.map(Math.round) : shift;
    for (const node of [...this.images, this.canvas]) {
      node.style.width = this.width + "px";
      node.style.height = this.height + "px";
      node.style.transform = `translate(${rounded[0]}px,${rounded[1]}px) scale(${scale})`;
    }
    const larger = this.zoom * this.width > this.size[0] || this.zoom * this.height > this.size[1];
    this.stage.classList.toggle("zoomed", larger);
    this.stage.classList.toggle("crisp", scale >= 1);
    this.layers[1].style.clipPath = `inset(0 ${(1 - this.at) * 100}% 0 0)`;
    this.handle.style.left = this.at * 100 + "%";
    this.handle.setAttribute("aria-valuenow", Math.round(this.at * 100));
  }

  slide(at) {
    this.at = Math.min(1, Math.max(0, at));
    this.place();
  }

  down(event) {
    if (event.button) return;
    const pan = event.target !== this.handle && (this.stage.classList.contains("zoomed") || this.mode === "difference");
    this.drag = { pan, x: event.clientX, y: event.clientY };
    this.stage.setPointerCapture(event.pointerId);
    if (!pan) this.move(event);
  }

  move(event) {
    if (!this.drag) return;
    if (this.drag.pan) {
      this.middle[0] -= (event.clientX - this.drag.x) / this.scale();
      this.middle[1] -= (event.clientY - this.drag.y) / this.scale();
      [this.drag.x, this.drag.y] = [event.clientX, event.clientY];
      this.place();
    } else {
      const box = this.stage.getBoundingClientRect();
      this.slide((event.clientX - box.left) / box.width);
    }
  }

  /** Arrow keys move the border, or, zoomed in and off the border, the picture. */
  key(event, onHandle) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const ends = { Home: 0, End: 1 };
    if (onHandle && event.key in ends) this.slide(ends[event.key]);
    else if (!way) return;
    else if (onHandle || !this.stage.classList.contains("zoomed")) {
      if (!way[0]) return;
      this.slide(this.at + way[0] * (event.shiftKey ? 0.1 : 0.02));
    } else {
      this.middle = this.middle.map((value, axis) => value + (way[axis] * 40) / this.scale());
      this.place();
    }
    event.preventDefault();
    event.stopPropagation();
  }

  pixels(image) {
    const canvas = el("canvas", { width: this.width, height: this.height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, this.width, this.height).data;
  }

  /** The largest difference of a pixel's three colours, amplified, as a colour. */
  async difference() {
    const turn = (this.turn = (this.turn || 0) + 1);
    await Promise.all(this.images.map((image) => image.decode()));
    if (turn !== this.turn) return;
    const [a, b] = this.images.map((image) => this.pixels(image));
    const context = this.canvas.getContext("2d");
    const out = context.createImageData(this.width, this.height);
    let most = 0, sum = 0;
    for (let i = 0; i < a.length; i += 4) {
      const [r, g, l] = [Math.abs(a[i] - b[i]), Math.abs(a[i + 1] - b[i + 1]), Math.abs(a[i + 2] - b[i + 2])];
      const worst = Math.max(r, g, l);
      sum += r + g + l;
      most = Math.max(most, worst);
      const colour = COLOURS[Math.min(255, worst * this.gain)];
      out.data[i] = colour[0];
      out.data[i + 1] = colour[1];
      out.data[i + 2] = colour[2];
      out.data[i + 3] = 255;
    }
    context.putImageData(out, 0, 0);
    const mean = sum / (this.width * this.height * 3);
    const legend = rampLegend("0", `${Math.floor(255 / this.gain)}${this.gain > 1 ? " and more" : ""} of 255`,
      `largest difference ${most}, mean ${mean.toFixed(2)}`);
    legend.dataset.most = most;
    this.legend.replaceChildren(legend);
  }
}
