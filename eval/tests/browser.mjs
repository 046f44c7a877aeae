// Opens a report in a headless Chromium and uses it as a reader would.
//
//   node browser.mjs chromium report.html [folder for pictures of the screen]
//
// It speaks the browser's own protocol over a pipe, so no port is opened. Prints a line for each check; any that fails,
// and any error on the page's console, gives status 1.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [program, report, pictures] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "report-browser-"));
const browser = spawn(program, ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", "--mute-audio", "--remote-debugging-pipe", "--user-data-dir=" + profile],
{ stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
const [, , , toBrowser, fromBrowser] = browser.stdio;

let next = 1, rest = "", session, failed = 0;
const waiting = new Map(), errors = [], requests = [];
fromBrowser.setEncoding("utf8");
fromBrowser.on("data", (text) => {
  const parts = (rest + text).split("\0");
  rest = parts.pop();
  parts.forEach((part) => receive(JSON.parse(part)));
});

function receive(message) {
  const { params } = message;
  if (message.id) {
    const { resolve, reject } = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) reject(new Error(message.error.message));
    else resolve(message.result);
  } else if (message.method === "Runtime.exceptionThrown") errors.push(params.exceptionDetails.exception?.description || params.exceptionDetails.text);
  else if (message.method === "Runtime.consoleAPICalled" && params.type === "error") errors.push(params.args.map((a) => a.value).join(" "));
  else if (message.method === "Log.entryAdded" && params.entry.level === "error") errors.push(params.entry.text);
  else if (message.method === "Network.requestWillBeSent") requests.push(params.request.url);
}

function send(method, params = {}) {
  const id = next++;
  toBrowser.write(JSON.stringify({ id, method, params, sessionId: session }) + "\0");
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

async function evaluate(expression) {
  const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description || exceptionDetails.text);
  return result.value;
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until an expression is true, and tells whether it became so. */
async function becomes(expression, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(100)) if (await evaluate(expression)) return true;
  return false;
}

function check(what, good, found) {
  console.log(`${good ? "ok    " : "FAILED"} ${what}${good || found === undefined ? "" : ": " + JSON.stringify(found)}`);
  if (!good) failed++;
}

async function screen(name, selector) {
  if (!pictures) return;
  if (selector) await evaluate(`document.querySelector(${JSON.stringify(selector)}).scrollIntoView(true); window.scrollBy(0, -60); 0`);
  await sleep(400);
  const { data } = await send("Page.captureScreenshot", { format: "png" });
  writeFileSync(join(pictures, name + ".png"), Buffer.from(data, "base64"));
}

async function window_(width, height, mobile, dark) {
  await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile });
  await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  await send("Page.navigate", { url: pathToFileURL(resolve(report)).href });
  await becomes("document.readyState === 'complete' && !!document.querySelector('#nav a')");
}

const mouse = (type, x, y, buttons = 0) => send("Input.dispatchMouseEvent", { type, x, y, button: buttons || type === "mouseReleased" ? "left" : "none", buttons, clickCount: 1 });

/** Middle of an element in the window, after it is brought into view. */
const middle = (expression) => evaluate(`(() => { const n = ${expression}; n.scrollIntoView({ block: "center" }); const b = n.getBoundingClientRect(); return { x: b.x + b.width / 2, y: b.y + b.height / 2, width: b.width, height: b.height }; })()`);

async function click(expression) {
  const { x, y } = await middle(expression);
  await mouse("mousePressed", x, y, 1);
  await mouse("mouseReleased", x, y);
}

const button = (text, within = "document") => `[...${within}.querySelectorAll("button")].find((b) => b.textContent.trim() === ${JSON.stringify(text)})`;

