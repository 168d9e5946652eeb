// The panel of details, the list of search results, the timeline and the help: HTML made of text nodes only, so no name is markup.

function html(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value); else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const panelOf = document.getElementById("panel");
const LISTED = 12; // neighbours in a list before the rest is counted only

// A button that goes to a box.
function goTo(box, go) {
  return html("button", { class: "link", "data-goto": box.id, onclick: () => go(box.id) }, box.id);
}

function list(heading, boxes, go, remark) {
  if (!boxes.length) return null;
  const rows = boxes.slice(0, LISTED).map((box) => html("li", {}, goTo(box, go), remark && remark(box) ? html("small", {}, `  ${remark(box)}`) : null));
  if (boxes.length > LISTED) rows.push(html("li", {}, `and ${boxes.length - LISTED} more`));
  return html("div", {}, html("h3", {}, `${heading} (${boxes.length})`), html("ul", {}, ...rows));
}

function facts(pairs) {
  return html("dl", {}, ...pairs.filter(([, value]) => value).flatMap(([key, value]) => [html("dt", {}, key), html("dd", {}, value)]));
}

// Show an item. actions: {go, toggle, trace, close}.
function showPanel(stage, item, trace, actions) {
  panelOf.replaceChildren();
  panelOf.classList.toggle("wide", Boolean(item && item.texts && item.texts.length));
  if (!item) return;
  const shut = html("button", { class: "shut", "aria-label": "Close details", title: "Close (Esc)", onclick: actions.close }, "✕");
  const button = (name, text) => html("button", { "aria-pressed": String(trace === name), "data-trace": name, onclick: () => actions.trace(trace === name ? "" : name) }, text);
  const tracing = html("div", { class: "row" }, button("in", "Trace inputs"), button("out", "Trace consumers"), button("both", "Both"));
  panelOf.append(shut, html("h2", {}, item.type === "box" ? item.id : item.label), tracing);
  if (item.type === "scope") {
    const open = html("button", { onclick: () => actions.toggle(item.id) }, item.opened ? "Close this scope" : "Open this scope");
    const kinds = new Map();
    for (const box of boxesOf(item)) kinds.set(box.kind, (kinds.get(box.kind) || 0) + 1);
    tracing.append(open);
    panelOf.append(facts([["what", item.series ? `a series of ${item.series} like scopes` : "scope"], ["holds", [...kinds].map(([kind, n]) => `${n} × ${kind}`).join(", ")]]));
    const notes = [...new Set(boxesOf(item).flatMap((box) => box.notes || []))];
    if (item.label.startsWith("kernel ") && notes.length) panelOf.append(html("h3", {}, "the compiler's decisions"), html("ul", {}, ...notes.map((note) => html("li", {}, note))));
    for (const [heading, text] of item.texts || []) panelOf.append(html("details", {}, html("summary", {}, heading), html("pre", { tabindex: 0 }, text)));
    return;
  }
  const box = item.box, only = box.nodes.length === 1 ? box.nodes[0] : null;
  const types = [...new Set(box.outs.map((link) => link.label).filter(Boolean))];
  panelOf.append(facts([
    ["kind", box.kind + (box.result ? ", a result" : "")], ["op", only && only[1]], ["type", only ? only[2] : types.join(", ")],
    ...(only ? only[3] : []), ["kernel", box.kernel], ["line", box.where],
  ]));
  if (box.text) panelOf.append(html("code", {}, box.text));
  if (box.forward) panelOf.append(list("gradient of", [box.forward], actions.go));
  const parts = [
    list("its gradient", box.gradients, actions.go),
    list("inputs", [...new Set(box.ins.map((link) => link.source))], actions.go, (from) => labels(box.ins.filter((link) => link.source === from))),
    list("consumers", [...new Set(box.outs.map((link) => link.target))], actions.go, (to) => labels(box.outs.filter((link) => link.target === to))),
  ];
  panelOf.append(...parts.filter(Boolean));
  if (box.notes) panelOf.append(html("h3", {}, "the compiler's decisions"), html("ul", {}, ...box.notes.map((note) => html("li", {}, note))));
  if (!only && box.nodes.length) {
    const rows = box.nodes.slice(0, 40).map(([name, op, type, , inputs]) => html("li", {}, html("code", {}, `${name}: ${type} = ${op}(${inputs.join(", ")})`)));
    if (box.nodes.length > 40) rows.push(html("li", {}, `and ${box.nodes.length - 40} more`));
    panelOf.append(html("h3", {}, `folded into it (${box.nodes.length})`), html("ul", {}, ...rows));
  }
}

const NO_CHANGE = { added: [], removed: [], changed: [] };

