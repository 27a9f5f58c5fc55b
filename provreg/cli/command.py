"""Commands that start fast: neither of two large libraries that only look at types is loaded.

typer converts values with pydantic (70 ms to load), Arrow asks pandas (170 ms) whether it is given
something of pandas. Either is as long as a short command needs for all else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

_Parameter = TyperArgument | TyperOption
_CONVERTED: dict[Any, Callable[[Any], Any]] = {str: str, Path: Path}
# What typer may be asked to do with a value besides.
_CHECKS = ("parser", "exists", "resolve_path", "path_type")


class Command(TyperCommand):
    """A command whose texts, paths and flags are converted here; other types are left to typer."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        if any(parameter.name == "registry" for parameter in self.params):
            _load_arrow()
        return super().invoke(ctx)


class Group(TyperGroup):
    """A group of commands, with its own parameters as `Command` has them."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))


@dataclass(frozen=True, slots=True)
class _Plain:
    """Stands in for typer's `RuntimeParam`."""

    convert: Callable[[Any], Any]

    def coerce(self, value: Any, param: _Parameter, ctx: Any) -> Any:  # noqa: ARG002
        if param.multiple or param.nargs == -1:
            return tuple(map(self.convert, value or ()))
        return None if value is None else self.convert(value)


def _plain(parameters: list[Any]) -> list[Any]:
    """`parameters`, with the simple ones told how to convert before typer would find out."""
    for parameter in parameters:
        described = parameter.type_descriptor
        checked = any(getattr(described.parameter_info, check) for check in _CHECKS)
        convert = None if checked else _conversion(described.annotation, parameter)
        if convert is not None:
            parameter._runtime_param = _Plain(convert)
    return parameters


def _conversion(annotation: Any, parameter: _Parameter) -> Callable[[Any], Any] | None:
    if annotation is bool and parameter.envvar is None:
        return bool  # it is one: only the environment gives texts
    return _CONVERTED.get(get_args(annotation)[0] if get_origin(annotation) is list else annotation)


def _load_arrow() -> None:
    """Loads Arrow, which looks for pandas with its first array, while there is none to be found.

    It looks again for what is of pandas' own making (`to_pandas`).
    """
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        import pyarrow as pa

        pa.array([None])
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    """Finds no pandas, and leaves everything else to other finders."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)
