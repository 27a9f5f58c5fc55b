"""Commands that start fast: their words are converted here.

typer converts with pydantic, which takes 85 ms to load: as long as a short command needs for all
else.
"""

from __future__ import annotations

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

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of each panel under its name, which typer does with rich's boxes alone."""
        panels: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            said = parameter.get_help_record(ctx)
            if said is not None:
                panels.setdefault(panel_of(parameter), []).append(said)
        for name, records in panels.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


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


def panel_of(parameter: _Parameter) -> str:
    """What a parameter stands under in the help."""
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or "Options"


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
