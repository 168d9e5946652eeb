"""LLVM text -> object code: each kernel is a unit of its own, and other processes emit some while this one still translates the next.

    with Emission(level=3, kernels=22) as emission:
        emission.add(Unit("k0", "define void @k0(...) ...", texts_that_it_calls))
        ...
        codes = emission.finish()              # {"k0": object code, ...}

llvmlite lets one thread into LLVM at a time, and Numba holds the interpreter's lock, so only another process helps. It imports llvmlite and
nothing else, and is ready before Numba is. Units wait in one line, the longest first, since the last one to be done decides; the helpers take
them as they come free, and this process too once it has nothing left to translate. Whatever happens to a helper, its unit is emitted here.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from flowc.codegen.ahead import cores, python

UNITS_FOR_A_HELPER = 4  # kernels that must be there for another process to bring more than its start costs
COMMAND = "from flowc.codegen.emission import serve; serve()"
END = (1, "")  # behind all units, which wait as (-length, name)
MOST_HELPERS = 2  # one process translates; more helpers than two have nothing to do


class Unit(NamedTuple):
    """name: of the function that others call; text: LLVM; parts: LLVM texts that are linked in; plain: it is nothing but calls, on which
    LLVM's passes would spend time that grows with the square of their number; others: more functions that are called from outside."""

    name: str
    text: str
    parts: tuple[str, ...] = ()
    plain: bool = False
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.name, *self.others

    def called(self, names: Mapping[str, str]) -> Unit:
        """The same functions under other names."""
        text = self.text
        for old in self.names:
            if old in names:
                text = text.replace(f'@"{old}"', f'@"{names[old]}"')
        name, *others = (names.get(old, old) for old in self.names)
        return self._replace(name=name, text=text, others=tuple(others))


_DEFINITION = r"(?m)^(define [^\n]*\))([^()\n]*)$"


def with_width(text: str, width: int) -> str:
    """LLVM prefers 256-bit vectors on many processors that have 512; say what width is wanted."""
    marked = re.sub(_DEFINITION, lambda m: f"{m[1]} #0 {m[2]}", text)
    return f'{marked}\nattributes #0 = {{ "prefer-vector-width"="{width}" }}\n'


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
WHOLE = range(33, 257)  # elements of a brief loop that becomes vectors without a loop, the last of them cut off


class Wish(NamedTuple):
    """What LLVM is asked to make of a loop. vectors: taken at a time; whole: no loop is left, and the last vector is cut off by a mask; rolled:
    not taken apart into single elements before, as LLVM does with few of them."""

    vectors: int
    whole: bool = False
    rolled: bool = False

    def metadata(self, number: int) -> list[str]:
        """The lines of the module that say so, numbered from `number`."""
        parts = [f'!{{!"llvm.loop.interleave.count", i32 {self.vectors}}}']
        if self.whole:
            parts += [
                '!{!"llvm.loop.vectorize.predicate.enable", i1 true}',
                '!{!"llvm.loop.vectorize.followup_vectorized", !{!"llvm.loop.unroll.full"}}',
            ]
        if self.rolled:
            parts.append('!{!"llvm.loop.unroll.disable"}')
        return [f"!{number} = distinct !{{!{number}, {', '.join(parts)}}}"]


