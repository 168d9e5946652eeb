"""Protocol buffer messages in plain Python: declared fields become bytes in protobuf's wire format, and bytes become fields again.

    class Point(Message):
        x = Field(1, "int")
        names = Field(2, "string", repeated=True)

    Point(x=3, names=["a"]).SerializeToString()      # b"\\x08\\x03\\x12\\x01a"
    Point.FromString(b"\\x08\\x03").x                 # 3

The methods are those of Google's Python messages, as far as scripts that make summaries by hand use them. Values of unknown fields are dropped.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Self

from flowc.errors import DTypeError, FlowcError, user_location
from flowc.frontend.events import blob, double, integer, single, varint

_WORD = 1 << 64


def _whole(value: Any) -> int:
    number = int(value)
    if number != value:
        raise ValueError(f"{value!r} is no whole number")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str | bytes):
        raise TypeError(f"{value!r} is no text")
    return value.decode() if isinstance(value, bytes) else str(value)


def _raw(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{value!r} is no bytes")
    return bytes(value)


# for each kind of value: its default, what makes a given value one of them, the wire's kind
_KINDS: dict[str, tuple[Any, Callable[[Any], Any], int]] = {
    "int": (0, _whole, 0), "bool": (False, bool, 0), "double": (0.0, float, 1), "float": (0.0, float, 5), "string": ("", _text, 2), "bytes": (b"", _raw, 2),
}  # fmt: skip
_FIXED = {1: "<d", 5: "<f"}


class Field:
    """A field of a message. kind: `int`, `bool`, `double`, `float`, `string`, `bytes`, or a Message class; group: of fields of which one alone is set."""

    def __init__(self, number: int, kind: str | type[Message], repeated: bool = False, group: str = "") -> None:
        self.number, self.kind, self.repeated, self.group = number, kind, repeated, group
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def is_message(self) -> bool:
        return not isinstance(self.kind, str)

    @property
    def wire(self) -> int:
        return _KINDS[self.kind][2] if isinstance(self.kind, str) else 2

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        found = owner._values.get(self.name)
        if found is not None:
            return found
        if self.repeated:
            return owner._values.setdefault(self.name, Repeated(self))
        if not isinstance(self.kind, str):
            return owner._values.setdefault(self.name, self.kind())
        return _KINDS[self.kind][0]

    def __set__(self, owner: Any, value: Any) -> None:
        if self.repeated:
            owner._values[self.name] = Repeated(self, value)
            return
        owner._values[self.name] = self.value(value, owner)
        for other in owner.FIELDS:
            if self.group and other.group == self.group and other is not self:
                owner._values.pop(other.name, None)

    def value(self, value: Any, owner: Any = None) -> Any:
        """`value` as this field holds it; DTypeError where it cannot."""
        where = f"{type(owner).__name__}.{self.name}" if owner is not None else self.name
        try:
            if isinstance(self.kind, str):
                return _KINDS[self.kind][1](value)
        except (TypeError, ValueError, OverflowError):
            raise DTypeError(f"{where} takes a value of kind {self.kind}, not {value!r}", location=user_location()) from None
        if not isinstance(value, self.kind):
            raise DTypeError(f"{where} takes a {self.kind.__name__}, not {value!r}", location=user_location())
        return value

    def encoded(self, value: Any) -> bytes:
        """The bytes of this field of a message; repeated numbers are packed."""
        if not self.repeated:
            return self._one(value)
        if self.wire == 2:
            return b"".join([self._one(item) for item in value])
        return blob(self.number, b"".join([self._number(item) for item in value])) if value else b""

    def _one(self, value: Any) -> bytes:
        if isinstance(value, Message):
            return blob(self.number, value.SerializeToString())
        match self.wire:
            case 0:
                return integer(self.number, value)
            case 1:
                return double(self.number, value)
            case 5:
                return single(self.number, value)
        return blob(self.number, value)

    def _number(self, value: Any) -> bytes:
        return varint(int(value)) if self.wire == 0 else struct.pack(_FIXED[self.wire], value)

    def read(self, owner: Any, wire: int, content: Any) -> None:
        """Take what a message's bytes hold of this field: a number, or bytes."""
        if self.repeated and self.wire != 2 and wire == 2:  # packed
            values = getattr(owner, self.name)
            if self.wire == 0:
                rest = memoryview(content)
                while rest:
                    number, rest = _read_varint(rest)
                    values.append(self._signed(number))
            else:
                values.extend(number for (number,) in struct.iter_unpack(_FIXED[self.wire], content))
            return
        if wire != self.wire:
            raise ValueError(f"field {self.number} has the wire's kind {wire}")
        if not isinstance(self.kind, str):
            value: Any = self.kind.FromString(content)
        else:
            value = self._signed(content) if wire == 0 else content
        if self.repeated:
            getattr(owner, self.name).append(value)
        else:
            setattr(owner, self.name, value)

    @staticmethod
    def _signed(number: int) -> int:
        return number - _WORD if number >= _WORD >> 1 else number


