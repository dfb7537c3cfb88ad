// The page: one stream large with its controls, the others as tiles; all of it from /api/v1.
import { Live } from "./live.js";
import { Brush } from "./brush.js";
import { OwnCamera } from "./camera.js";
import { plot } from "./plot.js";

const $ = id => document.getElementById(id);
const SEND_EVERY_MS = 60;
let state = null, focus = "", mayControl = false, retry = 500, events = null;
const history = new Map();
const touched = new Map();

const live = new Live($("picture"), {
  compare: () => $("tool-compare").getAttribute("aria-pressed") === "true" ? $("compare").value / 100 : null,
  shown: (age, number, name) => {
    const true_age = own.running && name === own.name ? own.age(number, age) : age;
    $("age").textContent = number ? `${true_age.toFixed(0)} ms old` : "no picture from the camera";
  },
});
const brush = new Brush($("paint"), $("picture"), { send: sendMask });
const own = new OwnCamera({ begun: name => { choose(name); }, ended: text => { $("own").textContent = "Use my camera"; notice(text); choose(""); } });

function notice(text) { $("notice").textContent = text || ""; $("notice").hidden = !text; }

async function ask(method, path, body, type = "application/json") {
  const answer = await fetch(path, { method, body, headers: body ? { "Content-Type": type } : {} });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({ error: answer.statusText }));
  throw Object.assign(new Error(error), { status: answer.status });
}

async function start() {
  try {
    apply(await (await ask("GET", "/api/v1/state")).json());
    $("login").hidden = true; $("main").hidden = false;
    listen();
  } catch (error) {
    $("main").hidden = true;
    if (error.status === 401) { $("login").hidden = false; $("ready").textContent = "locked"; return; }
    notice(error.message); setTimeout(start, 2000);
  }
}

function listen() {
  events = new WebSocket(new URL("/api/v1/events", location.href.replace(/^http/, "ws")));
  events.onmessage = ({ data }) => {
    const values = JSON.parse(data);
    if (values.error) notice(values.error); else { retry = 500; apply(values); }
  };
  events.onclose = () => {
    $("ready").textContent = "away"; $("ready").className = "badge bad";
    setTimeout(start, retry); retry = Math.min(8000, retry * 2);
  };
}

function apply(values) {
  state = values; mayControl = values.may_control;
  $("ready").textContent = values.ready ? "ready" : "starting";
  $("ready").className = `badge ${values.ready ? "good" : ""}`;
  $("own").hidden = !values.limits.cameras && !own.running;
  if (values.reload_error) notice(`The configuration stays as it was: ${values.reload_error}`);
  for (const stream of values.streams) remember(stream);
  if (!values.streams.some(stream => stream.name === focus)) choose("");
  drawTiles(); drawPanel();
}

function remember(stream) {
  const line = history.get(stream.name) || { fps: [], age: [] };
  line.fps.push(stream.frames.fps); line.age.push(stream.frames.age_ms.p99 ?? 0);
  for (const key of ["fps", "age"]) line[key] = line[key].slice(-90);
  history.set(stream.name, line);
}

function visible() { return state.streams.filter(s => !s.own_camera || s.name === own.name); }
function current() { return state && state.streams.find(stream => stream.name === focus); }

function choose(name) {
  focus = name || (state && visible()[0]?.name) || "";
  brush.stop(); press("tool-brush", false); $("brush-tools").hidden = true;
  watch();
  if (state) { drawTiles(); drawPanel(true); }
}

function watch() {
  const both = $("tool-compare").getAttribute("aria-pressed") === "true";
  live.watch(focus, both ? "both" : "after", state ? visible().map(s => s.name) : []);
}

function drawTiles() {
  const streams = visible(), tiles = $("tiles");
  if (streams.length < 2) { tiles.replaceChildren(); return; }
  const known = new Map([...tiles.children].map(tile => [tile.dataset.name, tile]));
  for (const name of known.keys()) if (!streams.some(s => s.name === name)) known.get(name).remove();
  for (const stream of streams) {
    let tile = known.get(stream.name);
    if (!tile) {
      tile = document.createElement("button");
      tile.className = "tile"; tile.type = "button"; tile.dataset.name = stream.name;
      const canvas = document.createElement("canvas"), line = document.createElement("span");
      line.append(document.createElement("i"), document.createElement("b"));
      tile.append(canvas, line);
      tile.onclick = () => choose(stream.name);
      tiles.append(tile);
      live.addTile(stream.name, canvas);
    }
    tile.querySelector("b").textContent = stream.own_camera ? "my camera" : stream.name;
    tile.querySelector("i").className = stream.state;
    tile.title = `${stream.state}${stream.reason ? ": " + stream.reason : ""}`;
    tile.setAttribute("aria-current", stream.name === focus);
  }
  watch();
}

