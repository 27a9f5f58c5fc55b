"""The command line: one command a file, the only place that prints and sets exit codes."""

from __future__ import annotations

import os


def main() -> None:
    """The `provreg` command."""
    # We do no linear algebra, and starting the threads for it takes longer than most commands.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from provreg.cli.app import run

    run()
