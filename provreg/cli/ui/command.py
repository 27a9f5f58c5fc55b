"""Commands: groups of options that several of them share, and help without rich."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose help shows the panels of its options without rich."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of each panel under its name, which typer does with rich's boxes alone."""
        panels: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panels.setdefault(panel_of(parameter), []).append(record)
        for name, records in panels.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def panel_of(parameter: Any) -> str:
    """What a parameter stands under in the help."""
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or "Options"


def with_groups(function: Callable[..., None]) -> Callable[..., None]:
    """`function` as typer takes it: each parameter that is a dataclass becomes its fields.

    A group of options (`provreg.cli.ui.options`) so is written, documented and tested once.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        group = groups.get(parameter.name)
        if group is None:
            annotated = parameter.replace(annotation=hints[parameter.name])
            parameters.append(annotated.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        of_group = get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if option.default is MISSING else option.default,
                annotation=of_group[option.name],
            )
            for option in fields(group)
        ]

    def command(**values: Any) -> None:
        made = {
            name: group(**{option.name: values.pop(option.name) for option in fields(group)})
            for name, group in groups.items()
        }
        function(**values, **made)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(command)["__signature__"] = inspect.Signature(parameters)
    return command
