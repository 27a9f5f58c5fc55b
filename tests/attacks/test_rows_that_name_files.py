"""Attack: pictures, sounds and films that rows only name are swapped, and the names stay."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import provreg
from provreg.errors import InputError, NotTrustedError, SampleError, UsageError
from provreg.loaders import arrow
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.conftest import Bench

IMAGES = ReadOptions(id="k", label="label", file_columns=("image",))
FILES = {f"images/{n}.jpg": b"picture %d" % n for n in range(4)}
ROWS = [
    {"k": str(n), "image": f"images/{n}.jpg", "label": "cat" if n % 2 else "dog"} for n in range(4)
]


def write(folder: Path, rows: Sequence[dict[str, Any]], format_: str = "jsonl") -> Path:
    path = folder / f"table.{format_}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if format_ == "parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif format_ == "csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    elif format_ == "json":
        path.write_text(json.dumps(list(rows)), "utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(params=["jsonl", "json", "csv", "parquet"])
def data(request: pytest.FixtureRequest, bench: Bench) -> Path:
    """A folder with a table and the pictures that it names, ingested."""
    folder = bench.write("data", FILES)
    write(folder, ROWS, request.param)
    bench.ingest(folder, options=IMAGES)
    bench.open().verify("pets", data=[folder])
    return folder


def findings(bench: Bench, *data: Path) -> list[tuple[str, str, str | None]]:
    with pytest.raises(NotTrustedError) as refused:
        bench.open().verify("pets", data=list(data))
    assert refused.value.step == 12
    # The path of the table is that of this test.
    details = [
        one.detail and re.sub(r"of '[^']*/", "of '", one.detail) for one in refused.value.findings
    ]
    return [
        (one.kind, one.id, detail)
        for one, detail in zip(refused.value.findings, details, strict=True)
    ]


def loaded(bench: Bench, data: Path) -> list[dict[str, Any]]:
    samples = provreg.load("pets", data=data, key=bench.key_file(), registry=bench.registry)
    return [{"id": one.id, **dict(one.payload)} for one in samples]  # type: ignore[arg-type]


def test_swapped_pictures_are_changes_of_their_samples(bench: Bench, data: Path) -> None:
    one, two = data / "images/1.jpg", data / "images/2.jpg"
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)
    table = next(data.glob("table.*")).name
    assert findings(bench, data) == [
        ("changed", "1", f"row 2 of '{table}' differs, or image 'images/1.jpg' does"),
        ("changed", "2", f"row 3 of '{table}' differs, or image 'images/2.jpg' does"),
    ]
    with pytest.raises(SampleError, match=r"'1' .*differ from the signed"):
        loaded(bench, data)


def test_deleted_picture_is_missing(bench: Bench, data: Path) -> None:
    (data / "images/3.jpg").unlink()
    assert findings(bench, data) == [
        ("missing", "3", "column 'image': 'images/3.jpg' does not exist")
    ]
    with pytest.raises(SampleError, match=r"column 'image': 'images/3\.jpg' has no file"):
        loaded(bench, data)


def test_added_picture_is_a_stranger_in_a_folder_that_was_named(bench: Bench, data: Path) -> None:
    (data / "images/4.jpg").write_bytes(b"another")
    [(kind, name, _)] = findings(bench, data)
    assert (kind, name) == ("stranger", "images/4.jpg")
    with pytest.raises(InputError, match="lies beside the data, and no row names it"):
        bench.ingest(data, options=IMAGES)


def test_files_beside_a_table_that_was_named_are_not_its_own(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    table = write(folder, ROWS[:2])
    bench.ingest(table, options=IMAGES)
    bench.open().verify("pets", data=[table])
    # With the folder of pictures they are.
    assert [one[:2] for one in findings(bench, table, folder / "images")] == [
        ("stranger", "2.jpg"), ("stranger", "3.jpg"),
    ]  # fmt: skip


def test_loaders_deliver_the_bytes_that_were_hashed(bench: Bench, data: Path) -> None:
    rows = loaded(bench, data)
    assert sorted(row["id"] for row in rows) == ["0", "1", "2", "3"]
    for row in rows:
        name = f"images/{row['id']}.jpg"
        assert row["image"] == {"bytes": FILES[name], "path": name}
    samples = provreg.load("pets", data=data, key=bench.key_file(), registry=bench.registry)
    table = arrow.table(samples, ("id", "label"))
    assert table.schema.field("image").type == pa.struct(
        [("bytes", pa.binary()), ("path", pa.string())]
    )
    assert table.num_rows == 4


def test_successor_names_what_changed(bench: Bench, data: Path) -> None:
    (data / "images/1.jpg").write_bytes(b"repainted")
    outcome = bench.ingest(data)
    assert {kind: count for kind, count in outcome.changes.items() if count} == {"modified": 1}
    bench.open().verify("pets", data=[data])


def test_unchanged_pictures_are_not_read_again(bench: Bench, data: Path) -> None:
    for path in data.rglob("*"):
        os.utime(path, (1, 1))
    bench.ingest(data)
    (data / "images/1.jpg").write_bytes(b"repainted")
    assert bench.ingest(data).reused in {0, 3}  # none where files were touched just now


HOSTILE = {
    "absolute": ("/etc/passwd", "is an absolute path"),
    "parent": ("../secret", "leads out of its folder"),
    "parent within": ("images/../../secret", "leads out of its folder"),
    "file url": ("file:///etc/passwd", "is an absolute path"),
    "url": ("https://example.org/1.jpg", "is a URL"),
    "data url": ("data:image/png;base64,AA", "is a URL"),
    "drive": ("C:/1.jpg", "is an absolute path"),
    "nul": ("images/1.jpg\0.txt", "control"),
    "bidirectional": ("images/\u202egpj.1", "bidirectional"),
    "backslash": ("images\\1.jpg", "backslash"),
    "empty": ("", "not a path"),
    "folder": ("images", "is not a regular file"),
    "slash": ("images/", "not a path"),
    "dot": ("images/./1.jpg", "not a path"),
    "long": ("x" * 5000, "longer than"),
    "deep": ("a/" * 300 + "b", "folders deep"),
    "missing": ("images/9.jpg", "does not exist"),
    "under a file": ("images/1.jpg/2", ""),
    "link out": ("images/out.jpg", "leaves the folder"),
    "link to nothing": ("images/gone.jpg", "link to nothing"),
    "pipe": ("images/pipe", "not a regular file"),
    "link to a folder": ("images/folder", "folder it lies in"),
    "folder linked out": ("linked/secret", "leaves the folder"),
}


@pytest.mark.parametrize("form", [pytest.param(name, id=name) for name in HOSTILE])
def test_hostile_name_is_refused_with_its_row(bench: Bench, form: str) -> None:
    name, complaint = HOSTILE[form]
    folder = bench.write("data", FILES)
    outside = bench.write("outside", {"secret": b"secret"})
    (folder / "images/out.jpg").symlink_to(outside / "secret")
    (folder / "images/gone.jpg").symlink_to("nowhere")
    (folder / "images/folder").symlink_to(".")
    (folder / "linked").symlink_to(outside)
    os.mkfifo(folder / "images/pipe")
    table = write(folder, [*ROWS[:2], {"k": "2", "image": name, "label": "cat"}])
    with pytest.raises(InputError) as refused:
        bench.ingest(table, options=IMAGES)
    assert "row 3: column 'image': " in refused.value.message
    assert complaint in refused.value.message
    assert refused.value.hint or form not in {"url", "absolute", "parent"}
    # A version that was good does not make it good, and verification says it by sample.
    write(folder, ROWS)
    bench.ingest(table, options=IMAGES)
    write(folder, [*ROWS[:2], {"k": "2", "image": name, "label": "cat"}, ROWS[3]])
    [(kind, sample, detail)] = findings(bench, table)
    gone = form in {"missing", "under a file"}
    assert (kind, sample) == ("missing" if gone else "unreadable", "2")
    assert complaint in (detail or "")
    with pytest.raises((InputError, SampleError)):
        loaded(bench, table)


def test_names_that_are_one_file_elsewhere_are_refused(bench: Bench) -> None:
    folder = bench.write("data", {"a.jpg": b"1", "A.jpg": b"2"})
    table = write(folder, [{"k": "1", "image": "a.jpg"}, {"k": "2", "image": "A.jpg"}])
    with pytest.raises(InputError, match="are one file on systems that ignore case"):
        bench.ingest(table, options=ReadOptions(id="k", file_columns=("image",)))


def test_link_inside_the_folder_is_followed(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    (folder / "one.jpg").symlink_to("images/1.jpg")
    table = write(folder, [{"k": "1", "image": "one.jpg"}, {"k": "2", "image": "./images/1.jpg"}])
    bench.ingest(table, options=ReadOptions(id="k", file_columns=("image",)))
    bench.open().verify("pets", data=[table])
    assert [row["image"]["bytes"] for row in loaded(bench, table)] == [b"picture 1"] * 2


def test_table_that_only_names_files_is_refused_at_first(bench: Bench) -> None:
    """Before, a swapped picture verified."""
    folder = bench.write("data", FILES)
    table = write(folder, ROWS)
    plain = ReadOptions(id="k", label="label")
    with pytest.raises(InputError) as refused:
        bench.ingest(table, options=plain)
    assert "column 'image' names files, such as 'images/0.jpg'" in refused.value.message
    assert "--file-column 'image'" in refused.value.hint
    assert "--text-column 'image'" in refused.value.hint
    bench.ingest(table, options=ReadOptions(id="k", label="label", text_columns=("image",)))
    (folder / "images/1.jpg").write_bytes(b"swapped")
    bench.open().verify("pets", data=[table])  # as was said: only text
    assert bench.ingest(table).warnings == ()


@pytest.mark.parametrize("format_", ["jsonl", "json", "csv", "parquet"])
def test_ids_that_name_files_are_noticed_too(bench: Bench, format_: str) -> None:
    folder = bench.write("data", FILES)
    table = write(folder, ROWS, format_)
    with pytest.raises(InputError, match="column 'image' names files"):
        bench.ingest(table, options=ReadOptions(id="image"))
    by_id = ReadOptions(id="image", label="label", file_columns=("image",))
    bench.ingest(table, options=by_id)
    (folder / "images/1.jpg").write_bytes(b"swapped")
    assert [one[:2] for one in findings(bench, table)] == [("changed", "images/1.jpg")]


def test_renamed_picture_is_a_renamed_sample_where_it_is_the_id(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    by_id = ReadOptions(id="image", label="label", file_columns=("image",))
    rows = [{name: row[name] for name in ("image", "label")} for row in ROWS]
    table = write(folder, rows)
    bench.ingest(table, options=by_id)
    (folder / "images/1.jpg").rename(folder / "images/one.jpg")
    write(folder, [rows[0], rows[1] | {"image": "images/one.jpg"}, *rows[2:]])
    counts = bench.ingest(table).changes
    assert {kind: count for kind, count in counts.items() if count} == {"renamed": 1}


def test_columns_of_files_are_those_of_the_first_version(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    table = write(folder, ROWS)
    bench.ingest(table, options=ReadOptions(id="k", text_columns=("image",)))
    with pytest.raises(UsageError, match="first version determines the columns"):
        bench.ingest(table, options=ReadOptions(file_columns=("image",)))


CHATS = [
    {"k": 1, "messages": [{"role": "user", "content": "What is it?"}],
     "images": ["images/1.jpg", "images/2.jpg"]},
    {"k": 2, "messages": [{"role": "user", "content": "And this?"}], "images": []},
    {"k": 3, "messages": [{"role": "user", "content": "Again?"}], "images": ["images/1.jpg"]},
]  # fmt: skip


def test_chats_with_lists_of_pictures(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    table = write(folder, CHATS)
    with pytest.raises(InputError, match="column 'images' names files"):
        bench.ingest(table, options=ReadOptions(id="k"))
    bench.ingest(table, options=ReadOptions(id="k", file_columns=("images",)))
    bench.open().verify("pets", data=[table])
    rows = {row["id"]: row["images"] for row in loaded(bench, table)}
    assert rows["1"] == [
        {"bytes": b"picture 1", "path": "images/1.jpg"},
        {"bytes": b"picture 2", "path": "images/2.jpg"},
    ]
    assert rows["2"] == []
    (folder / "images/1.jpg").write_bytes(b"swapped")
    assert [one[:2] for one in findings(bench, table)] == [("changed", "1"), ("changed", "3")]


def test_pictures_within_messages(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    content = [{"type": "image", "image": "images/1.jpg"}, {"type": "text", "text": "What is it?"}]
    table = write(folder, [{"k": 1, "messages": [{"role": "user", "content": content}]}])
    with pytest.raises(InputError, match=r"'messages.content.image' names files"):
        bench.ingest(table, options=ReadOptions(id="k"))
    options = ReadOptions(id="k", file_columns=("messages.content.image",))
    bench.ingest(table, options=options)
    [row] = loaded(bench, table)
    parts = row["messages"][0]["content"]
    assert [part["image"] and part["image"]["bytes"] for part in parts] == [b"picture 1", None]


def test_names_relative_to_a_folder_above(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    table = write(folder / "annotations", ROWS)
    above = ReadOptions(id="k", file_columns=("image",), files_root="..")
    with pytest.raises(InputError, match="outside of the folders that were named"):
        bench.ingest(table, options=above)
    bench.ingest(table, folder / "images", options=above)
    bench.open().verify("pets", data=[table, folder / "images"])
    bench.open().verify("pets", data=[folder])
    (folder / "images/1.jpg").write_bytes(b"swapped")
    assert [one[:2] for one in findings(bench, folder)] == [("changed", "1")]


def test_tables_in_several_folders_name_files_of_their_own(bench: Bench) -> None:
    folder = bench.write("data", {"a/1.jpg": b"a", "b/1.jpg": b"b"})
    for name in "ab":
        write(folder / name, [{"k": name, "image": "1.jpg"}])
    bench.ingest(folder, options=ReadOptions(id="k", file_columns=("image",)))
    assert {row["id"]: row["image"]["bytes"] for row in loaded(bench, folder)} == {
        "a": b"a", "b": b"b",
    }  # fmt: skip


def test_picture_that_is_swapped_between_check_and_use_is_refused(bench: Bench, data: Path) -> None:
    samples = provreg.load("pets", data=data, key=bench.key_file(), registry=bench.registry)
    samples.verify_data()
    (data / "images/0.jpg").write_bytes(b"swapped")
    with pytest.raises(SampleError):
        list(samples)


def test_pictures_of_several_folders_have_ids_of_their_own(bench: Bench) -> None:
    folder = bench.write("data", {"train/1.jpg": b"a", "test/1.jpg": b"b"})
    for part in ("train", "test"):
        (folder / part / "metadata.csv").write_text("file_name,text\n1.jpg,one\n")
    bench.ingest(folder)
    bench.open().verify("pets", data=[folder])
    assert {row["id"] for row in loaded(bench, folder)} == {"train/1.jpg", "test/1.jpg"}
    (folder / "test/1.jpg").write_bytes(b"swapped")
    assert findings(bench, folder) == [
        ("changed", "test/1.jpg", "row 1 of 'metadata.csv' differs, or file_name '1.jpg' does")
    ]


def test_nightly_batches_have_ids_of_the_whole_lake(bench: Bench) -> None:
    lake = bench.folder / "lake"
    for night in ("night-1", "night-2"):
        batch = bench.write(f"lake/{night}", {"1.jpg": night})
        (batch / "metadata.csv").write_text("file_name,text\n1.jpg,one\n")
        bench.ingest(batch, append=True, options=ReadOptions(prefix=night))
    bench.open().verify("pets", data=[lake])
    assert {row["id"] for row in loaded(bench, lake)} == {"night-1/1.jpg", "night-2/1.jpg"}
    table = write(bench.folder / "plain", [{"k": 1, "text": "a"}])
    with pytest.raises(UsageError, match="--prefix is for ids that are paths of files"):
        bench.ingest(table, name="plain", options=ReadOptions(id="k", prefix="night-1"))


def test_name_that_is_an_id_has_one_form(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    table = write(folder, [{"image": "./images/1.jpg", "text": "a"}])
    with pytest.raises(InputError, match="an id that names a file begins with"):
        bench.ingest(table, options=ReadOptions(id="image", file_columns=("image",)))


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_metadata_of_an_image_folder_is_recognized(bench: Bench, format_: str) -> None:
    """As `datasets` reads it: ImageFolder with `metadata.csv` and so on."""
    folder = bench.write("data", {"1.jpg": b"a", "2.jpg": b"b", "m/2.png": b"c"})
    rows = [
        {"file_name": "1.jpg", "mask_file_name": None, "text": "one"},
        {"file_name": "2.jpg", "mask_file_name": "m/2.png", "text": "two"},
    ]
    made = write(folder, [{k: v or "" for k, v in row.items()} if format_ == "csv" else row
                          for row in rows], format_)  # fmt: skip
    made.rename(folder / f"metadata.{format_}")
    bench.ingest(folder)
    [two] = [row for row in loaded(bench, folder) if row["id"] == "2.jpg"]
    assert two["file_name"] == {"bytes": b"b", "path": "2.jpg"}
    assert two["mask_file_name"] == {"bytes": b"c", "path": "m/2.png"}
    (folder / "3.jpg").write_bytes(b"d")
    assert findings(bench, folder) == [
        ("stranger", "3.jpg", "lies beside the data, and no row names it")
    ]


def test_dataset_from_before_is_warned(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bench.write("data", FILES)
    table = write(folder, ROWS)
    with monkeypatch.context() as before:
        before.setattr("provreg.flows.reading.samples.texts_of_files", lambda *_: [])
        bench.ingest(table, options=ReadOptions(id="k", label="label"))
    [warning] = bench.ingest(table).warnings
    assert "column 'image' names files" in warning
    assert bench.ingest(table, options=ReadOptions(text_columns=("image",))).warnings == ()


def test_absolute_names_of_files_are_noticed(bench: Bench) -> None:
    """As in manifests of audio, which hold the paths of one machine."""
    folder = bench.write("data", {"1.wav": b"sound"})
    table = write(folder / "manifests", [{"audio_filepath": str(folder / "1.wav"), "text": "a"}])
    with pytest.raises(InputError, match="column 'audio_filepath' names files") as refused:
        bench.ingest(table)
    assert "relative to the table's folder" in refused.value.hint


def test_texts_that_are_seldom_files_are_texts(bench: Bench) -> None:
    folder = bench.write("data", {"cat": b"a picture of nothing"})
    table = write(folder, [{"k": 1, "t": "cat"}, {"k": 2, "t": "dog"}])
    bench.ingest(table, options=ReadOptions(id="k"))


def test_file_root_is_for_columns_of_files(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    table = write(folder, [{"k": 1, "text": "a"}])
    with pytest.raises(UsageError, match="--files-root is for columns of files"):
        bench.ingest(table, options=ReadOptions(id="k", files_root=".."))
    for root in ("/etc", "a\\b", ""):
        with pytest.raises(UsageError, match="is not a folder relative to the table's own"):
            bench.ingest(table, options=ReadOptions(file_columns=("text",), files_root=root))


def test_column_that_cannot_name_files_is_refused_with_those_that_can(bench: Bench) -> None:
    table = write(bench.folder / "data", CHATS)
    for name in ("k", "messages", "nothing", "images.path"):
        with pytest.raises(InputError, match="there is no column of names") as refused:
            bench.ingest(table, options=ReadOptions(file_columns=(name,)))
        assert "'messages.role', 'messages.content', 'images'" in refused.value.hint


def test_readers_of_files_take_no_columns(bench: Bench) -> None:
    with pytest.raises(UsageError, match="--file-column means nothing to the reader of 'folder'"):
        bench.ingest(
            bench.write("data", FILES),
            options=ReadOptions(format="folder", file_columns=("image",)),
        )


def test_rows_of_too_many_bytes_are_refused(bench: Bench) -> None:
    """A sparse file costs nothing on disk, and a row may name it often."""
    folder = bench.write("data", {})
    folder.mkdir(exist_ok=True)
    with (folder / "large").open("wb") as file:
        file.truncate(40 << 20)
    table = write(folder, [{"k": 1, "f": ["large"] * 25}, {"k": 2, "f": ["large"] * 26}])
    with pytest.raises(InputError, match="row 2: its files have more than 1,073,741,824 bytes"):
        bench.ingest(table, options=ReadOptions(id="k", file_columns=("f",)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("files_root", "a/../b"), ("files_root", "/etc"), ("files_root", ""), ("files_root", 1),
        ("text_columns", []), ("text_columns", ["b", "a"]), ("text_columns", ["nothing"]),
    ],
)  # fmt: skip
def test_reading_of_files_has_one_form(field: str, value: Any) -> None:
    from provreg.errors import FormatError
    from provreg.readers.tables.options import options_from_reading

    roles = dict.fromkeys(("id", "label", "split", "source", "labeler", "labeled_at"))
    columns = [{"name": "image", "type": "file"}, {"name": "a", "type": "text"}]
    columns.append({"name": "b", "type": "text"})
    reading = {
        "reader": "jsonl", "reader_version": 1, "columns": columns, **roles, "null_words": [""],
        "delimiter": None,
    }  # fmt: skip
    assert options_from_reading(reading | {"files_root": "../b", "text_columns": ["a", "b"]})
    with pytest.raises(FormatError):
        options_from_reading(reading | {field: value})


def test_show_says_which_columns_are_files_and_which_are_only_text(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    rows = [{**row, "thumbnail": row["image"]} for row in ROWS]
    options = ReadOptions(id="k", file_columns=("image",), text_columns=("thumbnail",))
    bench.ingest(write(folder, rows), options=options)
    shown = bench.run("show", "pets", "--key", bench.key_file()).stdout.decode()
    assert "files in     image\n" in shown
    assert "only text    thumbnail\n" in shown


@pytest.mark.parametrize("format_", ["jsonl", "csv", "parquet"])
def test_rows_without_ids_are_streamed_with_their_files(bench: Bench, format_: str) -> None:
    folder = bench.write("data", FILES)
    rows = [{"image": row["image"], "label": row["label"]} for row in ROWS]
    table = write(folder, [*rows, rows[0]], format_)
    bench.ingest(table, options=ReadOptions(label="label", file_columns=("image",)))
    bench.open().verify("pets", data=[table])
    samples = provreg.load("pets", data=table, key=bench.key_file(), registry=bench.registry)
    assert not samples.random_access
    delivered = sorted(row["image"]["bytes"] for row in loaded(bench, table))
    assert delivered == [b"picture 0", b"picture 0", b"picture 1", b"picture 2", b"picture 3"]
    (folder / "images/0.jpg").write_bytes(b"swapped")
    assert {one[0] for one in findings(bench, table)} == {"missing", "stranger"}
    with pytest.raises(SampleError):
        loaded(bench, table)


def test_names_in_a_table_with_another_ending_are_noticed(bench: Bench) -> None:
    folder = bench.write("data", FILES)
    table = write(folder, ROWS, "csv").rename(folder / "table.txt")
    with pytest.raises(InputError, match="column 'image' names files"):
        bench.ingest(table, options=ReadOptions(id="k", format="csv"))


@pytest.mark.parametrize("caption", ["short", '"of\nmany\nlines\n"'])
def test_first_rows_of_a_large_table_tell(bench: Bench, caption: str) -> None:
    folder = bench.write("data", FILES)
    rows = [{**row, "k": f"{row['k']}-{n}", "t": caption} for n in range(3000) for row in ROWS]
    table = write(folder, rows, "csv")
    assert table.stat().st_size > 1 << 18
    with pytest.raises(InputError, match="column 'image' names files"):
        bench.ingest(table, options=ReadOptions(id="k"))
