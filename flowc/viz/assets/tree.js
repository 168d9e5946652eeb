// From a stage to the tree that is drawn: scopes and boxes as items, auxiliary ones set aside, series of like scopes as one stack, crowds cut into parts.
// An item is a box or a scope; the ids of scopes end in `/`, and those that only the page makes (series, parts, what stands aside) start
// with a `*`, which no name of a user's holds.

const AUXILIARY = { "gradient": "gradients", "optimizer": "optimizer", "initial value": "initial values", "summary": "summaries", "saver": "saver" };
const LOOSE = { "gradient": "gradients in scopes", "optimizer": "optimizer state", "initial value": "initial values", "summary": "summaries", "saver": "saver" };
const KIND_CLASS = { "initial value": "initial" };
const SERIES = 4;   // like scopes from this many on are one stack
const CROWD = 160;  // children of a scope beyond which it is cut into parts
const kindClass = (kind) => kind ? `k-${KIND_CLASS[kind] || kind}` : "";

// The tree of a stage; `aside`: auxiliary scopes and boxes stand in `root.asides`, not among the rest.
function treeOf(stage, aside) {
  const name = aside ? "aside" : "all";
  if (!stage.trees[name]) stage.trees[name] = buildTree(stage, aside);
  return stage.trees[name];
}

function buildTree(stage, aside) {
  const root = newScope("", null, "", "");
  const scopes = new Map([["", root]]);
  const auxiliaryBoxes = new Set(aside ? stage.boxes.filter(isAuxiliary) : []);
  const keep = new Set(stage.boxes.filter((box) => !auxiliaryBoxes.has(box)).map((box) => box.scope)); // a kernel stays whole
  for (const { id, parent, label, kind } of stage.scopes) {
    const into = scopes.get(parent);
    const auxiliary = aside && (AUXILIARY[kind] || kind === "kernel" && !keep.has(id));
    const scope = newScope(`${id}/`, into, label, kind === "kernel" ? "" : kind); // with a slash: an optimizer's scope and its box have one name
    scopes.set(id, scope);
    if (kind === "kernel") scope.kernel = id;
    scope.auxiliary = into.auxiliary || Boolean(auxiliary);
    if (auxiliary && !into.auxiliary) { scope.parent = root; root.asides.push(scope); } else into.children.push(scope);
  }
  const loose = new Map(); // auxiliary boxes among the rest, by kind
  const looseScope = (kind) => {
    if (!loose.has(kind)) {
      const made = newScope(`*${AUXILIARY[kind]}`, root, LOOSE[kind], kind);
      made.auxiliary = true;
      loose.set(kind, made);
      root.asides.push(made);
    }
    return loose.get(kind);
  };
  const items = new Array(stage.boxes.length);
  for (const box of stage.boxes) {
    let into = scopes.get(box.scope);
    if (auxiliaryBoxes.has(box) && !into.auxiliary && !into.kernel) into = looseScope(box.kind === "variable" ? "optimizer" : box.kind);
    items[box.index] = { type: "box", id: box.id, box, parent: into, kind: box.kind, children: [], count: 1, auxiliary: into.auxiliary };
    into.children.push(items[box.index]);
  }
  prune(root);
  root.asides = root.asides.filter((scope) => scope.count);
  const kernels = root.asides.filter((scope) => scope.kernel);
  if (kernels.length > 1) {
    const made = newScope("*kernels", root, "kernels of gradients and updates", "gradient");
    Object.assign(made, { auxiliary: true, made: true, children: kernels, count: kernels.reduce((sum, kernel) => sum + kernel.count, 0) });
    for (const kernel of kernels) kernel.parent = made;
    root.asides = [made, ...root.asides.filter((scope) => !kernels.includes(scope))];
  }
  const tree = { root, items, scopes: new Map(), byId: new Map() };
  for (const scope of [root, ...root.asides]) arrange(scope, items);
  const enter = (item) => {
    tree.byId.set(item.id, item);
    if (item.type === "scope") tree.scopes.set(item.id, item);
    item.children.forEach(enter);
  };
  root.children.forEach(enter);
  root.asides.forEach(enter);
  return tree;
}

// Whether a box serves gradients, optimizers, initial values, summaries or savers only; variables that only an optimizer uses do too.
function isAuxiliary(box) {
  if (AUXILIARY[box.kind]) return true;
  const others = box.kind === "variable" ? [...box.ins.map((link) => link.source), ...box.outs.map((link) => link.target)] : [];
  return others.length > 0 && others.every((other) => AUXILIARY[other.kind]);
}

function newScope(id, parent, label, kind) {
  return { type: "scope", id, parent, label, kind, children: [], asides: [], count: 0, auxiliary: false };
}

// Count the boxes of each scope, and drop scopes that have none left.
function prune(scope) {
  for (const child of [...scope.children, ...scope.asides]) if (child.type === "scope") prune(child);
  scope.children = scope.children.filter((child) => child.count);
  scope.count = scope.children.reduce((sum, child) => sum + child.count, 0);
}

// Group like scopes into series, and cut what is still a crowd into parts.
function arrange(scope, items) {
  for (const child of scope.children) if (child.type === "scope") arrange(child, items);
  groupSeries(scope);
  takeVariables(scope, items);
  if (scope.children.length > CROWD) cut(scope);
}

