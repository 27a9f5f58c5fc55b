"""Frozen dataclasses that take no time to define.

`dataclass` writes six methods for each class as source text and compiles them: half a millisecond a
class, for a hundred classes that a command loads. Here all classes share five of them, and only
`__init__`, which is called most, is written for each, when it is first looked for.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable

Record = TypeVar("Record")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[Record]) -> type[Record]:
    """As `dataclass(frozen=True, slots=True)`."""
    # Without a docstring `dataclass` would write a signature into it, for which it looks long.
    cls.__doc__ = cls.__doc__ or cls.__name__
    made = dataclass(slots=True, init=False, repr=False, eq=False)(cls)
    for name, method in _SHARED.items():
        setattr(made, name, method)
    setattr(made, "__init__", _Unwritten(made))  # noqa: B010 - mypy knows better of a method
    return made


class _Unwritten:
    """Stands in for `__init__` until somebody looks for it."""

    def __init__(self, cls: type) -> None:
        self._cls = cls

    def __get__(self, instance: object, owner: type) -> Any:
        setattr(self._cls, "__init__", _init(self._cls))  # noqa: B010 - as above
        return getattr(owner if instance is None else instance, "__init__")  # noqa: B009


def _init(cls: Any) -> Any:
    """`__init__` as `dataclass` writes it for a frozen class."""
    values: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": MISSING}
    ordered: list[str] = []
    named: list[str] = []
    lines: list[str] = []
    for one in fields(cls):
        value, default = one.name, ""
        if one.default_factory is not MISSING:
            values[f"_new_{one.name}"] = one.default_factory
            value, default = f"_new_{one.name}()", "=_MISSING"
            if one.init:
                value += f" if {one.name} is _MISSING else {one.name}"
        elif one.default is not MISSING:
            values[f"_default_{one.name}"] = one.default
            default = f"=_default_{one.name}"
        if one.init:
            (named if one.kw_only else ordered).append(one.name + default)
        if one.init or default:
            lines.append(f" _set(self, {one.name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    parameters = ", ".join(["self", *ordered, *(["*", *named] if named else [])])
    source = "\n".join([f"def __init__({parameters}):", *lines, " pass"])
    exec(source, values)  # noqa: S102 - made of names of fields alone, as `dataclass` does
    written = values["__init__"]
    written.__qualname__ = f"{cls.__qualname__}.__init__"
    written.__annotations__ = {one.name: one.type for one in fields(cls) if one.init}
    return written


def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({shown})"


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared = _compared(self.__class__)
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(_compared(self.__class__)(self))


@cache
def _compared(cls: Any) -> Callable[[Any], Any]:
    """What tells objects of `cls` apart."""
    names = [one.name for one in fields(cls) if one.compare]
    return attrgetter(*names) if names else lambda _: ()


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for one, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)


def _refuse(_: object, name: str, *_value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to or delete field {name!r}")


_SHARED = {
    "__repr__": _repr,
    "__eq__": _equal,
    "__hash__": _hash,
    "__getstate__": _state,
    "__setstate__": _set_state,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}