function drawPanel(fresh = false) {
  const stream = current();
  if (!stream) return;
  drawStyles(stream, fresh); drawControls(stream, fresh); drawHealth(stream);
  const own_here = own.running && stream.name === own.name;
  for (const element of document.querySelectorAll("#panel input, #enabled, #tool-brush, #brush-clear"))
    element.disabled = !(mayControl || own_here);
  if (!isTouched("enabled")) $("enabled").checked = stream.settings.enabled;
  if (!stream.size) return;
  const [height, width] = stream.size;
  live.size(width, height);
}

function drawStyles(stream, fresh) {
  const box = $("styles"), names = state.styles.map(style => style.name).join();
  if (box.dataset.names !== names) {
    box.dataset.names = names;
    box.replaceChildren(...state.styles.map(style => {
      const label = document.createElement("label"), input = document.createElement("input"), image = new Image();
      label.className = "style"; input.type = "radio"; input.name = "style"; input.value = style.name;
      image.src = `/api/v1/styles/${encodeURIComponent(style.name)}/thumbnail`; image.alt = "";
      input.onchange = () => { $("mixer").open = false; change({ style: style.name, fade_s: +$("fade").value }); };
      label.append(input, image, style.name);
      return label;
    }));
    $("mix").replaceChildren(...state.styles.map(style => slider(style.name, { low: 0, high: 1, default: 0 }, mix)));
  }
  if (!isTouched("style") || fresh) {
    const chosen = stream.settings.style;
    for (const input of box.querySelectorAll("input")) input.checked = chosen === input.value;
    for (const input of $("mix").querySelectorAll("input")) {
      const weight = typeof chosen === "string" ? +(chosen === input.name) : chosen[input.name] ?? 0;
      if (document.activeElement !== input) set(input, weight);
    }
  }
}

function mix() {
  const style = {};
  for (const input of $("mix").querySelectorAll("input")) if (+input.value > 0) style[input.name] = +input.value;
  if (Object.keys(style).length) change({ style });
}

function controlsOf(stream) {
  const chosen = stream.settings.style;
  const names = typeof chosen === "string" ? [chosen] : Object.keys(chosen);
  const ports = new Map([["strength", { name: "strength", low: 0, high: 1, default: 1, meaning: "How much of the style." }]]);
  for (const style of state.styles) if (names.includes(style.name)) for (const port of style.controls) ports.set(port.name, port);
  ports.set("smoothing", { name: "smoothing", low: 0, high: 0.95, default: 0, meaning: "Less flicker where nothing moves." });
  return [...ports.values()];
}

function drawControls(stream, fresh) {
  const box = $("controls"), ports = controlsOf(stream), names = ports.map(port => port.name).join();
  if (box.dataset.names !== names) {
    box.dataset.names = names;
    box.replaceChildren(box.querySelector("legend"), ...ports.map(port => slider(port.name, port, value => {
      if (port.name === "strength" || port.name === "smoothing") change({ [port.name]: value });
      else change({ controls: { [port.name]: value } });
    })));
  }
  for (const port of ports) {
    const input = box.querySelector(`input[name="${CSS.escape(port.name)}"]`);
    const value = stream.settings[port.name] ?? stream.settings.controls[port.name] ?? port.default;
    if (fresh || (document.activeElement !== input && !isTouched(port.name))) set(input, value);
  }
}

function slider(name, port, changed) {
  const label = document.createElement("label"), input = document.createElement("input"), output = document.createElement("output");
  label.className = "row"; label.title = port.meaning || "";
  Object.assign(input, { type: "range", name, min: port.low ?? 0, max: port.high ?? 1, step: "any" });
  input.step = (input.max - input.min) / 100;
  set(input, port.default ?? 0, output);
  input.oninput = () => { set(input, +input.value, output); changed(+input.value); };
  label.append(name, input, output);
  return label;
}

function set(input, value, output = input.nextElementSibling) { input.value = value; output.value = (+value).toFixed(2); }

function isTouched(key) { return performance.now() - (touched.get(key) ?? -1e9) < 1500; }