// What a stage changes: new boxes, boxes that are gone (those are shown where they still are), and what each kernel joins.
function showChanges(raw, before, actions) {
  const stage = prepare(raw), { added, removed, changed } = raw.change || NO_CHANGE;
  const rest = (boxes) => boxes.length > 60 ? [html("li", {}, `and ${boxes.length - 60} more`)] : [];
  const ops = (box) => html("small", {}, `  ${[...new Set(box.nodes.map((n) => n[1]))].slice(0, 3).join(", ")}`);
  const rows = (boxes, go) => html("ul", {}, ...boxes.slice(0, 60).map((box) => html("li", {}, goTo(box, go), ops(box))), ...rest(boxes));
  panelOf.append(html("button", { class: "shut", "aria-label": "Close", onclick: actions.close }, "✕"), html("h2", {}, `What ${raw.name} changes`));
  if (!before) panelOf.append("The first stage: what was written.");
  if (before && !added.length && !removed.length && !changed.length) panelOf.append("No node is new, none is gone.");
  if (added.length) panelOf.append(html("h3", {}, `new (${added.length})`), rows(added, actions.go));
  if (removed.length) panelOf.append(html("h3", {}, `gone, of ${before.name} (${removed.length})`), rows(removed, actions.goBefore));
  if (changed.length) panelOf.append(html("h3", {}, `different in both (${changed.length})`), rows(changed, actions.go));
  const kernels = stage.scopes.filter((scope) => scope.label.startsWith("kernel "));
  const joined = (scope) => stage.boxes.filter((box) => box.scope === scope.id).map((box) => box.lines[0]).join(" + ");
  if (kernels.length) {
    const items = kernels.map((scope) => html("li", {}, html("button", { class: "link", onclick: () => actions.go(`${scope.id}/`) }, scope.id), html("small", {}, `  ${joined(scope)}`)));
    panelOf.append(html("h3", {}, `nodes merged into kernels (${kernels.length})`), html("ul", {}, ...items));
  }
}

const labels = (links) => [...new Set(links.map((link) => link.kind === "data" ? link.label : link.kind))].join(", ");

function showResults(found, query, go) {
  document.getElementById("found").textContent = query ? `${found.length || "none"} found` : "";
  const rows = found.slice(0, 60).map((box) => html("li", {}, html("button", { "data-result": box.id, onclick: () => go(box.id) },
    box.id, html("small", {}, `  ${[...new Set(box.nodes.map((n) => n[1]))].slice(0, 3).join(", ")} ${box.where || ""}`))));
  document.getElementById("results").replaceChildren(...rows);
}

// The stages as steps; each says how many nodes it adds to and takes from the one before.
function showTimeline(stages, current, choose, what) {
  const nav = document.getElementById("timeline");
  if (stages.length < 2) return;
  const steps = stages.flatMap((raw, index) => {
    const before = index ? stages[index - 1] : null;
    if (before && !raw.change) raw.change = changes(prepare(before), prepare(raw));
    const { added, removed, changed } = raw.change || NO_CHANGE;
    const step = html("button", { "data-stage": index, ...(index === current ? { "aria-current": "step" } : {}), onclick: () => choose(index),
      title: before ? `${raw.name}: ${added.length} boxes are new, ${removed.length} of ${before.name} are gone` : raw.name }, raw.name);
    if (added.length) step.append(html("small", { class: "more" }, `+${added.length}`));
    if (changed.length) step.append(html("small", { class: "differs" }, `±${changed.length}`));
    if (removed.length) step.append(html("small", { class: "less" }, `−${removed.length}`));
    return index ? [html("span", { class: "arrow", "aria-hidden": "true" }, "→"), step] : [step];
  });
  nav.replaceChildren(...steps, html("button", { id: "changes", "aria-pressed": "false", title: "What this stage changes (w)", onclick: what }, "What changed"));
}

const KEYS = [
  ["← ↑ → ↓", "select the next box that way (with Shift: move the view)"], ["Enter", "open or close the selected scope, or the scope around a box"],
  ["Backspace", "select the scope around"], ["/", "search; Enter goes to the next hit, Esc ends it"], ["n  p", "next and previous hit"],
  ["f", "fit the whole diagram"], ["+  −", "zoom"], ["o  c", "open all, close all"], ["a", "gradients, optimizer and initial values aside or drawn in"],
  ["t", "trace: inputs, consumers, both, off"], ["k", "colour by kernel"], ["[  ]", "the stage before and after"], ["w", "what this stage changes"], ["d", "light or dark"], ["Esc", "clear"], ["?", "this list"],
];

function showHelp() {
  const help = document.getElementById("help");
  if (help.open) { help.close(); return; }
  const rows = KEYS.map(([keys, what]) => html("tr", {}, html("td", {}, html("kbd", {}, keys)), html("td", {}, what)));
  const close = html("button", { onclick: () => help.close() }, "Close");
  help.replaceChildren(html("h2", {}, "Keys"), html("table", {}, ...rows), html("p", {}, "Double click opens and closes scopes, dragging moves, the wheel zooms. The page's address keeps the view."), close);
  help.showModal();
}
