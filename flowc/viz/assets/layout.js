// Where everything stands: each open scope is laid out by dagre on its own, from the inside out, so a scope that opens moves only
// its neighbours. A line that leaves a scope passes its lower edge at a port, one that enters its upper edge.

const PAD = 14, HEAD = 24, LINE_HEIGHT = 15, ASIDE_GAP = 70;
const FONT = 'system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif';
const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();

function textWidth(text, size, bold) {
  const key = `${bold ? "b" : ""}${size}|${text}`;
  if (!widths.has(key)) {
    pen.font = `${bold ? "600 " : ""}${size}px ${FONT}`;
    widths.set(key, pen.measureText(text).width * 1.04);
  }
  return widths.get(key);
}

// What a closed item says: of a kernel what it does and takes, of a stage's changes how many are in a scope.
function saying(item) {
  if (item.type === "box") return item.box.lines.filter(Boolean);
  const lines = [titleOf(item), item.series ? `${item.series} alike, ${item.count} nodes` : `${item.count} node${item.count === 1 ? "" : "s"}`];
  if (item.kernel) lines.splice(1, 1, ...kernelLines(figuresOf(item.kernel)));
  const changed = marksIn(item);
  return changed.length ? [...lines, changed.map(([mark, count]) => `${count} ${MARK_WORDS[mark]}`).join(", ")] : lines;
}

// A closed item's lines, and how large they make it.
function face(item) {
  if (item.face) return item.face;
  const lines = saying(item);
  const width = Math.max(...lines.map((line, i) => textWidth(line, i ? 11 : 12, item.type === "scope" && !i)), 20);
  const wide = { constant: 1.25, random: 1.15, placeholder: 1.1 }[item.kind] || 1;
  const tall = item.kind === "variable" || item.kind === "placeholder" ? 10 : item.kind === "constant" ? 6 : 0;
  item.face = { lines, w: Math.ceil(width * (item.type === "box" ? wide : 1) + 24), h: lines.length * LINE_HEIGHT + 12 + tall };
  return item.face;
}

// The drawing of a tree with these scopes open: {shown, edges, stubs, width, height}; shown items have x, y, w, h (top left corner).
function layout(stage, tree, open) {
  const shown = [], representative = new Array(stage.boxes.length);
  const isOpen = (item) => item.type === "scope" && open.has(item.id);
  const visit = (item, by) => {
    if (item.type === "box") representative[item.box.index] = by || item;
    if (!by) shown.push(item);
    item.opened = !by && isOpen(item);
    item.local = item.opened ? { edges: new Map(), ports: new Map() } : null;
    const next = by || (item.opened ? null : item);
    for (const child of item.children) visit(child, next);
  };
  const root = tree.root;
  root.opened = true;
  root.local = { edges: new Map(), ports: new Map() };
  for (const child of root.children) visit(child, null);
  for (const scope of root.asides) visit(scope, null);

  const { edges, stubs } = lift(stage, root, representative);
  const size = arrangeScope(root, root.children);
  let [x, y] = [size.w + ASIDE_GAP, 30];
  for (const scope of root.asides) {
    const own = scope.opened ? arrangeScope(scope, scope.children) : face(scope);
    Object.assign(scope, { dx: x, dy: y, w: own.w, h: own.h });
    y += own.h + 16;
  }
  const place = (item, ox, oy) => {
    item.x = ox + item.dx;
    item.y = oy + item.dy;
    if (item.opened) for (const child of item.children) place(child, item.x, item.y);
  };
  root.x = root.y = 0;
  for (const child of root.children) place(child, 0, 0);
  for (const scope of root.asides) place(scope, 0, 0);
  for (const edge of edges) edge.points = route(edge, root);
  const asideWidth = Math.max(0, ...root.asides.map((scope) => scope.w));
  return {
    shown, edges, stubs, representative, aside: root.asides.length ? { x, y: 0 } : null,
    main: size.w, width: size.w + (asideWidth && ASIDE_GAP + asideWidth), height: Math.max(size.h, root.asides.length ? y : 0),
  };
}

