// The table of files: only the rows in view are in the page, so thousands stay quick.

const ROW = 31; // pixels of a row with its line

function fileTable(section) {
  const { names, extents, keys, rows } = data.files;
  const present = [...new Set(rows.map((row) => row[0]))];
  const kinds = new Set(present.map((index) => data.curves[index].kind));
  const unit = kinds.size === 1 ? (kinds.has("audio") ? "kbit/s" : "bpp") : "rate";
  const plain = (digits) => (value) => (Number.isFinite(value) ? value.toFixed(digits) : "–");
  const columns = [
    { label: "codec", text: (value) => data.curves[value].name },
    { label: "file", text: (value) => names[value] },
    { label: "quality", show: (value) => String(value) },
    { label: "size", text: (value) => extents[value] },
    { label: "bytes", show: showBytes },
    { label: unit, show },
    { label: "encode (ms)", show: plain(1) },
    { label: "decode (ms)", show: plain(1) },
    ...keys.map((key) => ({ label: metric(key).label + (metric(key).lower ? " ↓" : " ↑"), show })),
  ];
  const filter = { codec: "", quality: "", file: "" };
  let sort = { column: -1, down: false };
  let view = rows;

  const body = el("tbody", {});
  const count = el("p", { role: "status" });
  const heads = columns.map((column, i) => el("th", { scope: "col", class: column.text && "text" },
    el("button", { type: "button", onclick: () => {
      sort = { column: i, down: sort.column === i && !sort.down };
      update();
    } }, column.label)));
  const box = el("div", { class: "files", tabindex: "0", role: "region", "aria-label": "Files", onscroll: () => draw() },
    el("table", {}, el("thead", {}, el("tr", {}, heads)), body));
  const qualities = [...new Set(rows.map((row) => row[2]))].sort((a, b) => number(a) - number(b));
  const search = el("input", { type: "search", placeholder: "part of the name", oninput: () => { filter.file = search.value.toLowerCase(); update(); } });

  function update() {
    const wanted = filter.file && new Set(names.flatMap((name, i) => (name.toLowerCase().includes(filter.file) ? [i] : [])));
    view = rows.filter((row) => (!filter.codec || String(row[0]) === filter.codec) &&
      (!filter.quality || String(row[2]) === filter.quality) && (!wanted || wanted.has(row[1])));
    const { column, down } = sort;
    if (column >= 0) {
      const { text } = columns[column];
      const of = text ? (row) => text(row[column]) : (row) => number(row[column]);
      const order = text ? (a, b) => (a < b ? -1 : a > b ? 1 : 0) : (a, b) => a - b;
      // Missing values come last either way.
      const missing = (value) => !text && Number.isNaN(value);
      view = view.map((row) => [of(row), row]).sort(([a], [b]) =>
        (missing(a) - missing(b)) || (missing(a) ? 0 : down ? order(b, a) : order(a, b))).map(([, row]) => row);
    }
    heads.forEach((head, i) => {
      if (i === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
      head.firstChild.textContent = columns[i].label + (i === column ? (down ? " ▾" : " ▴") : "");
    });
    count.textContent = `${view.length} of ${rows.length} rows`;
    box.scrollTop = 0;
    draw();
  }

  const space = (height) => el("tr", { class: "space", "aria-hidden": "true" },
    el("td", { colspan: columns.length, style: `height:${height}px` }));

  function draw() {
    const first = Math.max(0, Math.min(view.length, Math.floor(box.scrollTop / ROW) - 10));
    const end = Math.min(view.length, first + Math.ceil((box.clientHeight || 640) / ROW) + 20);
    body.replaceChildren(space(first * ROW),
      ...view.slice(first, end).map((row) => el("tr", {}, columns.map((column, i) => {
        const text = column.text ? column.text(row[i]) : column.show(number(row[i]));
        return el("td", { class: column.text && "text", title: column.text && text }, text);
      }))), space((view.length - end) * ROW));
  }

  section.querySelector("p").remove();
  section.append(el("div", { class: "bar" },
    choice("codec", [["", "all"], ...present.map((index) => [String(index), data.curves[index].name])], "", (value) => { filter.codec = value; update(); }),
    choice("quality", [["", "all"], ...qualities.map((q) => [String(q), String(q)])], "", (value) => { filter.quality = value; update(); }),
    el("label", {}, "file", search)), count, box);
  update();
  new ResizeObserver(draw).observe(box);
}
