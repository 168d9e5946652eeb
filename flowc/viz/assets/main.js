// What is on the page now, as one state that lives in the address after `#`, and everything that changes it.
//   open: ids of the open scopes (null: as many as stay readable); aside: auxiliary scopes stand aside; sel: the selected item;
//   q: the search; trace: in, out, both; stage: a stage's number; by: "kernel" colours by kernel; what: "1" lists what the stage changes; at: "x,y,k", the view

const state = { stage: 0, open: null, aside: true, sel: "", q: "", trace: "", theme: "", by: "", what: "", at: "" };
const view = { stage: null, tree: null, open: null, laid: null, elements: null, hits: [] };
const byId = (id) => document.getElementById(id);

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  state.stage = Math.min(DATA.stages.length - 1, Math.max(0, given.has("stage") ? parseInt(given.get("stage"), 10) || 0 : DATA.first));
  state.open = given.has("open") ? new Set(given.get("open").split("|").filter(Boolean)) : null;
  state.aside = given.get("aside") !== "0";
  for (const key of ["sel", "q", "trace", "theme", "by", "what", "at"]) state[key] = given.get(key) || "";
}

function address() {
  const said = new URLSearchParams();
  if (state.stage !== DATA.first) said.set("stage", state.stage);
  if (state.open) said.set("open", [...state.open].join("|"));
  if (!state.aside) said.set("aside", "0");
  for (const key of ["sel", "q", "trace", "theme", "by", "what", "at"]) if (state[key]) said.set(key, state[key]);
  return `#${said}`;
}

let written = "";
function writeAddress() {
  written = address();
  if (written === (location.hash || "#")) return;
  try { history.replaceState(null, "", written); } catch { /* a page that may not: the view is only not shared */ }
}

camera.changed = () => {
  state.at = camera.moved ? [round(camera.x), round(camera.y), camera.k.toFixed(3)].join(",") : "";
  writeAddress();
};

// Lay out and draw anew: after a change of stage, of open scopes or of what stands aside.
function redraw() {
  view.stage = prepare(DATA.stages[state.stage]);
  view.tree = treeOf(view.stage, state.aside);
  view.open = state.open || firstOpen(view.tree);
  view.laid = layout(view.stage, view.tree, view.open);
  view.elements = render(view.laid, view.stage, state.by === "kernel");
  mapped = view.laid;
  renderLegend(view.stage, view.laid);
  showTimeline(DATA.stages, state.stage, (index) => { state.stage = index; state.open = null; redraw(); fit(); }, COMMANDS.w);
  markChanges();
  refresh();
}

// Mark what is selected, found and traced; nothing moves.
function refresh() {
  view.hits = search(view.stage, state.q);
  const selected = view.tree.byId.get(state.sel) || null;
  const shownBy = (box) => view.laid.representative[box.index];
  const mark = (items, name) => {
    const ids = new Set([...items].map((item) => item.id));
    for (const [id, group] of view.elements.items) group.classList.toggle(name, ids.has(id));
  };
  mark(new Set(view.hits.map(shownBy)), "hit");
  mark(selected ? [selected] : [], "selected");
  const chosen = selected ? boxesOf(selected) : [];
  const partners = selected && selected.type === "box" ? [selected.box.forward, ...selected.box.gradients].filter(Boolean) : [];
  mark(partners.map(shownBy), "partner");
  const tracing = selected && state.trace;
  const into = tracing && state.trace !== "out" ? traced(chosen, "in") : new Set();
  const outof = tracing && state.trace !== "in" ? traced(chosen, "out") : new Set();
  mark(new Set([...into].map(shownBy)), "t-in");
  mark(new Set([...outof].map(shownBy)), "t-out");
  svg.classList.toggle("tracing", Boolean(tracing));
  const own = new Set(chosen);
  for (const { edge, line, label } of view.elements.lines) {
    const lit = (set) => set.size && edge.links.some((link) => (set.has(link.source) || own.has(link.source)) && (set.has(link.target) || own.has(link.target)));
    const flags = { "t-in": Boolean(lit(into)), "t-out": Boolean(lit(outof)),
      "near-in": !tracing && own.size > 0 && edge.links.some((link) => own.has(link.target)), "near-out": !tracing && own.size > 0 && edge.links.some((link) => own.has(link.source)) };
    for (const [name, on] of Object.entries(flags)) { line.classList.toggle(name, on); if (label) label.classList.toggle(name, on); }
  }
  svg.setAttribute("aria-activedescendant", selected ? `item-${selected.id}` : "");
  showPanel(view.stage, selected, state.trace, { go: reveal, toggle, trace: (name) => { state.trace = name; refresh(); }, close: () => select("") });
  const before = DATA.stages[state.stage - 1];
  if (!selected && state.what) showChanges(DATA.stages[state.stage], before, { go: reveal, close: COMMANDS.w, goBefore: (id) => { changeStage(-1); reveal(id); } });
  if (byId("changes")) byId("changes").setAttribute("aria-pressed", String(Boolean(state.what)));
  showResults(view.hits, state.q, reveal);
  if (byId("query").value !== state.q) byId("query").value = state.q;
  byId("aside").setAttribute("aria-pressed", String(!state.aside));
  byId("colour").setAttribute("aria-pressed", String(state.by === "kernel"));
  byId("colour").hidden = !view.stage.kernels.length;
  writeAddress();
}