// Links between boxes as lines between what is shown of them, equal ones together, each cut into its part in every scope it passes.
function lift(stage, root, representative) {
  const edges = new Map(), stubs = new Map();
  const topOf = (item) => { while (item.parent && item.parent !== root) item = item.parent; return item; };
  for (const link of stage.links) {
    const [source, target] = [representative[link.source.index], representative[link.target.index]];
    if (source === target) continue;
    if (source.auxiliary || target.auxiliary) {
      if (!(source.auxiliary && target.auxiliary)) {
        const [inside, outside] = source.auxiliary ? [link.source, target] : [link.target, source];
        if (!stubs.has(outside)) stubs.set(outside, new Map());
        const kinds = stubs.get(outside);
        if (!kinds.has(inside.kind)) kinds.set(inside.kind, new Set());
        kinds.get(inside.kind).add(inside);
        continue;
      }
      if (topOf(source) !== topOf(target)) continue;
    }
    const key = `${source.id}\n${target.id}\n${link.kind === "data" ? "" : link.kind}`;
    if (!edges.has(key)) edges.set(key, { key, source, target, kind: link.kind, labels: new Set(), links: [], bytes: 0, segments: [], id: `line ${source.id} → ${target.id}${link.kind === "data" ? "" : ` (${link.kind})`}` });
    const edge = edges.get(key);
    edge.links.push(link);
    edge.bytes = Math.max(edge.bytes, link.bytes);
    if (link.label) edge.labels.add(link.label);
  }
  for (const edge of edges.values()) {
    const gradient = (item) => item.kind === "gradient" || item.kind === "optimizer";
    const drawnIn = !edge.source.auxiliary;
    edge.backward = drawnIn && gradient(edge.source) && gradient(edge.target);
    edge.upward = edge.kind === "writes" || edge.backward;
    edge.uses = drawnIn && !gradient(edge.source) && gradient(edge.target);
    const labels = [...edge.labels];
    edge.label = edge.kind === "writes" || edge.uses ? "" : labels.length === 1 ? labels[0] : labels.length ? `${edge.links.length} tensors` : "";
    edge.apart = stage.fused ? apartOf(edge) : [];
    divide(edge);
  }
  return { edges: [...edges.values()], stubs };
}

// Why the kernels at a line's ends are two, for each pair once; a line that starts or ends at something that holds several says it of each.
function apartOf(edge) {
  const pairs = new Map();
  for (const found of edge.links.flatMap(apartAlong)) pairs.set(`${found.from}\n${found.to}`, found);
  return [...pairs.values()];
}

function divide(edge) {
  const [from, to] = edge.upward ? [edge.target, edge.source] : [edge.source, edge.target];
  const chain = (item) => { const found = []; for (let at = item; at; at = at.parent) found.push(at); return found; };
  const up = chain(from), around = new Set(up);
  const down = chain(to);
  const meet = down.findIndex((item) => around.has(item));
  const common = down[meet];
  const leaving = up.slice(0, up.indexOf(common)), entering = down.slice(0, meet);
  for (let i = 0; i + 1 < leaving.length; i++) edge.segments.push(localEdge(leaving[i + 1], leaving[i].id, port(leaving[i + 1], "out", leaving[i].id), edge));
  edge.segments.push(localEdge(common, leaving[leaving.length - 1].id, entering[entering.length - 1].id, edge, edge.label));
  for (let i = entering.length - 1; i > 0; i--) edge.segments.push(localEdge(entering[i], port(entering[i], "in", entering[i - 1].id), entering[i - 1].id, edge));
}

function port(scope, side, child) {
  const name = `*${side} ${child}`;
  scope.local.ports.set(name, side);
  return name;
}

function localEdge(scope, from, to, edge, label) {
  const key = `${from}\n${to}`;
  if (!scope.local.edges.has(key)) scope.local.edges.set(key, { scope, from, to, label: "", weight: 1, labelled: null });
  const local = scope.local.edges.get(key);
  const feeds = ["variable", "constant", "placeholder"].includes(edge.source.kind);
  if (edge.kind === "data" && !feeds && !edge.upward) local.weight = 6; // what is computed runs straight down, what it reads stands beside it
  if (label && !local.label) { local.label = label; local.labelled = edge; }
  return local;
}

