// The stages as steps with what each changes, the list of a stage's changes, the results of a search, and the help.

// Each step says how many boxes are new, rewritten and gone. choose(number) goes there.
function showTimeline(current, marking, listing, actions) {
  const nav = document.getElementById("timeline");
  if (DATA.stages.length < 2) return;
  const steps = DATA.stages.flatMap(({ name, change, kernels }, number) => {
    const [added, rewritten, gone, merged] = change || [0, 0, 0, 0];
    const said = [added && `${added} new`, rewritten && `${rewritten} rewritten`, gone && `${gone} gone${merged ? `, ${merged} of them merged into others` : ""}`].filter(Boolean);
    const title = `${name}: ${number && change ? said.join("; ") || "the same nodes" : kernels ? `${kernels} kernels` : "what was written"}`;
    const step = html("button", { "data-stage": number, title, ...(number === current ? { "aria-current": "step" } : {}), onclick: () => actions.choose(number) }, name);
    for (const [count, sign, look] of [[added, "+", "more"], [rewritten, "±", "differs"], [gone, "−", "less"]]) if (count) step.append(html("small", { class: look }, `${sign}${count}`));
    if (kernels) step.append(html("small", { class: "count" }, `${kernels} kernel${kernels === 1 ? "" : "s"}`));
    return number ? [html("span", { class: "arrow", "aria-hidden": "true" }), step] : [step];
  });
  const changes = DATA.stages[current].change;
  const tools = changes ? [
    html("button", { id: "marks", "aria-pressed": String(marking), title: "Mark what this stage changes (m)", onclick: actions.mark }, "Mark changes"),
    html("button", { id: "changes", "aria-pressed": String(listing), title: "List what this stage changes (w)", onclick: actions.list }, "What changed"),
  ] : [];
  nav.replaceChildren(html("div", { class: "steps" }, ...steps), html("div", { class: "row" }, ...tools));
}

// What a stage changes: boxes that are new, rewritten, merged and gone, and what each kernel joins.
function showChanges(stage, actions) {
  const of = (mark) => stage.boxes.filter((box) => box.mark === mark);
  const ops = (box) => small([...new Set(box.nodes.map((n) => n[1]))].slice(0, 3).join(", "));
  const entries = (boxes) => boxes.map((box) => [goTo(box.id, box.was || box.id, actions.go), ops(box)]);
  panelOf.replaceChildren(html("button", { class: "shut", "aria-label": "Close", onclick: actions.close }, "✕"), html("h2", {}, DATA.compared ? `What ${stage.name} changes of ${DATA.stages[stage.number - 1].name}` : `What ${stage.name} changes`));
  const merged = of("merged").map((box) => [goTo(box.id, box.was, actions.go), " → ", goTo(box.into.id, box.into.id, actions.go)]);
  const kernels = stage.scopes.filter((scope) => scope.kind === "kernel").map((scope) => {
    const joined = stage.boxes.filter((box) => box.scope === scope.id);
    return [kernelLink(scope.id, actions), small(joined.map((box) => box.lines[0]).join(" + "))];
  });
  const lists = [
    list("new", entries(of("added")), 60), list(MARK_WORDS.rewritten, entries(of("rewritten")), 60), list("merged into others", merged, 60), list("gone", entries(of("gone")), 60),
    list("nodes merged into kernels", kernels, 60),
  ].filter(Boolean);
  panelOf.append(...(lists.length ? lists : ["No node is new, none is gone."]));
}

function showResults(found, query, go) {
  document.getElementById("found").textContent = query ? `${found.length || "none"} found` : "";
  const rows = found.slice(0, 60).map((box) => html("li", {}, html("button", { "data-result": box.id, onclick: () => go(box.id) },
    box.was || box.id, small(`${[...new Set(box.nodes.map((n) => n[1]))].slice(0, 3).join(", ")} ${box.where || ""}`))));
  document.getElementById("results").replaceChildren(...rows);
}

const KEYS = [
  ["← ↑ → ↓", "select the next box that way (with Shift: move the view)"], ["Enter", "open or close the selected scope, or the scope around a box"],
  ["Backspace", "select the scope around"], ["/", "search; Enter goes to the next hit, Esc ends it"], ["n  p", "next and previous hit"],
  ["e  E", "select the next and the previous line"], ["g", "from a node to its gradient and back"], ["f", "fit the whole diagram"], ["+  −", "zoom"], ["o  c", "open all, close all"],
  ["a", "gradients, optimizer and initial values aside or drawn in"], ["t", "trace: inputs, consumers, both, off"], ["k", "colour by kind, op, kernel, time, memory"],
  ["[  ]", "the stage before and after"], ["m", "mark what this stage changes"], ["w", "list what this stage changes"], ["d", "light or dark"], ["l", "the legend"],
  ["Esc", "clear"], ["?", "this list"],
];

function showHelp() {
  const help = document.getElementById("help");
  if (help.open) { help.close(); return; }
  const rows = KEYS.map(([keys, what]) => html("tr", {}, html("td", {}, html("kbd", {}, keys)), html("td", {}, what)));
  const close = html("button", { onclick: () => help.close() }, "Close");
  help.replaceChildren(html("h2", {}, "Keys"), html("table", {}, ...rows), html("p", {}, "Double click opens and closes scopes, dragging moves, the wheel zooms. The page's address keeps the view, so a link to it can be shared."), close);
  help.showModal();
}