let waiting = {}, timer = 0;
function change(wish) {
  for (const key of Object.keys(wish)) touched.set(key === "controls" ? Object.keys(wish.controls)[0] : key, performance.now());
  Object.assign(waiting, wish, wish.controls ? { controls: { ...waiting.controls, ...wish.controls } } : {});
  if (timer) return;
  timer = setTimeout(async () => {
    const body = waiting; waiting = {}; timer = 0;
    if (own.running && focus === own.name) return own.change(body);
    try { await ask("PATCH", `/api/v1/streams/${encodeURIComponent(focus)}`, JSON.stringify(body)); notice(""); }
    catch (error) { notice(error.message); }
  }, SEND_EVERY_MS);
}

async function sendMask(blob) {
  const path = `/api/v1/streams/${encodeURIComponent(focus)}/mask`;
  try { if (blob) await ask("PUT", path, blob, "image/png"); else await ask("DELETE", path); notice(""); }
  catch (error) { notice(error.message); }
}

function drawHealth(stream) {
  const { frames } = stream, line = history.get(stream.name);
  $("fps").textContent = frames.fps.toFixed(1); $("p99").textContent = frames.age_ms.p99?.toFixed(0) ?? "–";
  plot($("plot-fps"), line.fps); plot($("plot-age"), line.age);
  const sum = counts => Object.values(counts).reduce((a, b) => a + b, 0);
  const say = counts => Object.entries(counts).filter(([, n]) => n).map(([why, n]) => `${n} ${why.replace("_", " ")}`).join(", ") || "none";
  const rows = [
    ["State", stream.state + (stream.reason ? ` – ${stream.reason}` : "")],
    ["Frames", `${frames.captured} in, ${frames.published} out`],
    ["Dropped", say(frames.dropped)],
    ["Damaged", frames.corrupt], ["Reconnects", say(frames.reconnects)],
    ...stream.outputs.map(o => [o.name === "web" ? "Viewers" : o.name, o.name === "web" ? o.viewers : `${o.delivered} written, ${sum(o.dropped)} dropped${o.trouble ? " – " + o.trouble : ""}`]),
  ];
  $("facts").replaceChildren(...rows.flatMap(([name, value]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = value;
    return [dt, dd];
  }));
}

function press(id, on) { $(id).setAttribute("aria-pressed", on); }
function toggled(id) { const on = $(id).getAttribute("aria-pressed") !== "true"; press(id, on); return on; }

$("tool-compare").onclick = () => {
  const on = toggled("tool-compare");
  for (const id of ["compare", "cut", "tag-before", "tag-after"]) $(id).hidden = !on;
  if (on) { brush.stop(); press("tool-brush", false); $("brush-tools").hidden = true; $("compare").focus(); }
  moveCut(); watch();
};
$("compare").oninput = moveCut;
function moveCut() { $("cut").style.left = `calc(${$("compare").value}% - 1px)`; live.redraw(); }
$("tool-brush").onclick = () => {
  const on = toggled("tool-brush");
  if (on && $("tool-compare").getAttribute("aria-pressed") === "true") $("tool-compare").click();
  $("brush-tools").hidden = !on;
  if (on) brush.start(); else brush.stop();
};
$("brush-erase").onclick = () => { brush.erasing = toggled("brush-erase"); };
$("brush-size").oninput = () => { brush.size = +$("brush-size").value; };
$("brush-clear").onclick = () => brush.clear();
$("enabled").onchange = () => change({ enabled: $("enabled").checked });
$("fade").oninput = () => { $("fade").nextElementSibling.value = `${+$("fade").value} s`; };
$("own").onclick = async () => {
  if (own.running) { own.stop(); return; }
  try {
    await own.start(current()?.settings.style ?? state.styles[0].name, state.webrtc);
    Object.assign($("own"), { textContent: "Stop camera", title: `It is sent by ${own.kind}.` }); notice("");
  }
  catch (error) { notice(error.message); }
};
$("theme").onclick = () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches, root = document.documentElement;
  root.dataset.theme = (root.dataset.theme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  try { localStorage.theme = root.dataset.theme; } catch { /* private windows may refuse */ }
};
$("login").onsubmit = async event => {
  event.preventDefault();
  try { await ask("POST", "/api/v1/login", JSON.stringify({ token: new FormData(event.target).get("token") })); notice(""); start(); }
  catch (error) { notice(error.message); }
};
try { if (localStorage.theme) document.documentElement.dataset.theme = localStorage.theme; } catch { /* as above */ }
start();
