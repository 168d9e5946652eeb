"""Every op, in one table: `flowc.ir.op.OPS`. Importing this package fills it; one file per family.

An op is one definition: its operands, attrs, dtype and shape rules, NumPy meaning, gradient, lowering and doc line.
"""

from __future__ import annotations

from flowc.ir.op import OPS
from flowc.ops import contract, control, conv, elementwise, gather, losses, movement, normalize, pool, random, reduce, shapes, slicing, state, summary

__all__ = [
    "OPS", "contract", "control", "conv", "elementwise", "gather", "losses", "movement", "normalize", "pool", "random", "reduce", "shapes",
    "slicing", "state", "summary",
]  # fmt: skip
