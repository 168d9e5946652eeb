// Everything that changes the page: from a key, a click or an address to a new state, from the state to what is drawn and marked.

const view = { stage: null, tree: null, open: null, laid: null, elements: null, hits: [] };
const byId = (id) => document.getElementById(id);

// Lay out and draw anew: after a change of stage, of open scopes or of what stands aside.
function redraw() {
  const plain = stageOf(state.stage);
  view.stage = state.what === "off" ? plain : marked(plain);
  view.tree = treeOf(view.stage, state.aside);
  view.open = state.open || firstOpen(view.tree, view.stage.closed);
  view.laid = layout(view.stage, view.tree, view.open);
  repaint();
}

// Draw anew what stays where it is: after a change of colours.
function repaint() {
  const paint = painter(state.by, view.laid);
  view.elements = render(view.laid, paint);
  setMap(view.laid);
  renderLegend(view.stage, view.laid, paint);
  refresh();
}

// Mark what is selected, found and traced; nothing moves.
function refresh() {
  view.hits = search(view.stage, state.q);
  const selected = view.tree.byId.get(state.sel) || null;
  const line = selected ? null : view.laid.edges.find((edge) => edge.id === state.sel) || null;
  const mark = (items, name) => {
    const ids = new Set([...items].map((item) => item.id));
    for (const [id, group] of view.elements.items) group.classList.toggle(name, ids.has(id));
  };
  mark(new Set(view.hits.map(shownBy)), "hit");
  mark(selected ? [selected] : line ? [line.source, line.target] : [], "selected");
  light(selected);
  const chosen = selected ? boxesOf(selected) : [], tracing = selected && state.trace;
  const into = tracing && state.trace !== "out" ? traced(chosen, "in") : new Set();
  const outof = tracing && state.trace !== "in" ? traced(chosen, "out") : new Set();
  mark(new Set([...into].map(shownBy)), "t-in");
  mark(new Set([...outof].map(shownBy)), "t-out");
  svg.classList.toggle("tracing", Boolean(tracing));
  const own = new Set(chosen);
  for (const { edge, line: path, label, mark: cut } of view.elements.lines) {
    const lit = (set) => set.size && edge.links.some((link) => (set.has(link.source) || own.has(link.source)) && (set.has(link.target) || own.has(link.target)));
    const flags = { "t-in": Boolean(lit(into)), "t-out": Boolean(lit(outof)), "chosen": edge === line,
      "near-in": !tracing && own.size > 0 && edge.links.some((link) => own.has(link.target)), "near-out": !tracing && own.size > 0 && edge.links.some((link) => own.has(link.source)) };
    for (const [name, on] of Object.entries(flags)) for (const part of [path, label, cut]) if (part) part.classList.toggle(name, on);
  }
  svg.setAttribute("aria-activedescendant", selected ? `item-${selected.id}` : "");
  const actions = { go: reveal, goKernel, toggle, trace: (name) => { state.trace = name; refresh(); }, close: () => select("") };
  showPanel(selected, line, state.trace, actions);
  if (!selected && !line && state.what === "list") showChanges(view.stage, { ...actions, close: COMMANDS.w });
  showTimeline(state.stage, state.what !== "off", state.what === "list", { choose: goStage, mark: COMMANDS.m, list: COMMANDS.w });
  showResults(view.hits, state.q, reveal);
  if (byId("query").value !== state.q) byId("query").value = state.q;
  byId("aside").setAttribute("aria-pressed", String(!state.aside));
  byId("colour").value = state.by;
  writeAddress();
}

const shownBy = (box) => view.laid.representative[box.index];

// A node and its gradient, or all that stand in a scope and theirs, light up together.
function light(item) {
  const partners = item ? boxesOf(item).flatMap((box) => [box.forward, ...box.gradients]).filter(Boolean) : [];
  const ids = new Set(partners.map(shownBy).filter((other) => other !== item).map((other) => other.id));
  for (const [id, group] of view.elements.items) group.classList.toggle("partner", ids.has(id));
}

