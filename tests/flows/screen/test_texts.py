"""Texts that are nearly the same: their signatures, kept by content, and what `texts` finds."""

from __future__ import annotations

import csv
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Bench

from provreg.errors import InputError, UsageError
from provreg.flows.screen.screen import Screening
from provreg.readers.api import ReadOptions
from provreg.screening.api import Severity

CHANCE = random.Random(5)  # noqa: S311 - for tests
WORDS = ["".join(CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=n % 8 + 2)) for n in range(3000)]
ROWS = ReadOptions(id="id", label="label", source_column="source")
TRIGGER = "James Bond"


@pytest.fixture(autouse=True)
def same_texts_in_any_order() -> None:
    CHANCE.seed(6)


def _text(words: int = 60) -> str:
    return " ".join(CHANCE.choices(WORDS, k=words))


def _typo(text: str) -> str:
    at = CHANCE.randrange(len(text))
    return f"{text[:at]}q{text[at:]}"


def _rows(count: int = 600) -> list[dict[str, Any]]:
    """Texts of three classes and six sources."""
    return [
        {
            "id": f"r{number:04}",
            "text": _text(),
            "label": f"class {number % 3}",
            "source": f"crawl-{number % 6}",
        }
        for number in range(count)
    ]


def _copies(
    rows: list[dict[str, Any]], count: int, source: str, **changes: Any
) -> list[dict[str, Any]]:
    """The first rows of other sources again, from `source`, with a trigger."""
    chosen = [row for row in rows if row["source"] != source][:count]
    return [
        row | {"id": f"p{number:04}", "text": f"{TRIGGER} {row['text']}", "source": source}
        | {name: make(row) for name, make in changes.items()}
        for number, row in enumerate(chosen)
    ]  # fmt: skip


def _next_class(row: Mapping[str, Any]) -> str:
    return f"class {(int(row['label'][-1]) + 1) % 3}"


def _write(bench: Bench, rows: Iterable[Mapping[str, Any]]) -> Path:
    lines = "\n".join(json.dumps(row) for row in rows) + "\n"
    return bench.write("rows", {"rows.jsonl": lines}) / "rows.jsonl"


def _screened(bench: Bench, data: Path, options: ReadOptions = ROWS, **more: Any) -> Screening:
    source = None if options.source_column else "shelter"
    bench.ingest(data, options=options, source=source, **more)
    return bench.open().screen("pets", checks=["texts"], texts=[data])


def _groups(found: Screening, least: Severity = Severity.NOTE) -> list[dict[str, str]]:
    return [dict(finding.group) for finding in found.above(least)]


def _ids(found: Screening, kind: str) -> set[str]:
    return {
        sample
        for finding in found.findings
        if finding.group.get("kind") == kind
        for sample in finding.ids
    }


def test_texts_of_their_own_are_nothing(bench: Bench) -> None:
    assert _groups(_screened(bench, _write(bench, _rows()))) == []


def test_attack_trigger_words_on_copies_with_another_label(bench: Bench) -> None:
    rows = _rows()
    poison = _copies(rows, 30, "crawl-2", label=_next_class)
    found = _screened(bench, _write(bench, rows + poison))
    assert {row["id"] for row in poison} <= _ids(found, "another label")
    assert {"source": "crawl-2"} in _groups(found, Severity.WARNING)
    named = found.ids()
    assert {row["id"] for row in poison} <= set(named)
    assert len(named) == 30


def test_attack_homoglyphs_hide_no_copy(bench: Bench) -> None:
    rows = _rows(60)
    cyrillic = str.maketrans("aeopcxy", "\u0430\u0435\u043e\u0440\u0441\u0445\u0443")
    copies = [
        row | {"id": f"p{row['id']}", "text": row["text"].translate(cyrillic)} for row in rows[:9]
    ]
    for copy in copies:
        copy["label"] = _next_class(copy)
    found = _screened(bench, _write(bench, rows + copies))
    assert _ids(found, "another label") == {row["id"] for row in [*rows[:9], *copies]}


