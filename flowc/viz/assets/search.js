// Which boxes a query means, and which a node depends on or feeds.

// What can be searched of a box, in lower case, made when first asked for.
function searchable(box) {
  if (!box.words) {
    const low = (list) => list.filter(Boolean).join("\n").toLowerCase();
    box.words = {
      name: low([box.id, ...box.lines.slice(0, 1), ...box.nodes.map((n) => n[0])]),
      op: low(box.nodes.map((n) => n[1])).split("\n"),
      dtype: low(box.nodes.map((n) => n[2])).split("\n"),
      line: low([box.where, box.text]),
      kernel: hasKernels() ? low(kernelsOf(box)) : "",
    };
  }
  return box.words;
}

// The boxes that all words of a query fit: `op:matmul`, `dtype:f32`, `line:12`, `kernel:k1`, or a plain word found anywhere.
function search(stage, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return stage.boxes.filter((box) => {
    const of = searchable(box);
    return words.every((word) => {
      const [, field, wanted] = /^(name|op|dtype|line|kernel):(.*)$/.exec(word) || [null, null, word];
      if (field === "op") return of.op.includes(wanted);
      if (field === "dtype") return of.dtype.some((type) => type.startsWith(wanted));
      if (field === "line") return /^\d+$/.test(wanted) ? of.line.split("\n")[0].endsWith(`:${wanted}`) : of.line.includes(wanted);
      if (field) return of[field].includes(wanted);
      return of.name.includes(word) || of.op.some((op) => op.includes(word)) || of.dtype.some((type) => type.startsWith(word)) || of.line.includes(word);
    });
  });
}

// Every box that `start` needs ("in") or that needs it ("out"), itself left out. What is written to a variable ends a trace.
function traced(start, direction) {
  const found = new Set(), stack = [...start];
  while (stack.length) {
    const box = stack.pop();
    for (const link of direction === "in" ? box.ins : box.outs) {
      const next = direction === "in" ? link.source : link.target;
      if (link.kind !== "writes" && !found.has(next)) { found.add(next); stack.push(next); }
    }
  }
  for (const box of start) found.delete(box);
  return found;
}
