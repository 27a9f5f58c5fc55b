"""The table: Markdown for people, JSON for machines, and the machine it was made on."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata

from benchmarks.harness import CHECKOUT, Row
from benchmarks.references import References, probe, version

_PACKAGES = ("blake3", "pyarrow", "duckdb", "numpy", "typer", "cryptography")
_HEADINGS = ("line", "what", "measured", "spread", "target", "verdict", "against", "ours", "theirs",
             "checked", "note")  # fmt: skip


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    cpu = "unknown"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
        cpu = f"{len(names)} x {names[0]}"
    except (OSError, IndexError):
        cpu = f"{os.cpu_count()} x {platform.machine()}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": cpu,
        "cores in use": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "system": platform.platform(),
    }


def versions(references: References) -> dict[str, str]:
    """Of provreg, what it stands on, and the references that are there."""
    commit = version(("git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"))
    found = {"provreg": commit or "unknown", "python": sys.version.split()[0]}
    found |= {name: metadata.version(name) for name in _PACKAGES}
    found |= {name: version((name, "--version")) for name in ("b3sum", "git", "sha256sum")}
    folder = references.cache / "references"
    if folder.is_dir():
        for name in sorted(path.name for path in folder.iterdir()):
            found[name] = probe(folder / name, name)
    return {name: said for name, said in found.items() if said}


def as_json(rows: Sequence[Row], about: dict[str, dict[str, str]]) -> str:
    """Everything, one object."""
    lines = [asdict(row) | {"verdict": row.verdict} for row in rows]
    return json.dumps({**about, "rows": lines}, indent=2, ensure_ascii=False) + "\n"


def as_markdown(rows: Sequence[Row], about: dict[str, dict[str, str]]) -> str:
    """The table, and what it was made with."""
    lines = [f"| {' | '.join(_HEADINGS)} |", "|" + "---|" * len(_HEADINGS)]
    for row in sorted(rows, key=lambda row: row.line):
        sign = "≥" if row.at_least else "≤"
        target = "-" if row.target is None else f"{sign} {_number(row.target)} {row.unit}"
        verdict = f"**{row.verdict}**" if row.verdict == "MISSED" else row.verdict
        cells = (
            str(row.line), row.what, f"{_number(row.measured)} {row.unit}",
            f"{_number(row.low)} to {_number(row.high)}", target, verdict, row.against,
            row.ours, row.theirs, row.checked, row.note,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    judged = [row for row in rows if row.target is not None]
    met = sum(row.verdict == "met" for row in judged)
    lines += ["", f"{met} of {len(judged)} targets met.", ""]
    for heading, pairs in about.items():
        if pairs:
            said = " · ".join(f"{name}: {value}" for name, value in pairs.items())
            lines.append(f"{heading}: {said}  ")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """Three figures: 0.0123, 1.23, 123, 12,345."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
