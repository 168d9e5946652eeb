"""The register tile as LLVM text: a library of one function for each dtype, compiled once for a machine and linked to every program.

    flowc_tile_f32(c, a, b, rows, columns, outer, inner, c_row, a_row, a_outer, a_inner, b_unit, b_column, b_outer, b_inner, accumulate,
                   count, c_step, a_step, b_step, ahead)

The method is that of Goto and van de Geijn ("Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008): stretches of the sum;
inside each, blocks of rows, whose part of `a` is copied to the stack where it is transposed; inside each, blocks of columns whose part of `b` is
copied in panels, where it lies side by side; inside each, panels of two vectors, and equal parts of the rows, which `tile_parts` writes: the
next stretch continues their sums from `c`. The part `_cut` masks its last vector, so nothing outside is ever read or written.
"""

from __future__ import annotations

from typing import NamedTuple

from flowc.codegen.host import vector_bytes
from flowc.codegen.tile_parts import FORMS, VECTORS, most_rows, part_name, part_text
from flowc.codegen.vector_text import UNIT, VectorText
from flowc.ir.primitives import MOST_AHEAD

STRETCH = 512  # terms of the sum: the panels' stretches stay in the second cache; shorter ones begin and end too often
SWEEPS = (2, 1)  # terms of the sum in one sweep of a row along lines of `b`
MOST_UNITS, MOST_ROWS = 8, 128  # of a block of f32, half as many rows of f64: its copies of `a` and `b` take a quarter of a megabyte of stack each
ROWS_TO_COPY, TERMS_TO_COPY, COLUMNS_TO_COPY = 8, 8, 48  # with fewer a copy costs more than it brings
A_ROW = STRETCH + 16  # elements of a row in a copy of `a`: no power of two, at which few places of a cache would serve all rows
NEAR_UNITS = 2  # lines of `b` no farther apart than so many units are read as they lie: what a copy would bring, the processor does by itself
NOTHING_AHEAD = "flowc_nothing_ahead"
LINES = 8  # of `b` that are copied at a time, while the next ones are asked for: each lies in another page, where the processor does not guess it


def tile_name(dtype: str) -> str:
    """The LLVM function's name."""
    return f"flowc_tile_{dtype}"


SIGNATURE = ("ptr %c, ptr %a, ptr %b, i64 %rows, i64 %columns, i64 %outer, i64 %inner, i64 %c_row, i64 %a_row, i64 %a_outer, i64 %a_inner, "
             "i64 %b_unit, i64 %b_column, i64 %b_outer, i64 %b_inner, i1 %accumulate, i64 %count, i64 %c_step, i64 %a_step, i64 %b_step, "
             "ptr %ahead")  # fmt: skip


