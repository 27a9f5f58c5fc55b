"""Attack: files beside a table or shards that provreg does not read, and others train on."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.errors import InputError, NotTrustedError, UsageError
from provreg.readers.reader import HowToRead

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Bench


def table(path: Path, *rows: str, **_: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"text": rows}), path)
    elif path.suffix == ".csv":
        path.write_text("text\n" + "\n".join(rows) + "\n")
    else:
        path.write_text("".join(f'{{"text": "{row}"}}\n' for row in rows))


def tar(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as made:
        for row in rows:
            info = tarfile.TarInfo(f"{row}.txt")
            info.size = len(row)
            made.addfile(info, io.BytesIO(row.encode()))


def zip_(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as made:
        for row in rows:
            made.writestr(f"c/{row}.txt", row)


DATA: dict[str, tuple[str, Callable[..., None]]] = {
    "csv": ("a.csv", table),
    "jsonl": ("a.jsonl", table),
    "parquet": ("a.parquet", table),
    "webdataset": ("a.tar", tar),
    "zip": ("a.zip", zip_),
}


@pytest.fixture(params=list(DATA))
def data(request: pytest.FixtureRequest, bench: Bench) -> tuple[Path, str]:
    """A folder with one file of a format that was ingested, and that format."""
    name, make = DATA[request.param]
    folder = bench.folder / "data"
    make(folder / name, "one", "two", "three")
    bench.ingest(folder)
    bench.open().verify("pets", data=[folder])
    return folder, request.param


def strangers(bench: Bench, folder: Path) -> list[str]:
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[folder])
    assert caught.value.step == 12
    return [one.id for one in caught.value.findings if one.kind == "stranger"]


NAMES = (
    "b.json", "c.jsonl.gz", "e.parquet", "sub/f.csv.bz2", "notes.txt", ".hidden.csv",
    ".h/g.parquet", "README.md", "_SUCCESS", "label=pos/README",
)  # fmt: skip


def test_file_of_another_kind_beside_signed_data(bench: Bench, data: tuple[Path, str]) -> None:
    """Also what would have been left out had it been there when the version was made, and hidden
    files, which DuckDB and Polars read."""
    folder, format_ = data
    others = [name for name in NAMES if not name.endswith(DATA[format_][0][1:])]
    for name in others:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(b'{"text": "poison"}'))
    assert strangers(bench, folder) == sorted(others)


def test_folder_in_the_place_of_a_file_that_is_left_out_by_itself(
    bench: Bench, data: tuple[Path, str]
) -> None:
    """`load_dataset` reads what most files are: three JSON files, and none of the signed ones."""
    folder, format_ = data
    name, make = DATA[format_]
    (folder / "README.md").write_text("x")
    make(folder / f"b{name[1:]}", "four")
    bench.ingest(folder, how=HowToRead(format=format_))
    (folder / "README.md").unlink()
    poison = ["README.md/README.md", "README.md/e.txt", "sub/README.md"]
    for path in poison:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("poison")
    assert strangers(bench, folder) == poison


def test_data_of_the_same_kind_in_a_hidden_folder(bench: Bench, data: tuple[Path, str]) -> None:
    """provreg enters no hidden folder; Polars does."""
    folder, format_ = data
    name, make = DATA[format_]
    make(folder / ".h" / name, "poison")
    make(folder / "sub/.h/i" / name, "poison")
    assert strangers(bench, folder) == [f".h/{name}", f"sub/.h/i/{name}"]
    with pytest.raises(InputError, match=r"lies beside the data"):
        bench.ingest(folder)


def test_linked_folder_beside_signed_data(bench: Bench, data: tuple[Path, str]) -> None:
    folder, format_ = data
    name, make = DATA[format_]
    make(bench.folder / "elsewhere" / name, "poison")
    (folder / "more").symlink_to(bench.folder / "elsewhere")
    assert strangers(bench, folder) == ["more"]
    with pytest.raises(InputError, match="'more' is a link to a folder"):
        bench.ingest(folder)


def test_file_of_another_kind_is_not_passed_over_at_ingestion(
    bench: Bench, data: tuple[Path, str]
) -> None:
    folder, _ = data
    (folder / "notes.md").write_text("x")
    with pytest.raises(InputError, match=r"others, such as") as caught:
        bench.ingest(folder)
    assert "--format" in caught.value.hint


def test_what_is_left_out_by_name_is_recorded_and_stays_so(
    bench: Bench, data: tuple[Path, str]
) -> None:
    folder, format_ = data
    name, make = DATA[format_]
    for beside in ("README.md", "notes.md"):
        (folder / beside).write_text("x")
    make(folder / f"b{name[1:]}", "four")
    outcome = bench.ingest(folder, how=HowToRead(format=format_, exclude=("/notes.md",)))
    assert outcome.head is not None
    assert outcome.head.reading["beside"] == ["/notes.md", "/README.md"]
    bench.open().verify("pets", data=[folder])
    (folder / "LICENSE").write_text("x")
    assert strangers(bench, folder) == ["LICENSE"]


def test_well_known_file_becomes_a_link_to_a_folder(bench: Bench) -> None:
    for part in ("a", "b"):
        table(bench.folder / part / f"{part}.csv", part)
        (bench.folder / part / "README").write_text("x")
    folders = [bench.folder / "a", bench.folder / "b"]
    bench.ingest(*folders)
    bench.open().verify("pets", data=folders)
    (folders[0] / "README").unlink()
    (folders[0] / "README").symlink_to(folders[1])
    for paths in (folders, folders[::-1]):
        with pytest.raises(NotTrustedError) as caught:
            bench.open().verify("pets", data=paths)
        assert [(one.kind, one.id) for one in caught.value.findings] == [("stranger", "README")]


def test_more_well_known_files_than_patterns_may_be_are_refused(bench: Bench) -> None:
    """Nobody could verify a version whose head had so many."""
    folder = bench.folder / "data"
    table(folder / "a.csv", "one")
    for number in range(300):
        (folder / f"{number}[a]").mkdir()
        (folder / f"{number}[a]/_SUCCESS").touch()
    with pytest.raises(InputError, match="lies beside the data"):
        bench.ingest(folder)
    bench.ingest(folder, how=HowToRead(format="csv", exclude=("_SUCCESS",)))
    bench.open().verify("pets", data=[folder])


def test_dictionary_of_datasets_becomes_one_dataset(bench: Bench) -> None:
    """`load_from_disk` takes a folder with `state.json` for one dataset, whose files may lie
    anywhere; provreg read the dictionary."""
    folder = bench.folder / "dict"
    for split in ("train", "test"):
        saved(folder / split, split)
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    bench.ingest(folder)
    bench.open().verify("pets", data=[folder])
    saved(bench.folder / "evil", "poison")
    state = (bench.folder / "evil/state.json").read_text()
    (folder / "state.json").write_text(state.replace("data.arrow", "../evil/data.arrow"))
    (folder / "dataset_info.json").write_text("{}")
    assert strangers(bench, folder) == ["dataset_info.json", "state.json"]
    (folder / "sub").mkdir()
    for name in ("state.json", "dataset_info.json"):
        (folder / name).rename(folder / "sub" / name)
    (folder / "train/dataset_dict.json").write_text('{"splits": []}')
    assert strangers(bench, folder) == [
        "sub/dataset_info.json", "sub/state.json", "train/dataset_dict.json",
    ]  # fmt: skip


def saved(folder: Path, *rows: str) -> None:
    """As `save_to_disk` writes it."""
    folder.mkdir(parents=True)
    data = pa.table({"text": rows})
    with pa.ipc.new_stream(folder / "data.arrow", data.schema) as stream:
        stream.write_table(data)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    (folder / "dataset_info.json").write_text("{}")


def test_labels_in_names_of_folders_are_not_taken_for_signed(bench: Bench) -> None:
    """Hive partitions: whoever swaps two folders flips every label."""
    for label in ("pos", "neg"):
        table(bench.folder / f"t/label={label}/part-0.parquet", label)
    with pytest.raises(InputError, match="has values in the name of a folder"):
        bench.ingest(bench.folder / "t")
    with pytest.raises(InputError, match="has values in the name of a folder"):
        bench.ingest(bench.folder / "t", how=HowToRead(format="parquet", exclude=("label=*",)))
    with pytest.raises(InputError, match="has values in the name of a folder"):
        bench.ingest(bench.folder / "t/label=pos")


def test_folder_that_gets_the_name_of_a_partition(bench: Bench, data: tuple[Path, str]) -> None:
    folder, format_ = data
    name, _ = DATA[format_]
    (folder / "label=pos").mkdir()
    (folder / name).rename(folder / "label=pos" / name)
    assert strangers(bench, folder) == [f"label=pos/{name}"]


@pytest.mark.parametrize(
    ("beside", "hint"), [("_stats.json", "webdataset"), ("x.png", "webdataset")]
)
def test_shards_with_something_beside_them_are_not_signed_as_files(
    bench: Bench, beside: str, hint: str
) -> None:
    tar(bench.folder / "img/0.tar", "one")
    (bench.folder / "img" / beside).write_text("{}")
    with pytest.raises(InputError, match="webdataset files and others") as caught:
        bench.ingest(bench.folder / "img")
    assert f"--format {hint}" in caught.value.hint


def test_pattern_beside_that_is_none(bench: Bench, data: tuple[Path, str]) -> None:
    folder, format_ = data
    with pytest.raises(UsageError, match="not a pattern"):
        bench.ingest(folder, how=HowToRead(format=format_, exclude=("/",)))


def test_what_is_left_out_from_now_on_is_a_version_of_its_own(bench: Bench) -> None:
    """Else nobody could let a README lie beside signed data: what is signed would not say so."""
    folder = bench.folder / "data"
    table(folder / "a.csv", "one")
    bench.ingest(folder)
    (folder / "README").write_text("x")
    assert strangers(bench, folder) == ["README"]
    second = bench.ingest(folder)
    assert second.head is not None
    assert second.head.reading["beside"] == ["/README"]
    bench.open().verify("pets", data=[folder])
    assert bench.ingest(folder).head is None
    (bench.folder / "files/c").mkdir(parents=True)
    for name in ("1.txt", "2.bak"):
        (bench.folder / "files/c" / name).write_text(name)
    bench.ingest(bench.folder / "files", name="files", how=HowToRead(exclude=("*.log",)))
    (bench.folder / "files/c/3.tmp").write_text("x")
    how = HowToRead(exclude=("*.log", "*.tmp"))
    assert bench.ingest(bench.folder / "files", name="files", how=how).head is not None
    bench.open().verify("files", data=[bench.folder / "files"])
