// Puts the page together.

function theme() {
  const button = document.getElementById("theme"), root = document.documentElement;
  const names = { auto: "◐ auto", light: "☀ light", dark: "☾ dark" };
  let chosen = "auto";
  const apply = () => {
    if (chosen === "auto") delete root.dataset.theme;
    else root.dataset.theme = chosen;
    button.textContent = names[chosen];
    button.setAttribute("aria-label", "Colours: " + chosen);
  };
  // Storage may be forbidden for files.
  try { chosen = localStorage.getItem("codec-report-theme") in names ? localStorage.getItem("codec-report-theme") : "auto"; } catch (_) { /* stays auto */ }
  button.addEventListener("click", () => {
    const all = Object.keys(names);
    chosen = all[(all.indexOf(chosen) + 1) % all.length];
    try { localStorage.setItem("codec-report-theme", chosen); } catch (_) { /* not kept */ }
    apply();
  });
  button.hidden = false;
  apply();
}

function samples(section) {
  for (const set of data.samples) {
    const part = set.kind === "audio" ? new Sounds(set) : new Pictures(set);
    section.append(el("h3", {}, set.name, " ", el("small", {}, set.goal)), part.node);
    whenNear(part.node, () => part.start());
  }
}

function navigation() {
  const nav = document.getElementById("nav");
  for (const section of document.querySelectorAll("main section[id]")) {
    const heading = section.querySelector("h2");
    if (heading && section.id !== "lead") nav.append(el("a", { href: "#" + section.id }, section.dataset.short || heading.textContent));
  }
}

theme();
charts(document.getElementById("charts"));
if (data.samples.length) samples(document.getElementById("samples"));
if (data.files.rows.length) fileTable(document.getElementById("files"));
navigation();
