// The panel of details, of a box, a scope, a kernel, a line, or of what a stage changes: HTML made of text nodes only, so no name is markup.

function html(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value); else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

const panelOf = document.getElementById("panel");
const LISTED = 12; // entries of a list before the rest is counted only

// A button that goes to an item, or on to another stage where the item is.
function goTo(id, text, go) {
  return html("button", { class: "link", "data-goto": id, onclick: () => go(id) }, text);
}

function list(heading, entries, most = LISTED) {
  if (!entries.length) return null;
  const rest = entries.length > most ? [html("li", {}, `and ${entries.length - most} more`)] : [];
  return html("section", {}, html("h3", {}, `${heading} (${entries.length})`), html("ul", {}, ...entries.slice(0, most).map((entry) => html("li", {}, ...[entry].flat())), ...rest));
}

const small = (text) => text ? html("small", {}, text) : null;

function facts(pairs) {
  return html("dl", {}, ...pairs.filter(([, value]) => value).flatMap(([key, value]) => [html("dt", {}, key), html("dd", {}, value)]));
}

// Show an item, a line, or with neither nothing. actions: {go, goKernel, toggle, trace, close}.
function showPanel(item, line, trace, actions) {
  panelOf.replaceChildren();
  panelOf.classList.toggle("wide", Boolean(item && item.kernel));
  if (!item && !line) return;
  panelOf.append(html("button", { class: "shut", "aria-label": "Close details", title: "Close (Esc)", onclick: actions.close }, "✕"));
  if (line) { showLine(line, actions); return; }
  const button = (name, text, title) => html("button", { "aria-pressed": String(trace === name), "data-trace": name, title, onclick: () => actions.trace(trace === name ? "" : name) }, text);
  const row = html("div", { class: "row" }, button("in", "Trace inputs", "Everything it needs (t)"), button("out", "Trace consumers", "Everything that needs it (t)"), button("both", "Both", "Both (t)"));
  panelOf.append(html("h2", {}, item.type === "box" ? item.box.was || item.id : titleOf(item)), row);
  if (item.type === "scope") {
    row.append(html("button", { onclick: () => actions.toggle(item.id) }, item.opened ? "Close this scope" : "Open this scope"));
    if (item.kernel) showKernel(item, actions); else showScope(item, actions);
  } else showBox(item.box, actions);
}

function showScope(item, actions) {
  const kinds = new Map();
  for (const box of boxesOf(item)) kinds.set(box.kind, (kinds.get(box.kind) || 0) + 1);
  panelOf.append(facts([
    ["what", item.series ? `a series of ${item.series} like scopes` : "scope"], ["holds", [...kinds].map(([kind, n]) => `${n} × ${kind}`).join(", ")],
    ["changed", marksIn(item).map(([mark, count]) => `${count} ${MARK_WORDS[mark]}`).join(", ")],
  ]));
  const kernels = hasKernels() && !item.series ? kernelsIn(item) : [];
  panelOf.append(list("kernels that compute it", kernels.map((name) => kernelLink(name, actions))) || "");
}

const kernelLink = (name, actions) => html("button", { class: "link", "data-kernel": name, onclick: () => actions.goKernel(name) }, name);
const fieldText = ([name, op, type, , inputs]) => html("code", {}, `${name}: ${type} = ${op}(${inputs.join(", ")})`);

// The sizes for which figures hold: "for b = 128".
const sizesText = () => Object.entries(kernelData().extents).map(([name, size]) => `${name} = ${size}`).join(", ");

function showKernel(item, actions) {
  const f = figuresOf(item.kernel), sizes = sizesText();
  panelOf.append(facts([
    ["time", f.seconds === undefined ? "" : `${inSeconds(f.seconds)}, ${inPercent(f.share)} of all kernels`],
    ["speed", f.seconds === undefined ? "" : `${scaled(f.gflops, ["GFLOP/s"], Infinity)}, ${scaled(f.gbs, ["GB/s"], Infinity)}`],
    ["limit", f.bound ? `${inPercent(f.of_limit)} of what the machine can do, bound by ${f.bound}` : ""], ["threads", f.threads],
    ["operations", f.flops ? inFlops(f.flops) : "none"], ["bytes", `${inBytes(f.read)} read, ${inBytes(f.written)} written`],
    ["holds for", sizes],
  ]));
  if (f.seconds === undefined) panelOf.append(html("p", { class: "hint" }, "Times are shown after flowc viz --profile."));
  for (const [heading, text] of read("texts")[item.kernel] || []) {
    panelOf.append(html("details", heading === "loops" ? {} : { open: "" }, html("summary", {}, heading), html("pre", { tabindex: 0 }, ...highlighted(text))));
  }
  const between = (pairs, side) => pairs.map((pair) => [kernelLink(pair[side], actions), ...pair.reasons.map((text) => html("div", { class: "reason" }, text))]);
  panelOf.append(list("reads from", between(neighbours(item.kernel, 1), "from")) || "", list("is read by", between(neighbours(item.kernel, 0), "to")) || "");
  const nodes = boxesOf(item).flatMap((box) => box.nodes);
  panelOf.append(list("computes", nodes.map(fieldText), 40), list("decisions", [...new Set(boxesOf(item).flatMap(notesOf))], 40) || "");
}