function signature(scope) {
  const parts = scope.children.map((c) => c.type === "box" ? c.kind + (c.box.mark || "") + c.box.nodes.map((n) => n[1]).join(",") : `{${c.signature || signature(c)}}`);
  scope.signature = parts.sort().join(";");
  return scope.signature;
}

function groupSeries(scope) {
  const groups = new Map();
  for (const child of scope.children) {
    if (child.type !== "scope" || child.made) continue;
    const name = child.kernel ? child.kernel.replace(/^k\d+/, "") : child.label.replace(/[_.-]?\d+(\D*)$/, "$1");
    const key = `${name}|${signature(child)}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(child);
  }
  for (const members of groups.values()) {
    if (members.length < SERIES || members.length === scope.children.length && scope.made) continue;
    const [first, last] = [members[0], members[members.length - 1]];
    const series = gather(scope, members, `*series ${first.id} … ${last.id}`, `${titleOf(first)} … ${titleOf(last)}`);
    series.series = members.length;
    series.kind = first.kind;
  }
}

// Variables that stand beside a series, as a Function's params do, and are used in it alone, go into its stack; placeholders where they are many.
function takeVariables(scope, items) {
  const series = new Map(scope.children.filter((child) => child.series).map((child) => [child, []]));
  if (!series.size) return;
  const placeOf = (box) => {
    let at = items[box.index];
    while (at && at.parent !== scope) at = at.parent;
    return at;
  };
  for (const child of scope.children) {
    if (child.type !== "box" || child.kind !== "variable" && child.kind !== "placeholder") continue;
    const users = new Set(child.box.outs.filter((link) => !isAuxiliary(link.target)).map((link) => placeOf(link.target)));
    const [only] = users;
    if (users.size === 1 && series.has(only)) series.get(only).push(child);
  }
  for (const [stack, found] of series) {
    const many = found.filter((child) => child.kind === "placeholder").length >= SERIES;
    const taken = new Set(found.filter((child) => many || child.kind === "variable"));
    scope.children = scope.children.filter((child) => !taken.has(child));
    for (const child of taken) child.parent = stack;
    stack.children.push(...taken);
    stack.count += taken.size;
  }
}

function cut(scope) {
  for (const kind of scope.auxiliary || scope.made ? [] : Object.keys(AUXILIARY)) { // drawn in, many of these go together
    const kindOf = (child) => child.kind === "variable" && isAuxiliary(child.box) ? "optimizer" : child.kind;
    const some = scope.children.filter((child) => child.type === "box" && kindOf(child) === kind);
    if (some.length < 20 || some.length === scope.children.length) continue;
    const made = gather(scope, some, `*loose ${kind} ${scope.id}`, LOOSE[kind]);
    made.kind = kind;
    if (some.length > CROWD) cut(made);
  }
  const boxes = scope.children.filter((child) => child.type === "box");
  const all = boxes.length > CROWD / 2 ? boxes : scope.children; // scopes stay as they are, unless it is they that are many
  if (scope.children.length <= CROWD) return;
  const size = Math.max(40, Math.ceil(all.length / 80));
  for (let start = 0; start < all.length; start += size) {
    const members = all.slice(start, start + size);
    if (members.length > 1) gather(scope, members, `*part ${scope.id} ${start + 1}`, `${nameOf(members[0])} … ${nameOf(members[members.length - 1])}`);
  }
}

// Put some children of a scope into a scope of their own, where the first of them stood.
function gather(scope, members, id, label) {
  const made = newScope(id, scope, label, "");
  const chosen = new Set(members);
  made.made = true;
  made.auxiliary = scope.auxiliary;
  made.children = members;
  made.count = members.reduce((sum, child) => sum + child.count, 0);
  scope.children = scope.children.flatMap((child) => child === members[0] ? [made] : chosen.has(child) ? [] : [child]);
  for (const child of members) child.parent = made;
  return made;
}

const titleOf = (item) => item.kernel || item.label; // of a scope
const nameOf = (item) => item.type === "box" ? item.box.lines[0] : titleOf(item);

// The scopes that are open at first: level by level, as long as what is drawn stays readable; `closed`: kernels are not.
function firstOpen(tree, closed) {
  const open = new Set();
  let drawn = tree.root.children.length;
  const kernels = closed ? tree.root.asides.find((scope) => scope.id === "*kernels") : null;
  if (kernels && kernels.children.length <= 60) open.add(kernels.id); // beside the others: all kernels can be seen
  let level = tree.root.children.filter((child) => child.type === "scope");
  while (level.length) {
    const next = [];
    for (const scope of level.sort((a, b) => a.count - b.count)) {
      if (drawn + scope.children.length > 45 || scope.series || AUXILIARY[scope.kind] || closed && scope.kernel) continue;
      drawn += scope.children.length;
      open.add(scope.id);
      next.push(...scope.children.filter((child) => child.type === "scope"));
    }
    level = next;
  }
  return open;
}

// The boxes inside an item.
function boxesOf(item) {
  return item.type === "box" ? [item.box] : item.children.flatMap(boxesOf);
}
