// Lines between boxes: from the points that the layout gives to smooth paths that keep clear of boxes.

// Points without those that say nothing: straight below the one before and above the next, or pressed onto the one before.
// The point under the label stays.
function thin(points, label) {
  return points.filter((p, i) => {
    const [before, after] = [points[i - 1], points[i + 1]];
    if (!before || !after || label && Math.hypot(p.x - label.x, p.y - label.y) < 2) return true;
    return Math.hypot(p.x - before.x, p.y - before.y) > 2 && Math.abs(p.x - before.x) + Math.abs(after.x - p.x) > 2;
  });
}

// Where a line meets a box: on its upper or lower edge, not at its side.
function meet(item, point) {
  const { x, y, w, h } = item;
  const half = item.kind === "constant" && item.type === "box" ? 0 : w * 0.32;
  const px = Math.max(x + w / 2 - half, Math.min(x + w / 2 + half, point.x));
  const tip = item.type === "box" && item.kind === "placeholder" ? 9 * Math.abs(px - x - w / 2) / (w / 2) : 0;
  return { x: px, y: point.y > y + h / 2 ? y + h - tip : y };
}

// The points of a line over all its segments, which meet at the borders of scopes: there the inner segment's end counts.
function route(edge, root) {
  const [from, to] = edge.upward ? [edge.target, edge.source] : [edge.source, edge.target];
  const parts = edge.segments.map((local) => local.points.map((p) => ({ x: p.x + local.scope.x, y: p.y + local.scope.y })));
  for (let i = 1; i < parts.length; i++) {
    const inner = depth(edge.segments[i - 1].scope) > depth(edge.segments[i].scope);
    if (inner) parts[i][0] = parts[i - 1][parts[i - 1].length - 1]; else parts[i - 1][parts[i - 1].length - 1] = parts[i][0];
  }
  const [first, last] = [parts[0], parts[parts.length - 1]];
  first[0] = meet(from, first[0].y > from.y + from.h / 2 ? first[0] : first[1]);
  last[last.length - 1] = meet(to, last[last.length - 1].y < to.y + to.h / 2 ? last[last.length - 1] : last[last.length - 2]);
  const labelled = edge.segments.find((local) => local.labelled === edge);
  edge.labelAt = labelled ? { x: labelled.at.x + labelled.scope.x, y: labelled.at.y + labelled.scope.y } : null;
  const around = new Set();
  for (const end of [from, to]) for (let at = end; at; at = at.parent) around.add(at);
  const points = parts.flatMap((part, i) => {
    const { scope } = edge.segments[i];
    const boxes = (scope === root ? root.children : scope.children).filter((box) => !around.has(box));
    const clear = goAround(straighten(part, boxes, edge.labelAt), boxes);
    return i ? clear.slice(1) : clear;
  });
  const beside = [...new Set(edge.segments.map(({ scope }) => scope))].flatMap((scope) => scope === root ? root.children : scope.children);
  const [xs, ys] = [points.map((p) => p.x), points.map((p) => p.y)], [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const near = (box) => box.x < right + 40 && box.x + box.w > left - 40 && box.y < bottom && box.y + box.h > top && !around.has(box);
  const clear = avoid(points, beside.filter(near));
  return edge.upward ? clear.reverse() : clear;
}

function depth(scope) {
  let found = 0;
  for (let at = scope; at; at = at.parent) found++;
  return found;
}

// Without the points between whose neighbours a straight line is free of boxes anyway: fewer bends. The point under the label stays.
function straighten(points, boxes, label) {
  const kept = [...points];
  for (let i = 1; i + 1 < kept.length;) {
    const labelled = label && Math.hypot(kept[i].x - label.x, kept[i].y - label.y) < 2;
    if (!labelled && boxes.every((box) => isClear(kept[i - 1], kept[i + 1], box))) kept.splice(i, 1); else i++;
  }
  return kept;
}

// Around boxes that stand beside a point of the line, in its row: straight past them first, sideways then.
function goAround(points, boxes) {
  const gap = 8, path = [points[0]];
  for (let i = 1; i < points.length; i++) {
    const [p, q] = [points[i - 1], points[i]], down = q.y > p.y ? 1 : -1;
    const past = (end, away) => { // how far up or down from `end` all boxes beside it are passed
      const beside = boxes.filter((box) => box.y < end.y + 1 && box.y + box.h > end.y - 1 && !isClear(p, q, box));
      return beside.length ? (away > 0 ? Math.max : Math.min)(...beside.map((box) => away > 0 ? box.y + box.h + gap : box.y - gap)) : end.y;
    };
    const [leave, enter] = [past(p, down), past(q, -down)];
    const room = (enter - leave) * down > 2;
    if (leave !== p.y && (room || enter === q.y)) path.push({ x: p.x, y: (q.y - leave) * down > 2 ? leave : q.y - 2 * down });
    if (enter !== q.y && (room || leave === p.y)) path.push({ x: q.x, y: (enter - p.y) * down > 2 ? enter : p.y + 2 * down });
    path.push(q);
  }
  return path;
}

// Whether the line from p to q keeps a few pixels away from a box: Liang and Barsky's clipping leaves nothing of it.
function isClear(p, q, box) {
  const [dx, dy, gap] = [q.x - p.x, q.y - p.y, 6];
  let [from, to] = [0, 1];
  for (const [step, room] of [[-dx, p.x - box.x + gap], [dx, box.x + box.w + gap - p.x], [-dy, p.y - box.y + gap], [dy, box.y + box.h + gap - p.y]]) {
    if (step === 0) { if (room < 0) return true; } else if (step < 0) from = Math.max(from, room / step); else to = Math.min(to, room / step);
  }
  return from > to;
}

// Points that lead the smooth path past the boxes that it would still run behind: along the nearer side of each.
function avoid(points, boxes) {
  const path = [...points], gap = 7, hopeless = new Set();
  for (let tries = 0; tries < 16; tries++) {
    const [at, box, spot] = firstHit(path, boxes.filter((b) => !hopeless.has(b))) || [];
    if (!box) break;
    const [p, q] = [path[at], path[at + 1]], down = q.y > p.y ? 1 : -1;
    const x = spot.x - box.x < box.x + box.w - spot.x ? box.x - gap : box.x + box.w + gap;
    const sides = [box.y - 2, box.y + box.h + 2].map((y) => ({ x, y })).sort((a, b) => (a.y - b.y) * down);
    const between = sides.filter(({ y }) => (y - p.y) * down > 1 && (q.y - y) * down > 1);
    if (between.length) path.splice(at + 1, 0, ...between); else hopeless.add(box);
  }
  return path;
}

// The first step of a smooth path that runs behind a box, with the box and a point there.
function firstHit(points, boxes) {
  const steps = curves(points);
  for (let at = 0; at < steps.length; at++) {
    const [a, b, c, d] = steps[at], xs = [a.x, b.x, c.x, d.x], ys = [a.y, d.y];
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    for (const box of boxes) {
      if (box.x > right || box.x + box.w < left || box.y > bottom || box.y + box.h < top) continue;
      const looks = Math.min(64, Math.ceil((right - left + bottom - top) / 6) + 2);
      for (let i = 1; i < looks; i++) {
        const t = i / looks, u = 1 - t, [wa, wb, wc, wd] = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
        const spot = { x: wa * a.x + wb * b.x + wc * c.x + wd * d.x, y: wa * a.y + wb * b.y + wc * c.y + wd * d.y };
        if (spot.x > box.x + 1 && spot.x < box.x + box.w - 1 && spot.y > box.y + 1 && spot.y < box.y + box.h - 1) return [at, box, spot];
      }
    }
  }
  return null;
}

const round = (x) => Math.round(x * 10) / 10;

// Bezier curves through points, which leave and arrive upright, x as a function of y that swings over at no point: Steffen, "A simple
// method for monotonic interpolation in one dimension" (1990). Points that go up and down, which is rare, are joined upright at each.
function curves(points) {
  const steps = points.slice(1).map((p, i) => ({ dx: p.x - points[i].x, dy: p.y - points[i].y }));
  const oneWay = steps.every(({ dy }) => dy > 0.5) || steps.every(({ dy }) => dy < -0.5);
  const slope = (i) => {
    const [a, b] = [steps[i - 1], steps[i]];
    if (!oneWay || !a || !b) return 0;
    const [s, t] = [a.dx / a.dy, b.dx / b.dy], middle = (s * b.dy + t * a.dy) / (a.dy + b.dy);
    return (Math.sign(s) + Math.sign(t)) * Math.min(Math.abs(s), Math.abs(t), Math.abs(middle) / 2) || 0;
  };
  return steps.map(({ dy }, i) => {
    const [from, to] = [points[i], points[i + 1]], third = dy / (oneWay ? 2.4 : 2);
    return [from, { x: from.x + slope(i) * third, y: from.y + third }, { x: to.x - slope(i + 1) * third, y: to.y - third }, to];
  });
}

// The curves as a path.
function smooth(points) {
  const at = ({ x, y }) => `${round(x)} ${round(y)}`;
  return `M${at(points[0])}` + curves(points).map(([a, b, c, d]) => Math.abs(a.x - d.x) + Math.abs(a.x - b.x) + Math.abs(c.x - d.x) < 1 ? `L${at(d)}` : `C${at(b)} ${at(c)} ${at(d)}`).join("");
}

// A point on a smooth path half way along its longest step, where a mark does not hide its ends.
function middleOf(points) {
  const lengths = points.slice(1).map((p, i) => Math.hypot(p.x - points[i].x, p.y - points[i].y));
  const i = lengths.indexOf(Math.max(...lengths));
  return { x: (points[i].x + points[i + 1].x) / 2, y: (points[i].y + points[i + 1].y) / 2 };
}