// The kernels that this one reads from (end 1) or is read by (end 0), with the reasons why they are two.
function neighbours(kernel, end) {
  const { kernels, apart } = kernelData(), found = new Map();
  for (const entry of apart) {
    if (kernels[entry[end]].name !== kernel) continue;
    const [from, to] = [kernels[entry[0]].name, kernels[entry[1]].name], other = end ? from : to;
    if (!found.has(other)) found.set(other, { from, to, reasons: new Set() });
    found.get(other).reasons.add(entry[4]);
  }
  return [...found.values()].map((pair) => ({ ...pair, reasons: [...pair.reasons] }));
}

function showBox(box, actions) {
  const only = box.nodes.length === 1 ? box.nodes[0] : null;
  const types = [...new Set(box.outs.map((link) => link.label).filter(Boolean))];
  panelOf.append(facts([
    ["change", MARK_WORDS[box.mark]], ["kind", box.kind + (box.result ? ", a result" : "")], ["op", only && only[1]], ["type", only ? only[2] : types.join(", ")],
    ...(only ? only[3] : []), ["bytes", bytesIn(box) ? inBytes(bytesIn(box)) : ""], ["line", box.where],
  ]));
  if (box.text) panelOf.append(html("pre", { class: "source" }, ...highlighted(box.text)));
  const to = (other, text) => [goTo(other.id, other.was || other.id, actions.go), small(text)];
  const labels = (links) => [...new Set(links.map((link) => link.kind === "data" ? link.label : link.kind))].join(", ");
  const beside = (links, end) => [...new Set(links.map((link) => link[end]))].map((other) => to(other, labels(links.filter((link) => link[end] === other))));
  const plain = (links) => links.filter((link) => link.kind !== "merged into");
  const parts = [
    list("merged into", box.into ? [to(box.into)] : []), list("merged into it", box.ins.filter((link) => link.kind === "merged into").map((link) => to(link.source))),
    list("kernel", hasKernels() ? kernelsOf(box).map((name) => kernelLink(name, actions)) : []),
    list("gradient of", box.forward ? [to(box.forward)] : []), list("its gradient", box.gradients.map((other) => to(other))),
    list("inputs", beside(plain(box.ins), "source")), list("consumers", beside(plain(box.outs), "target")),
    list("the compiler's decisions", notesOf(box), 20), only ? null : list("folded into it", box.nodes.map(fieldText), 40),
  ];
  panelOf.append(...parts.filter(Boolean));
}

// A line: what flows, and why the kernels at its ends are two.
function showLine(edge, actions) {
  const name = (item) => goTo(item.id, item.type === "box" ? item.box.was || item.id : titleOf(item), actions.go);
  panelOf.append(html("h2", {}, `${nameOf(edge.source)} → ${nameOf(edge.target)}`), facts([
    ["from", name(edge.source)], ["to", name(edge.target)], ["what", edge.kind === "data" ? "data" : edge.kind],
    ["type", [...edge.labels].slice(0, 8).join(", ")], ["bytes", edge.kind === "data" && edge.bytes ? inBytes(edge.bytes) : ""],
  ]));
  for (const { from, to, reasons } of edge.apart) {
    const rows = reasons.map(({ value, reader, reason }) => html("li", {}, html("div", { class: "reason" }, reason), html("code", {}, `${value} → ${reader}`)));
    panelOf.append(html("section", { class: "two" }, html("h3", {}, "why these kernels are two"), html("p", {}, kernelLink(from, actions), " → ", kernelLink(to, actions)), html("ul", {}, ...rows)));
  }
  if (edge.links.length > 1) panelOf.append(list("lines in it", edge.links.map((link) => [goTo(link.source.id, link.source.id, actions.go), " → ", goTo(link.target.id, link.target.id, actions.go), small(link.label)])));
}

// Python as spans: keywords, numbers, comments and strings; whatever is not told apart stays plain text.
const TOKENS = /(#.*|"[^"\n]*"|'[^'\n]*')|\b(def|return|for|in|if|else|elif|while|and|or|not|import|from|as|parallel|range|None|True|False|with|lambda|local|let|const|store)\b|(\b\d[\d.e+-]*\b)/g;
function highlighted(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(TOKENS)) {
    if (match.index > at) parts.push(text.slice(at, match.index));
    parts.push(html("span", { class: match[1] ? (match[1][0] === "#" ? "t-comment" : "t-string") : match[2] ? "t-word" : "t-number" }, match[0]));
    at = match.index + match[0].length;
  }
  return [...parts, text.slice(at)];
}
