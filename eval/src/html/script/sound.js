// Sounds: a player that keeps its place when the version changes, and spectrograms on one scale.

class Sounds {
  constructor(set) {
    this.set = set;
    this.now = 0;
    this.players = set.versions.map((_, i) => el("audio", { controls: true, preload: "auto", "aria-label": this.name(i),
      ontimeupdate: () => i === this.now && this.heads(), onseeked: () => i === this.now && this.heads(),
      onplay: () => i === this.now && this.follow() }));
    this.players.forEach((player, i) => { player.hidden = i !== 0; });
    this.plots = set.versions.map((_, i) => this.plot(i));
    const { top, bottom } = set.axes;
    const dB = (level) => `${String(level).replace("-", "−")} dB`;
    this.node = el("div", { class: "sounds", onkeydown: (e) => this.key(e) },
      el("p", {}, el("small", {}, "Choose a version while it plays: the next goes on at the same place. Keys 1 to 9 choose, too.")),
      this.players, rampLegend(dB(bottom), dB(top), "level against a full sine, the same colours for all versions"),
      el("div", { class: "spectra" }, this.plots.map((plot) => plot.node)),
      valueTable(set.versions, "audio", set.versions.map((_, i) => this.name(i))));
  }

  name(index) {
    const { codec, setting } = this.set.versions[index];
    return setting ? `${codec}, ${setting}` : codec;
  }

  plot(index) {
    const { seconds, hertz } = this.set.axes;
    const canvas = el("canvas", { role: "img", "aria-label": "Spectrogram of " + this.name(index) });
    const head = el("span", { class: "head" });
    const tick = (style, text) => el("span", { class: "tick", style }, text);
    const times = linearTicks(0, seconds, 5).map(([value, text]) =>
      tick(`left:${(value / seconds) * 100}%;top:calc(100% + 4px);transform:translateX(-50%)`, text));
    const pitches = linearTicks(0, hertz / 1000, 4).map(([value, text]) =>
      tick(`right:calc(100% + 5px);bottom:${(value / hertz) * 100000}%;transform:translateY(50%)`, text));
    const box = el("div", { class: "plot", onclick: (e) => {
      const area = box.getBoundingClientRect();
      this.choose(index, ((e.clientX - area.left) / area.width) * seconds);
    } }, canvas, head, times, pitches, tick("left:50%;top:calc(100% + 19px);transform:translateX(-50%)", "time (s)"),
      tick("right:calc(100% + 30px);top:50%;transform:translate(50%,-50%) rotate(-90deg)", "frequency (kHz)"));
    const { bytes } = this.set.versions[index];
    const button = el("button", { type: "button", "aria-pressed": String(index === 0), onclick: () => this.choose(index) },
      this.name(index) + (bytes === null ? "" : ` · ${showBytes(bytes)} B`));
    return { node: el("div", { class: "spectrum" + (index ? "" : " active") }, button, box), button, canvas, head };
  }

  start() {
    this.set.versions.forEach((version, i) => {
      this.players[i].src = mediaUrl(version.media);
      const image = el("img", {});
      image.src = mediaUrl(version.spectrogram);
      image.decode().then(() => this.paint(this.plots[i].canvas, image));
    });
    this.heads();
  }

  /** Levels, which are bytes, as colours. */
  paint(canvas, image) {
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      const colour = COLOURS[pixels.data[i]];
      pixels.data[i] = colour[0];
      pixels.data[i + 1] = colour[1];
      pixels.data[i + 2] = colour[2];
    }
    context.putImageData(pixels, 0, 0);
  }

  choose(index, time) {
    const old = this.players[this.now], next = this.players[index];
    const playing = !old.paused && !old.ended;
    const at = time === undefined ? old.currentTime : time;
    if (index !== this.now) {
      old.pause();
      old.hidden = true;
      next.hidden = false;
      next.volume = old.volume;
      next.muted = old.muted;
      this.now = index;
      this.plots.forEach((plot, i) => {
        plot.node.classList.toggle("active", i === index);
        plot.button.setAttribute("aria-pressed", String(i === index));
      });
    }
    const go = () => {
      next.currentTime = Math.min(at, next.duration || at);
      if (playing) next.play().catch(() => {}); // a browser may refuse to play unasked
      this.heads();
    };
    if (next.readyState >= 1) go();
    else next.addEventListener("loadedmetadata", () => this.now === index && go(), { once: true });
  }

  key(event) {
    const index = "123456789".indexOf(event.key);
    if (event.key.length === 1 && index >= 0 && index < this.players.length) this.choose(index);
  }

  heads() {
    const left = (this.players[this.now].currentTime / this.set.axes.seconds) * 100 + "%";
    this.plots.forEach((plot) => { plot.head.style.left = left; });
  }

  follow() {
    this.heads();
    if (!this.players[this.now].paused) requestAnimationFrame(() => this.follow());
  }
}