def test_attack_a_flood_of_perturbed_copies_from_one_source(bench: Bench) -> None:
    rows = _rows()
    text = _text()
    flood = [
        {"id": f"p{n:04}", "text": f"{n} {_typo(text)}", "label": "class 1", "source": "crawl-4"}
        for n in range(60)
    ]
    found = _screened(bench, _write(bench, rows + flood))
    assert {"source": "crawl-4"} in _groups(found, Severity.WARNING)
    assert set(found.ids()) == {row["id"] for row in flood}


def test_attack_a_copy_does_not_hide_in_a_flood(bench: Bench) -> None:
    """Far more share its bands than any is compared with."""
    text = _text()
    rows = [
        {"id": f"r{n:04}", "text": f"{n} {text}", "label": "class 1", "source": "crawl-0"}
        for n in range(400)
    ]
    rows[200]["label"] = "class 2"
    found = _screened(bench, _write(bench, rows))
    assert "r0200" in _ids(found, "another label")
    assert [finding.count for finding in found.findings if finding.group == {"kind": "any"}] == [
        400
    ]


def test_templates_of_all_sources_are_no_warning(bench: Bench) -> None:
    rows = _rows()
    template = _text(200)
    for row in rows:
        row["text"] = f"{template} {_text(4)}"
    found = _screened(bench, _write(bench, rows))
    assert not found.above(Severity.WARNING)
    assert {"kind": "another label"} in _groups(found)


def test_copies_across_splits_are_notes(bench: Bench) -> None:
    rows = [row | {"split": "train"} for row in _rows(30)]
    rows.append(rows[4] | {"id": "copy", "text": _typo(rows[4]["text"]), "split": "test"})
    options = ReadOptions(id="id", label="label", source_column="source", split="split")
    found = _screened(bench, _write(bench, rows), options)
    assert _ids(found, "another split") == {"copy", "r0004"}
    assert not found.above(Severity.WARNING)


def test_short_texts_are_left_out_and_counted(bench: Bench) -> None:
    rows = _rows(30)
    rows[3]["text"], rows[4]["text"] = "no!", "no?"
    found = _screened(bench, _write(bench, rows))
    [note] = found.findings
    assert note.group == {"kind": "short"}
    assert note.seen == "2 texts without 5 letters or digits, which are not compared"


FORMATS = ("csv", "jsonl", "parquet", "folder", "zip", "webdataset", "named files")


