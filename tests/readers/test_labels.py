"""Labels files: what they may hold, and what is said of those that may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.errors import InputError, ProvregError, UsageError
from provreg.readers.api import LabelsOptions
from provreg.readers.labels import read_labels

MAJORITY = LabelsOptions(aggregate="majority")


def write(folder: Path, text: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def rows(path: Path, options: LabelsOptions = LabelsOptions()) -> list[dict[str, Any]]:  # noqa: B008
    found: list[dict[str, Any]] = read_labels(path, options).to_pylist()
    return found


def refusal(path: Path, options: LabelsOptions = LabelsOptions()) -> ProvregError:  # noqa: B008
    with pytest.raises((InputError, UsageError)) as refused:
        read_labels(path, options)
    assert path.name in refused.value.message
    return refused.value


def test_a_delimiter_separates_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "id;label\n1;cat\n")
    error = refusal(path)
    assert "no column 'id'" in error.message
    assert "--labels-delimiter ';'" in error.hint
    assert rows(path, LabelsOptions(delimiter=";")) == [{"id": "1", "label": "cat"}]
    lines = write(tmp_path, '{"id": "1", "label": "cat"}\n', "l.jsonl")
    assert "--labels-delimiter" in refusal(lines, LabelsOptions(delimiter=";")).message


def test_additional_columns_are_excluded_on_request(tmp_path: Path) -> None:
    path = write(tmp_path, "id,label,remark,score\n1,cat,x,0.5\n")
    error = refusal(path)
    assert "'remark' and 1 more" in error.message
    assert "--labels-exclude remark" in error.hint
    options = LabelsOptions(exclude=("remark", "score"))
    assert rows(path, options) == [{"id": "1", "label": "cat"}]
    assert "'other'" in refusal(path, LabelsOptions(exclude=("other",))).message


@pytest.mark.parametrize(
    ("time", "timezone", "moment"),
    [
        ("2026-11-30T10:00:00Z", None, "2026-11-30 10:00:00+00:00"),
        ("2026-11-30 10:00+01:00", None, "2026-11-30 09:00:00+00:00"),
        ("2026-11-30 10:00:00", "UTC", "2026-11-30 10:00:00+00:00"),
        ("2026-11-30", "+02:00", "2026-11-29 22:00:00+00:00"),
        ("2026-07-30 10:00:00", "Europe/Berlin", "2026-07-30 08:00:00+00:00"),
        ("2026-11-30T10:00:00Z", "Europe/Berlin", "2026-11-30 10:00:00+00:00"),
    ],
)
def test_times_have_a_zone_or_are_of_the_given_one(
    tmp_path: Path, time: str, timezone: str | None, moment: str
) -> None:
    path = write(tmp_path, f"id,labeled_at\n1,{time}\n2,\n")
    first, second = rows(path, LabelsOptions(timezone=timezone))
    assert str(first["labeled_at"]) == moment
    assert second["labeled_at"] is None


@pytest.mark.parametrize(
    ("time", "timezone", "complaint"),
    [
        ("30.11.2026", None, "'30.11.2026' is not a time"),
        ("30.11.2026", "UTC", "'30.11.2026' is not a time"),
        ("2026-11-30 10:00:00", None, "'2026-11-30 10:00:00' has no time zone"),
        ("2026-11-30", None, "'2026-11-30' has no time zone"),
        ("2026-10-25 02:30:00", "Europe/Berlin", "is not one time in Europe/Berlin"),
        ("2026-03-29 02:30:00", "Europe/Berlin", "is not one time in Europe/Berlin"),
    ],
)
def test_a_time_without_a_zone_is_never_guessed(
    tmp_path: Path, time: str, timezone: str | None, complaint: str
) -> None:
    path = write(tmp_path, f"id,labeled_at\n1,2026-11-30T10:00:00Z\n2,{time}\n")
    error = refusal(path, LabelsOptions(timezone=timezone))
    assert "row 2, column 'labeled_at'" in error.message
    assert complaint in error.message
    assert "2026-11-30T10:00:00Z" in error.hint


def test_times_of_parquet_without_a_zone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    times = pa.array([1_000_000], pa.timestamp("us"))
    pq.write_table(pa.table({"id": ["1"], "labeled_at": times}), path)
    assert "no time zone" in refusal(path).message
    (row,) = rows(path, LabelsOptions(timezone="-01:00"))
    assert str(row["labeled_at"]) == "1970-01-01 01:00:01+00:00"


def test_options_that_are_invalid_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "id,label\n1,cat\n")
    for options in (
        LabelsOptions(timezone="Mars/Olympus"),
        LabelsOptions(aggregate="mean"),
        LabelsOptions(delimiter=";;"),
        LabelsOptions(exclude=("id",)),
    ):
        with pytest.raises(UsageError):
            read_labels(path, options)


def test_refusals_name_file_and_row(tmp_path: Path) -> None:
    assert "row 2" in refusal(write(tmp_path, "id,label\n1,cat\n,dog\n")).message
    assert "row 1" in refusal(write(tmp_path, 'id,attrs\n1,"[]"\n')).message
    assert "no column 'id'" in refusal(write(tmp_path, "image,label\n1,cat\n")).message
    assert "no column but 'id'" in refusal(write(tmp_path, "id\n1\n")).message
    refusal(write(tmp_path, "id,label\n"))
    refusal(write(tmp_path, "id,label\n1\n"))


def test_a_duplicate_id_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    path = write(tmp_path, "id,label,labeler\n1,cat,ann\n2,cat,ann\n1,dog,ben\n")
    error = refusal(path)
    assert "row 1 and" in error.message
    assert "row 3" in error.message
    assert "--aggregate majority" in error.hint


def test_several_people_make_annotations_and_a_majority(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "id,label,labeler,labeled_at,source\n"
        "2,dog,cho,,\n1,cat,ben,2026-11-30T10:00:00Z,web\n1,cat,ann,,\n1,dog,cho,,web\n2,cat,ann,,\n",
    )
    one, two = rows(path, MAJORITY)
    assert [one[name] for name in ("id", "label", "labeler", "source")] == ["1", "cat", None, "web"]
    assert [(note["labeler"], note["label"]) for note in one["annotations"]] == [
        ("ann", "cat"), ("ben", "cat"), ("cho", "dog"),
    ]  # fmt: skip
    assert str(one["annotations"][1]["labeled_at"]) == "2026-11-30 10:00:00+00:00"
    # Two who disagree: no label follows.
    assert two["label"] is None


def test_the_order_of_rows_makes_no_difference(tmp_path: Path) -> None:
    lines = [f"{n % 4},{'cat' if n % 3 else 'dog'},w{n}" for n in range(20)]
    head = "id,label,labeler\n"
    one = rows(write(tmp_path, head + "\n".join(lines) + "\n", "1.csv"), MAJORITY)
    assert rows(write(tmp_path, head + "\n".join(lines[::-1]) + "\n", "2.csv"), MAJORITY) == one


def test_nobody_votes_twice_and_nobody_without_a_name(tmp_path: Path) -> None:
    twice = write(tmp_path, "id,label,labeler\n1,cat,ann\n2,cat,ann\n1,dog,ann\n", "twice.csv")
    error = refusal(twice, MAJORITY)
    assert "row 3: 'ann' labeled '1' in row 1 already" in error.message
    nobody = write(tmp_path, "id,label,labeler\n1,cat,ann\n1,dog,\n", "nobody.csv")
    assert "row 2: the row has no labeler" in refusal(nobody, MAJORITY).message
    assert "no column 'labeler'" in refusal(write(tmp_path, "id,label\n1,a\n"), MAJORITY).message
    other = write(tmp_path, "id,label,labeler,split\n1,a,ann,x\n1,a,ben,y\n", "split.csv")
    assert "differ in 'split'" in refusal(other, MAJORITY).message
    long = write(tmp_path, f"id,label,labeler\n1,{'x' * 1025},ann\n", "long.csv")
    assert "longer than 1024 bytes" in refusal(long, MAJORITY).message
