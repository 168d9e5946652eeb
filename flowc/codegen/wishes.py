"""What LLVM is asked to make of innermost loops: how many vectors it takes at a time, whether a loop is left, in the words of its metadata.

    br i1 %more, label %loop, label %done   ->   br i1 %more, label %loop, label %done, !llvm.loop !900000
                                                 !900000 = distinct !{!900000, !{!"llvm.loop.interleave.count", i32 4}}

LLVM guesses these from tables for many processors and programs; kernels are few kinds of loops, and what is best for each was measured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_BRANCH = re.compile(r'^  br (?:i1 [^,]+, )?label %"([^"]+)"(?:, label %"([^"]+)")?')
_FUNCTION_OF_FLOATS = re.compile(r'call (?:float|double) @"?\w+_f(?:32|64)"?\(')
_ELEMENT_STORED = re.compile(r'  store (?:float|double) .*, (?:float|double)\* %"\.\d')  # variables have names, places of elements numbers
_STORED = re.compile(r'  store .*\* %"\.\d')  # any element
_PLACE = re.compile(r'  %"(\.\d+)" = getelementptr inbounds \w+, \w+\* %"([^"]+)"')
_STORED_AT, _LOADED_AT = re.compile(r'  store .*\* %"(\.\d+)"'), re.compile(r'  %"[^"]+" = load .*\* %"(\.\d+)"')
_TRIPS = re.compile(r'  %"[^"]+" = icmp slt i64 %"[^"]+", (\d+)$')
_JOINED = re.compile(r"fadd reassoc|call nsz (?:reassoc )?\w+ @\"?llvm\.(?:fmuladd|maximum|minimum)|select nnan nsz")
_LOOP = 900_000  # the number of the loops' metadata, beyond those of any module
BRIEF = 32  # lines of a loop whose own steps, counting and branching, are a good part of it
FEW = 64  # elements of a loop that LLVM might take apart
WHOLE = range(17, 257)  # elements of a brief loop that becomes vectors without a loop, the last of them cut off


class Wish(NamedTuple):
    """What LLVM is asked to make of a loop. vectors: taken at a time, None as LLVM likes; whole: no loop is left, and the last vector is cut off
    by a mask; rolled: not taken apart before into single elements, as LLVM does with few of them, nor into more vectors afterwards."""

    vectors: int | None
    whole: bool = False
    rolled: bool = False

    def metadata(self, number: int) -> list[str]:
        """The lines of the module that say so, numbered from `number`."""
        parts = [] if self.vectors is None else [f'!{{!"llvm.loop.interleave.count", i32 {self.vectors}}}']
        if self.whole:
            parts += [
                '!{!"llvm.loop.vectorize.predicate.enable", i1 true}',
                '!{!"llvm.loop.vectorize.followup_vectorized", !{!"llvm.loop.unroll.full"}}',
            ]
        if self.rolled:
            parts.append('!{!"llvm.loop.unroll.disable"}')
        return [f"!{number} = distinct !{{!{number}, {', '.join(parts)}}}"]


SUMMED, AROUND = Wish(4, rolled=True), Wish(None, rolled=True)  # long sums, and the loops around them


def with_wishes(text: str, width: int = 512) -> str:
    """LLVM text in which innermost loops say what they want of LLVM's passes. width: bits of a vector.

    Those that call a function of `vmath` take two vectors at a time: such a function is one long chain of operations, each waiting for the one
    before. LLVM leaves so long a loop alone, and a processor cannot look far enough ahead to begin the next chain. Fewer elements than two
    vectors of 512 bits are one or two that are cut off, not single ones.

    Brief ones that store floats take four: a brief loop spends a fifth of its instructions on itself. Brief loops of a known number of elements
    that is no multiple of the vectors become vectors only. A reduction's rest would be added up a second time, across one more vector; what is
    stored would be computed element by element, and cut off vectors of 512 bits are as fast as whole ones (others are not: they store with no
    mask, or slowly).

    Sums of few elements would become single additions, each waiting for the one before. Long sums stay loops, and so do the loops around them: a
    processor fetches ahead for a load that goes through memory in equal steps, not for sixty loads that each go from row to row (rows of 1000
    in the second cache: 3.0 us and 2.0 us for 100).

    A loop is a branch to a block that stands before it.
    """
    result: list[str] = []
    used: dict[Wish, int] = {}
    blocks: dict[str, int] = {}
    end = summed = 0  # of the last loop, and of the last long sum
    for line in text.splitlines():
        branch = _BRANCH.match(line)
        if line.startswith("define"):
            blocks, end, summed = {}, len(result), 0
        elif line.endswith(":"):
            blocks[line[:-1].strip('"')] = len(result)
        elif branch is not None and (back := [blocks[name] for name in branch.groups() if name in blocks]):
            is_inner = back[0] >= end
            wish = _wish(result[back[0] :], width) if is_inner else AROUND if back[0] < summed else None
            if wish is SUMMED:
                summed = len(result)
            if wish is not None:
                line += f", !llvm.loop !{used.setdefault(wish, _LOOP + len(used))}"
            end = len(result)
        result.append(line)
    for wish, number in used.items():
        result += wish.metadata(number)
    return "\n".join(result)


def _wish(loop: Sequence[str], width: int) -> Wish | None:
    """What an innermost loop is to become; None leaves it to LLVM."""
    trips = next((int(found[1]) for line in loop if (found := _TRIPS.match(line))), 0)
    if any(_FUNCTION_OF_FLOATS.search(line) for line in loop):
        return Wish(1, whole=True, rolled=True) if 0 < trips < 32 and width == 512 else Wish(2)
    is_cut = trips in WHOLE and bool(trips % 16)
    stores = any(_ELEMENT_STORED.match(line) for line in loop)
    rolled = stores and 0 < trips <= FEW and (trips % (width // 32) == 0 or trips >= width // 16)
    if len(loop) > BRIEF:
        return Wish(1, rolled=True) if rolled else None
    if stores:
        is_whole = is_cut and width == 512 and not _rewrites(loop)
        return Wish(1, whole=True, rolled=trips <= FEW) if is_whole else Wish(4, rolled=rolled)
    reduces = any(_JOINED.search(line) for line in loop) and not any(_STORED.match(line) for line in loop)
    if reduces and trips > WHOLE[-1]:
        return SUMMED
    if reduces and (is_cut or trips in range(16, FEW + 1)):
        return Wish(1 if trips % 32 == 16 else 2, whole=True, rolled=trips <= FEW)
    return None


def _rewrites(loop: Sequence[str]) -> bool:
    """Whether a loop reads what it writes to: a cut off vector has to wait until what was stored in other pieces is in the cache."""
    places = {found[1]: found[2] for line in loop if (found := _PLACE.match(line))}
    touched = [{places.get(found[1]) for line in loop if (found := access.match(line))} for access in (_STORED_AT, _LOADED_AT)]
    return bool(touched[0] & touched[1])


__all__ = ["with_wishes"]
