"""Arguments of a compiled function: what the caller passes becomes typed leaves and a structure.

    signature = Signature.of(loss, {"x": f32["batch", 784]})
    signature.bind("loss", ({"w": w}, x), {})    # [Argument(w, f32[784, 10], "params_w"), Argument(x, f32[batch, 784], "x")], structure
"""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flowc.errors import DTypeError, ShapeError, user_location
from flowc.frontend.containers import LEAF, STATIC_TYPES, Structure, flatten, static
from flowc.ir.dims import Dim, Sym
from flowc.ir.types import BOOL, F32, I32, I64, DType, TensorType, as_dtype
from flowc.runtime.desks import ARRAY, CONVERT, FLOAT, INT
from flowc.runtime.prepared import Form
from flowc.structs import Struct

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
BATCH = Sym.named("batch")
"""The symbol of the first axis of the arguments named in `batch=`."""


class Argument(Struct, eq=False):
    """One leaf: its value, the type that it is traced with, its extents in this call, and the name of its placeholder."""

    value: Any
    type: TensorType
    shape: tuple[int, ...]
    name: str


class Signature(Struct, eq=False):
    """A function's parameters. declared: types by name; batch: names whose leaves' first axis is symbolic; static: names kept as Python values."""

    parameters: inspect.Signature
    declared: Mapping[str, TensorType]
    batch: tuple[str, ...]
    static: tuple[str, ...]

    @staticmethod
    def of(function: Callable[..., Any], shapes: Mapping[str, TensorType] | Sequence[TensorType], batch: tuple[str, ...], static: tuple[str, ...]) -> Signature:
        """From annotations and options. TypeError for a name that is no parameter, or a declared type that is none."""
        parameters = inspect.signature(function)
        names = list(parameters.parameters)
        if not isinstance(shapes, Mapping):
            if len(shapes) > len(names):
                raise TypeError(f"compile: {len(shapes)} types for the {len(names)} parameters of {_name(function)}")
            shapes = dict(zip(names, shapes, strict=False))
        for name in (*shapes, *batch, *static):
            if name not in names:
                raise TypeError(f"compile: {_name(function)} has no parameter {name!r}; there are {', '.join(names)}")
        declared = {name: type for name, type in _annotated(function, parameters).items() if name not in static}
        for name, type in shapes.items():
            if not isinstance(type, TensorType):
                raise TypeError(f"compile: {name} is declared as {type!r}; a type such as flowc.f32[\"batch\", 784] is expected")
            declared[name] = type
        return Signature(parameters, declared, batch, static)

    def bind(self, function: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[Argument], Structure]:
        """The leaves of a call and the structure that puts leaves back. TypeError, DTypeError and ShapeError name the argument."""
        bound = self.parameters.bind(*args, **kwargs)
        values: list[tuple[str, str, Any]] = []  # parameter, path, value
        children: list[Structure] = []
        for name, value in bound.arguments.items():
            if name in self.static:
                children.append(_static(function, name, value))
            elif name in self.declared and self.parameters.parameters[name].kind not in _VARIADIC:
                children.append(LEAF)
                values.append((name, name, value))
            else:
                leaves, structure = flatten(value)
                children.append(structure)
                values += [(name, path, leaf) for path, leaf in zip(structure.paths(name), leaves, strict=True)]
        arrays = [_array(function, path, value, self.declared.get(name)) for name, path, value in values]
        weak = _weak_float([a for a in arrays if isinstance(a, np.ndarray)])
        arguments = [self._argument(name, path, array, weak, function) for (name, path, _), array in zip(values, arrays, strict=True)]
        _check_symbols(function, arguments)
        return arguments, Structure(dict, tuple(bound.arguments), tuple(children))

    def arguments(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments from values by parameter."""
        bound = inspect.BoundArguments(self.parameters, values)  # type: ignore[arg-type]
        return bound.args, bound.kwargs

    def positional(self, count: int) -> list[str]:
        """The parameters' names of `count` positional arguments; no name for those of `*args`."""
        names = [p.name for p in self.parameters.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
        return names + [""] * (count - len(names))

    def sample(self) -> tuple[list[Argument], Structure] | None:
        """Leaves of the declared types, each symbol with an extent of its own; None where a required parameter has no declared type."""
        needed = [p.name for p in self.parameters.parameters.values() if p.default is p.empty and p.kind not in _VARIADIC]
        if any(name not in self.declared for name in needed):
            return None
        extents: dict[Dim, int] = {}
        arguments = []
        for name in needed:
            type = self.declared[name]
            shape = tuple(d if isinstance(d, int) else extents.setdefault(d, 1009 + 2 * len(extents)) for d in type.dims)
            arguments.append(Argument(None, type, shape, placeholder_name(name)))
        return arguments, Structure(dict, tuple(needed), tuple(LEAF for _ in needed))

    def _argument(self, name: str, path: str, array: Any, weak: DType, function: str) -> Argument:
        declared = self.declared.get(name)
        if declared is not None:
            _check_declared(function, path, array, declared)
            return Argument(array, declared, array.shape, placeholder_name(path))
        if not isinstance(array, np.ndarray):
            return Argument(array, TensorType(_number_dtype(array, weak), ()), (), placeholder_name(path))
        shape: tuple[Dim, ...] = array.shape
        if name in self.batch and shape:
            shape = (BATCH, *shape[1:])
        return Argument(array, TensorType(as_dtype(array.dtype), shape), array.shape, placeholder_name(path))


def as_arrays(function: str, paths: Sequence[str], values: Sequence[Any]) -> list[np.ndarray]:
    """Arrays of leaves, numbers among them as `flowc.compile` takes them. TypeError and DTypeError name the path."""
    found = [_array(function, path, value, None) for path, value in zip(paths, values, strict=True)]
    weak = _weak_float([a for a in found if isinstance(a, np.ndarray)])
    return [a if isinstance(a, np.ndarray) else np.array(a, _number_dtype(a, weak).numpy) for a in found]


def add_argument(form: Form, value: Any, declared: bool, is_static: bool) -> bool:
    """Add the form of an argument like this one: what is traced the same way as it. False where native code has no form for it."""
    kind = type(value)
    leaf = len(form.leaves)
    if is_static or isinstance(value, STATIC_TYPES):
        form.same(value)
    elif kind is np.ndarray:
        form.leaf(leaf, ARRAY | CONVERT if declared else ARRAY)
    elif declared:
        form.leaf(leaf, ARRAY | CONVERT)
    elif kind in (float, np.float32, np.float64):
        form.leaf(leaf, FLOAT)
    elif kind is int and -(2**31) <= value < 2**31:
        form.leaf(leaf, INT)
    elif kind is list or kind is tuple:
        (form.list if kind is list else form.tuple)(len(value))
        return all(add_argument(form, item, False, False) for item in value)
    elif kind is dict:
        form.dict(list(value))
        return all(add_argument(form, item, False, False) for item in value.values())
    else:
        return False
    return True


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))