def tile_text(dtype: str) -> str:
    """LLVM text of the function of one dtype and of what it calls."""
    t = VectorText(dtype)
    t.put(f"@{NOTHING_AHEAD} = internal constant [{MOST_AHEAD + 1} x i64] zeroinitializer")
    t.put(f"declare {t.vector} @llvm.fma.{t.suffix}({t.vector}, {t.vector}, {t.vector})")
    t.put(f"declare {t.vector} @llvm.masked.load.{t.suffix}.p0(ptr, i32, {t.mask}, {t.vector})")
    t.put(f"declare void @llvm.masked.store.{t.suffix}.p0({t.vector}, ptr, i32, {t.mask})")
    t.put("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    forms = [part_text(dtype, rows, *form) for form in FORMS for rows in range(1, most_rows() + 1)]
    texts = [*forms, _turn(dtype), _copy_b(dtype), *(_sweep(dtype, terms) for terms in SWEEPS), _blocks(dtype), _entry(dtype)]
    attributes = f'attributes #1 = {{ noinline nounwind "prefer-vector-width"="{8 * vector_bytes()}" }}'
    return "\n".join([*t.lines, "", *texts, attributes]) + "\n"


# the copies


def _copy_b(dtype: str) -> str:
    """`to[panel][term][column of the panel]` from `b`, whose columns lie `b_column` apart: 1, or in a transposed matrix far apart.

    Of lines that lie as they should, several at a time, so that what is written to a panel lies side by side.
    """
    t = VectorText(dtype)
    t.put(f"define internal void @flowc_copy_b_{dtype}(ptr %to, ptr %b, i64 %columns, i64 %outer, i64 %inner, i64 %b_unit, i64 %b_column, "
          "i64 %b_outer, i64 %b_inner) #1 {")  # fmt: skip
    t.put("entry:")
    terms = t.mul("%outer", "%inner")
    panel_size = t.mul(terms, str(t.unit))
    units = t.quotient(t.add("%columns", str(t.unit - 1)), str(t.unit))
    beside = t.compare("eq", "%b_column", "1")
    t.put(f"  br i1 {beside}, label %lines, label %across")
    t.label("lines")
    several = t.mul(t.quotient("%inner", str(LINES)), str(LINES))
    ahead = t.mul("%b_inner", str(LINES))

    def lines(name: str, r: str, k: str, count: int) -> None:
        """The terms from k on of every panel."""
        start = t.at("%b", t.add(t.mul(r, "%b_outer"), t.mul(k, "%b_inner")))
        line = t.at("%to", t.mul(t.add(t.mul(r, "%inner"), k), str(t.unit)))
        vectors = [(i, v) for i in range(count) for v in range(t.unit // t.n)]
        with t.loop(f"{name}_u", units) as u:
            source, target = t.at(start, t.mul(u, "%b_unit")), t.at(line, t.mul(u, panel_size))
            following = t.at(source, ahead)
            sources = [t.at(source, t.mul("%b_inner", str(i))) for i in range(count)]
            for i in range(count):
                t.put(f"  call void @llvm.prefetch.p0(ptr {t.at(following, t.mul('%b_inner', str(i)))}, i32 0, i32 3, i32 1)")
            left = t.sub("%columns", t.mul(u, str(t.unit)))
            t.put(f"  br i1 {t.compare('sge', left, str(t.unit))}, label %{name}_whole, label %{name}_rest")
            t.label(f"{name}_whole")
            found = [t.load(t.at(sources[i], str(v * t.n))) for i, v in vectors]
            for (i, v), value in zip(vectors, found, strict=True):
                t.store(value, t.at(target, str(i * t.unit + v * t.n)))
            t.put(f"  br label %{name}_copied")
            t.label(f"{name}_rest")
            masks = [t.lanes_below(t.sub(left, str(v * t.n))) for v in range(t.unit // t.n)]
            for i, v in vectors:
                t.store(t.load(t.at(sources[i], str(v * t.n)), masks[v]), t.at(target, str(i * t.unit + v * t.n)))
            t.put(f"  br label %{name}_copied")
            t.label(f"{name}_copied")

    with t.loop("r", "%outer") as r:
        with t.loop("k", several, str(LINES)) as k:
            lines("several", r, k, LINES)
        with t.loop("k1", t.sub("%inner", several)) as rest:
            lines("one", r, t.add(several, rest), 1)
    t.put("  ret void")
    t.label("across")
    straight = t.choose(t.compare("eq", "%b_inner", "1"), "%inner", "0")
    with t.loop("r2", "%outer") as r, t.loop("u2", units) as u:
        start = t.at("%b", t.add(t.mul(r, "%b_outer"), t.mul(u, "%b_unit")))
        target = t.at("%to", t.add(t.mul(u, panel_size), t.mul(t.mul(r, "%inner"), str(t.unit))))
        left = t.smaller(t.sub("%columns", t.mul(u, str(t.unit))), str(t.unit))
        t.put(f"  call void @flowc_turn_{dtype}(ptr {target}, ptr {start}, i64 {straight}, i64 {left}, i64 {t.unit}, i64 %b_column)")
        with t.loop("k3", t.sub("%inner", straight)) as k, t.loop("j3", left) as j:
            one = t.value(f"load {t.element}, ptr {t.at(start, t.add(t.mul(j, '%b_column'), t.mul(k, '%b_inner')))}, align {t.size}")
            t.put(f"  store {t.element} {one}, ptr {t.at(target, t.add(t.mul(k, str(t.unit)), j))}, align {t.size}")
    t.put("  ret void")
    t.put("}")
    return "\n".join(t.lines) + "\n"


def _turn(dtype: str) -> str:
    """`to[i][k] = from[k][i]`, in squares that are turned in registers. Behind a row's last element up to a vector of `to` is overwritten.

    So a row that follows is written later: rows may lie side by side only where they are whole vectors. Squares at the edges read the last
    line again for those that are not there, and write the last row of `to` last.
    """
    t = VectorText(dtype)
    t.put(f"define internal void @flowc_turn_{dtype}(ptr %to, ptr %from, i64 %rows, i64 %terms, i64 %to_row, i64 %from_term) #1 {{")
    t.put("entry:")
    last = str(t.n - 1)
    with t.loop("k", "%terms", str(t.n)) as k:
        lines_at, target = t.at("%from", t.mul(k, "%from_term")), t.at("%to", k)
        more = t.sub(t.sub("%terms", k), "1")
        places = [t.mul("%from_term", t.smaller(str(step), more)) for step in range(t.n)]
        whole = t.choose(t.compare("sge", more, last), t.sub("%rows", last), "0")
        with t.loop("i", "%rows", str(t.n)) as i:
            start, row = t.at(lines_at, i), t.at(target, t.mul(i, "%to_row"))
            t.put(f"  br i1 {t.compare('slt', i, whole)}, label %square, label %edge")
            t.label("square")
            for step, turned in enumerate(_transposed(t, [t.load(t.at(start, place)) for place in places])):
                t.store(turned, t.at(row, t.mul("%to_row", str(step))))
            t.put("  br label %turned")
            t.label("edge")
            rows = t.sub("%rows", i)
            mask, end = t.lanes_below(rows), t.sub(rows, "1")
            turned_lines = _transposed(t, [t.load(t.at(start, place), mask) for place in places])
            for step, turned in reversed(list(enumerate(turned_lines))):
                t.store(turned, t.at(row, t.mul("%to_row", t.smaller(str(step), end))))
            t.put("  br label %turned")
            t.label("turned")
    t.put("  ret void")
    t.put("}")
    return "\n".join(t.lines) + "\n"


def _transposed(t: VectorText, lines: list[str]) -> list[str]:
    """n vectors of n lanes, rows becoming columns: log2(n) rounds of interleaving one half of them with the other."""
    n = t.n
    low = ", ".join(f"i32 {i // 2 + (n if i % 2 else 0)}" for i in range(n))
    high = ", ".join(f"i32 {n // 2 + i // 2 + (n if i % 2 else 0)}" for i in range(n))
    rounds = n.bit_length() - 1
    for _ in range(rounds):
        lines = [
            t.value(f"shufflevector {t.vector} {x}, {t.vector} {y}, <{n} x i32> <{half}>")
            for x, y in zip(lines[: n // 2], lines[n // 2 :], strict=True)
            for half in (low, high)
        ]
    return lines


# few rows


def _sweep_name(dtype: str, terms: int) -> str:
    return f"flowc_sweep_{dtype}_{terms}"


def _sweep(dtype: str, terms: int) -> str:
    """`c[j] (+)= sum over k < terms of a[k] * b[k, j]`: one row, along whole lines of `b`, as fast as memory gives them."""
    t = VectorText(dtype)
    t.put(f"define internal void @{_sweep_name(dtype, terms)}(ptr noalias %c, ptr readonly %a, ptr noalias readonly %b, i64 %columns, i64 %a_inner, "
          "i64 %b_inner, i1 %accumulate) #1 {")  # fmt: skip
    t.put("entry:")
    x = [t.splat(t.value(f"load {t.element}, ptr {t.at('%a', t.mul('%a_inner', str(k)))}, align {t.size}"), t.element, t.vector) for k in range(terms)]
    lines = [t.at("%b", t.mul("%b_inner", str(k))) for k in range(terms)]
    keep = t.splat("%accumulate", "i1", t.mask)
    ahead = t.mul("%b_inner", str(terms))  # the lines of the next sweep: each lies in another page, where the processor does not guess it

    def columns(j: str, mask: str) -> None:
        held = t.both_masks(keep, mask) if mask else keep
        total = t.load(t.at("%c", j), held)
        if not mask:
            for line in lines:
                t.put(f"  call void @llvm.prefetch.p0(ptr {t.at(line, t.add(j, ahead))}, i32 0, i32 3, i32 1)")
        for factor, line in zip(x, lines, strict=True):
            operands = f"{t.vector} {factor}, {t.vector} {t.load(t.at(line, j), mask)}, {t.vector} {total}"
            total = t.value(f"call {t.vector} @llvm.fma.{t.suffix}({operands})")
        t.store(total, t.at("%c", j), mask)

    whole = t.mul(t.quotient("%columns", str(t.n)), str(t.n))
    with t.loop("j", whole, str(t.n)) as j:
        columns(j, "")
    with t.when("cut", t.compare("slt", whole, "%columns")):
        columns(whole, t.lanes_below(t.sub("%columns", whole)))
    t.put("  ret void")
    t.put("}")
    return "\n".join(t.lines) + "\n"


# all together


def _entry(dtype: str) -> str:
    """Few rows sweep along long lines of `b`; all else is blocks."""
    t = VectorText(dtype)
    t.put(f"define void @{tile_name(dtype)}({SIGNATURE}) #1 {{")
    t.put("entry:")
    few = t.both(t.compare("slt", "%rows", str(ROWS_TO_COPY)), t.compare("eq", "%count", "1"))
    plain = t.both(t.compare("eq", "%b_column", "1"), t.compare("eq", "%b_unit", str(t.unit)))
    long = t.both(t.compare("sgt", "%b_inner", str(NEAR_UNITS * t.unit)), t.compare("sgt", "%columns", str(t.unit)))
    terms = t.mul("%outer", "%inner")
    sweeps = t.both(few, plain, long, t.compare("sgt", terms, "0"))
    t.put(f"  br i1 {sweeps}, label %sweeping, label %blocks")
    t.label("sweeping")
    many, one = SWEEPS
    whole = t.mul(t.quotient("%inner", str(many)), str(many))
    for name, stop, step in (("many", whole, many), ("one", t.sub("%inner", whole), one)):
        with t.loop(f"{name}_r", "%outer") as r, t.loop(f"{name}_k", stop, str(step)) as k, t.loop(f"{name}_i", "%rows") as i:
            at = k if step == many else t.add(k, whole)
            c, a = t.at("%c", t.mul(i, "%c_row")), t.at("%a", t.add(t.mul(i, "%a_row"), t.add(t.mul(r, "%a_outer"), t.mul(at, "%a_inner"))))
            b = t.at("%b", t.add(t.mul(r, "%b_outer"), t.mul(at, "%b_inner")))
            adding = t.either("%accumulate", t.compare("ne", t.value(f"or i64 {r}, {at}"), "0"))
            t.put(f"  call void @{_sweep_name(dtype, step)}(ptr {c}, ptr {a}, ptr {b}, i64 %columns, i64 %a_inner, i64 %b_inner, i1 {adding})")
    t.put("  ret void")
    t.label("blocks")
    t.put(f"  call void @flowc_blocks_{dtype}({SIGNATURE})")
    t.put("  ret void")
    t.put("}")
    return "\n".join(t.lines) + "\n"


def _blocks(dtype: str) -> str:
    """Stretches, blocks of rows, blocks of columns."""
    t = VectorText(dtype)
    t.put(f"define internal void @flowc_blocks_{dtype}({SIGNATURE}) #1 {{")
    t.put("entry:")
    b_space = t.value(f"alloca {t.element}, i64 {STRETCH * MOST_UNITS * t.unit}, align {UNIT}")
    terms = t.mul("%outer", "%inner")
    # what is asked for ahead would be asked for again in each stretch
    table = t.choose(t.both(t.compare("sle", terms, str(STRETCH)), t.value("icmp ne ptr %ahead, null")), "%ahead", f"@{NOTHING_AHEAD}", "ptr")
    ahead_row = t.value(f"load i64, ptr {t.value(f'getelementptr i64, ptr {table}, i64 {MOST_AHEAD}')}, align 8")
    enough = t.compare("sge", terms, str(TERMS_TO_COPY))
    alone = t.compare("eq", "%count", "1")  # several products are small: each one's operands are read where they are
    apart = t.compare("sgt", "%b_inner", str(NEAR_UNITS * t.unit))
    pays = t.both(apart, enough, t.compare("sge", "%rows", str(ROWS_TO_COPY)), alone)
    copy_b = t.either(pays, t.compare("ne", "%b_column", "1"))
    tall = MOST_ROWS * 4 // t.size
    a_space = t.value(f"alloca {t.element}, i64 {tall * A_ROW}, align {UNIT}")
    across = t.both(t.compare("eq", "%a_row", "1"), t.compare("sgt", "%a_inner", "1"), alone, enough)
    copy_a = t.both(across, t.compare("sge", "%rows", str(ROWS_TO_COPY)), t.compare("sge", "%columns", str(COLUMNS_TO_COPY)))
    # a stretch: several whole inner sums where they are short, a piece of one where they are long; one with nothing in it where there is no sum
    inner_step = t.smaller(t.choose(t.compare("sgt", "%inner", "0"), "%inner", "1"), str(STRETCH))
    outer_step = t.choose(t.compare("slt", inner_step, "%inner"), "1", t.quotient(str(STRETCH), inner_step))
    outers = t.choose(t.compare("sgt", terms, "0"), "%outer", "1")
    inners = t.choose(t.compare("sgt", terms, "0"), "%inner", "1")
    wide = str(MOST_UNITS * t.unit)
    with t.loop("r", outers, outer_step) as r, t.loop("k", inners, inner_step) as k, t.loop("i", "%rows", str(tall)) as i:
        outer = t.smaller(t.sub("%outer", r), outer_step)
        inner = t.smaller(t.sub("%inner", k), inner_step)
        length = t.mul(outer, inner)
        b_stretch = t.at("%b", t.add(t.mul(r, "%b_outer"), t.mul(k, "%b_inner")))
        adding = t.either("%accumulate", t.compare("ne", t.value(f"or i64 {r}, {k}"), "0"))
        rows = t.smaller(t.sub("%rows", i), str(tall))
        c_rows = t.at("%c", t.mul(i, "%c_row"))
        a_block = t.at(t.at("%a", t.add(t.mul(r, "%a_outer"), t.mul(k, "%a_inner"))), t.mul(i, "%a_row"))
        with t.when("copying_a", copy_a), t.loop("turned_r", outer) as line:
            source, target = t.at(a_block, t.mul(line, "%a_outer")), t.at(a_space, t.mul(line, inner))
            t.put(f"  call void @flowc_turn_{dtype}(ptr {target}, ptr {source}, i64 {rows}, i64 {inner}, i64 {A_ROW}, i64 %a_inner)")
        left = _Left(
            t.choose(copy_a, a_space, a_block, "ptr"), t.choose(copy_a, str(A_ROW), "%a_row"),
            t.choose(copy_a, inner, "%a_outer"), t.choose(copy_a, "1", "%a_inner"),
        )  # fmt: skip
        with t.loop("j", "%columns", wide) as j:
            columns = t.smaller(t.sub("%columns", j), wide)
            b_block = t.at(b_stretch, t.mul(t.quotient(j, str(t.unit)), "%b_unit"))
            with t.when("copying_b", copy_b):
                t.put(f"  call void @flowc_copy_b_{dtype}(ptr {b_space}, ptr {b_block}, i64 {columns}, i64 {outer}, i64 {inner}, "
                      "i64 %b_unit, i64 %b_column, i64 %b_outer, i64 %b_inner)")  # fmt: skip
            right = _Right(
                t.choose(copy_b, b_space, b_block, "ptr"), t.choose(copy_b, t.mul(length, str(t.unit)), "%b_unit"),
                t.choose(copy_b, t.mul(inner, str(t.unit)), "%b_outer"), t.choose(copy_b, str(t.unit), "%b_inner"),
            )  # fmt: skip
            # where the terms of one inner sum follow those of the one before in both operands, they are one sum
            through = t.both(t.compare("eq", left.outer, t.mul(inner, left.inner)), t.compare("eq", right.outer, t.mul(inner, right.inner)))
            outer_sum, inner_sum = t.choose(through, "1", outer), t.choose(through, length, inner)
            ahead = _Ahead(table, ahead_row, t.add(t.mul(i, ahead_row), j))
            _block(t, dtype, t.at(c_rows, j), left, right, rows, columns, outer_sum, inner_sum, adding, ahead)
    t.put("  ret void")
    t.put("}")
    return "\n".join(t.lines) + "\n"


class _Left(NamedTuple):
    """The left operand of a block, copied or not: its start and strides."""

    start: str
    row: str
    outer: str
    inner: str


class _Right(NamedTuple):
    """The right operand of a block, copied or not: its start and strides."""

    start: str
    unit: str
    outer: str
    inner: str


class _Ahead(NamedTuple):
    """What is asked for while the block is computed: a table of arrays, the elements from one row to the next, and where the block's begin."""

    table: str
    row: str
    at: str


def _parts(t: VectorText, rows: str, most: int) -> str:
    """How many parts of at most `most` rows. Of several products all parts should be equal, even if that takes one or two more: then one call goes
    through all products, and each product's part of `b` is read once (64 rows as 8 parts of 8, not as 4 of 11 and 2 of 10)."""
    fewest = t.quotient(t.add(rows, str(most - 1)), str(most))
    several = t.compare("sgt", "%count", "1")
    parts = fewest
    for more in (2, 1, 0):
        number = t.add(fewest, str(more))
        parts = t.choose(t.both(several, t.compare("eq", t.value(f"srem i64 {rows}, {number}"), "0")), number, parts)
    return parts


def _block(
    t: VectorText, dtype: str, c: str, a: _Left, b: _Right, rows: str, columns: str, outer: str, inner: str, adding: str, ahead: _Ahead
) -> None:  # fmt: skip
    """One block: its rows in equal parts (14 as 5, 5 and 4), and a part for each of these and each panel."""
    most, width = most_rows(), VECTORS * t.n
    parts = _parts(t, rows, most)
    least = t.quotient(rows, parts)
    longer = t.sub(rows, t.mul(least, parts))
    with t.loop("panel", columns, str(width)) as p:
        left = t.sub(columns, p)
        start = t.at(b.start, t.add(t.mul(t.quotient(p, str(t.unit)), b.unit), t.value(f"urem i64 {p}, {t.unit}")))
        cut = t.choose(t.compare("sle", left, str(t.n)), "0", str(most))  # in the order of FORMS
        form = t.choose(t.compare("sge", left, str(width)), str(2 * most), cut)
        # the first `longer` parts have one row more than the others
        for name, groups, count, first in (
            ("longer", longer, t.add(least, "1"), "0"),
            ("shorter", t.sub(parts, longer), least, t.mul(longer, t.add(least, "1"))),
        ):  # fmt: skip
            a_part, c_part = t.at(a.start, t.mul(first, a.row)), t.at(c, t.add(t.mul(first, "%c_row"), p))
            ahead_at = t.add(ahead.at, t.add(t.mul(first, ahead.row), p))
            cases = [(place * most + height, height, *shape) for place, shape in enumerate(FORMS) for height in range(1, most + 1)]
            choice = t.choose(t.compare("sgt", groups, "0"), t.add(form, count), "0")
            t.put(f"  switch i64 {choice}, label %{name} [" + "".join(f" i64 {n}, label %{name}{n}" for n, *_ in cases) + " ]")
            for number, height, vectors, is_cut in cases:
                t.put(f"{name}{number}:")
                t.put(f"  call void @{part_name(dtype, height, vectors, is_cut)}(ptr {c_part}, ptr {a_part}, ptr {start}, i64 {groups}, i64 {left}, "
                      f"i64 {outer}, i64 {inner}, i64 %c_row, i64 {a.row}, i64 {a.outer}, i64 {a.inner}, i64 {b.unit}, i64 {b.outer}, i64 {b.inner}, "
                      f"i1 {adding}, i64 %count, i64 %c_step, i64 %a_step, i64 %b_step, ptr {ahead.table}, i64 {ahead_at})")  # fmt: skip
                t.put(f"  br label %{name}")
            t.label(name)
