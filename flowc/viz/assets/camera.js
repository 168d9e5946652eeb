// Which part of the diagram is seen: pan, zoom, fit. `camera` is {x, y, k}: screen = k * place + (x, y).

const camera = { x: 0, y: 0, k: 1, moved: false, timer: 0, printing: false };
const SMALLEST = 0.02, LARGEST = 4, READABLE = 0.6;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function applyCamera() {
  if (camera.printing) return; // the whole diagram is on the paper
  document.getElementById("camera").setAttribute("transform", `translate(${round(camera.x)} ${round(camera.y)}) scale(${Math.round(camera.k * 1e4) / 1e4})`);
  drawMap();
}

// A view in steps that an address can tell exactly.
const snapped = ({ x, y, k }) => ({ x: round(x), y: round(y), k: Math.round(k * 1000) / 1000 });

// Go there in a fifth of a second; at once where the reader wants no motion.
function glide(target, moved) {
  const to = snapped(target);
  camera.moved = moved;
  cancelAnimationFrame(camera.timer);
  const from = { x: camera.x, y: camera.y, k: camera.k };
  const start = performance.now();
  const step = (now) => {
    const part = calm.matches ? 1 : Math.min(1, Math.max(0, (now - start) / 200));
    const eased = part * (2 - part);
    for (const key of ["x", "y", "k"]) camera[key] = part === 1 ? to[key] : from[key] + (to[key] - from[key]) * eased;
    applyCamera();
    if (part < 1) camera.timer = requestAnimationFrame(step);
    else writeAddress();
  };
  step(start);
}

function jump(to, moved) {
  cancelAnimationFrame(camera.timer);
  Object.assign(camera, snapped(to), { moved });
  applyCamera();
  writeAddress();
}

// The part of the window that nothing covers: right of the open legend where there is room, left of the open panel.
function free() {
  const { width, height } = svg.getBoundingClientRect();
  const panel = document.getElementById("panel"), legend = document.getElementById("legend");
  const right = panel.childElementCount && width > 700 ? width - panel.offsetWidth - 16 : width;
  const left = legend.open && width > 1100 ? legend.offsetWidth + 16 : 0;
  return { left, width: right - left, height };
}

// The view that shows all of `laid`, little larger than life; where that is smaller than `least`, without what stands aside, or its top alone.
function fitted(laid, least = SMALLEST) {
  const { left, width, height } = free();
  const scale = (wide) => Math.min(1.25, (width - 40) / Math.max(1, wide), (height - 40) / Math.max(1, laid.height));
  if (laid.aside && scale(laid.width) < least && scale(laid.main) > scale(laid.width)) return fitted({ ...laid, width: laid.main, aside: null }, least);
  const k = Math.max(least, scale(laid.width));
  // What cannot be seen whole: where most of its first boxes stand.
  const first = laid.shown.filter((item) => !item.opened && item.y < height / k).map((item) => item.x + item.w / 2).sort((a, b) => a - b);
  const middle = laid.width * k <= width ? laid.width / 2 : first[first.length >> 1] || 0;
  return { k, x: left + width / 2 - middle * k, y: Math.max(16, (height - laid.height * k) / 2) };
}

function zoomed(factor, at) {
  const { width, height } = svg.getBoundingClientRect();
  const point = at || { x: width / 2, y: height / 2 };
  const { k } = snapped({ x: 0, y: 0, k: Math.max(SMALLEST, Math.min(LARGEST, camera.k * factor)) });
  return { k, x: point.x - (point.x - camera.x) * k / camera.k, y: point.y - (point.y - camera.y) * k / camera.k };
}

// Bring an item into sight, where it is not.
function show(item) {
  const { left, width, height } = free();
  const k = Math.max(camera.k, 0.55), [x, y] = [item.x * k + camera.x, item.y * k + camera.y];
  if (k === camera.k && x > left + 10 && y > 10 && x + item.w * k < left + width - 10 && y + Math.min(item.h * k, 60) < height - 10) return;
  glide({ k, x: left + width / 2 - (item.x + item.w / 2) * k, y: height / 2 - (item.y + Math.min(item.h, height / k) / 2) * k }, true);
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