def placeholder_name(path: str) -> str:
    """`params['w']` as a node's name: `params_w`."""
    return re.sub(r"\W+", "_", path).strip("_") or "argument"


def _annotated(function: Callable[..., Any], parameters: inspect.Signature) -> dict[str, TensorType]:
    """The parameters annotated with a type. An annotation that is text is read where the function was defined; names that mean nothing
    there are symbols (`from __future__ import annotations` and `x: flowc.f32[batch, 784]`)."""
    found: dict[str, TensorType] = {}
    scope = _Scope(getattr(inspect.unwrap(function), "__globals__", {}))
    for name, parameter in parameters.parameters.items():
        annotation = parameter.annotation
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, {}, scope)
            except Exception:
                continue
        if isinstance(annotation, TensorType):
            found[name] = annotation
    return found


class _Scope(dict[str, Any]):
    """Names of a module and of Python; others stand for themselves."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, name)


def _static(function: str, name: str, value: Any) -> Structure:
    try:
        return static(value)
    except TypeError:
        raise TypeError(f"{function}: the static argument {name} is a {type(value).__name__}, which cannot be hashed") from None


def _array(function: str, path: str, value: Any, declared: TensorType | None) -> Any:
    """An array, or a Python number, which has no type of its own."""
    if declared is None and isinstance(value, bool | int | float | np.floating):
        return value.item() if isinstance(value, np.floating) else value
    if type(value) is np.ndarray:
        array = value
    elif isinstance(value, list | tuple | bool | int | float | np.ndarray | np.generic) or hasattr(value, "__array__"):
        try:
            array = np.asarray(value)
        except ValueError:
            raise ShapeError(f"{function}: argument {path} is a list of lists of different lengths", location=user_location()) from None
    else:
        raise TypeError(
            f"{function}: argument {path} is a {type(value).__name__}, which is no array or number; "
            f"a Python value that the function needs as it is belongs in static=({path.split('[')[0].split('.')[0]!r},)"
        )
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{function}: argument {path} is an array of {array.dtype}, which is no type of numbers", location=user_location())
    return array


def _weak_float(arrays: Sequence[np.ndarray]) -> DType:
    """What Python floats become: the widest float type among the arrays, f32 where there is none."""
    floats = [as_dtype(a.dtype) for a in arrays if a.dtype.kind == "f" and a.dtype.itemsize <= 8]
    return max(floats, key=lambda d: d.size, default=F32)


def _number_dtype(value: bool | float, weak: DType) -> DType:
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return I32 if -(2**31) <= value < 2**31 else I64
    return weak


def _check_declared(function: str, path: str, array: np.ndarray, declared: TensorType) -> None:
    if not np.can_cast(array.dtype, declared.dtype.numpy, "same_kind"):
        raise DTypeError(f"{function}: argument {path} is {_type_text(array)}, and {declared} is declared", location=user_location())
    fits = len(array.shape) == declared.rank and all(d == e for d, e in zip(declared.dims, array.shape, strict=True) if isinstance(d, int))
    if not fits:
        raise ShapeError(f"{function}: argument {path} is {_type_text(array)}, and {declared} is declared", location=user_location())


def _type_text(array: np.ndarray) -> str:
    return str(TensorType(as_dtype(array.dtype), array.shape)) if array.dtype.itemsize <= 8 else f"{array.dtype}{list(array.shape)}"


def _check_symbols(function: str, arguments: Sequence[Argument]) -> None:
    """One symbol, one extent."""
    extents: dict[Dim, tuple[int, str]] = {}
    for argument in arguments:
        for dim, extent in zip(argument.type.dims, argument.shape, strict=True):
            if isinstance(dim, int):
                continue
            known, where = extents.setdefault(dim, (extent, argument.name))
            if known != extent:
                raise ShapeError(f"{function}: extent {dim} is {known} in {where} and {extent} in {argument.name}", location=user_location())


__all__ = ["BATCH", "Argument", "Signature", "add_argument", "as_arrays", "placeholder_name"]
