// The legend: the looks that occur in what is shown, and what its colours mean.

function legendRow(draw, text) {
  const line = document.createElement("div");
  const picture = element("svg", { width: 44, height: 20, viewBox: "-2 -1 44 20", "aria-hidden": "true" });
  draw(picture);
  line.append(picture, text);
  return line;
}

const sample = (look, path, style) => (picture) => element("path", { class: "shape", d: path, ...(style ? { style } : {}) }, element("g", { class: `item ${look}` }, picture));
const swatch = (colour) => sample("k-operation", rounded(38, 18, 6), `fill:${colour}`);

function stubSample(kind) {
  return (picture) => {
    const stub = element("g", { class: `stub ${kindClass(kind)}`, transform: "translate(8 3)" }, picture);
    element("path", { d: "M0 6H5" }, stub);
    element("rect", { x: 5, y: 0, width: 13, height: 12, rx: 3 }, stub);
    element("text", { x: 11.5, y: 9.5 }, stub, STUB_SIGNS[kind]);
  };
}

const LINES = { "data": "data; wider: more bytes", "runs before": "dashed: runs before", "writes": "diamond: writes the variable", "shape only": "dotted: only the shape is used", "merged into": "merged into" };
const MARKED = DATA.compared ? { added: "only here", rewritten: "different in both", gone: "only in the other program" }
  : { added: "new in this stage", rewritten: "rewritten: another op or attribute", gone: "gone since the stage before", merged: "merged into another node" };

function renderLegend(stage, laid, paint) {
  const rows = [];
  for (const mark of MARKS.filter((name) => stage.boxes.some((box) => box.mark === name))) rows.push(legendRow(sample(`k-operation box ${mark}`, rounded(38, 18, 6)), MARKED[mark]));
  if (paint.scale) rows.push(scaleRow(paint.scale));
  for (const [colour, text] of paint.swatches || []) rows.push(legendRow(swatch(colour), text));
  if (paint.more) rows.push(`and ${paint.more} more`);
  const kinds = new Set(stage.boxes.map((box) => box.kind));
  for (const kind of Object.keys(OUTLINES).filter((k) => kinds.has(k))) rows.push(legendRow(sample(kindClass(kind), OUTLINES[kind](38, 18)), `${kind} (${SHAPE_NAMES[kind]})`));
  if (laid.shown.some((item) => item.type === "scope" && !item.opened)) rows.push(legendRow(sample("scope", rounded(38, 18, 6)), "closed scope: double click opens it"));
  if (laid.shown.some((item) => item.kernel)) rows.push(legendRow(sample("scope kernel", rounded(38, 18, 6)), "a kernel: nodes merged into one loop"));
  if (laid.edges.some((edge) => edge.apart.length)) rows.push(legendRow((p) => { const mark = element("g", { class: "apart", transform: "translate(19 9)" }, p); element("circle", { r: 7 }, mark); element("path", { d: "M-3.5 -1.6H3.5M-3.5 1.6H3.5M2 -4L-2 4" }, mark); }, "between two kernels: click tells why they are two"));
  const sorts = new Set(stage.links.map((link) => link.kind));
  for (const kind of Object.keys(LINES).filter((k) => sorts.has(k))) {
    const look = LINE_CLASS[kind];
    rows.push(legendRow((p) => element("path", { class: `line ${look}`, d: "M0 9H38", "stroke-width": 1.6, "marker-end": `url(#head-${look || "data"})` }, p), LINES[kind]));
  }
  const stubs = new Set([...laid.stubs.values()].flatMap((kindsOf) => [...kindsOf.keys()]));
  for (const kind of Object.keys(STUB_SIGNS).filter((k) => stubs.has(k))) rows.push(legendRow(stubSample(kind), `${AUXILIARY[kind]}, set aside, attach here`));
  if (stage.boxes.some((box) => box.result)) rows.push(legendRow((p) => {
    const group = element("g", { class: "item k-operation result" }, p);
    element("path", { class: "shape", d: rounded(38, 18, 6) }, group);
    element("path", { class: "shape inner", d: rounded(32, 12, 4), transform: "translate(3 3)" }, group);
  }, "double outline: a result"));
  document.getElementById("legend-rows").replaceChildren(...rows);
}

// The scale of colours between the least and the most.
function scaleRow({ least, most, text }) {
  const line = document.createElement("div");
  line.className = "scale";
  const bar = document.createElement("span");
  bar.style.background = `linear-gradient(to right, ${[0, 0.25, 0.5, 0.75, 1].map(heat).join(", ")})`;
  line.append(least, bar, `${most}: ${text}`);
  return line;
}
