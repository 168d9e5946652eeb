// The small map: what is shown, and the part of it that is seen. A press goes there, a drag moves the view.

const map = document.getElementById("minimap");
const ground = document.createElement("canvas"); // what is shown, painted once for each layout
let mapped = null;

function setMap(laid) {
  mapped = laid;
  const style = getComputedStyle(document.documentElement), paint = ground.getContext("2d");
  const sharp = Math.min(3, window.devicePixelRatio || 1);
  ground.width = map.width = map.clientWidth * sharp || 180;
  ground.height = map.height = map.clientHeight * sharp || 120;
  const k = Math.min((map.width - 12) / laid.width, (map.height - 12) / laid.height);
  map.place = { k, ox: (map.width - laid.width * k) / 2, oy: (map.height - laid.height * k) / 2, sharp };
  const colours = new Map();
  for (const item of laid.shown) {
    const name = item.type === "scope" ? "--scope-edge" : `--${KIND_CLASS[item.kind] || item.kind}-edge`;
    if (!colours.has(name)) colours.set(name, style.getPropertyValue(name));
    paint.strokeStyle = paint.fillStyle = colours.get(name);
    const box = [map.place.ox + item.x * k, map.place.oy + item.y * k, Math.max(1, item.w * k), Math.max(1, item.h * k)];
    if (item.opened) paint.strokeRect(...box); else paint.fillRect(...box);
  }
  map.mark = style.getPropertyValue("--mark");
}

// Show which part is seen; nothing where all of it is.
function drawMap() {
  if (!mapped) return;
  const { width, height } = svg.getBoundingClientRect(), { k, ox, oy, sharp } = map.place, paint = map.getContext("2d");
  const inSight = camera.x >= 0 && camera.y >= 0 && camera.x + mapped.width * camera.k <= width && camera.y + mapped.height * camera.k <= height;
  map.classList.toggle("idle", inSight || width < 500);
  paint.clearRect(0, 0, map.width, map.height);
  paint.drawImage(ground, 0, 0);
  paint.strokeStyle = map.mark;
  paint.lineWidth = 2 * sharp;
  paint.strokeRect(ox - camera.x / camera.k * k, oy - camera.y / camera.k * k, width / camera.k * k, height / camera.k * k);
}

function listenToMap() {
  const go = (event, move) => {
    const rect = map.getBoundingClientRect(), { k, ox, oy, sharp } = map.place, { width, height } = svg.getBoundingClientRect();
    const [x, y] = [((event.clientX - rect.left) * sharp - ox) / k, ((event.clientY - rect.top) * sharp - oy) / k];
    move({ k: camera.k, x: width / 2 - x * camera.k, y: height / 2 - y * camera.k }, true);
  };
  map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); go(event, glide); });
  map.addEventListener("pointermove", (event) => { if (event.buttons) go(event, jump); });
}