function applyTheme() {
  const theme = state.theme || DATA.theme;
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").textContent = dark ? "Light" : "Dark";
}

const fit = () => glide(fitted(view.laid), false);
const settle = () => glide(fitted(view.laid, READABLE), false);

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
  if (untouched) settle();
  else if (after.x !== undefined) glide({ k: camera.k, x: corner.x - after.x * camera.k, y: corner.y - after.y * camera.k }, true);
}

// The closed scopes around an item.
function shutAround(item) {
  const shut = [];
  for (let at = item.parent; at && at.id; at = at.parent) if (!view.open.has(at.id)) shut.push(at.id);
  return shut;
}

// Select an item wherever it is: the scopes around it are opened.
function reveal(id) {
  const item = view.tree.byId.get(id);
  if (!item) return;
  const shut = shutAround(item);
  state.sel = id;
  if (shut.length) { state.open = new Set([...view.open, ...shut]); redraw(); } else refresh();
  show(item);
}

// Go to a kernel, in this stage or in the last one.
function goKernel(name) {
  if (!view.tree.byId.has(`${name}/`)) goStage(DATA.stages.length - 1);
  reveal(`${name}/`);
}

function goStage(number) {
  const stage = Math.min(DATA.stages.length - 1, Math.max(0, number));
  if (stage === state.stage) return;
  Object.assign(state, { stage, open: null });
  redraw();
  settle();
}

function openAll() {
  const all = [...view.tree.scopes.keys()];
  const limit = 1500; // boxes; more are no picture, and take a browser long
  state.open = view.stage.boxes.length <= limit ? new Set(all) : new Set(all.filter((id) => !view.tree.scopes.get(id).auxiliary).slice(0, 40));
  redraw();
  fit();
}

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

