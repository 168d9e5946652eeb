// Which part of the diagram is seen: pan, zoom, fit, and the small map. `camera` is {x, y, k}: screen = k * place + (x, y).

const camera = { x: 0, y: 0, k: 1, moved: false, timer: 0, printing: false, changed: () => {} };
const SMALLEST = 0.02, LARGEST = 4, READABLE = 0.6;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function applyCamera() {
  if (camera.printing) return; // the whole diagram is on the paper
  document.getElementById("camera").setAttribute("transform", `translate(${round(camera.x)} ${round(camera.y)}) scale(${camera.k.toFixed(4)})`);
  drawMap();
}

// Go there in a fifth of a second; at once where the reader wants no motion.
function glide(to, moved) {
  camera.moved = moved;
  cancelAnimationFrame(camera.timer);
  const from = { x: camera.x, y: camera.y, k: camera.k };
  const start = performance.now();
  const step = (now) => {
    const part = calm.matches ? 1 : Math.min(1, Math.max(0, (now - start) / 200));
    const eased = part * (2 - part);
    for (const key of ["x", "y", "k"]) camera[key] = from[key] + (to[key] - from[key]) * eased;
    applyCamera();
    if (part < 1) camera.timer = requestAnimationFrame(step);
    else camera.changed();
  };
  step(start);
}

function jump(to, moved) {
  cancelAnimationFrame(camera.timer);
  Object.assign(camera, to, { moved });
  applyCamera();
  camera.changed();
}

// The view that shows all of `laid` beside the open panel, little larger than life; from `least` on, its top alone.
function fitted(laid, least = SMALLEST) {
  const { width, height } = svg.getBoundingClientRect();
  const panel = document.getElementById("panel");
  const free = width - (panel.childElementCount ? panel.offsetWidth + 16 : 0);
  const k = Math.max(least, Math.min(1.25, (free - 40) / Math.max(1, laid.width), (height - 40) / Math.max(1, laid.height)));
  // What cannot be seen whole: where most of its first boxes stand.
  const first = laid.shown.filter((item) => !item.opened && item.y < height / k).map((item) => item.x + item.w / 2).sort((a, b) => a - b);
  const middle = laid.width * k <= free ? laid.width / 2 : first[first.length >> 1] || 0;
  return { k, x: free / 2 - middle * k, y: Math.max(16, (height - laid.height * k) / 2) };
}

function zoomed(factor, at) {
  const { width, height } = svg.getBoundingClientRect();
  const point = at || { x: width / 2, y: height / 2 };
  const k = Math.max(SMALLEST, Math.min(LARGEST, camera.k * factor));
  return { k, x: point.x - (point.x - camera.x) * k / camera.k, y: point.y - (point.y - camera.y) * k / camera.k };
}

// Bring an item into sight, where it is not.
function show(item) {
  const { width, height } = svg.getBoundingClientRect();
  const panel = document.getElementById("panel");
  const free = width - (panel.childElementCount ? panel.offsetWidth + 16 : 0);
  const k = Math.max(camera.k, 0.55);
  const [left, top] = [item.x * k + camera.x, item.y * k + camera.y];
  if (k === camera.k && left > 10 && top > 10 && left + item.w * k < free - 10 && top + Math.min(item.h * k, 60) < height - 10) return;
  glide({ k, x: free / 2 - (item.x + item.w / 2) * k, y: height / 2 - (item.y + Math.min(item.h, height / k) / 2) * k }, true);
}

// The pointer: drag to pan, two fingers to pinch, wheel to zoom (with shift to pan).
function listenToPointer() {
  const held = new Map();
  let travelled = 0;
  const spot = (event) => { const r = svg.getBoundingClientRect(); return { x: event.clientX - r.left, y: event.clientY - r.top }; };
  svg.addEventListener("pointerdown", (event) => { if (event.button === 0) { held.set(event.pointerId, spot(event)); travelled = 0; } });
  svg.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) return;
    const before = [...held.values()];
    const [old, now] = [held.get(event.pointerId), spot(event)];
    travelled += Math.abs(now.x - old.x) + Math.abs(now.y - old.y);
    if (travelled > 4 && !svg.hasPointerCapture(event.pointerId)) { svg.setPointerCapture(event.pointerId); svg.classList.add("dragging"); }
    held.set(event.pointerId, now);
    if (held.size === 2) {
      const after = [...held.values()], span = (p) => Math.hypot(p[0].x - p[1].x, p[0].y - p[1].y) || 1;
      jump(zoomed(span(after) / span(before), { x: (after[0].x + after[1].x) / 2, y: (after[0].y + after[1].y) / 2 }), true);
    } else if (travelled > 4) jump({ x: camera.x + now.x - old.x, y: camera.y + now.y - old.y, k: camera.k }, true);
  });
  const release = (event) => { held.delete(event.pointerId); svg.classList.remove("dragging"); };
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", release);
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey) jump({ x: camera.x - event.deltaY - event.deltaX, y: camera.y, k: camera.k }, true);
    else jump(zoomed(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), spot(event)), true);
  }, { passive: false });
  return () => travelled > 4;
}

// The small map: what is shown, and the part of it that is seen.
const map = document.getElementById("minimap");
let mapped = null;

function drawMap() {
  if (!mapped) return;
  const style = getComputedStyle(document.documentElement), paint = map.getContext("2d");
  const { width, height } = svg.getBoundingClientRect();
  const k = Math.min((map.width - 12) / mapped.width, (map.height - 12) / mapped.height);
  const [ox, oy] = [(map.width - mapped.width * k) / 2, (map.height - mapped.height * k) / 2];
  const inSight = camera.x >= 0 && camera.y >= 0 && camera.x + mapped.width * camera.k <= width && camera.y + mapped.height * camera.k <= height;
  map.style.display = inSight || width < 500 ? "none" : "";
  map.place = { k, ox, oy };
  paint.clearRect(0, 0, map.width, map.height);
  for (const item of mapped.shown) {
    const colour = item.type === "scope" ? "--scope-edge" : `--${KIND_CLASS[item.kind] || item.kind}-edge`;
    paint.strokeStyle = paint.fillStyle = style.getPropertyValue(colour);
    const box = [ox + item.x * k, oy + item.y * k, Math.max(1, item.w * k), Math.max(1, item.h * k)];
    if (item.opened) paint.strokeRect(...box); else paint.fillRect(...box);
  }
  paint.strokeStyle = style.getPropertyValue("--mark");
  paint.lineWidth = 2;
  paint.strokeRect(ox - camera.x / camera.k * k, oy - camera.y / camera.k * k, width / camera.k * k, height / camera.k * k);
  paint.lineWidth = 1;
}

map.addEventListener("pointerdown", (event) => {
  const rect = map.getBoundingClientRect(), { k, ox, oy } = map.place;
  const { width, height } = svg.getBoundingClientRect();
  const [x, y] = [(event.clientX - rect.left - ox) / k, (event.clientY - rect.top - oy) / k];
  glide({ k: camera.k, x: width / 2 - x * camera.k, y: height / 2 - y * camera.k }, true);
});
