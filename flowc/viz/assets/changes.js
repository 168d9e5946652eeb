// A stage with what it changes marked in it: boxes that are new or rewritten, and, as ghosts where they stood, boxes of the stage before
// that are gone, those that merged into another one with a line to it.
//   marked(stage) -> a stage like it, whose boxes have a `mark`: added, rewritten, gone, merged; a ghost's `into`: the box it merged into

const MARKS = ["added", "rewritten", "gone", "merged"];
const MARK_WORDS = { added: "new", rewritten: DATA.compared ? "different" : "rewritten", gone: "gone", merged: "merged" };
const GHOST = "~"; // ids of ghosts start with it

function marked(stage) {
  const change = stage.change;
  if (!change || !(change.added.length || change.rewritten.length || change.gone.length)) return stage;
  if (!stage.marked) stage.marked = withGhosts(stage, stageOf(stage.number - 1), change);
  return stage.marked;
}

function withGhosts(stage, before, change) {
  const boxes = stage.boxes.map((box) => ({ ...box, mark: "" }));
  for (const index of change.added) boxes[index].mark = "added";
  for (const index of change.rewritten) boxes[index].mark = "rewritten";
  const scopes = [...stage.scopes], place = new Map(); // from a number in `before` to one here
  const keyed = new Map(boxes.flatMap((box, index) => box.keys.map((key) => [key, index])).reverse());
  const named = scopeNames(scopes, before);
  for (const index of change.gone) {
    const box = before.boxes[index], mark = change.merged[index] === undefined ? "gone" : "merged";
    place.set(index, boxes.length);
    boxes.push({ ...box, id: GHOST + box.id, scope: named(box.scope), mark, kernels: null, into: change.merged[index], was: box.id });
  }
  const at = (box) => place.has(box.index) ? place.get(box.index) : keyed.get(box.keys.find((key) => keyed.has(key)));
  const links = stage.links.map((link) => [link.source.index, link.target.index, link.kind, link.label]);
  for (const link of before.links) {
    if (!place.has(link.source.index) && !place.has(link.target.index)) continue;
    const [source, target] = [at(link.source), at(link.target)];
    if (source !== undefined && target !== undefined && source !== target) links.push([source, target, link.kind, link.label]);
  }
  const merged = [...place].filter(([index]) => change.merged[index] !== undefined);
  for (const [index, ghost] of merged) links.push([ghost, change.merged[index], "merged into", ""]);
  const made = linked(boxes, links, stage.pairs, scopes);
  for (const [index, ghost] of merged) boxes[ghost].into = boxes[change.merged[index]];
  return { ...made, number: stage.number, name: stage.name, closed: stage.closed, change, plain: stage };
}

// From a scope of the stage before to the one here that is the same, made where there is none. Graphs spell `a/b` what functions spell `a.b`.
function scopeNames(scopes, before) {
  const here = new Set(scopes.map((scope) => scope.id)), old = new Map(before.scopes.map((scope) => [scope.id, scope]));
  const named = (id) => {
    if (!id || here.has(id)) return id;
    if (here.has(id.replaceAll("/", "."))) return id.replaceAll("/", ".");
    const scope = old.get(id);
    scopes.push({ ...scope, parent: named(scope.parent) });
    here.add(id);
    return id;
  };
  return named;
}

// How many boxes below an item bear each mark: [[mark, count], ...] of those that occur.
function marksIn(item) {
  if (!item.marks) {
    const counts = new Map();
    for (const box of boxesOf(item)) if (box.mark) counts.set(box.mark, (counts.get(box.mark) || 0) + 1);
    item.marks = MARKS.filter((mark) => counts.has(mark)).map((mark) => [mark, counts.get(mark)]);
  }
  return item.marks;
}
