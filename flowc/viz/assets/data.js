// From the page's data to stages: boxes with their links, read from JSON when a stage is first shown.
//   [id, scope, kind, lines, where, result, keys, nodes] -> {id, scope, kind, lines, ..., ins: [link], outs: [link], forward, gradients}

const readings = new Map();

// The JSON of a data element, parsed once.
function read(name) {
  if (!readings.has(name)) readings.set(name, JSON.parse(document.getElementById(name).textContent));
  return readings.get(name);
}

const DATA = read("data");
const pool = []; // every box of all stages read so far, once
const staged = [];

// The bytes of one value of a type such as `f32[b, 784]`; an extent that is not known counts as 1.
function bytesOf(type) {
  const match = /^([a-z]+)(\d*)(?:\[(.*)\])?$/.exec(type || "");
  if (!match) return 0;
  const each = match[2] ? Math.max(1, match[2] / 8) : 1;
  const extent = (text) => text.split("*").reduce((product, part) => product * (DATA.extents[part.trim()] || parseInt(part, 10) || 1), 1);
  const shape = (match[3] || "").replace(/broadcast\(([^()]*)\)/g, (all, parts) => Math.max(...parts.split(",").map(extent)));
  return shape.split(",").reduce((product, text) => product * extent(text), each);
}

// What a stage's element holds; those before it are read first, since they bring boxes that it names.
function stageData(number) {
  for (let i = staged.length; i <= number; i++) {
    const raw = read(`stage-${i}`);
    if (raw.new) for (const box of raw.new) pool.push(box);
    staged.push(raw.as === undefined ? raw : { ...staged[raw.as], closed: raw.closed, change: null });
  }
  return staged[number];
}

function boxOf([id, scope, kind, lines, where, result, keys, nodes]) {
  return { id, scope, kind: DATA.kinds[kind], lines, where, text: DATA.lines[where] || "", result, keys, nodes };
}

const stages = [];

// A stage by its number: {number, name, boxes, links, scopes, byId, closed, change}.
function stageOf(number) {
  if (!stages[number]) {
    const raw = stageData(number);
    const links = raw.links.map(([source, target, kind, label]) => [source, target, kind, raw.labels[label]]);
    const scopes = raw.scopes.map(([id, parent, label, kind]) => ({ id, parent, label, kind }));
    stages[number] = { ...linked(raw.boxes.map((n) => boxOf(pool[n])), links, raw.pairs, scopes), number, name: DATA.stages[number].name, closed: raw.closed, change: raw.change };
  }
  return stages[number];
}

// Boxes joined by links, given as numbers; pairs: gradient boxes with their forward boxes.
function linked(boxes, rawLinks, pairs, scopes) {
  boxes.forEach((box, index) => Object.assign(box, { index, ins: [], outs: [], gradients: [], forward: null }));
  const links = rawLinks.map(([source, target, kind, label]) => ({ source: boxes[source], target: boxes[target], kind, label, bytes: bytesOf(label) }));
  for (const link of links) { link.source.outs.push(link); link.target.ins.push(link); }
  for (const [gradient, forward] of pairs) { boxes[gradient].forward = boxes[forward]; boxes[forward].gradients.push(boxes[gradient]); }
  return { boxes, links, pairs, scopes, fused: scopes.some((scope) => scope.kind === "kernel"), byId: new Map(boxes.map((box) => [box.id, box])), trees: {} };
}

// What is known of the kernels: {kernels: [figures], extents, made: key -> kernels, decisions, notes: key -> decisions, apart: [[from, to, value, reader, reason]]}.
const kernelData = () => read("kernels");
const hasKernels = () => DATA.stages.some((stage) => stage.kernels);
const kernelNumber = (name) => { const data = kernelData(); data.numbers = data.numbers || new Map(data.kernels.map((k, i) => [k.name, i])); return data.numbers.get(name); };
const figuresOf = (name) => kernelData().kernels[kernelNumber(name)];
const isMeasured = () => hasKernels() && kernelData().kernels.some((kernel) => kernel.seconds !== undefined);

// The names of the kernels that compute a box's nodes: the one it stands in, or those that its keys tell.
function kernelsOf(box) {
  if (!box.kernels) {
    const { kernels, made } = kernelData();
    box.kernels = kernelNumber(box.scope) !== undefined ? [box.scope] : [...new Set(box.keys.flatMap((key) => made[key] || []))].map((n) => kernels[n].name);
  }
  return box.kernels;
}

// What the passes decided about a box's nodes.
function notesOf(box) {
  const { notes, decisions } = kernelData();
  return [...new Set(box.keys.flatMap((key) => notes[key] || []))].map((n) => decisions[n]);
}

// Why what kernel `from` computes is not computed in kernel `to`, which reads it: [{value, reader, reason}].
function reasonsBetween(from, to) {
  const data = kernelData();
  if (!data.between) {
    data.between = new Map();
    for (const [a, b, value, reader, reason] of data.apart) {
      const key = `${data.kernels[a].name}\n${data.kernels[b].name}`;
      if (!data.between.has(key)) data.between.set(key, []);
      data.between.get(key).push({ value, reader, reason });
    }
  }
  return data.between.get(`${from}\n${to}`) || [];
}

// The kernels on one side of a line: of a box in a kernel that one; of a view of memory those that made it ("ins") or read it ("outs").
function kernelsBehind(box, side, seen = new Set()) {
  if (kernelNumber(box.scope) !== undefined) return [box.scope];
  if (seen.has(box) || box.kind === "variable" || box.kind === "placeholder") return [];
  seen.add(box);
  const next = box[side].filter((link) => link.kind === "data").map((link) => side === "ins" ? link.source : link.target);
  return [...new Set(next.flatMap((other) => kernelsBehind(other, side, seen)))];
}

// Why the kernels at the two ends of a link are two: [{from, to, reasons}], nothing where it does not go from kernel to kernel.
function apartAlong(link) {
  if (!hasKernels() || link.kind !== "data") return [];
  const found = [];
  for (const from of kernelsBehind(link.source, "ins")) {
    for (const to of kernelsBehind(link.target, "outs")) if (from !== to) found.push({ from, to, reasons: reasonsBetween(from, to) });
  }
  return found.filter(({ reasons }) => reasons.length);
}
