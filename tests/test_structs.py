"""flowc.structs: annotations become fields, as a dataclass's do."""

from __future__ import annotations

import copy
import pickle
from functools import cached_property

import pytest

from flowc.structs import Struct, field, fields, replace


class Row(Struct):
    slot: int
    kind: str = "param"


class Place(Struct, eq=False):
    name: str


class Wide(Place):
    width: int = 1


class Counts(Struct, frozen=False):
    by_name: dict[str, int] = field(default_factory=dict)
    total: int = 0

    def __post_init__(self) -> None:
        self.total = sum(self.by_name.values())


class Square(Struct):
    side: int

    __slots__ = ("note",)

    @cached_property
    def area(self) -> int:
        return self.side * self.side


def test_fields_are_given_by_place_or_by_name_and_defaults_fill_the_rest() -> None:
    assert repr(Row(3)) == repr(Row(slot=3)) == repr(Row(3, kind="param")) == "Row(slot=3, kind='param')"
    assert fields(Row) == ("slot", "kind")


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, "a", 2), {}), ((1,), {"slot": 1}), ((1,), {"sort": "a"})])
def test_wrong_arguments_are_python_s_own_error(args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="__init__"):
        Row(*args, **kwargs)  # type: ignore[arg-type]


def test_structs_with_equal_fields_are_equal_and_hash_alike() -> None:
    assert Row(1) == Row(1, "param") != Row(2)
    assert hash(Row(1)) == hash(Row(1, "param"))
    assert Row(1) != (1, "param")


def test_without_eq_a_struct_is_equal_to_itself_alone_and_so_are_those_of_subclasses() -> None:
    for one, other in ((Place("a"), Place("a")), (Wide("a", 2), Wide("a", 2))):
        assert one != other
        assert len({one, other}) == 2


def test_a_subclass_adds_fields_behind_those_of_its_base() -> None:
    Place("made before")
    assert repr(Wide("a")) == "Wide(name='a', width=1)"


def test_a_frozen_struct_cannot_be_changed() -> None:
    row = Row(1)
    with pytest.raises(AttributeError, match="a Row cannot be changed: slot"):
        row.slot = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="a Row cannot be changed: slot"):
        del row.slot
    assert row.slot == 1


def test_a_struct_that_is_not_frozen_changes_and_has_no_hash() -> None:
    counts = Counts()
    counts.total = 5
    assert counts.total == 5
    with pytest.raises(TypeError, match="unhashable"):
        hash(counts)


def test_each_struct_makes_its_own_default_and_post_init_runs_last() -> None:
    first, second = Counts(), Counts()
    first.by_name["a"] = 1
    assert second.by_name == {}
    assert Counts({"a": 2, "b": 3}).total == 5


def test_a_struct_holds_its_fields_its_cached_properties_and_what_its_class_names_in_slots() -> None:
    square = Square(3)
    assert square.area == 9
    assert vars(square) == {"area": 9}
    assert hasattr(Square, "note")
    assert not hasattr(Row(1), "__dict__")


def test_replace_gives_other_values_to_some_fields() -> None:
    assert replace(Row(1, "slot"), slot=2) == Row(2, "slot")


def test_structs_are_copied_and_pickled() -> None:
    row = Row(1, "slot")
    assert pickle.loads(pickle.dumps(row)) == copy.deepcopy(row) == row


def test_structs_match_patterns_by_place() -> None:
    match Row(4, "slot"):
        case Row(slot, "slot"):
            assert slot == 4
        case _:
            pytest.fail("the pattern fits")
