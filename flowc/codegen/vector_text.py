"""LLVM text of functions on vectors, value by value.

    t = VectorText("f32")                        # on a machine with vectors of 8
    with t.loop("j", "%columns", "8") as j:      # j.head: ... phi, icmp, br; j.body:
        t.store(t.load(t.at("%x", j)), t.at("%y", j))
"\n".join(t.lines)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flowc.codegen.host import vector_bytes

ELEMENT = {"f32": ("float", 4), "f64": ("double", 8)}
UNIT = 64  # bytes: what the loops above count columns in, and what lies together in a panel of `b`, whatever the machine's vectors


def lanes(dtype: str) -> int:
    """Numbers of `dtype` (f32 or f64) in a vector register of the host."""
    return vector_bytes() // ELEMENT[dtype][1]


class VectorText:
    """LLVM text under way, for vectors of one dtype. Values are named as they come; `loop` and `when` nest."""

    def __init__(self, dtype: str) -> None:
        self.n = lanes(dtype)
        self.element, self.size = ELEMENT[dtype]
        self.vector, self.mask = f"<{self.n} x {self.element}>", f"<{self.n} x i1>"
        self.suffix = f"v{self.n}{dtype}"
        self.unit = UNIT // self.size
        self.lines: list[str] = []
        self.block = "entry"
        self.count = 0

    def put(self, line: str) -> None:
        self.lines.append(line)

    def label(self, name: str) -> None:
        self.put(f"{name}:")
        self.block = name

    def value(self, text: str) -> str:
        self.count += 1
        self.put(f"  %v{self.count} = {text}")
        return f"%v{self.count}"

    def add(self, x: str, y: str) -> str:
        return self.value(f"add i64 {x}, {y}")

    def sub(self, x: str, y: str) -> str:
        return self.value(f"sub i64 {x}, {y}")

    def mul(self, x: str, y: str) -> str:
        return self.value(f"mul i64 {x}, {y}")

    def quotient(self, x: str, y: str) -> str:
        return self.value(f"udiv i64 {x}, {y}")

    def compare(self, how: str, x: str, y: str) -> str:
        return self.value(f"icmp {how} i64 {x}, {y}")

    def both(self, *conditions: str) -> str:
        first, *rest = conditions
        for other in rest:
            first = self.value(f"and i1 {first}, {other}")
        return first

    def either(self, x: str, y: str) -> str:
        return self.value(f"or i1 {x}, {y}")

    def choose(self, condition: str, yes: str, no: str, kind: str = "i64") -> str:
        return self.value(f"select i1 {condition}, {kind} {yes}, {kind} {no}")

    def smaller(self, x: str, y: str) -> str:
        return self.choose(self.compare("slt", x, y), x, y)

    def at(self, pointer: str, index: str) -> str:
        return self.value(f"getelementptr {self.element}, ptr {pointer}, i64 {index}")

    @contextmanager
    def loop(self, name: str, stop: str, step: str = "1") -> Iterator[str]:
        """Runs from 0 below `stop`; gives the counter."""
        before, at = self.block, f"%{name}"
        self.put(f"  br label %{name}.head")
        self.label(f"{name}.head")
        self.put(f"  {at} = phi i64 [ 0, %{before} ], [ {at}.next, %{name}.latch ]")
        self.put(f"  {at}.more = icmp slt i64 {at}, {stop}")
        self.put(f"  br i1 {at}.more, label %{name}.body, label %{name}.end")
        self.label(f"{name}.body")
        yield at
        self.put(f"  br label %{name}.latch")
        self.label(f"{name}.latch")
        self.put(f"  {at}.next = add i64 {at}, {step}")
        self.put(f"  br label %{name}.head")
        self.label(f"{name}.end")

    @contextmanager
    def when(self, name: str, condition: str) -> Iterator[None]:
        self.put(f"  br i1 {condition}, label %{name}.yes, label %{name}.done")
        self.label(f"{name}.yes")
        yield
        self.put(f"  br label %{name}.done")
        self.label(f"{name}.done")

    def both_masks(self, x: str, y: str) -> str:
        return self.value(f"and {self.mask} {x}, {y}")

    def splat(self, value: str, kind: str, whole: str) -> str:
        one = self.value(f"insertelement {whole} poison, {kind} {value}, i64 0")
        return self.value(f"shufflevector {whole} {one}, {whole} poison, <{self.n} x i32> zeroinitializer")

    def lanes_below(self, count: str) -> str:
        """The mask of the lanes whose number is below `count`."""
        numbers = ", ".join(f"i64 {lane}" for lane in range(self.n))
        every = self.splat(count, "i64", f"<{self.n} x i64>")
        return self.value(f"icmp slt <{self.n} x i64> <{numbers}>, {every}")

    def load(self, place: str, mask: str = "") -> str:
        if mask:
            arguments = f"ptr {place}, i32 {self.size}, {self.mask} {mask}, {self.vector} zeroinitializer"
            return self.value(f"call {self.vector} @llvm.masked.load.{self.suffix}.p0({arguments})")
        return self.value(f"load {self.vector}, ptr {place}, align {self.size}")

    def store(self, value: str, place: str, mask: str = "") -> None:
        if mask:
            self.put(f"  call void @llvm.masked.store.{self.suffix}.p0({self.vector} {value}, ptr {place}, i32 {self.size}, {self.mask} {mask})")
        else:
            self.put(f"  store {self.vector} {value}, ptr {place}, align {self.size}")
