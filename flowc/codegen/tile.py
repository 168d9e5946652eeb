"""The register tile: a small block of a matrix product held in vector registers, written as LLVM text; also as plain Python.

    tile_f32(8, 2, out, out_at, a, a_at, b, b_at, rows, columns, outer, inner, out_row, a_row, a_outer, a_inner, b_outer, b_inner, accumulate)

    out[out_at + i*out_row + j] (+)= sum over r < outer, k < inner of a[a_at + i*a_row + r*a_outer + k*a_inner] * b[b_at + r*b_outer + k*b_inner + j]

for i < rows <= 8 and j < columns <= 2 vectors. The first two arguments are literals: the rows and the vectors that the tile has. The
product accumulates in registers, in order of r and k, with fused multiply-add. Tails: rows past the end read the last row again and store
nothing; columns past the end are masked, so nothing outside is ever read or written. `accumulate` (0 or 1) starts from what `out` holds.

Written with phi nodes for the accumulators, one noinline function per shape and module, it costs LLVM 10 to 40 ms to compile, where the
same tile as unrolled Python statements costs Numba over a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def _tile(out: Any, out_at: int, a: Any, a_at: int, b: Any, b_at: int, rows: int, columns: int, outer: int, inner: int, out_row: int,
          a_row: int, a_outer: int, a_inner: int, b_outer: int, b_inner: int, accumulate: int) -> None:  # fmt: skip
    """The meaning; a product and its sum are rounded once, as a fused multiply-add does (for f32, but for the rare double rounding)."""
    for i in range(rows):
        at = out_at + i * out_row
        total = out[at : at + columns].copy() if accumulate else np.zeros(columns, out.dtype)
        for r in range(outer):
            for k in range(inner):
                start = b_at + r * b_outer + k * b_inner
                product = np.float64(a[a_at + i * a_row + r * a_outer + k * a_inner]) * b[start : start + columns].astype(np.float64)
                total = (total + product).astype(out.dtype)
        out[at : at + columns] = total


def tile_f32(mr: int, nv: int, *args: Any) -> None:
    """See the module's text; `out`, `a`, `b` are f32 buffers and every other argument a whole number."""
    _tile(*args)


def tile_f64(mr: int, nv: int, *args: Any) -> None:
    """`tile_f32` for f64 buffers."""
    _tile(*args)


PARAMETERS = ("out", "out_at", "a", "a_at", "b", "b_at", "rows", "columns", "outer", "inner", "out_row",
              "a_row", "a_outer", "a_inner", "b_outer", "b_inner", "accumulate")  # fmt: skip


def lanes(dtype: str) -> int:
    """Numbers of `dtype` (f32 or f64) in a vector register of the host."""
    from flowc.codegen.host import vector_bytes

    return vector_bytes() // {"f32": 4, "f64": 8}[dtype]