async function curves() {
  const dot = 'document.querySelector("#curves-image .chart path[data-curve] + path")';
  const at = await middle(dot);
  await mouse("mouseMoved", at.x, at.y);
  const tip = await evaluate('document.querySelector("#curves-image .tip").innerText');
  check("a point tells of itself", /quality/.test(tip) && /bits per pixel/.test(tip), tip);
  await screen("curves");
  const lines = () => evaluate('document.querySelectorAll("#curves-image path[data-curve]").length');
  const before = await lines();
  await click('document.querySelector("#curves-image .legend button")');
  check("the legend hides a curve", (await lines()) === before - 1);
  await click('document.querySelector("#curves-image .legend button")');
  check("and shows it again", (await lines()) === before);
  const path = () => evaluate('document.querySelector("#curves-image path[data-curve]").getAttribute("d")');
  const linear = await path();
  await click(button("log rate"));
  check("the rate axis turns logarithmic", (await path()) !== linear && (await evaluate('document.querySelector("#curves-image .chart").textContent')).includes(", log"));
  await evaluate('document.querySelector("#curves-image .chart svg").focus()');
  await send("Input.dispatchKeyEvent", { type: "keyDown", key: "ArrowRight", code: "ArrowRight" });
  check("keys reach points", await evaluate('!document.querySelector("#curves-image .tip").hidden'));
  const metrics = await evaluate('(() => { const s = document.querySelector("#curves-image select"); const n = s.options.length; for (const o of s.options) { s.value = o.value; s.dispatchEvent(new Event("change")); } return n; })()');
  check("every metric can be drawn", metrics >= 1 && !(await evaluate('document.querySelector("#curves-image .chart").innerHTML.includes("NaN")')), metrics);
  check("what machines see has the line of originals", (await evaluate('document.querySelectorAll("#machines-image .original").length')) >= 1);
}

async function pictureSlider() {
  check("pictures come", await middle('document.querySelector(".stage")') && await becomes('[...document.querySelectorAll(".stage img")].every((i) => i.complete && i.naturalWidth > 0)'));
  const stage = await middle('document.querySelector(".stage")');
  const value = () => evaluate('+document.querySelector(".handle").getAttribute("aria-valuenow")');
  check("the border starts in the middle", (await value()) === 50);
  await screen("pictures");
  const handle = await middle('document.querySelector(".handle")');
  await mouse("mousePressed", handle.x, handle.y, 1);
  await mouse("mouseMoved", stage.x - stage.width / 4, stage.y, 1);
  await mouse("mouseReleased", stage.x - stage.width / 4, stage.y);
  check("the mouse drags it", Math.abs((await value()) - 25) <= 1, await value());
  await evaluate('document.querySelector(".handle").focus()');
  await send("Input.dispatchKeyEvent", { type: "keyDown", key: "ArrowRight", code: "ArrowRight" });
  check("keys move it", Math.abs((await value()) - 27) <= 1, await value());
  await send("Emulation.setTouchEmulationEnabled", { enabled: true });
  const finger = await middle('document.querySelector(".handle")');
  await send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: [{ x: finger.x, y: finger.y }] });
  await send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: [{ x: stage.x + stage.width / 4, y: finger.y }] });
  await send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  await send("Emulation.setTouchEmulationEnabled", { enabled: false });
  check("a finger drags it", Math.abs((await value()) - 75) <= 1, await value());
  await click(button("4×"));
  const shift = () => evaluate('document.querySelector(".stage img").style.transform');
  const before = await shift();
  check("it zooms, with crisp pixels", before.includes("scale(4)") && (await evaluate('getComputedStyle(document.querySelector(".stage img")).imageRendering')) === "pixelated", before);
  const place = await middle('document.querySelector(".stage")');
  await mouse("mousePressed", place.x - 60, place.y - 40, 1);
  await mouse("mouseMoved", place.x - 10, place.y - 20, 1);
  await mouse("mouseReleased", place.x - 10, place.y - 20);
  check("it pans", (await shift()) !== before);
  await screen("zoomed");
  await click(button("fit"));
  await click(button("difference"));
  check("the difference is drawn", await becomes('+document.querySelector(".pictures .ramp")?.dataset.most > 0'));
  await screen("difference");
  await evaluate('(() => { const s = document.querySelectorAll(".pictures select")[1]; s.value = "0"; s.dispatchEvent(new Event("change")); })()');
  check("a picture does not differ from itself", await becomes('document.querySelector(".pictures .ramp")?.dataset.most === "0"'));
  check("then all is black", await becomes(`(() => { const c = document.querySelector(".stage canvas"); const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; return d.every((v, i) => v === (i % 4 === 3 ? 255 : 0)); })()`));
}

