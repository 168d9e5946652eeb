"""What the loop IR's primitives, `Tile` and `Transform`, and the libraries that compute them agree on. Nothing is imported here: the libraries are
written by a process that must start fast.

    fourier_complex(...)     # a Transform of kind TRANSFORMS[1]: TRANSFORMED numbers in each of at most MOST_LANES lanes
"""

from __future__ import annotations

MOST_AHEAD = 3  # buffers that a tile fetches: what an optimizer updates
TRANSFORMS = ("real", "complex", "to_real")  # kinds
TRANSFORMED = 16  # numbers
KEPT = TRANSFORMED // 2 + 1  # frequencies of so many real numbers: the others are their conjugates
MOST_LANES = 64
