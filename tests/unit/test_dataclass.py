"""Data classes whose methods are made late look like those of the standard library."""

import copy
import dataclasses
import pickle
from dataclasses import field, replace
from typing import ClassVar, Generic, TypeVar

import pytest

from provisioner.dataclass import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Point:
    """A point."""

    x: int
    y: int = 2
    tags: tuple[str, ...] = field(default_factory=tuple, repr=False)
    seen: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Named(Point):
    """A point with a name of at least one letter."""

    name: str = "p"

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("no name")


@dataclass(frozen=True, slots=True)
class Own:
    """A class with a method of its own."""

    x: int

    def __repr__(self) -> str:
        return f"<{self.x}>"


@dataclass(frozen=True, slots=True)
class Never:
    """A class that no test makes an instance of."""

    x: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A class whose first instance in a process has come from another one."""

    x: int
    y: str = "y"


@dataclass(frozen=True, slots=True)
class Kinds(Point):
    """A class with a variable of its own."""

    KIND: ClassVar[str] = "kind"
    more: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Box(Generic[T]):
    """A generic class."""

    item: T


@dataclass(slots=True)
class Counted:
    """A class whose instances can be changed."""

    number: int
    names: list[str] = field(default_factory=list)


def test_no_method_is_made_before_there_is_an_instance() -> None:
    assert Never.__init__.__qualname__.startswith("_stub")
    assert [each.name for each in dataclasses.fields(Never)] == ["x"]
    assert Never.__match_args__ == ("x",)
    Own(1)
    assert not Own.__init__.__qualname__.startswith("_stub")


def test_instances_are_made_compared_and_shown_as_those_of_the_library() -> None:
    assert Point(1) == Point(1, 2, (), seen=7)
    assert Point(1) != Point(2)
    assert hash(Point(1)) == hash(Point(1, seen=3))
    assert Point(1) != Named(1)
    assert repr(Point(1, tags=("a",))) == "Point(x=1, y=2, seen=0)"
    assert repr(Named(1, name="q")) == "Named(x=1, y=2, seen=0, name='q')"
    assert repr(Own(3)) == "<3>"
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 2, "tags": (), "seen": 0}
    assert replace(Named(1), y=5) == Named(1, 5)


def test_what_is_missing_or_too_much_is_refused() -> None:
    for call in ("Point()", "Point(1, z=2)", "Point(1, 2, (), 0, 9)"):
        with pytest.raises(TypeError):
            eval(call)  # noqa: S307
    with pytest.raises(ValueError, match="no name"):
        Named(1, name="")


def test_nothing_is_set_or_deleted_afterwards() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    assert not hasattr(point, "__dict__")


def test_an_instance_from_another_process_is_whole() -> None:
    # As pickle makes it: without __init__, by the state alone.
    made = Sent.__new__(Sent)
    made.__setstate__([1, "z"])  # type: ignore[attr-defined]
    assert hash(made) == hash(Sent(1, "z"))
    assert made == Sent(1, "z")
    for each in (Point(1, tags=("a",)), Named(3, name="n")):
        assert pickle.loads(pickle.dumps(each)) == each  # noqa: S301
        assert copy.copy(each) == each == copy.deepcopy(each)


def test_a_class_variable_is_no_field_and_fields_of_bases_come_first() -> None:
    assert [each.name for each in dataclasses.fields(Kinds)] == ["x", "y", "tags", "seen", "more"]
    assert Kinds.__match_args__ == ("x", "y", "tags", "seen", "more")
    assert (Kinds.KIND, Kinds(1, more=[2]).more) == ("kind", [2])
    assert repr(Kinds(1)) == "Kinds(x=1, y=2, seen=0, more=[])"
    assert Box("a").item == "a"


def test_instances_that_can_be_changed_have_no_hash() -> None:
    counted = Counted(1)
    counted.names.append("a")
    counted.number = 2
    assert counted == Counted(2, ["a"]) != Counted(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(counted)
    with pytest.raises(AttributeError):
        counted.other = 1  # type: ignore[attr-defined]


def test_other_options_are_the_librarys() -> None:
    @dataclass(order=True)
    class Counter:
        """It can be changed."""

        count: int = 0

    counter = Counter()
    counter.count += 1
    assert Counter(0) < counter == Counter(1)
