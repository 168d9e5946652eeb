"""What every printer of source shares: statements and expressions of the loop IR as Python text.

    let t = x[i] * 2.0;  out[i] = max(t, 0.0)   ->   t = x[i] * f32(2.0)
                                                    out[i] = maximum(t, f32(0.0))

A back end's printer (`cpu.Printer`, `cuda.Printer`) adds what differs: loops, barriers, tiles, arrays, and the names of functions.
"""

from __future__ import annotations

import math

from flowc.ir import loops
from flowc.ir.loops import Alloc, Apply, Barrier, Cast, Comment, Const, Expr, For, If, Let, Load, Select, Statement, Store, Tile, Transform, Var
from flowc.ir.types import I64, DType


class SourcePrinter:
    """Prints statements line by line; remembers which names the text uses beside its own."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.constants: set[str] = set()
        self.lines: list[str] = []
        self.registers: dict[str, DType] = {}

    def define(self, name: str, args: list[str], body: tuple[Statement, ...]) -> str:
        """The text of one function."""
        self.lines, self.registers = [], {}
        self.lines.append(f"def {name}({', '.join(args)}):")
        self.body(body, 1)
        if len(self.lines) == 1:
            self.line(1, "pass")
        return "\n".join(self.lines)

    def line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def use(self, name: str) -> str:
        self.used.add(name)
        return name

    # what a back end spells its own way

    def loop(self, s: For, depth: int) -> None:
        raise NotImplementedError

    def array(self, s: Alloc) -> str:
        """The expression that makes a local or shared array."""
        raise NotImplementedError

    def barrier(self) -> str:
        raise NotImplementedError

    def tile(self, s: Tile, depth: int) -> None:
        raise NotImplementedError

    def transform(self, s: Transform, depth: int) -> None:
        raise NotImplementedError

    def call(self, e: Apply) -> str:
        """A function that is no operator."""
        raise NotImplementedError

    # statements

    def body(self, statements: tuple[Statement, ...], depth: int) -> None:
        for statement in statements:
            self.statement(statement, depth)

    def statement(self, s: Statement, depth: int) -> None:
        match s:
            case Comment():
                self.line(depth, f"# {s.text}")
            case Let():
                self.line(depth, f"{s.name} = {self.index(s.value)}")
            case Alloc(size=None):
                assert s.init is not None
                self.registers[s.name] = s.dtype
                self.line(depth, f"{s.name} = {self.expr(s.init)}")
            case Alloc():
                self.line(depth, f"{s.name} = {self.array(s)}")
            case Store():
                self.store(s, depth)
            case For():
                self.loop(s, depth)
            case If():
                self.line(depth, f"if {self.expr(s.condition)}:")
                self.body(s.body, depth + 1)
                if s.orelse:
                    self.line(depth, "else:")
                    self.body(s.orelse, depth + 1)
            case Barrier():
                self.line(depth, self.barrier())
            case Tile():
                self.tile(s, depth)
            case Transform():
                self.transform(s, depth)
            case _:
                raise TypeError(f"the loop IR has no form of {s!r}")

    def plain_loop(self, s: For, bounds: str, depth: int) -> None:
        self.line(depth, f"for {s.var} in range({bounds}):")
        if s.body:
            self.body(s.body, depth + 1)
        else:
            self.line(depth + 1, "pass")

    def bounds(self, s: For) -> str:
        """The arguments of `range` for a loop that runs from start to stop."""
        stop = self.index(s.stop)
        return stop if isinstance(s.start, Const) and s.start.value == 0 else f"{self.index(s.start)}, {stop}"

    def store(self, s: Store, depth: int) -> None:
        target = s.buffer if s.index is None else f"{s.buffer}[{self.index(s.index)}]"
        value = s.value
        if s.combine is not None:
            pair = (Var(target, s.value.dtype), s.value)
            # an extreme that may be what memory holds already becomes a masked store, which is slow: that side stands second
            value = loops.apply(s.combine, *(pair[::-1] if s.index is not None and s.combine in ("min", "max", "larger") else pair))
        self.line(depth, f"{target} = {self.index(value)}")

    # expressions

    def index(self, e: Expr) -> str:
        """An expression at the outermost level: no parentheses around it."""
        text = self.expr(e)
        if text.startswith("(") and _closes_at_end(text):
            return text[1:-1]
        return text

    def expr(self, e: Expr) -> str:
        match e:
            case Const():
                return self.constant(e)
            case Var():
                return e.name
            case Load():
                return self.load(e)
            case Select():
                return f"({self.expr(e.yes)} if {self.index(e.condition)} else {self.expr(e.no)})"
            case Cast():
                return self.cast(e)
            case Apply():
                return self.application(e)
        raise TypeError(f"the loop IR has no form of {e!r}")

    def load(self, e: Load) -> str:
        return f"{e.buffer}[{self.index(e.index)}]"

    def constant(self, e: Const) -> str:
        if e.dtype is I64 or e.dtype.is_bool:
            return repr(e.value)
        value = e.value
        if isinstance(value, float) and not math.isfinite(value):
            name = "nan" if math.isnan(value) else "inf"
            self.constants.add(name)
            text = name if value != -math.inf else "-inf"
        else:
            text = repr(float(str(e.dtype.numpy.type(value)))) if e.dtype.is_float else repr(value)
        return f"{self.use(e.dtype.name)}({text})"

    def cast(self, e: Cast) -> str:
        if e.dtype.is_bool:
            return f"({self.expr(e.x)} != {self.constant(loops.lift(0, e.x.dtype))})"  # type: ignore[arg-type]
        return f"{self.use(e.dtype.name)}({self.index(e.x)})"

    def application(self, e: Apply) -> str:
        sign = loops.INFIX.get(e.function)
        if sign is not None and not (e.function in ("floordiv", "mod") and e.dtype.is_float):
            text = f"({self.side(e, 0)} {sign} {self.side(e, 1)})"
            # Python integers and Numba's promote; narrow ones are cut back to their own width
            return f"{self.use(e.dtype.name)}{text}" if e.dtype.is_int and e.dtype is not I64 and e.function not in ("and", "or") else text
        if e.function == "neg":
            text = f"(-{self.expr(e.args[0])})"
            return f"{self.use(e.dtype.name)}{text}" if e.dtype.is_int and e.dtype is not I64 else text
        if e.function == "not":
            return f"(not {self.expr(e.args[0])})"
        return self.call(e)

    def side(self, e: Apply, position: int) -> str:
        """An operand of an infix application, without parentheses where the binding is plain: `i * 20 + j`."""
        inner = e.args[position]
        text = self.expr(inner)
        product_in_sum = e.function in ("add", "sub") and isinstance(inner, Apply) and inner.function == "mul"
        sum_first = e.function in ("add", "sub") and position == 0 and isinstance(inner, Apply) and inner.function in ("add", "sub")
        if (product_in_sum or sum_first) and text.startswith("(") and _closes_at_end(text):
            return text[1:-1]
        return text


def _closes_at_end(text: str) -> bool:
    """Whether the parenthesis that opens `text` is the one that ends it."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False