// Boxes that are new in this stage, and those that the next one drops.
function markChanges() {
  const mark = (boxes, name) => boxes.forEach((box) => {
    const group = view.elements.items.get(view.tree.items[box.index].id);
    if (group) group.classList.add(name);
  });
  const [before, after] = [DATA.stages[state.stage - 1], DATA.stages[state.stage + 1]];
  if (before) {
    const { added, changed } = changes(prepare(before), view.stage);
    mark(added, "added");
    mark(changed, "differs");
  }
  if (after) mark(changes(view.stage, prepare(after)).removed, "going");
}

function applyTheme() {
  const theme = state.theme || DATA.theme;
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").textContent = dark ? "Light" : "Dark";
}

const fit = () => glide(fitted(view.laid), false);

function select(id) {
  state.sel = id;
  if (!id) state.trace = "";
  refresh();
}

// Open or close a scope; what stays in place on the screen is the scope's own corner.
function toggle(id) {
  const before = view.tree.byId.get(id);
  if (!before || before.type !== "scope") return;
  const corner = { x: before.x * camera.k + camera.x, y: before.y * camera.k + camera.y };
  state.open = new Set(view.open);
  if (!state.open.delete(id)) state.open.add(id);
  const untouched = !camera.moved;
  redraw();
  const after = view.tree.byId.get(id);
  if (untouched) glide(fitted(view.laid, READABLE), false);
  else if (after.x !== undefined) glide({ k: camera.k, x: corner.x - after.x * camera.k, y: corner.y - after.y * camera.k }, true);
}

// Select a box wherever it is: the scopes around it are opened.
function reveal(id) {
  const item = view.tree.byId.get(id);
  if (!item) return;
  const shut = [];
  for (let at = item.parent; at && at.id; at = at.parent) if (!view.open.has(at.id)) shut.push(at.id);
  state.sel = id;
  if (shut.length) { state.open = new Set([...view.open, ...shut]); redraw(); } else refresh();
  show(item);
}

function openAll() {
  const all = [...view.tree.scopes.keys()];
  const limit = 1500; // boxes; more are no picture, and take a browser long
  state.open = view.stage.boxes.length <= limit ? new Set(all) : new Set(all.filter((id) => !view.tree.scopes.get(id).auxiliary).slice(0, 40));
  redraw();
  fit();
}

function setAside(aside) { state.aside = aside; state.open = null; redraw(); fit(); }

// The item that an arrow key goes to: the nearest one that way from the selected item.
function neighbour(dx, dy) {
  const items = view.laid.shown.filter((item) => !item.opened || item.id === state.sel);
  const from = view.tree.byId.get(state.sel);
  if (!from || from.x === undefined || !view.elements.items.has(from.id)) return items[0];
  const centre = (item) => ({ x: item.x + item.w / 2, y: item.opened ? item.y + 12 : item.y + item.h / 2 });
  const at = centre(from);
  let best = null, least = Infinity;
  for (const item of items) {
    if (item === from) continue;
    const to = centre(item), along = (to.x - at.x) * dx + (to.y - at.y) * dy, across = Math.abs((to.x - at.x) * dy) + Math.abs((to.y - at.y) * dx);
    if (along > 1 && along + 2 * across < least) { least = along + 2 * across; best = item; }
  }
  return best;
}

