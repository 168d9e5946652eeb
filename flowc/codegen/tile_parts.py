"""The innermost of a register tile, as LLVM text: groups of an exact number of rows, whose sums stay in registers through a stretch of the sum.

    flowc_part_f32_6x2(c, a, b, groups, columns, outer, inner, ...)     # c[6 rows, 2 vectors] (+)= a[6 rows, k] * b[k, 2 vectors], k by k

    6 rows x 2 vectors with 16 registers: 12 sums, 2 vectors of b, one of a. Measured on one core with operands in the innermost cache (Zen 3,
    AVX2): 6x2 69 GFLOP/s, 5x2 60 to 64, 4x2 61, 4x3 57, 8x1 48, 12x1 36, 7x2 (spills) 34; in the same minutes OpenBLAS 60 to 70.
    12 rows x 2 vectors with 32 registers (Zen 4, AVX-512, matrices of 512; OpenBLAS 88 to 95): 8x2 98, 12x2 100 to 103, 14x2 100 to 102, 14x1 90.

Where the other thread of a core is at work too, the multiplications wait for the other instructions: then what counts is how many these are. So
several terms make one turn of the loop, in which the terms' places are constants, and the rows are addressed by threes: 22 instructions for 12
multiplications instead of 29 (64 and 76 GFLOP/s beside a busy neighbour, 88 both without one). LLVM would spend what is won on sums of addresses
and on loads that it begins too early, for which registers are then missing; `_kept` and `_fence` hide from it what it could do that with.
"""

from __future__ import annotations

from typing import NamedTuple

from flowc.codegen.host import registers
from flowc.codegen.vector_text import VectorText
from flowc.ir.primitives import MOST_AHEAD

VECTORS = 2  # registers that a row of a part takes
FORMS = ((1, True), (2, True), (2, False))  # (vectors, cut); the tile's entry counts on this order
assert FORMS[-1][0] == VECTORS
TERMS = 4  # of the sum, in one turn of the loop
GROUPS_AHEAD = 3  # sizes of parts that do so: those of equal parts of many rows
NEXT_CACHE = 2  # where to: the innermost cache has no room for it
ADDRESSED = 3  # rows of `a` that one address serves: with the stride once and twice, which an instruction adds by itself


def most_rows() -> int:
    """Rows of the largest part: its sums, the vectors of b and one of a are all the registers there are."""
    return (registers() - VECTORS - 1) // VECTORS if registers() < 32 else 12


def part_name(dtype: str, rows: int, vectors: int, cut: bool) -> str:
    """The LLVM function's name."""
    return f"flowc_part_{dtype}_{rows}x{vectors}{'_cut' if cut else ''}"


PARAMETERS = ("ptr %c, ptr noalias readonly %a, ptr noalias readonly %b, i64 %groups, i64 %columns, i64 %outer, i64 %inner, i64 %c_row, "
              "i64 %a_row, i64 %a_outer, i64 %a_inner, i64 %b_unit, i64 %b_outer, i64 %b_inner, i1 %accumulate, "
              "i64 %count, i64 %c_step, i64 %a_step, i64 %b_step, ptr %ahead, i64 %ahead_at")  # fmt: skip


