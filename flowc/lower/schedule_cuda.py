"""CUDA schedules: a kernel Function becomes one or two launches of loop IR kernels, by its form.

    map      for block_id in block(ceil(n/128)): for thread_id in thread(128): i = block_id*128 + thread_id;  if i < n: every member at i
    rows     a block for each row: threads stride the row, partial results meet in shared memory, one inner loop per level of reductions
    full     launch 1: a block for each chunk leaves a part;  launch 2: one block joins the parts
    columns  launch 1: a thread for each column of each chunk of rows;  launch 2: a thread for each column joins its parts
    other    reductions over axes in the middle: a thread for each result element, with serial loops
    nest     each parallel loop of the op's own loops is one launch, an iteration for each thread (slow, but right); of several nests one after the other

Chunks depend on extents only and parts join in a fixed order, without atomics: every run gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

from flowc.errors import FlowcError
from flowc.ir import loops
from flowc.ir.dims import Dim, Shape, Sym, ceildiv, maximum, minimum, product, symbols
from flowc.ir.function import Function
from flowc.ir.loops import Alloc, Apply, Barrier, Buffer, Comment, Const, Expr, For, If, Kernel, Let, Load, Statement, Store, Tile, Var, extent
from flowc.ir.node import Node
from flowc.ir.op import ArgFold, Fold
from flowc.ir.scalar_text import scalar
from flowc.ir.types import I64, DType
from flowc.lower.element import ZERO, Flat, Index, hint, located, unravel
from flowc.lower.kernel import (
    KernelBuilder,
    Registers,
    begin,
    combine,
    flat_over,
    fold_element,
    free_names,
    is_full,
    levels,
    registers_of,
    result_value,
    row_levels,
    row_sweep,
    spread,
)
from flowc.lower.rename import nest_plan
from flowc.lower.stages import Stages
from flowc.structs import Struct, replace
from flowc.transforms.groups import is_nest, is_reduction, reduction_axes, squeezed

THREADS = 128  # of a block whose threads have an element each
MOST_THREADS = 256  # of a block that reduces
ONE_BLOCK = 4096  # a static full reduction of at most so many elements is one block's
CHUNK = 2048  # least elements of one block's part of a full reduction
MOST_PARTS = 256
ROWS = 64  # least rows of one thread's part of a column reduction
MOST_CHUNKS = 64


class Launch(Struct, eq=False):
    """One kernel launch: `kernel` on `blocks` blocks of `threads` threads; left out where an extent of 0 makes `blocks` 0.

    Launches of one schedule run one after the other and have the same buffers: params, results, then scratch (role workspace) that lives
    until the last has ended.
    """

    kernel: Kernel
    blocks: Dim
    threads: int


def schedule(f: Function) -> tuple[Launch, ...]:
    """The launches of a kernel Function. FlowcError for a loop nest that cannot be spread over threads."""
    s = _Schedule(begin(f, {}))
    nests = [n for n in f.nodes if is_nest(n)]
    folds = [n for n in f.nodes if is_reduction(n)]
    if len(nests) > 1:
        s.stages()
    elif nests:
        s.nest(nests[0])
    elif folds:
        s.reduce(folds)
    else:
        s.sweep(list(f.results))
    return s.finish()


class _Schedule:
    """The launches under way of one kernel Function."""

    def __init__(self, k: KernelBuilder) -> None:
        self.k = k
        self.elements = self.k.elements
        self.made: list[tuple[tuple[Statement, ...], Dim, int]] = []
        self.outside_names = set(self.elements.taken)

    @property
    def here(self) -> list[Statement]:
        """The statements of the innermost open scope."""
        return self.elements.scopes[-1].statements

    def let(self, stem: str, value: Expr) -> Expr:
        return self.elements.let(stem, value, self.elements.scopes[-1])

    def launch(self, blocks: Dim, threads: int) -> None:
        """Close the kernel under way and open the next."""
        self.made.append((self.elements.close(), blocks, threads))
        self.elements.taken = self.outside_names | {b.name for b in self.k.workspaces}
        self.elements.open([Comment(located(self.k.f.nodes))])

    def finish(self) -> tuple[Launch, ...]:
        buffers = (*self.k.buffers, *self.k.workspaces)
        sizes = {s for b in buffers for s in symbols(b.size)}
        launches: list[Launch] = []
        for number, (body, blocks, threads) in enumerate(self.made, 1):
            name = self.k.f.name if number == 1 else f"{self.k.f.name}_{number}"
            launches.append(Launch(Kernel(name, buffers, tuple(sorted(sizes | free_names(body))), body), blocks, threads))
        return tuple(launches)

    def threads(self, blocks: Dim, threads: int, body: Callable[[Var, Var, list[Statement]], None]) -> None:
        """A launch: `body(block, thread, outside)` fills one thread's scope; `outside` is the block's, for what its threads share."""
        block, thread = self.k.var("block_id"), self.k.var("thread_id")
        outside = self.elements.open()
        self.elements.open()
        body(block, thread, outside)
        outside.append(For(thread.name, ZERO, Const(threads, I64), "thread", self.elements.close()))
        inside = self.elements.close()
        self.here.append(For(block.name, ZERO, extent(blocks), "block", inside))
        self.launch(blocks, threads)

    def each(self, count: Dim, body: Callable[[Expr], None]) -> None:
        """A launch in which `body` fills the scope of thread `i` of `count`."""
        threads = THREADS if not isinstance(count, int) or count > 32 else 32

        def one(block: Var, thread: Var, outside: list[Statement]) -> None:
            i = self.let("i", block * threads + thread)
            self.elements.open()
            body(i)
            guarded = self.elements.close()
            self.here.append(If(i < extent(count), guarded))

        self.threads(ceildiv(count, threads), threads, one)

    def index(self, flat: Expr, shape: Shape) -> Index:
        """The index of a flat place, its parts named."""
        if len(shape) == 1:
            return (flat,)
        return tuple(self.let("i", e) for e in unravel(flat, shape))

    def store(self, results: list[Node], index: Index) -> None:
        self.elements.store((self.k.result_names[r], r, spread(index, r.tensor.dims)) for r in results)

    # map

    def sweep(self, results: list[Node]) -> None:
        """A thread for each element of the results' domain."""
        domain = squeezed(results[0].tensor.dims)
        assert all(squeezed(r.tensor.dims) == domain for r in results), "results of one sweep share a domain"
        flat = flat_over(self.k, results[0].tensor.dims)
        self.each(product(domain), lambda i: self.store(results, Flat((i,)) if flat else self.index(i, domain)))

    # reductions

    def reduce(self, folds: list[Node]) -> None:
        """All reductions of a kernel reduce the same axes of the same shape."""
        domain = folds[0].inputs[0].tensor.dims
        axes = tuple(a for a in reduction_axes(folds[0]) if domain[a] != 1)
        kept = [i for i, d in enumerate(domain) if i not in axes and d != 1]
        level = levels(self.k.f)
        one_sweep = not any(level[n.inputs[0]] for n in folds) and not any(level[r] for r in self.k.f.results if is_full(r, domain, ()))
        length, total = product(tuple(domain[a] for a in axes)), product(domain)
        if kept and axes and max(kept) < min(axes):
            self.rows(folds, domain, axes, kept)
        elif kept and axes and min(kept) > max(axes) and one_sweep and not (isinstance(length, int) and length <= 2 * ROWS):
            self.columns(folds, domain, axes, kept)
        elif kept or not axes:
            self.one_thread_each(folds, domain, axes, kept)
        elif not one_sweep or isinstance(total, int) and total <= ONE_BLOCK:
            self.rows(folds, domain, axes, [])
        else:
            self.full(folds, domain, axes)

    def rows(self, folds: list[Node], domain: Shape, axes: tuple[int, ...], kept: list[int]) -> None:
        """A block for each row."""
        shape, row_shape = tuple(domain[a] for a in axes), tuple(domain[i] for i in kept)
        length = product(shape)
        threads = _threads(length)

        def row(block: Var, thread: Var, outside: list[Statement]) -> None:
            index = self.index(block, row_shape) if row_shape else ()
            at = dict(zip(kept, index, strict=True))

            def sweep(here: list[Node], stores: list[Node]) -> None:
                statements = self.here
                registers = {n: registers_of(self.k, n, statements) for n in here}

                def element(r: Expr) -> None:
                    where = {**at, **dict(zip(axes, self.index(r, shape), strict=True))}
                    fold_element(self.k, registers, stores, tuple(where.get(d, ZERO) for d in range(len(domain))), Flat((r,)), domain, axes)

                self.stride(ZERO, extent(length), thread, threads, element)
                if here:
                    self.meet(registers, thread, threads, outside)
                    for node in here:
                        self.elements.give(node, spread(index, node.tensor.dims), result_value(node, registers[node]))

            results = row_levels(self.k, folds, domain, kept, sweep)
            self.first_thread(thread, lambda: self.store(results, index))

        self.threads(product(row_shape), threads, row)

    def full(self, folds: list[Node], domain: Shape, axes: tuple[int, ...]) -> None:
        """All axes: a block for each chunk, then one block for the parts."""
        shape, total = tuple(domain[a] for a in axes), product(domain)
        blocks = minimum(MOST_PARTS, maximum(1, ceildiv(total, CHUNK)))
        parts = {n: [self.k.workspace(f"{hint(n)}_part", d, blocks) for d in _kinds(n)] for n in folds}
        stores = [r for r in self.k.f.results if is_full(r, domain, ())]
        results = [r for r in self.k.f.results if r not in stores]
        flat = flat_over(self.k, folds[0].inputs[0].tensor.dims)

        def chunk(block: Var, thread: Var, outside: list[Statement]) -> None:
            start, stop = self.piece(block, blocks, extent(total))
            statements = self.here
            registers = {n: registers_of(self.k, n, statements) for n in folds}

            def element(r: Expr) -> None:
                where = {} if flat else dict(zip(axes, self.index(r, shape), strict=True))
                index = Flat((r,)) if flat else tuple(where.get(d, ZERO) for d in range(len(domain)))
                fold_element(self.k, registers, stores, index, Flat((r,)), domain, axes)

            self.stride(start, stop, thread, MOST_THREADS, element)
            self.meet(registers, thread, MOST_THREADS, outside)
            self.first_thread(thread, lambda: self.leave(registers, parts, block))

        def join(block: Var, thread: Var, outside: list[Statement]) -> None:
            statements = self.here
            registers = {n: registers_of(self.k, n, statements) for n in folds}
            self.stride(ZERO, extent(blocks), thread, MOST_THREADS, lambda p: self.take(registers, parts, p))
            self.meet(registers, thread, MOST_THREADS, outside)
            for node in folds:
                self.elements.give(node, spread((), node.tensor.dims), result_value(node, registers[node]))
            self.first_thread(thread, lambda: self.store(results, ()))

        self.threads(blocks, MOST_THREADS, chunk)
        self.threads(1, MOST_THREADS, join)

    def columns(self, folds: list[Node], domain: Shape, axes: tuple[int, ...], after: list[int]) -> None:
        """Leading axes: neighbouring threads have neighbouring columns, so that loads are one piece of memory."""
        shape, columns_shape = tuple(domain[a] for a in axes), tuple(domain[i] for i in after)
        width, length = product(columns_shape), product(shape)
        chunks = minimum(MOST_CHUNKS, maximum(1, ceildiv(length, ROWS)))
        parts = {n: [self.k.workspace(f"{hint(n)}_part", d, chunks * width) for d in _kinds(n)] for n in folds}
        stores = [r for r in self.k.f.results if squeezed(r.tensor.dims) == squeezed(domain)]
        results = [r for r in self.k.f.results if r not in stores]

        def chunk(i: Expr) -> None:
            c, j = self.let("c", i // extent(width)), self.let("j", i % extent(width))
            start, stop = self.piece(c, chunks, extent(length))
            at = dict(zip(after, self.index(j, columns_shape), strict=True))
            statements = self.here
            registers = {n: registers_of(self.k, n, statements) for n in folds}
            r = self.k.var("r")
            self.elements.open()
            where = {**at, **dict(zip(axes, self.index(r, shape), strict=True))}
            fold_element(self.k, registers, stores, tuple(where.get(d, ZERO) for d in range(len(domain))), Flat((r,)), domain, axes)
            statements.append(For(r.name, start, stop, "serial", self.elements.close()))
            self.leave(registers, parts, i)

        def join(j: Expr) -> None:
            statements = self.here
            registers = {n: registers_of(self.k, n, statements) for n in folds}
            c = self.k.var("c")
            self.elements.open()
            self.take(registers, parts, self.let("p", c * extent(width) + j))
            statements.append(For(c.name, ZERO, extent(chunks), "serial", self.elements.close()))
            index = self.index(j, columns_shape)
            for node in folds:
                self.elements.give(node, spread(index, node.tensor.dims), result_value(node, registers[node]))
            self.store(results, index)

        self.each(chunks * width, chunk)
        self.each(width, join)

    def one_thread_each(self, folds: list[Node], domain: Shape, axes: tuple[int, ...], kept: list[int]) -> None:
        """A thread for each row, whichever axes it keeps; its loops are serial."""
        row_shape = tuple(domain[i] for i in kept)

        def row(i: Expr) -> None:
            index = self.index(i, row_shape) if row_shape else ()
            at: dict[int, Expr] = dict(zip(kept, index, strict=True))
            results = row_levels(self.k, folds, domain, kept, lambda here, stores: row_sweep(self.k, here, stores, domain, axes, at, index))
            self.store(results, index)

        self.each(product(row_shape), row)

    # pieces of reductions

    def piece(self, position: Expr, pieces: Dim, total: Expr) -> tuple[Expr, Expr]:
        """Start and stop of one of `pieces` equal pieces of `range(total)`."""
        count = self.let("pieces", extent(pieces))
        length = self.let("length", (total + count - 1) // count)
        start = self.let("start", position * length)
        return start, self.let("stop", loops.apply("min", start + length, total))

    def stride(self, start: Expr, stop: Expr, thread: Var, threads: int, body: Callable[[Expr], None]) -> None:
        """A loop over every `threads`-th place from `start + thread` on."""
        statements, m = self.here, self.k.var("m")
        self.elements.open()
        body(self.let("r", start + m * threads + thread))
        count = (stop - start + (threads - 1) - thread) // Const(threads, I64)
        statements.append(For(m.name, ZERO, count, "serial", self.elements.close()))

    def meet(self, registers: Registers, thread: Var, threads: int, outside: list[Statement]) -> None:
        """All threads' registers become the block's result: halves of a shared array join until one element is left."""
        shared = {n: [self.elements.unique(f"{name}_shared") for name in names] for n, names in registers.items()}
        for node, names in registers.items():
            for name, array, dtype in zip(names, shared[node], _kinds(node), strict=True):
                outside.append(Alloc(array, dtype, None, threads, True))
                self.here.append(Store(array, thread, Var(name, dtype)))
        self.here.append(Barrier())
        step, half = self.k.var("step"), Var(self.elements.unique("half"), I64)
        joined: list[Statement] = []
        for node, arrays in shared.items():
            others = [Load(array, thread + half, dtype) for array, dtype in zip(arrays, _kinds(node), strict=True)]
            joined.extend(self.joined(node, arrays, thread, others))
        body = (Let(half.name, loops.apply("shr", Const(threads // 2, I64), step)), If(thread < half, tuple(joined)), Barrier())
        self.here.append(For(step.name, ZERO, Const(threads.bit_length() - 1, I64), "serial", body))
        for node, names in registers.items():
            for name, array, dtype in zip(names, shared[node], _kinds(node), strict=True):
                self.here.append(Store(name, None, Load(array, ZERO, dtype)))

    def leave(self, registers: Registers, parts: Registers, at: Expr) -> None:
        """Write the registers to their place among the parts."""
        for node, names in registers.items():
            for name, part, dtype in zip(names, parts[node], _kinds(node), strict=True):
                self.here.append(Store(part, at, Var(name, dtype)))

    def take(self, registers: Registers, parts: Registers, at: Expr) -> None:
        """Join the parts of one place to the registers."""
        for node, names in registers.items():
            others = [Load(part, at, dtype) for part, dtype in zip(parts[node], _kinds(node), strict=True)]
            self.here.extend(self.joined(node, names, None, others))

    def joined(self, node: Node, names: list[str], at: Expr | None, others: list[Load]) -> list[Statement]:
        """A partial result joins another, held in registers (`at` None) or at a place of arrays.

        Of two equal extremes the one that stands first wins, whichever order the parts come in; a place of -1 is an empty part's.
        """
        lowering = node.op.lowering
        if isinstance(lowering, Fold):
            return [combine(names[0], at, lowering, others[0], node.tensor.dtype)]
        assert isinstance(lowering, ArgFold)
        values: list[Expr] = [*others]
        values += [Var(n, other.dtype) if at is None else Load(n, at, other.dtype) for n, other in zip(names, others, strict=True)]
        stems = ("other", "other_place", "best", "best_place")
        lets = [Let(self.elements.unique(stem), value) for stem, value in zip(stems, values, strict=True)]
        x, place, best, best_place = (Var(let.name, let.value.dtype) for let in lets)
        better = scalar(lowering.better, {"x": x, "best": best})
        worse = scalar(lowering.better, {"x": best, "best": x})
        takes = (place >= 0) & ((best_place < 0) | better | (loops.apply("not", worse) & (place < best_place)))
        return [*lets, If(takes, (Store(names[0], at, x), Store(names[1], at, place)))]

    def first_thread(self, thread: Var, body: Callable[[], None]) -> None:
        self.elements.open()
        body()
        statements = self.elements.close()
        if statements:
            self.here.append(If(thread.eq(0), statements))

    # nests

    def nest(self, root: Node) -> None:
        """Each parallel loop of the root's own nest is a launch; what follows the root is one more."""
        out = self.k.result_names.get(root)
        if out is None:
            out = self.elements.unique(f"{hint(root)}_out")
            self.k.workspaces.append(Buffer(out, root.tensor.dtype, root.tensor.size, "workspace"))
        operands = [self.elements.names[n] for n in root.inputs]
        plan = nest_plan(root, operands, out, self.elements.unique, for_threads=True)
        self.outside_names |= self.elements.taken  # the nest's names stand in several launches
        self.k.workspaces.extend(Buffer(name, dtype, size, "workspace") for name, dtype, size in plan.workspaces)
        for statement in plan.statements:
            if isinstance(statement, For) and statement.kind == "parallel":
                self.spread_loop(root, statement)
            elif not isinstance(statement, Barrier | Comment):  # a launch ends where its loop does, so it needs no barrier
                raise _no_nest(root, f"a {type(statement).__name__} stands beside its parallel loops")
        results = [r for r in self.k.f.results if r is not root]
        if results:
            self.elements.names[root] = out
            self.sweep(results)

    def stages(self) -> None:
        """Several nests: the launches of one after those of the other, with all that goes from one to the other in memory."""
        stages = Stages(self.k)
        self.k.workspaces.extend(stages.workspaces())
        for stage in stages.all:
            stage.k.elements.open([Comment(located(stage.k.f.nodes))])
            one = _Schedule(stage.k)
            one.nest(stage.root)
            self.made.extend(one.made)

    def spread_loop(self, root: Node, loop: For) -> None:
        count = _dim(root, loop.stop)

        def iteration(i: Expr) -> None:
            self.here.append(Let(loop.var, i))
            self.here.extend(self.in_thread(loop.body))

        self.each(count, iteration)

    def in_thread(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """Statements of a CPU nest as one thread runs them: serial loops, tiles as scalar sums."""
        made: list[Statement] = []
        for statement in body:
            match statement:
                case For():
                    made.append(replace(statement, kind="serial", body=self.in_thread(statement.body)))
                case If():
                    made.append(replace(statement, body=self.in_thread(statement.body), orelse=self.in_thread(statement.orelse)))
                case Tile():
                    made.append(self.scalar_tile(statement))
                case _:
                    made.append(statement)
        return tuple(made)

    def scalar_tile(self, t: Tile) -> Statement:
        """The formula of a Tile, element by element."""
        if not t.is_single:
            product = self.k.var("product")
            moved = {name: getattr(t, name) + product * getattr(t, step) for name, step in (("out_at", "out_step"), ("a_at", "a_step"), ("b_at", "b_step"))}
            return For(product.name, ZERO, t.count, "serial", (self.scalar_tile(replace(t, count=Const(1, I64), **moved)),))
        i, j, r, q = (self.k.var(stem) for stem in ("tile_i", "tile_j", "tile_r", "tile_k"))
        total = self.elements.unique("tile_sum")
        at = t.out_at + i * t.out_row + j
        start = loops.select(t.accumulate.ne(0), Load(t.out, at, t.dtype), 0) if not isinstance(t.accumulate, Const) else None
        if start is None:
            assert isinstance(t.accumulate, Const)
            start = Load(t.out, at, t.dtype) if t.accumulate.value else loops.lift(0, t.dtype)
        a = Load(t.a, t.a_at + i * t.a_row + r * t.a_outer + q * t.a_inner, t.dtype)
        unit = 64 // t.dtype.size
        plain = isinstance(t.b_unit, Const) and t.b_unit.value == unit
        column = j if plain else j // unit * t.b_unit + j % unit * t.b_column
        b = Load(t.b, t.b_at + r * t.b_outer + q * t.b_inner + column, t.dtype)
        inner = For(q.name, ZERO, t.inner, "serial", (Store(total, None, a * b, "add"),))
        element = (Alloc(total, t.dtype, start), For(r.name, ZERO, t.outer, "serial", (inner,)), Store(t.out, at, Var(total, t.dtype)))
        return For(i.name, ZERO, t.rows, "serial", (For(j.name, ZERO, t.columns, "serial", element),))


def _kinds(node: Node) -> tuple[DType, ...]:
    """The dtypes of a reduction's registers: an accumulator, or the best element and its place."""
    return (node.tensor.dtype,) if isinstance(node.op.lowering, Fold) else (node.inputs[0].tensor.dtype, I64)


def _threads(length: Dim) -> int:
    """Threads of a block that reduces rows of `length` elements: a power of 2, no more than there are elements."""
    threads = 32
    while threads < MOST_THREADS and (not isinstance(length, int) or threads < length):
        threads *= 2
    return threads if isinstance(length, int) else THREADS


def _dim(root: Node, e: Expr) -> Dim:
    """An extent expression as an extent: the inverse of `loops.extent`."""
    match e:
        case Const():
            return int(e.value)
        case Var():
            return Sym.named(e.name)
        case Apply(function="add" | "sub" | "mul" | "floordiv" | "min" | "max" as function, args=(left, right)):
            p, q = _dim(root, left), _dim(root, right)
            match function:
                case "add":
                    return p + q
                case "sub":
                    return p - q
                case "mul":
                    return p * q
                case "floordiv":
                    return p // q
            return minimum(p, q) if function == "min" else maximum(p, q)
    raise _no_nest(root, "its number of iterations is not an extent")


def _no_nest(root: Node, why: str) -> FlowcError:
    return FlowcError(
        f"{root.op.name}: the CUDA back end cannot spread this loop nest over threads: {why}",
        f"{root.name}: {root.type} = {root.op.name}({', '.join(f'{n.name}: {n.type}' for n in root.inputs)})",
        root.loc,
    )
