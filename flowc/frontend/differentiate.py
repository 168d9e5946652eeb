"""Gradients of functions: `flowc.grad(loss)` is a compiled function that gives the gradient of `loss`.

    slope = flowc.grad(lambda x: x ** 3)
    slope(2.0), flowc.grad(slope)(2.0)     # 12.0, 12.0
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from flowc.errors import DTypeError, ShapeError, user_location
from flowc.frontend.arguments import Signature
from flowc.frontend.array_ops import zeros_like
from flowc.frontend.containers import Structure, flatten
from flowc.frontend.convert import convert, emit, is_tensor
from flowc.frontend.gradients import gradients
from flowc.frontend.tensor import Tensor
from flowc.frontend.trace import Compiled

__all__ = ["grad", "value_and_grad"]

Wrt = int | str | Sequence[int | str]


def grad(function: Callable[..., Any], wrt: Wrt = 0, has_aux: bool = False) -> Compiled:
    """The function of the same arguments that gives the gradient of `function`'s scalar result with respect to argument `wrt`.

    wrt: a position, a name, or several of them (then the answer is a tuple); an argument that is a container gives a gradient of its
    structure. has_aux: the function gives (result, anything else), and the answer is (gradient, anything else).
    ShapeError where the result is no scalar, DTypeError where it, or what to differentiate by, is no float.

    >>> import flowc
    >>> slope = flowc.grad(lambda x: x**3)
    >>> slope(2.0), flowc.grad(slope)(2.0)
    (np.float32(12.0), np.float32(12.0))
    """

    def answer(value: Any, slopes: Any, aux: Any) -> Any:
        return (slopes, aux) if has_aux else slopes

    return _differentiated(function, wrt, has_aux, answer, "grad")


def value_and_grad(function: Callable[..., Any], wrt: Wrt = 0, has_aux: bool = False) -> Compiled:
    """As `grad`, giving (result, gradient); with has_aux ((result, anything else), gradient).

    >>> import flowc
    >>> value, slopes = flowc.value_and_grad(lambda p, x: p["a"] * x + p["b"])({"a": 2.0, "b": 1.0}, 5.0)
    >>> value, slopes
    (np.float32(11.0), {'a': np.float32(5.0), 'b': np.float32(1.0)})
    """

    def answer(value: Any, slopes: Any, aux: Any) -> Any:
        return ((value, aux), slopes) if has_aux else (value, slopes)

    return _differentiated(function, wrt, has_aux, answer, "value_and_grad")


def _differentiated(function: Callable[..., Any], wrt: Wrt, has_aux: bool, answer: Callable[..., Any], kind: str) -> Compiled:
    parameters = inspect.signature(function)
    name = f"{kind} of {getattr(function, '__name__', 'the function')}"
    wanted: tuple[int | str, ...] = (wrt,) if isinstance(wrt, int | str) else tuple(wrt)

    @functools.wraps(function)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        bound = parameters.bind(*args, **kwargs)
        positional, named = list(bound.args), dict(bound.kwargs)
        sources: list[Tensor] = []
        structures: list[Structure] = []
        for place in wanted:
            holder, key = _place(place, parameters, positional, named, name)
            leaves, structure = flatten(holder[key], is_tensor)
            fresh = [_source(leaf, path, name) for leaf, path in zip(leaves, structure.paths(str(place)), strict=True)]
            holder[key] = structure.unflatten(fresh)
            sources += fresh
            structures.append(structure)
        result = function(*positional, **named)
        aux = None
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise ShapeError(f"{name}: has_aux says that the function gives (result, anything else), and it gives {type(result).__name__}")
            result, aux = result
        value = _scalar(result, name)
        found = [zeros_like(x) if g is None else g for g, x in zip(gradients(value, sources), sources, strict=True)]
        slopes = []
        for structure in structures:
            slopes.append(structure.unflatten(found[: structure.count]))
            found = found[structure.count :]
        return answer(value, slopes[0] if isinstance(wrt, int | str) else tuple(slopes), aux)

    signature = function.signature if isinstance(function, Compiled) else Signature.of(function, (), (), ())
    return Compiled(differentiated, signature, f"{kind}_{getattr(function, '__name__', 'function').replace('<lambda>', 'lambda')}")


def _place(place: int | str, parameters: inspect.Signature, positional: list[Any], named: dict[str, Any], name: str) -> tuple[Any, Any]:
    """Where the argument stands: the list or dict that holds it, and its key there."""
    if isinstance(place, int) and -len(positional) <= place < len(positional):
        return positional, place
    if isinstance(place, str):
        names = list(parameters.parameters)
        if place in named:
            return named, place
        if place in names and names.index(place) < len(positional):
            return positional, names.index(place)
    raise TypeError(f"{name}: there is no argument {place!r} to differentiate by")


def _source(leaf: Any, path: str, name: str) -> Tensor:
    """A node of its own for what to differentiate by, so that two arguments that are one tensor stay two."""
    tensor = convert(leaf)
    if not tensor.dtype.is_float:
        raise DTypeError(f"{name}: argument {path} is {tensor.type}, and only a float has a gradient", repr(tensor.node), user_location())
    return emit("identity", (tensor,))


def _scalar(result: Any, name: str) -> Tensor:
    if isinstance(result, list | tuple | dict) or result is None:
        kind = type(result).__name__
        raise ShapeError(f"{name}: the result is a {kind}; a gradient is taken of one scalar (has_aux=True for more)", location=user_location())
    value = convert(result)
    if value.dims != ():
        raise ShapeError(
            f"{name}: the result is {value.type}; a gradient is taken of a scalar, such as flowc.sum(...) or flowc.mean(...)",
            repr(value.node), value.node.loc,
        )  # fmt: skip
    if not value.dtype.is_float:
        raise DTypeError(f"{name}: the result is {value.type}, and only a float has a gradient", repr(value.node), value.node.loc)
    return value