def interleaved(text: str, width: int = 512) -> str:
    """LLVM text in which innermost loops say what they want of LLVM's passes. width: bits of a vector.

    Those that call a function of `vmath` take two vectors at a time: such a function is one long chain of operations, each waiting for the one
    before. LLVM leaves so long a loop alone, and a processor cannot look far enough ahead to begin the next chain. Brief ones that store floats
    take four: a brief loop spends a fifth of its instructions on itself. Brief loops of a known number of elements that is no multiple of the
    vectors become vectors only. A reduction's rest would be added up a second time, across one more vector; what is stored would be computed
    element by element, and cut off vectors of 512 bits are as fast as whole ones (others are not: they store with no mask, or slowly).
    A loop is a branch to a block that stands before it.
    """
    result: list[str] = []
    used: dict[Wish, int] = {}
    blocks: dict[str, int] = {}
    end = 0  # of the last loop
    for line in text.splitlines():
        branch = _BRANCH.match(line)
        if line.startswith("define"):
            blocks, end = {}, len(result)
        elif line.endswith(":"):
            blocks[line[:-1].strip('"')] = len(result)
        elif branch is not None and (back := [blocks[name] for name in branch.groups() if name in blocks]):
            wish = _wish(result[back[0] :], width) if back[0] >= end else None
            if wish is not None:
                line += f", !llvm.loop !{used.setdefault(wish, _LOOP + len(used))}"
            end = len(result)
        result.append(line)
    for wish, number in used.items():
        result += wish.metadata(number)
    return "\n".join(result)