async function sound() {
  await middle('document.querySelector(".sounds")');
  check("sounds come", await becomes('[...document.querySelectorAll("audio")].every((a) => a.duration > 0)'));
  check("spectrograms are drawn", await becomes('[...document.querySelectorAll(".spectrum canvas")].every((c) => c.width === 800 && c.height === 256)'));
  await screen("sounds", ".sounds");
  await evaluate('(async () => { const a = document.querySelector("audio"); a.currentTime = 1; await a.play(); })()');
  await sleep(300);
  await click('document.querySelectorAll(".spectrum button")[1]');
  check("another version goes on at the same place", await becomes('(() => { const [a, b] = document.querySelectorAll("audio"); return a.paused && !b.paused && b.currentTime >= 1.1 && b.currentTime < 3; })()', 5),
    await evaluate('[...document.querySelectorAll("audio")].map((a) => [a.paused, a.currentTime])'));
  await evaluate('document.querySelectorAll("audio").forEach((a) => a.pause())');
}

async function files() {
  const rows = () => evaluate('[...document.querySelectorAll(".files tbody tr:not(.space)")].map((r) => [...r.cells].map((c) => c.textContent))');
  await middle('document.querySelector(".files")');
  const all = await rows();
  check("only rows in view are in the page", all.length > 5 && all.length < 80, all.length);
  await click('document.querySelectorAll(".files th button")[4]');
  const bytes = (await rows()).map((row) => +row[4].replace(/\s/g, ""));
  check("a column sorts", bytes.every((b, i) => !i || bytes[i - 1] <= b), bytes);
  await evaluate('document.querySelector(".files").scrollTop = 1e9');
  check("the last rows are reached", await becomes(`(() => { const box = document.querySelector(".files"), last = [...box.querySelectorAll("tbody tr:not(.space)")].pop(); return Math.abs(last.getBoundingClientRect().bottom - box.getBoundingClientRect().bottom) < 40; })()`));
  await screen("files");
  await evaluate('(() => { const s = document.querySelectorAll("#files select")[1]; s.value = s.options[1].value; s.dispatchEvent(new Event("change")); })()');
  const filtered = await rows();
  check("a quality is picked out", filtered.length > 0 && filtered.every((row) => row[2] === filtered[0][2]));
}

const wide = () => evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");

async function main() {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  ({ sessionId: session } = await send("Target.attachToTarget", { targetId, flatten: true }));
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await send(domain + ".enable");
  await window_(1200, 900, false, false);
  await screen("top");
  await curves();
  await pictureSlider();
  await sound();
  await files();
  await screen("bd", "#bd");
  await screen("summary", "#summary");
  await screen("machines", "#machines-image");
  check("a wide window does not scroll sideways", (await wide()) <= 0);
  await window_(360, 780, true, true);
  const back = () => evaluate("getComputedStyle(document.body).backgroundColor");
  const dark = await back();
  check("dark follows the system", dark === "rgb(20, 22, 26)", dark);
  check("a phone does not scroll sideways", (await wide()) <= 0, await wide());
  for (const [name, selector] of [["top", "header"], ["curves", "#curves-image"], ["bd", "#bd"], ["pictures", "#samples"], ["sounds", ".sounds"], ["spectra", ".spectra"], ["files", "#files"]]) {
    if (pictures) await screen("phone-" + name, selector);
  }
  await click('document.getElementById("theme")');
  check("the button turns to light", (await back()) === "rgb(255, 255, 255)", await back());
  await send("Emulation.setScriptExecutionDisabled", { value: true });
  await send("Page.navigate", { url: pathToFileURL(resolve(report)).href });
  await sleep(1500);
  await screen("without-scripts");
  await send("Emulation.setScriptExecutionDisabled", { value: false });
  check("scripts in names do not run, nothing fails", errors.length === 0, errors);
  const outside = requests.filter((url) => !/^(file|data|blob|about):/.test(url));
  check("nothing is asked of a network", outside.length === 0, outside);
}

const limit = setTimeout(() => { console.log("FAILED the browser takes too long"); process.exitCode = 1; browser.kill("SIGKILL"); process.exit(); }, 240_000);
try {
  await main();
} catch (error) {
  console.log("FAILED " + error.stack);
  failed++;
}
clearTimeout(limit);
process.exitCode = failed ? 1 : 0;
await Promise.race([send("Browser.close").catch(() => {}), sleep(2000)]);
session = undefined;
browser.kill();
await sleep(500);
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
process.exit();