function nextHit(step) {
  if (!view.hits.length) return;
  const at = view.hits.findIndex((box) => box.id === state.sel);
  reveal(view.hits[(at + step + view.hits.length) % view.hits.length].id);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TRACES = ["", "in", "out", "both"];
const COMMANDS = {
  "f": fit, "+": () => glide(zoomed(1.3), true), "=": () => glide(zoomed(1.3), true), "-": () => glide(zoomed(1 / 1.3), true),
  "o": openAll, "c": () => { state.open = new Set(); redraw(); fit(); }, "a": () => setAside(!state.aside),
  "t": () => { state.trace = TRACES[(TRACES.indexOf(state.trace) + 1) % 4]; refresh(); },
  "k": () => { state.by = state.by ? "" : "kernel"; redraw(); },
  "d": () => { state.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark"; applyTheme(); redraw(); },
  "n": () => nextHit(1), "p": () => nextHit(-1), "?": showHelp, "/": () => byId("query").focus(),
  "w": () => { state.what = state.what ? "" : "1"; state.sel = ""; refresh(); },
  "[": () => changeStage(-1), "]": () => changeStage(1),
  "Escape": () => { state.q = ""; select(""); },
  "Backspace": () => { const item = view.tree.byId.get(state.sel); if (item && item.parent && item.parent.id) select(item.parent.id); },
  "Enter": () => {
    const item = view.tree.byId.get(state.sel);
    if (!item) return;
    const scope = item.type === "scope" ? item : item.parent;
    if (scope && scope.id) { state.sel = scope.id; toggle(scope.id); }
  },
};

function changeStage(step) {
  const stage = Math.min(DATA.stages.length - 1, Math.max(0, state.stage + step));
  if (stage !== state.stage) { state.stage = stage; state.open = null; redraw(); fit(); }
}

function listen() {
  const dragged = listenToPointer();
  const itemAt = (event) => { const group = event.target.closest("[data-id]"); return group ? group.dataset.id : ""; };
  svg.addEventListener("click", (event) => {
    if (dragged()) return;
    const stub = event.target.closest("[data-stub]");
    if (stub) reveal(stub.dataset.stub); else select(itemAt(event));
  });
  svg.addEventListener("dblclick", (event) => toggle(itemAt(event)));
  document.addEventListener("keydown", (event) => {
    const typing = event.target === byId("query");
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open && event.key !== "?") return;
    if (typing) {
      if (event.key === "Enter") { event.preventDefault(); nextHit(event.shiftKey ? -1 : 1); }
      if (event.key === "Escape") { state.q = ""; refresh(); svg.focus(); }
      return;
    }
    if (event.target.closest("button, summary") && (event.key === "Enter" || event.key === " ")) return;
    const arrow = ARROWS[event.key];
    if (arrow && event.shiftKey) glide({ k: camera.k, x: camera.x - 120 * arrow[0], y: camera.y - 120 * arrow[1] }, true);
    else if (arrow) { const item = neighbour(...arrow); if (item) { select(item.id); show(item); } }
    else if (COMMANDS[event.key]) COMMANDS[event.key]();
    else return;
    event.preventDefault();
  });
  byId("query").addEventListener("input", (event) => { state.q = event.target.value; refresh(); });
  const buttons = { fit: "f", closer: "+", wider: "-", opened: "o", closed: "c", aside: "a", colour: "k", theme: "d", keys: "?" };
  for (const [id, key] of Object.entries(buttons)) byId(id).addEventListener("click", () => COMMANDS[key]());
  addEventListener("resize", () => { if (camera.printing) return; if (camera.moved) drawMap(); else jump(fitted(view.laid, READABLE), false); });
  addEventListener("hashchange", () => { if (location.hash !== written) start(); });
  addEventListener("beforeprint", fitToPage);
  addEventListener("afterprint", () => { camera.printing = false; svg.removeAttribute("viewBox"); applyTheme(); applyCamera(); });
}

// In print the whole diagram is on the paper, in light colours, whatever is on the screen.
function fitToPage() {
  camera.printing = true;
  document.documentElement.dataset.theme = "light";
  svg.setAttribute("viewBox", `-10 -10 ${view.laid.width + 20} ${view.laid.height + 20}`);
  byId("camera").removeAttribute("transform");
}

function start() {
  readAddress();
  const at = state.at.split(",").map(Number);
  camera.printing = false;
  applyTheme();
  redraw();
  if (state.sel && view.tree.byId.has(state.sel)) {
    const item = view.tree.byId.get(state.sel);
    const shut = [];
    for (let up = item.parent; up && up.id; up = up.parent) if (!view.open.has(up.id)) shut.push(up.id);
    if (shut.length) { state.open = new Set([...view.open, ...shut]); redraw(); }
  }
  if (at.length === 3 && at.every(Number.isFinite) && at[2] > 0) jump({ x: at[0], y: at[1], k: at[2] }, true);
  else jump(fitted(view.laid, READABLE), false);
  document.documentElement.dataset.ready = "1";
}

renderHeads();
listen();
start();
