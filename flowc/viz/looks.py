"""How each kind of box, line and scope looks, on light and on dark: shapes differ, not colours alone, for those who do not see these.

    LOOKS[Kind.VARIABLE].shape     # cylinder;   PALETTES["dark"].of(Kind.VARIABLE)   ->   ("#4a3212", "#ffb74d")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowc.viz.model import Kind


@dataclass(frozen=True)
class Look:
    """A shape of Graphviz's with its style; told: how the legend calls it."""

    shape: str
    style: str = "filled"
    told: str = ""


LOOKS: dict[Kind, Look] = {
    Kind.PLACEHOLDER: Look("invhouse", told="pointed box"),
    Kind.VARIABLE: Look("cylinder"),
    Kind.CONSTANT: Look("ellipse"),
    Kind.RANDOM: Look("hexagon"),
    Kind.OP: Look("box", "rounded,filled", "rounded box"),
    Kind.ASSIGNMENT: Look("parallelogram"),
    Kind.GRADIENT: Look("box"),
    Kind.OPTIMIZER: Look("octagon"),
    Kind.INIT: Look("note", "filled,dashed", "folded corner"),
    Kind.SUMMARY: Look("tab", told="box with a tab"),
    Kind.SAVER: Look("trapezium"),
    Kind.SCOPE: Look("folder", "filled", "folder"),
    Kind.OUTSIDE: Look("box", "rounded,dashed", "dashed box"),
}
STACK = "box3d"  # the shape of a series


@dataclass(frozen=True)
class Palette:
    """Colours: paper, text, pale text and lines, the outline of scopes and what fills them; for each kind what fills its boxes, and their outline."""

    paper: str
    ink: str
    pale: str
    faint: str
    scope: tuple[str, str]
    kinds: Mapping[Kind, tuple[str, str]]

    def of(self, kind: Kind) -> tuple[str, str]:
        return self.kinds[kind]

    def tinted(self, kind: Kind | None) -> tuple[str, str]:
        """What fills a scope of a kind, hardly to be seen, and its outline."""
        return self.scope if kind is None else (f"{self.kinds[kind][0]}40", self.kinds[kind][1])


PALETTES: dict[str, Palette] = {
    "light": Palette(
        "#ffffff", "#263238", "#607d8b", "#b0bec5", ("#00000008", "#90a4ae"),
        {
            Kind.PLACEHOLDER: ("#bbdefb", "#1565c0"),
            Kind.VARIABLE: ("#ffe0b2", "#e65100"),
            Kind.CONSTANT: ("#eceff1", "#78909c"),
            Kind.RANDOM: ("#e1bee7", "#7b1fa2"),
            Kind.OP: ("#ffffff", "#455a64"),
            Kind.ASSIGNMENT: ("#ffccbc", "#bf360c"),
            Kind.GRADIENT: ("#ffcdd2", "#c62828"),
            Kind.OPTIMIZER: ("#c8e6c9", "#2e7d32"),
            Kind.INIT: ("#fff9c4", "#827717"),
            Kind.SUMMARY: ("#b2ebf2", "#00838f"),
            Kind.SAVER: ("#d7ccc8", "#5d4037"),
            Kind.SCOPE: ("#f5f7f8", "#607d8b"),
            Kind.OUTSIDE: ("#ffffff", "#90a4ae"),
        },
    ),
    "dark": Palette(
        "#11171c", "#e3e9ec", "#93a6b0", "#475862", ("#ffffff0c", "#5b707c"),
        {
            Kind.PLACEHOLDER: ("#123a5c", "#64b5f6"),
            Kind.VARIABLE: ("#4a3212", "#ffb74d"),
            Kind.CONSTANT: ("#2a343a", "#90a4ae"),
            Kind.RANDOM: ("#41204a", "#ce93d8"),
            Kind.OP: ("#1c252b", "#b0bec5"),
            Kind.ASSIGNMENT: ("#502416", "#ff8a65"),
            Kind.GRADIENT: ("#4c1d22", "#ef7b7b"),
            Kind.OPTIMIZER: ("#1c3d22", "#81c784"),
            Kind.INIT: ("#3d3a17", "#d4cb5e"),
            Kind.SUMMARY: ("#0f3b41", "#4dd0e1"),
            Kind.SAVER: ("#3a2d28", "#bcaaa4"),
            Kind.SCOPE: ("#232e35", "#93a6b0"),
            Kind.OUTSIDE: ("#11171c", "#6f8490"),
        },
    ),
}  # fmt: skip