def part_text(dtype: str, rows: int, vectors: int, cut: bool) -> str:
    """Groups of `rows` rows of `vectors` vectors, in each of `count` products; with `cut` the last vector has only what is left of `columns`."""
    t = VectorText(dtype)
    put, vector = t.put, t.vector
    cells = [(i, v) for i in range(rows) for v in range(vectors)]
    put(f"define internal void @{part_name(dtype, rows, vectors, cut)}({PARAMETERS}) #1 {{")
    put("entry:")
    masks = [""] * vectors
    if cut:
        masks[-1] = t.lanes_below(t.sub("%columns", str((vectors - 1) * t.n)))
    places = [t.add(t.mul("%b_unit", str(v * t.n // t.unit)), str(v * t.n % t.unit)) for v in range(vectors)]
    some = t.both(t.compare("sgt", "%outer", "0"), t.compare("sgt", "%inner", "0"))
    to_come = t.choose(t.compare("sgt", "%count", "1"), "%outer", "0")
    loops = _loops(t, cut)
    ahead: _Ahead | None = None
    if not cut and vectors == VECTORS and rows > most_rows() - GROUPS_AHEAD:
        lines = loops[1]
        loops.insert(0, lines._replace(name="following", stop=t.choose(t.compare("sgt", to_come, "0"), lines.stop, "0"), b_ahead="%b_step"))
        to_come = t.choose(t.compare("eq", "%a_inner", "1"), "0", to_come)  # such a sum asks for the next product's line by line
        held = [t.value(f"load i64, ptr {t.value(f'getelementptr i64, ptr %ahead, i64 {n}')}, align 8") for n in range(MOST_AHEAD + 1)]
        ahead = _Ahead(held[:-1], held[-1], rows, vectors * t.n)
        some_ahead = t.both(t.compare("ne", held[0], "0"), t.compare("eq", "%outer", "1"))
        loops.insert(0, loops[1]._replace(name="fetching", stop=t.choose(some_ahead, loops[1].stop, "0")))
    with t.loop("product", "%count") as product:
        c_product, a_product = t.at("%c", t.mul(product, "%c_step")), t.at("%a", t.mul(product, "%a_step"))
        b_product = t.at("%b", t.mul(product, "%b_step"))
        b_following = t.at(b_product, "%b_step")
        with t.loop("following_r", to_come) as r, t.loop("following_k", "%inner") as k:
            place = t.at(b_following, t.add(t.mul(r, "%b_outer"), t.mul(k, "%b_inner")))
            put(f"  call void @llvm.prefetch.p0(ptr {place}, i32 0, i32 3, i32 1)")
        with t.loop("group", "%groups") as group:
            first = t.mul(group, str(rows))
            c_group, a_group = t.at(c_product, t.mul(first, "%c_row")), t.at(a_product, t.mul(first, "%a_row"))
            c = [t.at(c_group, t.add(t.mul("%c_row", str(i)), str(v * t.n))) for i, v in cells]
            for place, (_, v) in zip(c, cells, strict=True):
                if v == 0:
                    put(f"  call void @llvm.prefetch.p0(ptr {place}, i32 1, i32 3, i32 1)")
            if ahead is not None:
                here = t.mul(t.add("%ahead_at", t.mul(first, ahead.row)), str(t.size))
                starts = [t.value(f"inttoptr i64 {t.add(array, here)} to ptr") for array in ahead.arrays]
            before = t.block
            put("  br i1 %accumulate, label %go_on, label %begin")
            t.label("go_on")
            held = [t.load(place, masks[v]) for place, (_, v) in zip(c, cells, strict=True)]
            put("  br label %begin")
            t.label("begin")
            for (i, v), kept in zip(cells, held, strict=True):
                put(f"  %start{i}_{v} = phi {vector} [ zeroinitializer, %{before} ], [ {kept}, %go_on ]")
            put(f"  br i1 {some}, label %outer_loop, label %finish")
            t.label("outer_loop")
            put("  %r = phi i64 [ 0, %begin ], [ %r.next, %outer_end ]")
            put(f"  %a_start = phi ptr [ {a_group}, %begin ], [ %a_start.next, %outer_end ]")
            put(f"  %b_start = phi ptr [ {b_product}, %begin ], [ %b_start.next, %outer_end ]")
            for i, v in cells:
                put(f"  %s{i}_{v} = phi {vector} [ %start{i}_{v}, %begin ], [ %e{i}_{v}, %outer_end ]")
            a_places = [_kept(t, t.at("%a_start", t.mul("%a_row", str(i)))) for i in range(0, rows, ADDRESSED)]
            state = _State("0", "%b_start", a_places, [f"%s{i}_{v}" for i, v in cells])
            for loop in loops:
                state = _sum(t, loop, state, cells, places, masks, ahead._replace(arrays=starts) if ahead is not None and loop.name == "fetching" else None)
            put("  br label %outer_end")
            t.label("outer_end")
            for (i, v), total in zip(cells, state.sums, strict=True):
                put(f"  %e{i}_{v} = phi {vector} [ {total}, %{loops[-1].name}.end ]")
            put("  %r.next = add i64 %r, 1")
            put(f"  %a_start.next = getelementptr {t.element}, ptr %a_start, i64 %a_outer")
            put(f"  %b_start.next = getelementptr {t.element}, ptr %b_start, i64 %b_outer")
            put("  %r.more = icmp slt i64 %r.next, %outer")
            put("  br i1 %r.more, label %outer_loop, label %finish")
            t.label("finish")
            for i, v in cells:
                put(f"  %done{i}_{v} = phi {vector} [ %start{i}_{v}, %begin ], [ %e{i}_{v}, %outer_end ]")
            for place, (i, v) in zip(c, cells, strict=True):
                t.store(f"%done{i}_{v}", place, masks[v])
    put("  ret void")
    put("}")
    return "\n".join(t.lines) + "\n"


class _Loop(NamedTuple):
    """A loop along the sum: so many terms in a turn, as long as the first of a turn's is below `stop`; a_inner and b_inner as it knows them.
    b_ahead: how much further in `b` a line is asked for with each that is read."""

    name: str
    terms: int
    stop: str
    a_inner: str
    b_inner: str
    b_ahead: str = ""


class _Ahead(NamedTuple):
    """What is asked for while sums are under way: in each array `rows` rows, `row` elements apart, of so many columns."""

    arrays: list[str]
    row: str
    rows: int
    columns: int

    def ask(self, t: VectorText, k: str) -> None:
        """Ask for one cache line of each array, another one in each turn of the loop."""
        lines = self.columns // t.unit
        number = t.smaller(t.quotient(k, str(TERMS)), str(self.rows * lines - 1))
        row, line = t.quotient(number, str(lines)), t.value(f"urem i64 {number}, {lines}")
        place = t.add(t.mul(row, self.row), t.mul(line, str(t.unit)))
        for array in self.arrays:
            t.put(f"  call void @llvm.prefetch.p0(ptr {t.at(array, place)}, i32 0, i32 {NEXT_CACHE}, i32 1)")


class _State(NamedTuple):
    """How far a sum is: the terms that are in it, the places of the next ones in `b` and, for every third row, in `a`, and the sums."""

    k: str
    b: str
    a: list[str]
    sums: list[str]


def _loops(t: VectorText, cut: bool) -> list[_Loop]:
    """The loops of a sum, one after the other: those of several terms end at once where the operands' strides are not theirs."""
    rest = _Loop("one", 1, "%inner", "%a_inner", "%b_inner")
    if cut:
        return [rest]
    beside = t.compare("eq", "%a_inner", "1")
    panels = t.both(beside, t.compare("eq", "%b_inner", str(t.unit)))
    full = t.sub("%inner", str(TERMS - 1))
    return [_Loop("panels", TERMS, t.choose(panels, full, "0"), "1", str(t.unit)), _Loop("lines", TERMS, t.choose(beside, full, "0"), "1", "%b_inner"), rest]


def _sum(
    t: VectorText, loop: _Loop, before: _State, cells: list[tuple[int, int]], places: list[str], masks: list[str], ahead: _Ahead | None = None
) -> _State:  # fmt: skip
    """One loop along the sum."""
    name, put, vector = loop.name, t.put, t.vector
    entry = t.block
    now = _State(f"%{name}.k", f"%{name}.b", [f"%{name}.a{g}" for g in range(len(before.a))], [f"%{name}.s{i}_{v}" for i, v in cells])
    put(f"  br label %{name}")
    t.label(name)
    for kind, at, came in (("i64", now.k, before.k), ("ptr", now.b, before.b), *zip(["ptr"] * len(now.a), now.a, before.a, strict=True),
                           *zip([vector] * len(cells), now.sums, before.sums, strict=True)):  # fmt: skip
        put(f"  {at} = phi {kind} [ {came}, %{entry} ], [ {at}.next, %{name}.body ]")
    put(f"  %{name}.more = icmp slt i64 {now.k}, {loop.stop}")
    put(f"  br i1 %{name}.more, label %{name}.body, label %{name}.end")
    t.label(f"{name}.body")
    put(f"  {now.k}.next = add i64 {now.k}, {loop.terms}")
    if ahead is not None:
        ahead.ask(t, now.k)
    b_place, a_places, sums = now.b, now.a, list(now.sums)
    for term in range(loop.terms):
        if term:
            _fence(t)
        b = [t.load(t.at(b_place, place), mask) for place, mask in zip(places, masks, strict=True)]
        if loop.b_ahead:
            following = t.at(b_place, loop.b_ahead)
            for place in places:
                put(f"  call void @llvm.prefetch.p0(ptr {t.at(following, place)}, i32 0, i32 3, i32 1)")
        x = ""
        for number, (i, v) in enumerate(cells):
            if v == 0:
                place = t.at(a_places[i // ADDRESSED], t.mul("%a_row", str(i % ADDRESSED)))
                x = t.splat(t.value(f"load {t.element}, ptr {place}, align {t.size}"), t.element, vector)
            total = f"{now.sums[number]}.next" if term == loop.terms - 1 else f"{now.sums[number]}.{term}"
            put(f"  {total} = call {vector} @llvm.fma.{t.suffix}({vector} {x}, {vector} {b[v]}, {vector} {sums[number]})")
            sums[number] = total
        b_place, a_places = t.at(b_place, loop.b_inner), [t.at(place, loop.a_inner) for place in a_places]
    for at, then in ((now.b, b_place), *zip(now.a, a_places, strict=True)):
        _kept(t, then, f"{at}.next")
    put(f"  br label %{name}")
    t.label(f"{name}.end")
    return now


def _kept(t: VectorText, place: str, name: str = "") -> str:
    """An address that is in a register from here on: no instruction, but LLVM does not see how it came about, and works out no others with it."""
    text = f'call ptr asm "", "=r,0"(ptr {place})'
    if not name:
        return t.value(text)
    t.put(f"  {name} = {text}")
    return name


def _fence(t: VectorText) -> None:
    """Loads stay on their side of it; no instruction."""
    t.put('  call void asm sideeffect "", "~{memory}"()')