class Repeated(list[Any]):
    """The values of a repeated field; `add` appends a new message."""

    def __init__(self, field: Field, values: Iterable[Any] = ()) -> None:
        self.field = field
        super().__init__([field.value(value) for value in values])

    def append(self, value: Any) -> None:
        super().append(self.field.value(value))

    def extend(self, values: Iterable[Any]) -> None:
        super().extend([self.field.value(value) for value in values])

    def add(self, *values: Any, **fields: Any) -> Any:
        """Append a new message with these fields, and give it."""
        if not self.field.is_message:
            raise AttributeError(f"{self.field.name} holds no messages: use append")
        self.append(self.field.kind(*values, **fields))  # type: ignore[operator]
        return self[-1]


class Message:
    """A message; its fields are Fields of the class."""

    FIELDS: ClassVar[tuple[Field, ...]] = ()
    _LOCAL: ClassVar[frozenset[str]] = frozenset()  # attributes that are no fields: they are not serialized
    _values: dict[str, Any]

    def __init_subclass__(cls) -> None:
        cls.FIELDS = tuple(sorted((f for f in vars(cls).values() if isinstance(f, Field)), key=lambda f: f.number))

    def __init__(self, **fields: Any) -> None:
        self.__dict__["_values"] = {}
        for name, value in fields.items():
            if value is not None:
                setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._LOCAL and not isinstance(getattr(type(self), name, None), Field):
            raise AttributeError(f"{type(self).__name__} has no field {name}; there are {', '.join(f.name for f in self.FIELDS)}")
        super().__setattr__(name, value)

    def _set(self) -> Iterator[tuple[Field, Any]]:
        """The fields that have a value; not those that were only looked at."""
        for field in self.FIELDS:
            value = self._values.get(field.name)
            if value is not None and not (field.repeated and not value) and not (isinstance(value, Message) and not any(value._set())):
                yield field, value

    def SerializeToString(self) -> bytes:
        """The message as bytes."""
        return b"".join([field.encoded(value) for field, value in self._set()])

    def ParseFromString(self, serialized: bytes) -> int:
        """Take the fields from bytes, in place of those that there are; how many bytes. FlowcError where they are no such message."""
        self.Clear()
        fields = {field.number: field for field in self.FIELDS}
        try:
            for number, wire, content in _fields(serialized):
                if number in fields:
                    fields[number].read(self, wire, content)
        except (ValueError, struct.error, UnicodeDecodeError) as error:
            raise FlowcError(f"the bytes are no {type(self).__name__} message: {error}", location=user_location()) from None
        return len(serialized)

    @classmethod
    def FromString(cls, serialized: bytes) -> Self:
        """The message of some bytes."""
        message = cls()
        message.ParseFromString(serialized)
        return message

    def HasField(self, name: str) -> bool:
        """Whether a field was set."""
        return any(field.name == name for field, _ in self._set())

    def WhichOneof(self, group: str) -> str | None:
        """The name of the field of a group that was set."""
        return next((field.name for field, _ in self._set() if field.group == group), None)

    def ByteSize(self) -> int:
        return len(self.SerializeToString())

    def Clear(self) -> None:
        self._values.clear()

    def ClearField(self, name: str) -> None:
        self._values.pop(name, None)

    def CopyFrom(self, other: Self) -> None:
        self.ParseFromString(other.SerializeToString())

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Message) and self.SerializeToString() == other.SerializeToString()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Protobuf's text form."""
        return "\n".join(self._lines(""))

    def _lines(self, indent: str) -> Iterator[str]:
        for field, value in self._set():
            for item in value if field.repeated else [value]:
                if isinstance(item, Message):
                    yield f"{indent}{field.name} {{"
                    yield from item._lines(indent + "  ")
                    yield f"{indent}}}"
                else:
                    yield f"{indent}{field.name}: {_quoted(item)}"


def _quoted(value: Any) -> str:
    if isinstance(value, bytes):
        return '"' + repr(value)[2:-1].replace('"', '\\"') + '"'
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fields(message: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, the wire's kind, content) of each field of a serialized message. ValueError where it ends too early."""
    rest = memoryview(message)
    while rest:
        key, rest = _read_varint(rest)
        content: Any
        match key & 7:
            case 0:
                content, rest = _read_varint(rest)
            case 2:
                length, rest = _read_varint(rest)
                content, rest = _part(rest, length)
                content = bytes(content)
            case 1 | 5 as wire:
                content, rest = _part(rest, 8 if wire == 1 else 4)
                (content,) = struct.unpack(_FIXED[wire], content)
            case other:
                raise ValueError(f"there is no kind {other} on the wire")
        yield key >> 3, key & 7, content


def _part(data: memoryview, length: int) -> tuple[memoryview, memoryview]:
    if len(data) < length:
        raise ValueError(f"{length} bytes are announced, and {len(data)} are left")
    return data[:length], data[length:]


def _read_varint(data: memoryview) -> tuple[int, memoryview]:
    value = 0
    for place, byte in enumerate(data[:10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, data[place + 1 :]
    raise ValueError("a number has no end")


__all__ = ["Field", "Message", "Repeated"]
