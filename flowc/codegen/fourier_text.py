"""The Fourier transforms of 16 numbers as LLVM text, a library compiled once for a machine: straight lines of vector operations, in a loop over the lanes.

    flowc_fourier_complex_f32(out, a, out_step, out_part, a_step, a_part, first, count, lanes)

What lies outside `first` .. `first + count` is read from zeros: 16 choices of an address cost less than a test at each.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from flowc.codegen.butterflies import Number, Part, Straight, Term
from flowc.codegen.host import vector_bytes
from flowc.codegen.vector_text import VectorText
from flowc.ir.primitives import KEPT, MOST_LANES, TRANSFORMED, TRANSFORMS

ZEROS = "@flowc_fourier_zeros"


def function_name(kind: str) -> str:
    """The LLVM function's name."""
    return f"flowc_fourier_{kind}_f32"


class _Vectors:
    """`butterflies.Arithmetic` on vectors."""

    def __init__(self, t: VectorText) -> None:
        self.t = t

    def add(self, x: str, y: str) -> str:
        return self.t.value(f"fadd {self.t.vector} {x}, {y}")

    def sub(self, x: str, y: str) -> str:
        return self.t.value(f"fsub {self.t.vector} {x}, {y}")

    def times(self, x: str, by: float) -> str:
        rounded = struct.unpack("f", struct.pack("f", by))[0]  # LLVM writes a float as the double that it is
        (bits,) = struct.unpack("Q", struct.pack("d", rounded))
        return self.t.value(f"fmul {self.t.vector} {x}, <{', '.join([f'{self.t.element} 0x{bits:016X}'] * self.t.n)}>")


def library_text() -> str:
    """LLVM text of all functions."""
    head = f"{ZEROS} = internal constant [{MOST_LANES} x float] zeroinitializer, align 64"
    attributes = f'attributes #1 = {{ noinline nounwind "prefer-vector-width"="{8 * vector_bytes()}" }}'
    return "\n".join([head, *map(_function_text, TRANSFORMS), attributes]) + "\n"


def _function_text(kind: str) -> str:
    t = VectorText("f32")
    t.put(f"define void @{function_name(kind)}(ptr %out, ptr %a, i64 %out_step, i64 %out_part, i64 %a_step, i64 %a_part, "
          "i64 %first, i64 %count, i64 %lanes) #1 {")  # fmt: skip
    t.put("entry:")
    numbers = KEPT if kind == "to_real" else TRANSFORMED
    places: list[tuple[str, str]] = []  # of each number's parts
    for j in range(numbers):
        place = t.at("%a", t.mul("%a_step", str(j) if kind == "to_real" else t.sub(str(j), "%first")))
        if kind == "to_real":
            places.append((place, t.at(place, "%a_part")))
            continue
        inside = t.compare("ult", t.sub(str(j), "%first"), "%count")
        parts = (place, t.at(place, "%a_part") if kind == "complex" else place)
        chosen = [t.choose(inside, part, ZEROS, "ptr") for part in parts]
        places.append((chosen[0], chosen[1]))
    with t.loop("lane", "%lanes", str(t.n)) as lane:

        def loaded(place: str) -> Part:
            return Term(t.load(t.at(place, lane)))

        def put(x: Part, place: str) -> None:
            value = "zeroinitializer" if x is None else x.value
            t.store(vectors.sub("zeroinitializer", value) if x is not None and x.negative else value, t.at(place, lane))

        vectors = _Vectors(t)
        s = Straight(vectors)
        if kind == "to_real":
            ends = (0, KEPT - 1)  # which are real
            for q, x in enumerate(s.to_real([(loaded(re), None if k in ends else loaded(im)) for k, (re, im) in enumerate(places)])):
                put(x, t.at("%out", t.mul("%out_step", str(q))))
        else:
            found: Sequence[Number] = (
                s.real([loaded(re) for re, _ in places]) if kind == "real" else s.complex([(loaded(re), loaded(im)) for re, im in places])
            )
            for k, (re, im) in enumerate(found):
                place = t.at("%out", t.mul("%out_step", str(k)))
                put(re, place)
                put(im, t.at(place, "%out_part"))
    t.put("  ret void")
    t.put("}")
    return "\n".join(t.lines) + "\n"
