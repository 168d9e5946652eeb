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
from flowc.codegen.wishes import with_wishes

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


def linked(units: Sequence[Unit], width: int, public: Sequence[str]) -> Any:
    """Units as one LLVM module, not yet optimised; only the functions named in `public` can be called from outside."""
    import llvmlite.binding as llvm

    texts = dict.fromkeys(text for unit in units for text in (with_wishes(unit.text, width), *unit.parts))
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
