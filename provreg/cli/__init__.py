"""The command line: one command a file, the only place that prints and sets exit codes."""

from __future__ import annotations


def main() -> None:
    """The `provreg` command."""
    from provreg.cli.startup import end, prepare

    prepare()
    from provreg.cli.app import run

    try:
        run()
    finally:
        end()