def tile_shape(dtype: str, columns: int | None = None, rows: int | None = None) -> tuple[int, int]:
    """The tile that measures best here for a product: (rows, vectors of columns) that it holds.

    columns, rows: of the product, None where they are not known. Measured on a matrix product of 512 with AVX-512 (Zen 4, one core, OpenBLAS
    88 to 95 GFLOP/s): 8x2 98, 12x2 100 to 103, 14x2 100 to 102, 6x4 95 to 100, 14x1 90; 7x4 spills: 36.
    """
    from flowc.codegen.host import vector_bytes

    most = {64: 12, 32: 6}.get(vector_bytes(), 6)
    vectors = 2 if columns is None else min(2, -(-columns // lanes(dtype)))
    if vectors == 1:
        most += 2
    if rows is None:
        return most, vectors
    parts = -(-rows // most)  # rows in equal parts: 13 as 7 and 6, not 12 and 1
    return max(1, -(-rows // parts)), vectors


def tile_name(dtype: str, mr: int, nv: int) -> str:
    """The LLVM function's name."""
    return f"flowc_tile_{dtype}_{mr}x{nv}x{lanes(dtype)}"


def tile_text(dtype: str, mr: int, nv: int) -> str:
    """LLVM text of one tile: (c, a, b: ptr, then the whole numbers of PARAMETERS as i64, accumulate as i1)."""
    n = lanes(dtype)
    element, size = {"f32": ("float", 4), "f64": ("double", 8)}[dtype]
    vector, mask = f"<{n} x {element}>", f"<{n} x i1>"
    suffix = f"v{n}{dtype}"
    load = f"i32 {size}, {mask}"
    cells = [(i, v) for i in range(mr) for v in range(nv)]
    lines: list[str] = []
    put = lines.append

    def splat(name: str, value: str, kind: str, whole: str) -> None:
        put(f"  %{name}.one = insertelement {whole} poison, {kind} {value}, i64 0")
        put(f"  %{name} = shufflevector {whole} %{name}.one, {whole} poison, <{n} x i32> zeroinitializer")

    put(f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})")
    put(f"declare {vector} @llvm.masked.load.{suffix}.p0(ptr, i32, {mask}, {vector})")
    put(f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, {mask})")
    put(f"define linkonce_odr hidden void @{tile_name(dtype, mr, nv)}(ptr %c, ptr noalias readonly %a, ptr noalias readonly %b, i64 %rows, "
        "i64 %columns, i64 %outer, i64 %inner, i64 %c_row, i64 %a_row, i64 %a_outer, i64 %a_inner, i64 %b_outer, i64 %b_inner, "
        "i1 %accumulate) noinline nounwind {")
    put("entry:")
    put("  %last_row = sub i64 %rows, 1")
    splat("column_count", "%columns", "i64", f"<{n} x i64>")
    splat("adding", "%accumulate", "i1", mask)
    for v in range(nv):
        numbers = ", ".join(f"i64 {v * n + lane}" for lane in range(n))
        put(f"  %in{v} = icmp slt <{n} x i64> <{numbers}>, %column_count")
    for i in range(mr):
        put(f"  %has{i} = icmp slt i64 {i}, %rows")
        put(f"  %row{i} = select i1 %has{i}, i64 {i}, i64 %last_row")
        put(f"  %a_from{i} = mul i64 %row{i}, %a_row")
        put(f"  %a{i} = getelementptr {element}, ptr %a, i64 %a_from{i}")
        put(f"  %c_from{i} = mul i64 %row{i}, %c_row")
        put(f"  %c{i} = getelementptr {element}, ptr %c, i64 %c_from{i}")
        splat(f"live{i}", f"%has{i}", "i1", mask)
        for v in range(nv):
            put(f"  %c{i}_{v} = getelementptr {element}, ptr %c{i}, i64 {v * n}")
            put(f"  %m{i}_{v} = and {mask} %in{v}, %live{i}")
            put(f"  %start_mask{i}_{v} = and {mask} %m{i}_{v}, %adding")
            held = f"ptr %c{i}_{v}, {load} %start_mask{i}_{v}, {vector} zeroinitializer"
            put(f"  %start{i}_{v} = call {vector} @llvm.masked.load.{suffix}.p0({held})")
    put(f"  %full = icmp sge i64 %columns, {nv * n}")
    put("  %some_outer = icmp sgt i64 %outer, 0")
    put("  %some_inner = icmp sgt i64 %inner, 0")
    put("  %some = and i1 %some_outer, %some_inner")
    put("  br i1 %some, label %choose, label %finish")
    put("choose:")
    put("  br i1 %full, label %whole.outer, label %part.outer")
    for path in ("whole", "part"):
        put(f"{path}.outer:")
        put(f"  %{path}.r = phi i64 [ 0, %choose ], [ %{path}.r.next, %{path}.outer.end ]")
        put(f"  %{path}.a_start = phi i64 [ 0, %choose ], [ %{path}.a_start.next, %{path}.outer.end ]")
        put(f"  %{path}.b_start = phi ptr [ %b, %choose ], [ %{path}.b_start.next, %{path}.outer.end ]")
        for i, v in cells:
            put(f"  %{path}.s{i}_{v} = phi {vector} [ %start{i}_{v}, %choose ], [ %{path}.f{i}_{v}, %{path}.outer.end ]")
        put(f"  br label %{path}.inner")
        put(f"{path}.inner:")
        put(f"  %{path}.k = phi i64 [ 0, %{path}.outer ], [ %{path}.k.next, %{path}.inner ]")
        put(f"  %{path}.a_at = phi i64 [ %{path}.a_start, %{path}.outer ], [ %{path}.a_at.next, %{path}.inner ]")
        put(f"  %{path}.b_at = phi ptr [ %{path}.b_start, %{path}.outer ], [ %{path}.b_at.next, %{path}.inner ]")
        for i, v in cells:
            put(f"  %{path}.t{i}_{v} = phi {vector} [ %{path}.s{i}_{v}, %{path}.outer ], [ %{path}.f{i}_{v}, %{path}.inner ]")
        for v in range(nv):
            put(f"  %{path}.pb{v} = getelementptr {element}, ptr %{path}.b_at, i64 {v * n}")
            if path == "whole":
                put(f"  %{path}.b{v} = load {vector}, ptr %{path}.pb{v}, align {size}")
            else:
                put(f"  %{path}.b{v} = call {vector} @llvm.masked.load.{suffix}.p0(ptr %{path}.pb{v}, {load} %in{v}, {vector} zeroinitializer)")
        for i in range(mr):
            put(f"  %{path}.pa{i} = getelementptr {element}, ptr %a{i}, i64 %{path}.a_at")
            put(f"  %{path}.x{i} = load {element}, ptr %{path}.pa{i}, align {size}")
            splat(f"{path}.w{i}", f"%{path}.x{i}", element, vector)
            for v in range(nv):
                put(f"  %{path}.f{i}_{v} = call {vector} @llvm.fma.{suffix}({vector} %{path}.w{i}, {vector} %{path}.b{v}, {vector} %{path}.t{i}_{v})")
        put(f"  %{path}.k.next = add i64 %{path}.k, 1")
        put(f"  %{path}.a_at.next = add i64 %{path}.a_at, %a_inner")
        put(f"  %{path}.b_at.next = getelementptr {element}, ptr %{path}.b_at, i64 %b_inner")
        put(f"  %{path}.k.more = icmp slt i64 %{path}.k.next, %inner")
        put(f"  br i1 %{path}.k.more, label %{path}.inner, label %{path}.outer.end")
        put(f"{path}.outer.end:")
        put(f"  %{path}.r.next = add i64 %{path}.r, 1")
        put(f"  %{path}.a_start.next = add i64 %{path}.a_start, %a_outer")
        put(f"  %{path}.b_start.next = getelementptr {element}, ptr %{path}.b_start, i64 %b_outer")
        put(f"  %{path}.r.more = icmp slt i64 %{path}.r.next, %outer")
        put(f"  br i1 %{path}.r.more, label %{path}.outer, label %finish")
    put("finish:")
    for i, v in cells:
        put(f"  %done{i}_{v} = phi {vector} [ %start{i}_{v}, %entry ], [ %whole.f{i}_{v}, %whole.outer.end ], [ %part.f{i}_{v}, %part.outer.end ]")
    for i, v in cells:
        put(f"  call void @llvm.masked.store.{suffix}.p0({vector} %done{i}_{v}, ptr %c{i}_{v}, i32 {size}, {mask} %m{i}_{v})")
    put("  ret void")
    put("}")
    return "\n".join(lines) + "\n"
