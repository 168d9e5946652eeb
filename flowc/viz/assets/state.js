// What is on the page now, as one state that lives in the address after `#`.
//   stage: a stage's number; open: ids of the open scopes (null: as many as stay readable); aside: auxiliary scopes stand aside;
//   sel: the id of the selected item or line; q: the search; trace: in, out, both; by: what colours mean; what: "list" lists what the
//   stage changes, "off" does not even mark it; theme; at: "x,y,k", the view

const state = { stage: 0, open: null, aside: true, sel: "", q: "", trace: "", theme: "", by: "", what: "", at: "" };
const TEXTS = ["sel", "q", "trace", "theme", "by", "what", "at"];

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1) || DATA.address);
  state.stage = Math.min(DATA.stages.length - 1, Math.max(0, given.has("stage") ? parseInt(given.get("stage"), 10) || 0 : DATA.first));
  state.open = given.has("open") ? new Set(given.get("open").split("|").filter(Boolean)) : null;
  state.aside = given.get("aside") !== "0";
  for (const key of TEXTS) state[key] = given.get(key) || "";
  if (!(state.by in COLOURINGS) || !canColourBy(state.by)) state.by = "";
}

function address() {
  const said = new URLSearchParams();
  if (state.stage !== DATA.first) said.set("stage", state.stage);
  if (state.open) said.set("open", [...state.open].join("|"));
  if (!state.aside) said.set("aside", "0");
  for (const key of TEXTS) if (state[key]) said.set(key, state[key]);
  if (DATA.address && !said.toString()) said.set("aside", "1"); // or else the page's own address would speak
  return `#${said}`;
}

let written = "";

function writeAddress() {
  state.at = viewText();
  written = address();
  if (written === (location.hash || "#")) return;
  try { history.replaceState(null, "", written); } catch { /* a page that may not: the view is only not shared */ }
}

// The view as text; nothing where it is the one that the page opens with.
function viewText() {
  const usual = snapped(fitted(view.laid, READABLE));
  return ["x", "y", "k"].every((key) => usual[key] === camera[key]) ? "" : [camera.x, camera.y, camera.k].join(",");
}