// Lay out one open scope, its open scopes before; its size. Children get dx, dy: their place in it.
function arrangeScope(scope, children) {
  const graph = new dagre.graphlib.Graph();
  const crowd = children.length > 60;
  graph.setGraph({ rankdir: "TB", nodesep: 22, edgesep: 12, ranksep: scope.local.edges.size > 300 ? 46 : 30, ranker: crowd ? "longest-path" : "network-simplex" });
  graph.setDefaultEdgeLabel(() => ({}));
  const linked = new Set([...scope.local.edges.values()].flatMap((edge) => [edge.from, edge.to]));
  let alone = children.filter((child) => !linked.has(child.id));
  if (alone.length < 4) alone = linked.size ? [] : children;
  const apart = new Set(alone);
  for (const child of children) {
    const size = child.opened ? arrangeScope(child, child.children) : face(child);
    child.w = size.w;
    child.h = size.h;
    if (!apart.has(child)) graph.setNode(child.id, { width: size.w + (child.series ? 20 : 0), height: size.h }); // a stack's marks need room
  }
  const links = graph.nodeCount() > 0;
  for (const name of scope.local.ports.keys()) graph.setNode(name, { width: 6, height: 1 });
  for (const edge of scope.local.edges.values()) {
    const wide = edge.label ? textWidth(edge.label, 10.5) + 6 : 0;
    graph.setEdge(edge.from, edge.to, { width: wide, height: edge.label ? 13 : 0, labelpos: "c", weight: edge.weight });
  }
  keepPortsOutside(scope, graph, children.filter((child) => !apart.has(child)));
  const top = scope.parent ? HEAD + PAD / 2 : 0;
  const heading = scope.parent ? textWidth(titleOf(scope), 12, true) + 46 : 0;
  if (links) dagre.layout(graph);
  const bounds = links ? { width: graph.graph().width, height: graph.graph().height } : { width: 0, height: 0 };
  if (alone.length) rows(graph, alone, bounds);
  const inset = Math.max(0, (heading - bounds.width - 2 * PAD) / 2);
  const [ox, oy] = [PAD + inset, top + PAD / 2];
  // What lies above and below all children, where only lines to ports run, is pressed flat.
  const first = Math.min(...children.map((child) => graph.node(child.id).y - child.h / 2));
  const last = Math.max(...children.map((child) => graph.node(child.id).y + child.h / 2));
  const sides = [...scope.local.ports.values()];
  const [above, below] = [sides.includes("in") ? 12 : 0, sides.includes("out") ? 12 : 0];
  const lowest = links ? Math.max(last, ...[...scope.local.edges.values()].filter((e) => e.label).map((e) => graph.edge(e.from, e.to).y)) : last;
  const press = (y) => Math.max(-above, Math.min(y - first, lowest - first + below)) + above;
  scope.local.height = press(lowest) + below + oy + PAD;
  for (const child of children) {
    const at = graph.node(child.id);
    child.dx = at.x - child.w / 2 + ox;
    child.dy = press(at.y) - child.h / 2 + oy;
  }
  for (const edge of scope.local.edges.values()) {
    const laid = graph.edge(edge.from, edge.to);
    edge.at = edge.label ? { x: laid.x + ox, y: press(laid.y) + oy } : null;
    edge.points = thin(laid.points.map((p) => ({ x: p.x + ox, y: press(p.y) + oy })), edge.at);
    // A port's line goes on to the border itself.
    if (scope.local.ports.get(edge.to) === "out") edge.points[edge.points.length - 1] = { x: graph.node(edge.to).x + ox, y: scope.local.height };
    if (scope.local.ports.get(edge.from) === "in") edge.points[0] = { x: graph.node(edge.from).x + ox, y: 0 };
  }
  return { w: Math.max(bounds.width + 2 * (PAD + inset), heading), h: scope.local.height };
}

// Ports stand below everything else (those that lead out) or above it, so that no line to the border crosses a box.
function keepPortsOutside(scope, graph, children) {
  for (const [side, mark] of [["out", "*floor"], ["in", "*roof"]]) {
    const ports = [...scope.local.ports].filter(([, at]) => at === side).map(([name]) => name);
    if (!ports.length || children.length < 2) continue;
    const inner = (name) => !scope.local.ports.has(name) && !name.startsWith("*floor");
    const ends = children.filter((child) => !((side === "out" ? graph.successors(child.id) : graph.predecessors(child.id)) || []).some(inner));
    graph.setNode(mark, { width: 1, height: 1 });
    const link = (from, to) => side === "out" ? graph.setEdge(from, to, { weight: 0 }) : graph.setEdge(to, from, { weight: 0 });
    for (const child of ends) link(child.id, mark);
    for (const name of ports) link(mark, name);
  }
}

// Children without any line: in rows below the rest, about as wide as tall or as wide as the rest. `bounds` grows by them.
function rows(graph, children, bounds) {
  const area = children.reduce((sum, child) => sum + (child.w + 16) * (child.h + 14), 0);
  const limit = Math.max(Math.sqrt(area * 1.8), bounds.width, ...children.map((child) => child.w));
  let [x, y, high] = [0, bounds.height && bounds.height + 20, 0];
  for (const child of children) {
    if (x && x + child.w > limit) { x = 0; y += high + 14; high = 0; }
    graph.setNode(child.id, { width: child.w, height: child.h, x: x + child.w / 2, y: y + child.h / 2 });
    x += child.w + 16;
    bounds.width = Math.max(bounds.width, x - 16);
    high = Math.max(high, child.h);
  }
  bounds.height = y + high;
}