def _wish(loop: Sequence[str], width: int) -> Wish | None:
    """What an innermost loop is to become; None leaves it to LLVM."""
    if any(_FUNCTION_OF_FLOATS.search(line) for line in loop):
        return Wish(2)
    trips = next((int(found[1]) for line in loop if (found := _TRIPS.match(line))), 0)
    is_cut = trips in WHOLE and bool(trips % 16)
    stores = any(_ELEMENT_STORED.match(line) for line in loop)
    rolled = stores and 0 < trips <= FEW and trips % (width // 32) == 0
    if len(loop) > BRIEF:
        return Wish(1, rolled=True) if rolled else None
    if stores:
        is_whole = is_cut and width == 512 and not _rewrites(loop)
        return Wish(1, whole=True) if is_whole else Wish(4, rolled=rolled)
    reduces = any(_JOINED.search(line) for line in loop) and not any(_STORED.match(line) for line in loop)
    return Wish(2, whole=True) if reduces and is_cut else None


def _rewrites(loop: Sequence[str]) -> bool:
    """Whether a loop reads what it writes to: a cut off vector has to wait until what was stored in other pieces is in the cache."""
    places = {found[1]: found[2] for line in loop if (found := _PLACE.match(line))}
    touched = [{places.get(found[1]) for line in loop if (found := access.match(line))} for access in (_STORED_AT, _LOADED_AT)]
    return bool(touched[0] & touched[1])


def linked(units: Sequence[Unit], width: int, public: Sequence[str]) -> Any:
    """Units as one LLVM module, not yet optimised; only the functions named in `public` can be called from outside."""
    import llvmlite.binding as llvm

    texts = dict.fromkeys(text for unit in units for text in (interleaved(unit.text, width), *unit.parts))
    context = llvm.create_context()  # LLVM's own is for one thread at a time
    first, *others = [llvm.parse_assembly(with_width(text, width), context) for text in texts]
    for other in others:
        first.link_in(other)
    for function in first.functions:
        if not function.is_declaration and function.name not in public:
            function.linkage = "internal"
    return first


def optimise(module: Any, machine: Any, level: int) -> None:
    """LLVM's standard pipeline, once over the whole module.

    Several vectors at a time bring something only to sums, which otherwise wait for each addition (1 M elements: 148 us and 95 us); elsewhere
    they take LLVM a third more time, and short loops never reach them.
    """
    import llvmlite.binding as llvm

    from flowc.codegen.host import triple

    module.triple = triple()
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = options.loop_unrolling = level > 1
    options.slp_vectorization = level > 2
    options.loop_interleaving = level > 2 or (level > 1 and " reassoc " in str(module))
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def emit(unit: Unit, level: int, width: int) -> bytes:
    """Object code of a unit."""
    from flowc.codegen.host import target_machine

    level = 0 if unit.plain else level
    machine = target_machine(level)
    module = linked([unit], width, unit.names)
    optimise(module, machine, level)
    code: bytes = machine.emit_object(in_order(module))
    return code


def in_order(module: Any) -> Any:
    """An optimised module whose sums are added up in the order that they have now.

    Free to change it, the code generator makes a tree of a short sum, or does not, by what stands around. So of two rows the one that goes through
    a vector of rows would differ from the one that is left over, and which is which depends on the number of threads.
    """
    import llvmlite.binding as llvm

    text = str(module)
    return llvm.parse_assembly(text.replace("= fadd reassoc", "= fadd"), llvm.create_context()) if "= fadd reassoc" in text else module


class Emission:
    """One program's units on their way to object code. kernels: how many will come; level, width: as `flags` of `build.compile_source`."""

    def __init__(self, level: int, width: int, kernels: int) -> None:
        self.level, self.width = level, width
        self._units: dict[str, Unit] = {}
        self._codes: dict[str, bytes] = {}
        self._waiting: queue.PriorityQueue[tuple[int, str]] = queue.PriorityQueue()  # the longest text first
        self._helpers: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        for _ in range(helpers(kernels)):
            self._start()

    def add(self, unit: Unit) -> None:
        """Put a unit in the line; one that is there already has the same code."""
        if unit.name not in self._units:
            self._units[unit.name] = unit
            self._waiting.put((-len(unit.text), unit.name))

    def finish(self) -> dict[str, bytes]:
        """Object code of every unit, by its name. Raises what LLVM says of one that it refuses."""
        for _ in self._threads:
            self._waiting.put(END)
        while (unit := self._next()) is not None:
            self._codes[unit.name] = emit(unit, self.level, self.width)
        for thread in self._threads:
            thread.join()
        for name, unit in self._units.items():
            if name not in self._codes:  # its helper failed
                self._codes[name] = emit(unit, self.level, self.width)
        return {name: self._codes[name] for name in self._units}

    def _next(self) -> Unit | None:
        """A unit that nobody has taken; None where there is none. The helpers' ends of work stay in the line."""
        try:
            waiting = self._waiting.get_nowait()
        except queue.Empty:
            return None
        if waiting == END:
            self._waiting.put(END)
            return None
        return self._units[waiting[1]]

    def _start(self) -> None:
        helper = python(COMMAND, stdin=subprocess.PIPE)
        if helper is None:
            return
        thread = threading.Thread(target=self._feed, args=(helper,), name="flowc-emission", daemon=True)
        self._helpers.append(helper)
        self._threads.append(thread)
        thread.start()

    def _feed(self, helper: subprocess.Popen[bytes]) -> None:
        """Give a helper one unit after the other; end with the line, or with the helper."""
        assert helper.stdin is not None and helper.stdout is not None
        while (waiting := self._waiting.get()) != END:
            unit = self._units[waiting[1]]
            try:
                marshal.dump((*unit, self.level, self.width), helper.stdin)
                helper.stdin.flush()
                answer = marshal.load(helper.stdout)
            except (OSError, EOFError, ValueError, TypeError):
                return
            if isinstance(answer, bytes):
                self._codes[unit.name] = answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for helper in self._helpers:
            helper.kill()
        for _ in self._threads:
            self._waiting.put(END)
        for thread in self._threads:
            thread.join()
        for helper in self._helpers:
            assert helper.stdin is not None and helper.stdout is not None
            helper.wait()
            helper.stdout.close()
            with contextlib.suppress(OSError):
                helper.stdin.close()


def helpers(kernels: int) -> int:
    """How many other processes to start for so many kernels: none where there is one core, or little to do."""
    return max(0, min(cores() - 1, kernels // UNITS_FOR_A_HELPER, MOST_HELPERS))


def serve() -> None:
    """A helper's life: units from standard input, object code to standard output, until the input ends."""
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not stand between answers
    while True:
        try:
            *unit, level, width = marshal.load(source)
        except (EOFError, ValueError, TypeError):
            return
        try:
            answer: Any = emit(Unit(*unit), level, width)
        except Exception as error:  # emitted again by who asked, where it can be raised
            answer = str(error)
        marshal.dump(answer, target)
        target.flush()
