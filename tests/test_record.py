"""Records against the dataclasses they stand for."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "provreg"


@dataclass(frozen=True, slots=True)
class Ours:
    """Every kind of field."""

    name: str
    count: int = 3
    parts: list[str] = field(default_factory=list)
    secret: str = field(default="", repr=False, compare=False)
    total: int = field(init=False)
    kept: dict[str, int] = field(default_factory=dict, init=False, compare=False)
    place: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.count + len(self.parts))


@dataclass(frozen=True, slots=True)
class Theirs:
    name: str
    count: int = 3
    parts: list[str] = field(default_factory=list)
    secret: str = field(default="", repr=False, compare=False)
    total: int = field(init=False)
    kept: dict[str, int] = field(default_factory=dict, init=False, compare=False)
    place: int = field(default=0, kw_only=True)

    __post_init__ = Ours.__post_init__


@dataclass(frozen=True, slots=True)
class Further(Ours):
    last: str = ""


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True)
class Pair:
    left: str
    right: str = field(default="", compare=False)


CALLS = [
    (("a",), {}),
    (("a", 4, ["x"]), {"place": 2}),
    ((), {"name": "b", "secret": "s", "parts": ["y", "z"]}),
]


@pytest.mark.parametrize(("given", "named"), CALLS)
def test_record_is_made_shown_and_taken_apart_as_a_dataclass_is(
    given: tuple[object, ...], named: dict[str, object]
) -> None:
    ours, theirs = Ours(*given, **named), Theirs(*given, **named)  # type: ignore[arg-type]
    assert asdict(ours) == asdict(theirs)  # type: ignore[call-overload]
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert asdict(replace(ours, count=9)) == asdict(replace(theirs, count=9))  # type: ignore[call-overload,type-var]


@pytest.mark.parametrize("given", [(), ("a", 1, [], "", 5)])
def test_record_takes_what_it_has_fields_for(given: tuple[object, ...]) -> None:
    for cls in (Ours, Theirs):
        with pytest.raises(TypeError, match=r"__init__\(\)"):
            cls(*given)  # type: ignore[arg-type]


def test_signature_is_that_of_a_dataclass() -> None:
    ours, theirs = (inspect.signature(cls).parameters for cls in (Ours, Theirs))
    assert [(one.name, one.kind, one.annotation) for one in ours.values()] == [
        (one.name, one.kind, one.annotation) for one in theirs.values()
    ]
    assert Ours.__match_args__ == Theirs.__match_args__  # type: ignore[attr-defined]


def test_records_are_equal_by_what_is_compared_and_by_class() -> None:
    assert Ours("a", secret="x") == Ours("a", secret="y")
    assert Ours("a") != Ours("b")
    assert Ours("a") != Theirs("a")
    assert Ours("a") != Further("a")
    assert Further("a", last="z") == Further("a", last="z") != Further("a")
    assert Empty() == Empty()
    assert {Pair("a", "b"), Pair("a", "c"), Pair("b"), Empty(), Empty()} == {
        Pair("a"), Pair("b"), Empty(),
    }  # fmt: skip
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours("a"))


def test_fields_of_their_own_are_not_shared() -> None:
    one, other = Ours("a"), Ours("a")
    one.parts.append("x")
    one.kept["x"] = 1
    assert (other.parts, other.kept) == ([], {})


def test_records_cannot_be_changed() -> None:
    one = Further("a")
    for change in (
        lambda: setattr(one, "name", "b"),
        lambda: setattr(one, "new", "b"),
        lambda: delattr(one, "name"),
    ):
        with pytest.raises(FrozenInstanceError):
            change()
    assert one.name == "a"
    assert not hasattr(one, "__dict__")


@pytest.mark.parametrize("one", [Further("a", 2, ["x"], last="z"), Empty(), Pair("a", "b")])
def test_records_travel_between_processes(one: object) -> None:
    assert repr(pickle.loads(pickle.dumps(one))) == repr(one)  # noqa: S301
    assert repr(copy.deepcopy(one)) == repr(copy.copy(one)) == repr(one)


def test_all_frozen_classes_are_records() -> None:
    """A dataclass costs every command that loads it half a millisecond."""
    frozen = re.compile(r"@dataclass\(frozen=True, slots=True\)")
    assert [path for path in ROOT.rglob("*.py") if frozen.search(path.read_text("utf-8"))] == []


def test_a_record_without_a_docstring_has_no_signature_written_for_it() -> None:
    assert (Empty.__doc__, Ours.__doc__) == ("Empty", "Every kind of field.")
