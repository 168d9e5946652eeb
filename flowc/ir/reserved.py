"""Names that generated code uses itself: no buffer, variable or extent of a kernel bears one.

A user's variable `exp` is the buffer `exp_1` of its kernels, and an extent declared as `tid` the symbol `tid_`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection

from flowc.ir.loops import FUNCTIONS
from flowc.ir.primitives import TRANSFORMS

_DTYPES = ("bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f16", "f32", "f64")

RESERVED = frozenset(
    {
        *FUNCTIONS, *keyword.kwlist, *_DTYPES,
        "tid", "nthreads", "args", "program", "extent", "barrier", "lower_bound", "upper_bound", "mark",
        "claimed", "first_claim", "next_claim",  # a kernel's own
        "range", "min", "max", "abs", "int", "float", "inf", "nan", "pi", "math", "np", "cuda", "vmath", "vmath_f64",
        "absolute", "add_any_order", "cast", "copysign", "fmod", "larger", "maximum", "minimum", "power", "quotient", "remainder", "rint", "select",
    }
    | {f"{what}_{dtype}" for what in ("local", "pointer", "tile", "tile_ahead", "tiles", *(f"fourier_{kind}" for kind in TRANSFORMS)) for dtype in _DTYPES}
)  # fmt: skip
_NUMBERED = re.compile(r"k\d+(_.*[^_])?$|team_\d+$")  # kernels (a name that ends in an underscore is none's), and how many threads share each


def is_reserved(name: str) -> bool:
    """Whether generated code may use the name itself: its functions, kernels (`k0_relu`) and their teams (`team_0`)."""
    return name in RESERVED or _NUMBERED.match(name) is not None


def unreserved(name: str, taken: Collection[str] = ()) -> str:
    """`name`, with underscores after it until it is neither reserved nor taken."""
    while is_reserved(name) or name in taken:
        name += "_"
    return name
