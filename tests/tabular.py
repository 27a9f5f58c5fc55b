"""Tables of samples with origins, as CSV, for what counts by labeler and source."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conftest import Bench

from provreg.flows.ingest.publish import Outcome
from provreg.readers.api import ReadOptions
from provreg.screening.api import Finding

COLUMNS = ("id", "text", "label", "source", "labeler", "labeled_at", "split")
Row = dict[str, Any]


def ingest_rows(bench: Bench, rows: Iterable[Mapping[str, Any]], **options: Any) -> Outcome:
    """`rows`, each with some of COLUMNS, as the next version of the dataset `pets`."""
    rows = [dict(row) for row in rows]
    present = [name for name in COLUMNS if any(name in row for row in rows)]
    path = write_rows(bench.folder / "data" / "rows.csv", rows, present)
    reading = ReadOptions(
        id="id",
        label="label",
        source_column="source" if "source" in present else None,
        labeler_column="labeler" if "labeler" in present else None,
        labeled_at_column="labeled_at" if "labeled_at" in present else None,
        split="split" if "split" in present else None,
    )
    return bench.ingest(path, options=reading, source=None, **options)


def write_rows(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> Path:
    """`rows` as CSV at `path`; a column that a row lacks is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def ids_shown_by(bench: Bench, finding: Finding) -> set[str]:
    """The ids that the command of a finding shows, a `provreg sql`, as the shell reads it."""
    program, command, query = shlex.split(finding.samples.look)
    assert (program, command) == ("provreg", "sql")
    names, rows = bench.open().sql(query)
    place = names.index("id" if "id" in names else "new_id")
    return {row[place] for row in rows}
