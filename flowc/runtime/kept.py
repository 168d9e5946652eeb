"""Programs kept from process to process by the Function that they compute: a warm start needs no pass, no schedule and no printer.

    key(f)                        # of the text of f, its constants, and all that decides how it is compiled
    keep(f, layout, "3f2a...")    # writes 90d1...7e.run: the layout, and the name of the object code
    find(f)                       # layout and loaded program, where both files are there and whole

The text of a Function has the user's names but not the user's lines: where an op moves in its file, the program stays the same. Constants
that the Function itself holds are not written a second time, and large ones may have other values: weights drawn anew find their program.
"""

from __future__ import annotations

import ast
import hashlib
import marshal
from typing import Any

import numpy as np

from flowc.codegen.build import Compiled, find_compiled
from flowc.codegen.cache import Cache
from flowc.codegen.environment import compiler
from flowc.config import settings
from flowc.ir.dims import Dim
from flowc.ir.function import CONSTANT, Function
from flowc.ir.node import Node
from flowc.ir.text import parse_dim, print_function
from flowc.ir.types import DTYPES
from flowc.runtime.layout import Layout, Result, Row


def key(f: Function) -> str:
    """The name of a Function's program in the cache, as the settings in force have it compiled."""
    hashed = hashlib.sha256(f"{compiler()}\0{settings().convolution}\0{print_function(f, elide=True)}".encode())
    for node in _constants(f):
        value, array = node.attrs["value"], node.attrs["value"].array
        hashed.update(repr((array.dtype.str, array.shape)).encode())
        seen = array if not value.is_large else array.reshape(-1)[:1] if value.is_uniform else array[:0]  # by the passes
        hashed.update(seen.tobytes())
    return hashed.hexdigest()[:40]


def find(f: Function) -> tuple[Layout, Compiled] | None:
    """The layout and the code of a Function's program; None where it has to be compiled."""
    cache = Cache()
    data = cache.read(key(f), ".run")
    if data is None:
        return None
    facts, arrays = marshal.loads(data)
    compiled = find_compiled(facts["code"], cache)
    return None if compiled is None else (_layout(f, facts, arrays), compiled)


def keep(f: Function, layout: Layout, code: str) -> None:
    """Write what `find` reads. code: the name of the object code in the cache."""
    own = {id(n.attrs["value"].array): i for i, n in enumerate(_constants(f))}
    constants: list[Any] = []
    arrays: list[bytes] = []
    for array in layout.constants:
        if id(array) in own:
            constants.append(own[id(array)])
        else:
            constants.append([array.dtype.name, array.shape])
            arrays.append(array.tobytes())
    facts = {
        "code": code,
        "rows": [[r.slot, r.kind, r.position, r.dtype.name, _plain(r.size)] for r in layout.rows],
        "first_extent": layout.first_extent,
        "extents": layout.extents,
        "pieces": [[_plain(size) for size in sizes] for sizes in layout.pieces],
        "constants": constants,
        "results": [[r.row, r.dtype.name, [_plain(d) for d in r.dims]] for r in layout.results],
        "copies": layout.copies,
        "light_work": _plain(layout.light_work),
        "products": [[count, [_plain(s) for s in sizes]] for count, sizes in layout.products],
    }
    Cache().keep(key(f), ".run", marshal.dumps((facts, b"".join(arrays))))


def _layout(f: Function, facts: dict[str, Any], arrays: bytes) -> Layout:
    known: dict[str, Dim] = {}

    def dim(plain: int | str) -> Dim:
        if isinstance(plain, int):
            return plain
        if plain not in known:
            known[plain] = parse_dim(ast.parse(plain, mode="eval").body, AssertionError)
        return known[plain]

    own = _constants(f)
    constants, begin = [], 0
    for item in facts["constants"]:
        if isinstance(item, int):
            constants.append(own[item].attrs["value"].array)
            continue
        dtype, shape = np.dtype(item[0]), tuple(item[1])
        size = int(np.prod(shape, dtype=np.int64))
        constants.append(np.frombuffer(arrays, dtype, size, begin).reshape(shape).copy())  # the copy is aligned
        begin += size * dtype.itemsize
    return Layout(
        tuple(Row(slot, kind, position, DTYPES[dtype], dim(size)) for slot, kind, position, dtype, size in facts["rows"]),
        facts["first_extent"], tuple(facts["extents"]), tuple(tuple(map(dim, sizes)) for sizes in facts["pieces"]), tuple(constants),
        tuple(Result(row, DTYPES[dtype], tuple(map(dim, dims))) for row, dtype, dims in facts["results"]),
        tuple((param, row) for param, row in facts["copies"]), dim(facts["light_work"]),
        tuple((count, tuple(map(dim, sizes))) for count, sizes in facts["products"]),
    )  # fmt: skip


def _plain(dim: Dim) -> int | str:
    return dim if isinstance(dim, int) else str(dim)


def _constants(f: Function) -> list[Node]:
    """The constants of a Function and of those that it calls."""
    return [n for function in (f, *f.callees()) for n in function.nodes if n.op is CONSTANT]