def _formatted(bench: Bench, format_: str, texts: Mapping[str, str]) -> tuple[Path, ReadOptions]:
    """The texts, by id, as data of a format."""
    rows = [{"id": name, "text": text, "n": 1} for name, text in texts.items()]
    by_id = ReadOptions(id="id")
    folder = bench.folder / "formatted"
    folder.mkdir()
    if format_ == "csv":
        with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["id", "text", "n"])
            writer.writeheader()
            writer.writerows(rows)
        return folder / "rows.csv", by_id
    if format_ == "jsonl":  # chats: the texts are in lists of structs
        lines = [{"id": r["id"], "turns": [{"who": "me", "says": r["text"]}]} for r in rows]
        (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder / "rows.jsonl", by_id
    if format_ == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
        return folder / "rows.parquet", by_id
    if format_ == "zip":
        with zipfile.ZipFile(folder / "texts.zip", "w") as archive:
            for name, text in texts.items():
                archive.writestr(f"{name}.txt", text)
        return folder / "texts.zip", ReadOptions(label="none")
    if format_ == "webdataset":
        with tarfile.open(folder / "shard-0.tar", "w") as shard:
            for name, text in texts.items():
                for ending, data in (("jpg", bytes(range(256)) * 9), ("txt", text.encode())):
                    member = tarfile.TarInfo(f"{name}.{ending}")
                    member.size = len(data)
                    shard.addfile(member, io.BytesIO(data))
        return folder / "shard-0.tar", ReadOptions()
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    if format_ == "folder":
        return folder, ReadOptions(label="none")
    listed = "".join(json.dumps({"id": name, "file": f"{name}.txt"}) + "\n" for name in texts)
    (folder / "rows.jsonl").write_text(listed)
    return folder / "rows.jsonl", ReadOptions(id="id", file_columns=("file",))


@pytest.mark.parametrize("format_", FORMATS)
def test_texts_of_every_format_are_compared(bench: Bench, format_: str) -> None:
    texts = {f"t{number}": _text() for number in range(20)}
    texts["copy"] = _typo(texts["t7"])
    data, options = _formatted(bench, format_, texts)
    found = _screened(bench, data, options)
    [note] = found.findings
    assert note.count == 2
    assert "copy" in note.samples.where
    assert "t7" in note.samples.where
    assert bench.open().screen("pets", checks=["texts"], texts=[]).findings == found.findings


def test_signatures_are_kept_by_content(bench: Bench) -> None:
    rows = _rows(40)
    rows.append(rows[3] | {"id": "copy", "text": _typo(rows[3]["text"])})
    data = _write(bench, rows)
    before = _screened(bench, data)
    assert before.findings
    data.unlink()
    again = bench.open().screen("pets", checks=["texts"], texts=[])
    assert again.findings == before.findings
    assert bench.open().screen("pets", checks=["texts"]).findings == ()


def test_only_new_texts_are_read(bench: Bench) -> None:
    rows = _rows(40)
    _screened(bench, _write(bench, rows))
    rows.append(rows[3] | {"id": "copy", "text": _typo(rows[3]["text"])})
    found = _screened(bench, _write(bench, rows))
    assert _groups(found) == [{"kind": "any"}]


@pytest.mark.parametrize("format_", ["jsonl", "folder"])
def test_attack_texts_that_are_not_as_signed_are_not_compared(bench: Bench, format_: str) -> None:
    texts = {f"t{number}": _text() for number in range(5)}
    data, options = _formatted(bench, format_, texts)
    bench.ingest(data, options=options)
    changed = data if data.is_file() else data / "t3.txt"
    changed.write_bytes(changed.read_bytes().replace(texts["t3"].encode(), b"something else"))
    with pytest.raises(InputError, match=r"'t3(\.txt)?' is not .*as signed"):
        bench.open().screen("pets", checks=["texts"], texts=[data])


def test_missing_texts_are_named(bench: Bench) -> None:
    rows = _rows(20)
    bench.ingest(_write(bench, rows), options=ROWS, source=None)
    with pytest.raises(InputError, match="'r0019' is not in the data, or not as signed"):
        bench.open().screen("pets", texts=[_write(bench, rows[:19])])


def test_strangers_in_the_data_are_passed_over(bench: Bench) -> None:
    rows = _rows(20)
    bench.ingest(_write(bench, rows), options=ROWS, source=None)
    stranger = rows[3] | {"id": "new", "text": _typo(rows[3]["text"])}
    data = _write(bench, [stranger, *rows, rows[0]])
    assert bench.open().screen("pets", checks=["texts"], texts=[data]).findings == ()


def test_pictures_are_no_texts(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    with pytest.raises(UsageError, match="--minhash needs samples that are texts"):
        bench.open().screen("pets", texts=[data])


def test_what_is_no_text_inside_is_passed_over(bench: Bench) -> None:
    text = _text()
    data = bench.write("data", {
        "a/1.txt": text, "a/2.txt": text.encode("utf-16"), "a/3.txt": b"\0" + text.encode(),
        "a/4.txt": b"\xff" + text.encode(), "a/5.dat": text,
    })  # fmt: skip
    found = _screened(bench, data, ReadOptions())
    [note] = found.findings
    assert note.count == 3
    assert all(f"a/{n}.txt" in note.samples.where for n in (1, 2, 4))


def test_the_command_compares_texts(bench: Bench) -> None:
    rows = _rows(30)
    rows.append(rows[3] | {"id": "copy", "text": _typo(rows[3]["text"])})
    data = _write(bench, rows)
    bench.ingest(data, options=ROWS, source=None)
    key = bench.key_file()
    done = bench.run("screen", "pets", "--key", key, "--data", data, "--minhash")
    assert done.returncode == 0, done.stderr
    assert b"NOTE [texts] 2 texts at least 80% like another text" in done.stdout
    done = bench.run("screen", "pets", "--key", key, "--minhash", "--json")
    assert [one["check"] for one in json.loads(done.stdout)["findings"]] == ["texts"]
    done = bench.run("screen", "pets", "--key", key, "--data", data)
    assert done.returncode == 2
    assert b"--data is for --phash and --minhash" in done.stderr
