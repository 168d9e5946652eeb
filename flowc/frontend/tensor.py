"""Tensor and Operation: what the user holds of a node. Operators append nodes.

    y = W * x + b          # `mul` and `add`, named so; y.name == "add:0"

Tensors compare and hash by identity, as in TensorFlow 1, so they serve as keys of a feed_dict.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowc.errors import FlowcError, GraphError, ShapeError, user_location
from flowc.frontend.shape import TensorShape
from flowc.ir.dims import Shape
from flowc.ir.node import Node
from flowc.ir.types import DType, TensorType

if TYPE_CHECKING:
    from flowc.frontend.scope import Graph


def _binary(op: str, x: Any, y: Any, name: str, swapped: bool = False) -> Tensor:
    from flowc.frontend.convert import binary

    return binary(op, y, x, name) if swapped else binary(op, x, y, name)


class Operand:
    """Arithmetic for Tensor and Variable. `==` and `!=` stay identity: use `tf.equal`."""

    __slots__ = ()
    __array_priority__ = 100
    __array_ufunc__ = None  # so that `ndarray * tensor` and `np.float32(2) * tensor` come to our reflected operators

    def __add__(self, other: Any) -> Tensor:
        return _binary("add", self, other, "add")

    def __radd__(self, other: Any) -> Tensor:
        return _binary("add", self, other, "add", True)

    def __sub__(self, other: Any) -> Tensor:
        return _binary("sub", self, other, "sub")

    def __rsub__(self, other: Any) -> Tensor:
        return _binary("sub", self, other, "sub", True)

    def __mul__(self, other: Any) -> Tensor:
        return _binary("mul", self, other, "mul")

    def __rmul__(self, other: Any) -> Tensor:
        return _binary("mul", self, other, "mul", True)

    def __truediv__(self, other: Any) -> Tensor:
        return _binary("div", self, other, "truediv")

    def __rtruediv__(self, other: Any) -> Tensor:
        return _binary("div", self, other, "truediv", True)

    def __floordiv__(self, other: Any) -> Tensor:
        return _binary("floordiv", self, other, "floordiv")

    def __rfloordiv__(self, other: Any) -> Tensor:
        return _binary("floordiv", self, other, "floordiv", True)

    def __mod__(self, other: Any) -> Tensor:
        return _binary("mod", self, other, "mod")

    def __rmod__(self, other: Any) -> Tensor:
        return _binary("mod", self, other, "mod", True)

    def __pow__(self, other: Any) -> Tensor:
        return _binary("pow", self, other, "pow")

    def __rpow__(self, other: Any) -> Tensor:
        return _binary("pow", self, other, "pow", True)

    def __matmul__(self, other: Any) -> Tensor:
        return _binary("matmul", self, other, "matmul")

    def __rmatmul__(self, other: Any) -> Tensor:
        return _binary("matmul", self, other, "matmul", True)

    def __lt__(self, other: Any) -> Tensor:
        return _binary("less", self, other, "Less")

    def __le__(self, other: Any) -> Tensor:
        return _binary("less_equal", self, other, "LessEqual")

    def __gt__(self, other: Any) -> Tensor:
        return _binary("greater", self, other, "Greater")

    def __ge__(self, other: Any) -> Tensor:
        return _binary("greater_equal", self, other, "GreaterEqual")

    def __and__(self, other: Any) -> Tensor:
        return _binary("logical_and", self, other, "and")

    def __rand__(self, other: Any) -> Tensor:
        return _binary("logical_and", self, other, "and", True)

    def __or__(self, other: Any) -> Tensor:
        return _binary("logical_or", self, other, "or")

    def __ror__(self, other: Any) -> Tensor:
        return _binary("logical_or", self, other, "or", True)

    def __xor__(self, other: Any) -> Tensor:
        return _binary("logical_xor", self, other, "xor")

    def __neg__(self) -> Tensor:
        return _unary("neg", self, "Neg")

    def __abs__(self) -> Tensor:
        return _unary("abs", self, "Abs")

    def __invert__(self) -> Tensor:
        return _unary("logical_not", self, "LogicalNot")

    def __getitem__(self, index: Any) -> Tensor:
        from flowc.frontend.indexing import getitem

        return getitem(self, index)

    def __bool__(self) -> bool:
        raise FlowcError(
            "a tensor has no truth value before it is run: `if tensor:` and `and`, `or`, `not` on tensors cannot work in a graph",
            f"{self!r}: use tf.where or tf.logical_and, or session.run(tensor) first; flowc.compile takes Python values in static=(name,)",
            user_location(),
        )

    def __float__(self) -> float:
        raise FlowcError("a tensor has no value before it is run", f"{self!r}: use session.run(tensor) or tensor.eval()", user_location())

    __int__ = __float__  # type: ignore[assignment]
    __index__ = __float__  # type: ignore[assignment]

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise FlowcError("a tensor is not an array before it is run", f"{self!r}: use session.run(tensor) or tensor.eval()", user_location())


def _unary(op: str, x: Any, name: str) -> Tensor:
    from flowc.frontend.convert import unary

    return unary(op, x, None, name)


class Tensor(Operand):
    """The value that a node computes in a run. `node.name` is `layer/MatMul`, `name` TensorFlow's `layer/MatMul:0`."""

    __slots__ = ("__weakref__", "graph", "node")

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph = graph
        self.node = node

    @property
    def name(self) -> str:
        return self.node.name + ":0"

    @property
    def op(self) -> Operation:
        return self.graph.operation(self.node)

    @property
    def type(self) -> TensorType:
        return self.node.tensor

    @property
    def dtype(self) -> DType:
        return self.node.tensor.dtype

    @property
    def shape(self) -> TensorShape:
        return TensorShape(self.node.tensor.shape)

    @property
    def dims(self) -> Shape | None:
        """The static shape with symbols; None where the rank is unknown."""
        return self.node.tensor.shape

    @property
    def value_index(self) -> int:
        return 0

    @property
    def device(self) -> str:
        return ""

    def get_shape(self) -> TensorShape:
        return self.shape

    def set_shape(self, shape: Any) -> None:
        """Refine what is known of the shape. ShapeError where it contradicts.

        Only what has no users yet can learn more: nodes that were made before keep the shape they saw.
        """
        from flowc.frontend.convert import refined_shape

        self.node.type = TensorType(self.dtype, refined_shape(self, shape))

    def consumers(self) -> list[Operation]:
        return [self.graph.operation(n) for n in self.graph.nodes if self.node in n.inputs]

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """The value in a run of `session`, by default the default session."""
        return evaluate(self, feed_dict, session)

    def __iter__(self) -> Iterator[Tensor]:
        dims = self.dims
        if dims is None or not dims or not isinstance(dims[0], int):
            raise ShapeError(
                "a tensor can be iterated over only where the extent of its first axis is known",
                repr(self.node), user_location(), ((f"{self.node.name} made at", self.node.loc),),
            )  # fmt: skip
        return iter([self[i] for i in range(dims[0])])

    def __len__(self) -> int:
        raise FlowcError("len() of a tensor: use tensor.shape[0] or tf.shape(tensor)[0]", repr(self.node), user_location())

    def __str__(self) -> str:
        shape = "" if self.dims is None else f", shape={self.shape}"
        return f'Tensor("{self.name}"{shape}, dtype={self.dtype.long_name})'

    def __repr__(self) -> str:
        return f"<tf.Tensor '{self.name}' shape={self.shape} dtype={self.dtype.long_name}>"