// The next line: of a selected item its first one, of a selected line the one after it.
function nextLine(step) {
  const { edges } = view.laid, item = view.tree.byId.get(state.sel);
  if (!edges.length) return;
  const at = item ? edges.findIndex((edge) => edge.source === item || edge.target === item) : edges.findIndex((edge) => edge.id === state.sel);
  const next = item && at >= 0 ? edges[at] : edges[(at + (at < 0 && step < 0 ? 0 : step) + edges.length) % edges.length];
  select(next.id);
  show({ ...middleOf(next.points), w: 0, h: 0 });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TRACES = ["", "in", "out", "both"];
const COMMANDS = {
  "f": fit, "+": () => glide(zoomed(1.3), true), "=": () => glide(zoomed(1.3), true), "-": () => glide(zoomed(1 / 1.3), true),
  "o": openAll, "c": () => { state.open = new Set(); redraw(); settle(); }, "a": () => { Object.assign(state, { aside: !state.aside, open: null }); redraw(); settle(); },
  "t": () => { state.trace = TRACES[(TRACES.indexOf(state.trace) + 1) % 4]; refresh(); },
  "k": () => { const all = Object.keys(COLOURINGS).filter(canColourBy); state.by = all[(all.indexOf(state.by) + 1) % all.length]; repaint(); },
  "d": () => { state.theme = isDark() ? "light" : "dark"; applyTheme(); repaint(); },
  "n": () => nextHit(1), "p": () => nextHit(-1), "e": () => nextLine(1), "E": () => nextLine(-1), "?": showHelp, "/": () => byId("query").focus(),
  "m": () => { state.what = state.what === "off" ? "" : "off"; redraw(); settle(); },
  "w": () => { const off = state.what === "off"; Object.assign(state, { what: state.what === "list" ? "" : "list", sel: "" }); if (off) redraw(); else refresh(); },
  "g": () => { const item = view.tree.byId.get(state.sel), to = item && item.box && (item.box.forward || item.box.gradients[0]); if (to) reveal(to.id); },
  "l": () => { byId("legend").open = !byId("legend").open; },
  "[": () => goStage(state.stage - 1), "]": () => goStage(state.stage + 1),
  "Escape": () => { state.q = ""; select(""); },
  "Backspace": () => { const item = view.tree.byId.get(state.sel); if (item && item.parent && item.parent.id) select(item.parent.id); },
  "Enter": () => {
    const item = view.tree.byId.get(state.sel);
    if (!item) return;
    const scope = item.type === "scope" ? item : item.parent;
    if (scope && scope.id) { state.sel = scope.id; toggle(scope.id); }
  },
};

function listen() {
  const dragged = listenToPointer();
  listenToMap();
  const idAt = (event) => { const group = event.target.closest("[data-id], [data-line]"); return group ? group.dataset.id || group.dataset.line : ""; };
  svg.addEventListener("click", (event) => {
    if (dragged()) return;
    const stub = event.target.closest("[data-stub]");
    if (stub) reveal(stub.dataset.stub); else select(idAt(event));
  });
  svg.addEventListener("dblclick", (event) => toggle(idAt(event)));
  svg.addEventListener("pointerover", (event) => light(view.tree.byId.get(idAt(event)) || view.tree.byId.get(state.sel)));
  document.addEventListener("keydown", pressed);
  byId("query").addEventListener("input", (event) => { state.q = event.target.value; refresh(); });
  const buttons = { fit: "f", closer: "+", wider: "-", opened: "o", closed: "c", aside: "a", theme: "d", keys: "?" };
  for (const [id, key] of Object.entries(buttons)) byId(id).addEventListener("click", () => COMMANDS[key]());
  byId("colour").append(...Object.entries(COLOURINGS).map(([by, [name, title]]) => html("option", { value: by, title, ...(canColourBy(by) ? {} : { disabled: "" }) }, by === "time" && !isMeasured() ? "time (flowc viz --profile)" : name)));
  byId("colour").addEventListener("change", (event) => { state.by = event.target.value; repaint(); });
  addEventListener("resize", () => { if (camera.printing) return; if (camera.moved) drawMap(); else jump(fitted(view.laid, READABLE), false); });
  addEventListener("hashchange", () => { if (location.hash !== written) start(); });
  addEventListener("beforeprint", fitToPage);
  addEventListener("afterprint", () => { camera.printing = false; svg.removeAttribute("viewBox"); applyTheme(); repaint(); applyCamera(); });
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open && event.key !== "?") return;
  if (event.target === byId("query")) {
    if (event.key === "Enter") { event.preventDefault(); nextHit(event.shiftKey ? -1 : 1); }
    if (event.key === "Escape") { state.q = ""; refresh(); svg.focus(); }
    return;
  }
  if (event.target.closest("button, summary, select") && ["Enter", " ", "ArrowUp", "ArrowDown"].includes(event.key)) return;
  if (event.target.closest("pre") && event.key in ARROWS) return;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) glide({ k: camera.k, x: camera.x - 120 * arrow[0], y: camera.y - 120 * arrow[1] }, true);
  else if (arrow) { const item = neighbour(...arrow); if (item) { select(item.id); show(item); } }
  else if (COMMANDS[event.key]) COMMANDS[event.key]();
  else return;
  event.preventDefault();
}

// In print the whole diagram is on the paper, in light colours, whatever is on the screen.
function fitToPage() {
  camera.printing = true;
  document.documentElement.dataset.theme = "light";
  repaint();
  svg.setAttribute("viewBox", `-10 -10 ${view.laid.width + 20} ${view.laid.height + 20}`);
  byId("camera").removeAttribute("transform");
}

function start() {
  readAddress();
  camera.printing = false;
  const at = state.at.split(",").map(Number); // before the view is written down anew
  applyTheme();
  redraw();
  const item = view.tree.byId.get(state.sel), shut = item ? shutAround(item) : [];
  if (shut.length) { state.open = new Set([...view.open, ...shut]); redraw(); }
  if (at.length === 3 && at.every(Number.isFinite) && at[2] > 0) jump({ x: at[0], y: at[1], k: at[2] }, true);
  else jump(fitted(view.laid, READABLE), false);
  document.documentElement.dataset.ready = "1";
}

renderHeads();
if (innerWidth < 1100 || innerHeight < 600) byId("legend").open = false;
listen();
start();
