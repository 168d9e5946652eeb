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
  "assignment": (w, h) => `M8 0H${w}L${w - 8} ${h}H0Z`,
  "summary": (w, h) => `M0 4H3V0H18V4H${w}V${h}H0ZM3 4H18`,
  "saver": (w, h) => `M7 0H${w - 7}L${w} ${h}H0Z`,
  "outside": (w, h) => rounded(w, h, 6),
};
const SHAPE_NAMES = {
  "placeholder": "pointed", "variable": "cylinder", "constant": "ellipse", "random": "hexagon", "operation": "rounded", "gradient": "square",
  "optimizer": "octagon", "initial value": "folded corner", "assignment": "parallelogram", "summary": "with a tab", "saver": "trapezium", "outside": "dashed",
};

function rounded(w, h, r) {
  return `M${r} 0H${w - r}Q${w} 0 ${w} ${r}V${h - r}Q${w} ${h} ${w - r} ${h}H${r}Q0 ${h} 0 ${h - r}V${r}Q0 0 ${r} 0Z`;
}

// Draw everything; `elements` maps an item's id to its group, and holds each line's elements, for what is marked later.
function render(laid, paint) {
  for (const layer of ["scopes", "lines", "boxes", "labels"]) layers[layer].replaceChildren();
  const elements = { items: new Map(), lines: [] };
  if (laid.aside) element("text", { x: laid.aside.x, y: 16, class: "heading" }, layers.labels, "set aside");
  for (const item of laid.shown) elements.items.set(item.id, renderItem(item, laid, paint));
  for (const edge of laid.edges) elements.lines.push(renderEdge(edge));
  return elements;
}

function itemClass(item) {
  const names = ["item", item.type, kindClass(item.kind)];
  if (item.opened) names.push("open");
  if (item.kernel) names.push("kernel");
  if (item.type === "box" && item.box.result) names.push("result");
  if (item.type === "box" && item.box.mark) names.push(item.box.mark);
  if (item.type === "scope" && !item.opened && marksIn(item).length) names.push("touched");
  return names.filter(Boolean).join(" ");
}

function renderItem(item, laid, paint) {
  const scope = item.type === "scope";
  const group = element("g", { class: itemClass(item), id: `item-${item.id}`, "data-id": item.id, transform: `translate(${round(item.x)} ${round(item.y)})` }, item.opened ? layers.scopes : layers.boxes);
  const [w, h] = [round(item.w), round(item.h)];
  if (item.series && !item.opened) for (const shift of [8, 4]) element("path", { class: "shape back", d: rounded(w, h, 8), transform: `translate(${shift} ${shift})` }, group);
  const outline = scope ? rounded(w, h, 8) : OUTLINES[item.kind](w, h);
  const shape = element("path", { class: "shape", d: outline }, group);
  if (!scope && item.box.result) element("path", { class: "shape inner", d: OUTLINES[item.kind](w - 6, h - 6), transform: "translate(3 3)" }, group);
  const ghost = !scope && item.box.was;
  const fill = item.opened || ghost ? "" : paint.fill(item);
  if (fill) { shape.setAttribute("style", `fill:${fill}`); group.classList.add("painted"); }
  element("title", {}, group, scope ? `${titleOf(item)}: ${item.count} nodes` : `${item.box.was || item.box.id}  ${item.box.where || ""}`.trim());
  if (item.opened) {
    const name = element("g", { class: "scope-name", transform: `translate(${round(item.x + 6)} ${round(item.y + 4)})` }, layers.labels);
    element("rect", { width: round(textWidth(titleOf(item), 12, true) + 12), height: 18, rx: 5 }, name);
    element("text", { x: 6, y: 13 }, name, titleOf(item));
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
const STUB_SIGNS = { "gradient": "∇", "optimizer": "⟳", "initial value": "0", "summary": "Σ", "saver": "↓" };
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

const LINE_CLASS = { "runs before": "control", "writes": "update", "shape only": "shape-only", "merged into": "merging", "data": "" };

// A line: what is seen, a wide path that is easy to hit, its label, and where two kernels meet a mark that tells why they are two.
function renderEdge(edge) {
  const look = edge.backward && edge.kind === "data" ? "backward" : LINE_CLASS[edge.kind];
  const width = edge.kind === "data" ? 1 + Math.min(4, Math.log2(1 + edge.bytes) / 5) : 1.2;
  const group = element("g", { class: "edge", "data-line": edge.id }, layers.lines), path = smooth(edge.points);
  element("path", { class: "touch", d: path }, group);
  const line = element("path", {
    class: `line ${look}${edge.uses ? " uses" : ""}`, d: path, "stroke-width": round(edge.uses ? 0.8 : width), "marker-end": `url(#head-${look || "data"})`,
    "data-from": edge.source.id, "data-to": edge.target.id,
  }, group);
  const said = [...edge.labels].slice(0, 8).join(", ");
  const apart = edge.apart.flatMap(({ from, to, reasons }) => [...new Set(reasons.map(({ reason }) => `${from} and ${to} are two: ${reason}`))]);
  element("title", {}, group, `${nameOf(edge.source)} → ${nameOf(edge.target)}${edge.kind === "data" ? "" : ` (${edge.kind})`}${said && `: ${said}`}${apart.slice(0, 4).map((text) => `\n${text}`).join("")}`);
  const label = edge.label && edge.labelAt ? renderLabel(edge) : null;
  const mark = edge.apart.length ? renderApart(edge, apart) : null;
  return { edge, line, label, mark };
}

function renderLabel(edge) {
  const width = textWidth(edge.label, 10.5), label = element("g", { class: "label", transform: `translate(${round(edge.labelAt.x)} ${round(edge.labelAt.y)})` }, layers.labels);
  element("rect", { x: round(-width / 2 - 2), y: -6.5, width: round(width + 4), height: 13, rx: 3 }, label);
  element("text", { y: 4 }, label, edge.label);
  return label;
}

// The mark of a line between two kernels: a cut.
function renderApart(edge, apart) {
  const at = edge.labelAt ? { x: edge.labelAt.x, y: edge.labelAt.y + 15 } : middleOf(edge.points);
  const mark = element("g", { class: "apart", "data-line": edge.id, transform: `translate(${round(at.x)} ${round(at.y)})` }, layers.labels);
  element("circle", { r: 7 }, mark);
  element("path", { d: "M-3.5 -1.6H3.5M-3.5 1.6H3.5M2 -4L-2 4" }, mark);
  element("title", {}, mark, apart.join("\n"));
  return mark;
}

// Arrow heads, once.
function renderHeads() {
  const heads = { "data": ["head", "M0 0L8 4L0 8Z"], "control": ["head hollow", "M0 0L8 4L0 8Z"], "backward": ["head backward", "M0 0L8 4L0 8Z"],
    "merging": ["head merging", "M0 0L8 4L0 8Z"], "update": ["head update", "M0 4L5 0L10 4L5 8Z"], "shape-only": ["head hollow", "M1 4A3 3 0 1 1 7 4A3 3 0 1 1 1 4Z"] };
  for (const [name, [look, path]] of Object.entries(heads)) {
    const head = element("marker", { id: `head-${name}`, viewBox: "0 0 10 8", refX: name === "update" ? 9 : 7.5, refY: 4, markerWidth: 9, markerHeight: 8,
      markerUnits: "userSpaceOnUse", orient: "auto" }, layers.defs);
    element("path", { d: path, class: look }, head);
  }
}
