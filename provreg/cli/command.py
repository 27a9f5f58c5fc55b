"""Commands whose help lists their options by panel, in plain text."""

from __future__ import annotations

from typing import Any

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
