// From a layout to SVG. The namespace is read off the page's own element; no address stands in this file.

const svg = document.getElementById("diagram");
const layers = Object.fromEntries(["scopes", "lines", "boxes", "labels", "defs"].map((id) => [id, document.getElementById(id)]));

function element(name, attributes, parent, text) {
  const made = document.createElementNS(svg.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}

// The outline of each kind of box as a path in a rectangle w by h; shapes differ too, for those who do not see the colours.
const OUTLINES = {
  "placeholder": (w, h) => `M0 0H${w}V${h - 9}L${w / 2} ${h}L0 ${h - 9}Z`,
  "variable": (w, h) => `M0 6C0 -2 ${w} -2 ${w} 6V${h - 6}C${w} ${h + 2} 0 ${h + 2} 0 ${h - 6}ZM0 6C0 13 ${w} 13 ${w} 6`,
  "constant": (w, h) => `M0 ${h / 2}A${w / 2} ${h / 2} 0 1 1 ${w} ${h / 2}A${w / 2} ${h / 2} 0 1 1 0 ${h / 2}Z`,
  "random": (w, h) => `M10 0H${w - 10}L${w} ${h / 2}L${w - 10} ${h}H10L0 ${h / 2}Z`,
  "operation": (w, h) => rounded(w, h, 6),
  "gradient": (w, h) => `M0 0H${w}V${h}H0Z`,
  "optimizer": (w, h) => `M7 0H${w - 7}L${w} 7V${h - 7}L${w - 7} ${h}H7L0 ${h - 7}V7Z`,
  "initial value": (w, h) => `M0 0H${w - 9}L${w} 9V${h}H0ZM${w - 9} 0V9H${w}`,
};
const SHAPE_NAMES = {
  "placeholder": "pointed", "variable": "cylinder", "constant": "ellipse", "random": "hexagon", "operation": "rounded", "gradient": "square",
  "optimizer": "octagon", "initial value": "folded corner",
};

function rounded(w, h, r) {
  return `M${r} 0H${w - r}Q${w} 0 ${w} ${r}V${h - r}Q${w} ${h} ${w - r} ${h}H${r}Q0 ${h} 0 ${h - r}V${r}Q0 0 ${r} 0Z`;
}

// A smooth path through points, upright at each of them, as lines between rows are.
function smooth(points) {
  let path = `M${round(points[0].x)} ${round(points[0].y)}`;
  for (let i = 1; i < points.length; i++) {
    const [from, to] = [points[i - 1], points[i]], middle = round((from.y + to.y) / 2);
    path += Math.abs(from.x - to.x) < 1 ? `L${round(to.x)} ${round(to.y)}` : `C${round(from.x)} ${middle} ${round(to.x)} ${middle} ${round(to.x)} ${round(to.y)}`;
  }
  return path;
}

const round = (x) => Math.round(x * 10) / 10;

// Draw everything; `elements` maps an item's id to its group, and a line's key to its path, for what is marked later.
function render(laid, stage, colouring) {
  for (const layer of ["scopes", "lines", "boxes", "labels"]) layers[layer].replaceChildren();
  const elements = { items: new Map(), lines: [] };
  if (laid.aside) {
    element("text", { x: laid.aside.x, y: 16, class: "heading" }, layers.labels, "set aside").setAttribute("style", "text-anchor:start;font-size:12px");
  }
  for (const item of laid.shown) elements.items.set(item.id, renderItem(item, laid, colouring ? stage.kernels : null));
  for (const edge of laid.edges) renderEdge(edge, elements);
  return elements;
}

// kernels: those to colour boxes by, or null.
function renderItem(item, laid, kernels) {
  const scope = item.type === "scope";
  const kernel = scope && item.label.startsWith("kernel ") ? " kernel" : "";
  const group = element("g", {
    class: `item ${item.type}${item.opened ? " open" : ""}${kernel} ${kindClass(item.kind)}${item.type === "box" && item.box.result ? " result" : ""}`,
    id: `item-${item.id}`, "data-id": item.id, transform: `translate(${round(item.x)} ${round(item.y)})`,
  }, item.opened ? layers.scopes : layers.boxes);
  const [w, h] = [round(item.w), round(item.h)];
  if (item.series && !item.opened) for (const shift of [8, 4]) element("path", { class: "shape back", d: rounded(w, h, 8), transform: `translate(${shift} ${shift})` }, group);
  const outline = scope ? rounded(w, h, 8) : OUTLINES[item.kind](w, h);
  const shape = element("path", { class: "shape", d: outline }, group);
  if (item.type === "box" && item.box.result) element("path", { class: "shape inner", d: OUTLINES[item.kind](w - 6, h - 6), transform: "translate(3 3)" }, group);
  if (kernels && item.type === "box" && item.box.kernel) {
    const hue = (kernels.indexOf(item.box.kernel) * 137.5) % 360;
    shape.setAttribute("style", `fill:hsl(${round(hue)} 60% ${document.documentElement.dataset.theme === "dark" ? 28 : 84}%)`);
  }
  element("title", {}, group, item.type === "box" ? `${item.box.id}  ${item.box.where || ""}`.trim() : `${item.label}: ${item.count} nodes`);
  if (item.opened) {
    element("text", { x: round(item.x + 12), y: round(item.y + 17), class: "scope-name" }, layers.labels, item.label);
    return group;
  }
  const { lines } = face(item);
  const shift = item.kind === "variable" ? 4 : item.kind === "placeholder" ? -4 : 0;
  const middle = h / 2 - (lines.length - 1) * LINE_HEIGHT / 2 + 4 + shift;
  lines.forEach((line, i) => element("text", { x: w / 2, y: round(middle + i * LINE_HEIGHT), "text-anchor": "middle", class: i ? "sub" : "main" }, group, line));
  renderStubs(item, laid.stubs.get(item), group);
  return group;
}

// Short marks at the right edge of a box to which something that stands aside attaches.
const STUB_SIGNS = { "gradient": "∇", "optimizer": "⟳", "initial value": "0" };
function renderStubs(item, kinds, group) {
  if (!kinds) return;
  const shift = item.series ? 8 : 0;
  let y = 1;
  for (const kind of Object.keys(STUB_SIGNS).filter((k) => kinds.has(k))) {
    const boxes = [...kinds.get(kind)];
    const stub = element("g", { class: `stub ${kindClass(kind)}`, "data-stub": boxes[0].id, transform: `translate(${round(item.w + shift)} ${y})` }, group);
    element("path", { d: "M0 6H5" }, stub);
    element("rect", { x: 5, y: 0, width: 13, height: 12, rx: 3 }, stub);
    element("text", { x: 11.5, y: 9.5 }, stub, STUB_SIGNS[kind]);
    element("title", {}, stub, `${AUXILIARY[kind]}, set aside: ${boxes.slice(0, 6).map((b) => b.id).join(", ")}${boxes.length > 6 ? ", …" : ""}`);
    y += 13;
  }
}

const LINE_CLASS = { "runs before": "control", "writes": "update", "shape only": "shape-only", "data": "" };

function renderEdge(edge, elements) {
  const look = edge.backward && edge.kind === "data" ? "backward" : LINE_CLASS[edge.kind];
  const width = edge.kind === "data" ? 1 + Math.min(4, Math.log2(1 + edge.bytes) / 5) : 1.2;
  const line = element("path", {
    class: `line ${look}${edge.uses ? " uses" : ""}`, d: smooth(edge.points), "stroke-width": round(edge.uses ? 0.8 : width), "marker-end": `url(#head-${look || "data"})`,
    "data-from": edge.source.id, "data-to": edge.target.id,
  }, layers.lines);
  const said = [...edge.labels].slice(0, 8).join(", ");
  const apart = new Set(edge.links.flatMap((link) => (link.source.notes || []).filter((note) => note.startsWith("kept ") && (link.target.notes || []).includes(note))));
  element("title", {}, line, `${nameOf(edge.source)} → ${nameOf(edge.target)}${edge.kind === "data" ? "" : ` (${edge.kind})`}${said && `: ${said}`}${[...apart].slice(0, 4).map((note) => `\n${note}`).join("")}`);
  const label = edge.label && edge.labelAt ? element("text", { class: "label", x: round(edge.labelAt.x), y: round(edge.labelAt.y + 4) }, layers.labels, edge.label) : null;
  elements.lines.push({ edge, line, label });
}

// Arrow heads, once.
function renderHeads() {
  const heads = { "data": ["head", "M0 0L8 4L0 8Z"], "control": ["head hollow", "M0 0L8 4L0 8Z"], "backward": ["head backward", "M0 0L8 4L0 8Z"],
    "update": ["head update", "M0 4L5 0L10 4L5 8Z"], "shape-only": ["head hollow", "M1 4A3 3 0 1 1 7 4A3 3 0 1 1 1 4Z"] };
  for (const [name, [look, path]] of Object.entries(heads)) {
    const head = element("marker", { id: `head-${name}`, viewBox: "0 0 10 8", refX: name === "update" ? 9 : 7.5, refY: 4, markerWidth: 9, markerHeight: 8,
      markerUnits: "userSpaceOnUse", orient: "auto" }, layers.defs);
    element("path", { d: path, class: look }, head);
  }
}

// The legend: the looks that occur in this stage.
function renderLegend(stage, laid) {
  const rows = document.getElementById("legend-rows");
  rows.replaceChildren();
  const row = (draw, text) => {
    const line = document.createElement("div");
    const picture = element("svg", { width: 44, height: 20, viewBox: "-2 -1 44 20" });
    draw(picture);
    line.append(picture, text);
    rows.append(line);
  };
  const kinds = new Set(stage.boxes.map((box) => box.kind));
  for (const kind of Object.keys(OUTLINES).filter((k) => kinds.has(k))) {
    row((picture) => element("path", { class: "shape", d: OUTLINES[kind](38, 18) }, element("g", { class: `item ${kindClass(kind)}` }, picture)), `${kind} (${SHAPE_NAMES[kind]})`);
  }
  if (laid.shown.some((item) => item.type === "scope" && !item.opened)) row((p) => element("path", { class: "shape", d: rounded(38, 18, 6) }, element("g", { class: "item scope" }, p)), "closed scope: double click opens it");
  const sorts = new Set(stage.links.map((link) => link.kind));
  const said = { "data": "data; wider: more bytes", "runs before": "dashed: runs before", "writes": "diamond: writes the variable", "shape only": "dotted: only the shape is used" };
  for (const kind of Object.keys(said).filter((k) => sorts.has(k))) {
    const look = LINE_CLASS[kind];
    row((picture) => element("path", { class: `line ${look}`, d: "M0 9H38", "stroke-width": 1.6, "marker-end": `url(#head-${look || "data"})` }, picture), said[kind]);
  }
  const stubs = new Set([...laid.stubs.values()].flatMap((kindsOf) => [...kindsOf.keys()]));
  for (const kind of Object.keys(STUB_SIGNS).filter((k) => stubs.has(k))) {
    row((picture) => {
      const stub = element("g", { class: `stub ${kindClass(kind)}`, transform: "translate(8 3)" }, picture);
      element("path", { d: "M0 6H5" }, stub);
      element("rect", { x: 5, y: 0, width: 13, height: 12, rx: 3 }, stub);
      element("text", { x: 11.5, y: 9.5 }, stub, STUB_SIGNS[kind]);
    }, `${AUXILIARY[kind]} set aside attach here`);
  }
  if (stage.boxes.some((box) => box.result)) row((p) => {
    const group = element("g", { class: "item k-operation result" }, p);
    element("path", { class: "shape", d: rounded(38, 18, 6) }, group);
    element("path", { class: "shape inner", d: rounded(32, 12, 4), transform: "translate(3 3)" }, group);
  }, "double outline: a result");
}
