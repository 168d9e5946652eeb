// What boxes are coloured by: their kind (the style sheet's colours), the op's family, the kernel, the kernel's time, the memory of the values.
//   painter("time").fill(item) -> "hsl(...)" or "" for an item that has no time

const COLOURINGS = {
  "": ["kind", "What each box is: placeholder, variable, operation, gradient"], op: ["op", "What each op does: elementwise, reduction, product"],
  kernel: ["kernel", "The kernel that computes each node"], time: ["time", "The time that each kernel takes"], memory: ["memory", "The bytes of each value"],
};
const FAMILIES = ["elementwise", "reduction", "product", "moves elements", "random", "composite", "constant", "state and feeds", "loop nest of its own"];
const FAMILY_HUES = { "elementwise": 205, "reduction": 275, "product": 20, "moves elements": 165, "random": 320, "composite": 50, "constant": 0, "state and feeds": 38, "loop nest of its own": 95 };
const isDark = () => document.documentElement.dataset.theme === "dark";

// Whether there is anything to colour by that way.
function canColourBy(by) {
  return by === "kernel" ? hasKernels() : by === "time" ? isMeasured() : true;
}

const familyFill = (family) => `hsl(${FAMILY_HUES[family]} ${family === "constant" ? 5 : 62}% ${isDark() ? 27 : 85}%)`;
const kernelFill = (name) => `hsl(${round((kernelNumber(name) * 137.5) % 360)} 60% ${isDark() ? 28 : 84}%)`;
// From pale to strong, for a part between 0 and 1; the same order in light and dark.
const heat = (part) => `hsl(${round(52 - 44 * part)} ${round(isDark() ? 40 + 30 * part : 90)}% ${round(isDark() ? 18 + 20 * part : 93 - 24 * part)}%)`;

// The bytes of the values that a box stands for: of a variable itself, of what is folded into it the results.
function bytesIn(box) {
  if (box.bytes === undefined) box.bytes = Math.max(0, ...box.nodes.map((node) => bytesOf(node[2])));
  return box.bytes;
}

const kernelsIn = (item) => item.kernel ? [item.kernel] : [...new Set(boxesOf(item).flatMap(kernelsOf))];
const secondsOf = (item) => kernelsIn(item).reduce((sum, name) => sum + (figuresOf(name).seconds || 0), 0);
const bytesBelow = (item) => boxesOf(item).reduce((sum, box) => sum + bytesIn(box), 0);

// How to paint what is shown: {fill(item), scale: {low, high, least, most, text} where it is one, swatches: [[colour, text]]}.
function painter(by, laid) {
  const shown = laid.shown.filter((item) => !item.opened);
  if (by === "op") {
    const family = (item) => { const found = new Set(boxesOf(item).flatMap((box) => box.nodes.slice(-1).map((n) => DATA.ops[n[1]] || ""))); return found.size === 1 ? [...found][0] : ""; };
    const seen = new Set(shown.map(family).filter(Boolean));
    return { fill: (item) => family(item) && familyFill(family(item)), swatches: FAMILIES.filter((name) => seen.has(name)).map((name) => [familyFill(name), name]) };
  }
  if (by === "kernel") {
    const only = (item) => { const found = kernelsIn(item); return found.length === 1 ? found[0] : ""; };
    const seen = [...new Set(shown.map(only).filter(Boolean))];
    return { fill: (item) => only(item) && kernelFill(only(item)), swatches: seen.slice(0, 12).map((name) => [kernelFill(name), name]), more: Math.max(0, seen.length - 12) };
  }
  if (by === "time") {
    const most = Math.max(...shown.map(secondsOf), 1e-12);
    return { fill: (item) => secondsOf(item) ? heat(secondsOf(item) / most) : "", scale: { least: "0", most: inSeconds(most), text: "time of the kernels" } };
  }
  if (by === "memory") {
    const sizes = shown.map(bytesBelow).filter(Boolean), [least, most] = [Math.min(...sizes), Math.max(...sizes)];
    const part = (bytes) => most > least ? Math.log(bytes / least) / Math.log(most / least) : 0.5;
    return { fill: (item) => bytesBelow(item) ? heat(part(bytesBelow(item))) : "", scale: { least: inBytes(least), most: inBytes(most), text: "bytes of the values, logarithmic" } };
  }
  return { fill: () => "" };
}

// Numbers with units, three digits.
function scaled(value, units, base) {
  if (!Number.isFinite(value)) return "";
  let i = 0;
  while (value >= base && i + 1 < units.length) { value /= base; i++; }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toPrecision(3)} ${units[i]}`;
}

const inBytes = (bytes) => scaled(bytes, ["B", "kB", "MB", "GB", "TB"], 1000);
const inFlops = (flops) => scaled(flops, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP"], 1000);
const inSeconds = (seconds) => scaled(seconds * 1e9, ["ns", "µs", "ms", "s"], 1000);
const inPercent = (part) => `${(100 * part).toFixed(part < 0.1 ? 1 : 0)} %`;

// What a closed kernel says of itself.
function kernelLines(figures) {
  const work = `${inFlops(figures.flops)}, ${inBytes(figures.read + figures.written)}`;
  return figures.seconds === undefined ? [work] : [`${inSeconds(figures.seconds)} (${inPercent(figures.share)})`, work];
}