class Operation:
    """A node as something to be run: fetching it gives None."""

    __slots__ = ("__weakref__", "graph", "node")

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph = graph
        self.node = node

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def type(self) -> str:
        """The op's name as TensorFlow spells it: `MatMul`."""
        return self.node.op.title

    @property
    def inputs(self) -> list[Tensor]:
        return [self.graph.tensor(n) for n in self.node.inputs]

    @property
    def outputs(self) -> list[Tensor]:
        return [self.graph.tensor(self.node)] if isinstance(self.node.type, TensorType) else []

    @property
    def control_inputs(self) -> list[Operation]:
        return [self.graph.operation(n) for n in self.node.control]

    @property
    def device(self) -> str:
        return ""

    def get_attr(self, name: str) -> Any:
        if name not in self.node.attrs:
            raise GraphError(f"{self.name} has no attribute {name!r}", repr(self.node), user_location())
        return self.node.attrs[name]

    def run(self, feed_dict: Any = None, session: Any = None) -> None:
        """Run it in `session`, by default the default session."""
        evaluate(self, feed_dict, session)

    def __str__(self) -> str:
        return f"name: {self.name!r} op: {self.type!r}"

    def __repr__(self) -> str:
        return f"<tf.Operation '{self.name}' type={self.type}>"


def evaluate(item: Tensor | Operation, feed_dict: Any, session: Any) -> Any:
    from flowc.frontend.scope import sessions

    if session is None:
        if not sessions:
            raise GraphError(
                f"{item.name} cannot be evaluated: there is no default session",
                "use `with tf.Session():`, tf.InteractiveSession() or pass session=",
                user_location(),
            )
        session = sessions[-1]
    return session.run(item, feed_dict)
