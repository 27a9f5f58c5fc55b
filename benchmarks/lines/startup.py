"""Line 9: what a command costs before it does anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.harness import PROVREG, Row, Side, absolute, alternate, cpu, ratio, require, run

LINE = 9
NEEDS: tuple[str, ...] = ()
_HEAVY = ("duckdb", "pyarrow", "sigstore", "numpy", "cryptography", "rich", "pandas")
# Runs a command as the `provreg` script does, then names the heavy packages that came with it.
_LISTING = f"""
import sys
from provreg.cli import main
try:
    main()
finally:
    print("loaded:", *(name for name in {_HEAVY!r} if name in sys.modules), file=sys.stdout)
"""


def rows(bench: Bench) -> Iterator[Row]:
    rounds = 2 * bench.rounds
    help_ = Side((*PROVREG, "--help"))
    typer = Side((sys.executable, "-c", "import typer"))
    runs = alternate({"help": help_, "typer": typer}, rounds)
    require("ingest" in runs["help"][-1].output, "help names the commands")
    yield ratio(LINE, "`provreg --help`, CPU", runs["help"], runs["typer"], of=cpu, target=1.6,
                against="python -c 'import typer'", checked="commands are named",
                note=_loaded("--help"))  # fmt: skip
    data = bench.data("files", 100, 300)
    home = bench.home("startup")
    run(home.ingest(data, fresh=True))
    words = ("verify", "data", "--key", str(home.public), "--registry", str(home.registry))
    verify = home.command("verify", "data", "--key", home.public)
    verified = alternate({"verify": verify}, rounds)["verify"]
    require("verified" in verified[-1].output.lower(), "the dataset verifies")
    listing = Side((sys.executable, "-c", _LISTING, *words), environment=home.environment)
    loaded = run(listing).output.splitlines()[-1]
    require("duckdb" not in loaded and "sigstore" not in loaded, f"verify with a key {loaded}")
    yield absolute(LINE, "`provreg verify` of 100 samples with a key, CPU",
                   [one.cpu for one in verified], "s", target=0.5,
                   checked="neither duckdb nor sigstore is imported", note=loaded)  # fmt: skip


def _loaded(*words: str) -> str:
    return run(Side((sys.executable, "-c", _LISTING, *words))).output.splitlines()[-1]
