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

from provreg.core.encoding.digest import blake3_digest
from provreg.errors import InputError, NotTrustedError, UsageError
from provreg.readers.api import ReadOptions

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
    "b.json", "c.jsonl.lz4", "e.parquet", "sub/f.csv.lz4", "notes.txt", ".hidden.csv",
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
    bench.ingest(folder, options=ReadOptions(format=format_))
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
    outcome = bench.ingest(folder, options=ReadOptions(format=format_, exclude=("/notes.md",)))
    assert outcome.head is not None
    assert outcome.head.reading["beside"] == ["/notes.md"]
    (readme,) = outcome.head.reading["adopted"]
    assert readme == {"path": "README.md", "content": blake3_digest(b"x")}
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


def findings(bench: Bench, *folders: Path, name: str = "pets") -> list[tuple[str, str]]:
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify(name, data=folders)
    assert caught.value.step == 12
    return [(one.kind, one.id) for one in caught.value.findings]


def test_readme_that_tells_datasets_to_read_something_else(
    bench: Bench, data: tuple[Path, str]
) -> None:
    """`load_dataset` takes splits, files and names of classes from the README of a folder."""
    folder, _ = data
    readme = folder / "README.md"
    readme.write_text("---\nconfigs: [{data_files: a*}]\n---\n")
    assert bench.ingest(folder).head is not None
    bench.open().verify("pets", data=[folder])
    signed = readme.read_text()
    readme.write_text("---\nconfigs: [{data_files: [{split: train, path: test*}]}]\n---\n")
    assert findings(bench, folder) == [("changed", "README.md")]
    diff = bench.open().diff_path("pets", folder)
    assert (len(diff), diff.beside) == (0, ("README.md",))
    readme.rename(bench.folder / "elsewhere")
    readme.symlink_to(bench.folder / "elsewhere")
    assert findings(bench, folder) == [("changed", "README.md")]
    # Who publishes may change it: it is a version of its own, and says so.
    assert bench.ingest(folder).head is not None
    bench.open().verify("pets", data=[folder])
    assert bench.open().diff("pets@2", "pets@3").beside == ("README.md",)
    readme.unlink()
    readme.write_text(signed)
    assert findings(bench, folder) == [("changed", "README.md")]


def test_readme_of_a_part_that_was_appended(bench: Bench) -> None:
    parts = [bench.folder / name for name in ("a", "b")]
    for part in parts:
        table(part / f"{part.name}.csv", part.name)
        (part / "README").write_text(part.name)
    bench.ingest(parts[0])
    bench.ingest(parts[1], append=True)
    bench.open().verify("pets", data=parts)
    (parts[0] / "README").write_text("changed")
    assert findings(bench, *parts) == [("changed", "README")]


@pytest.mark.parametrize("pattern", ["notes.md", "/notes.md", "*.md", "**/n*"])
def test_folder_or_link_in_the_place_of_a_file_that_a_pattern_leaves_out(
    bench: Bench, data: tuple[Path, str], pattern: str
) -> None:
    folder, format_ = data
    name, make = DATA[format_]
    (folder / "notes.md").write_text("x")
    make(folder / f"b{name[1:]}", "four")
    bench.ingest(folder, options=ReadOptions(format=format_, exclude=(pattern,)))
    bench.open().verify("pets", data=[folder])
    (folder / "notes.md").unlink()
    make(bench.folder / "elsewhere" / name, "poison")
    (folder / "notes.md").symlink_to(bench.folder / "elsewhere")
    assert findings(bench, folder) == [("stranger", "notes.md")]
    (folder / "notes.md").unlink()
    (folder / "notes.md").mkdir()
    (folder / "notes.md/e.txt").write_text("poison")
    assert findings(bench, folder) == [("stranger", "notes.md/e.txt")]
    with pytest.raises(InputError, match="lies beside the data") as caught:
        bench.ingest(folder, options=ReadOptions(format=format_, exclude=(pattern,)))
    assert "/notes.md/e.txt" in caught.value.hint
    bench.ingest(folder, options=ReadOptions(format=format_, exclude=("notes.md/",)))
    bench.open().verify("pets", data=[folder])


@pytest.mark.parametrize("becomes", ["folder", "link", "link outside"])
@pytest.mark.parametrize("pattern", ["notes.md", "/cat/notes.md", "cat/*.md"])
def test_folder_or_link_in_the_place_of_a_file_that_is_no_sample(
    bench: Bench, pattern: str, becomes: str
) -> None:
    folder = bench.pets()
    place = folder / "cat/notes.md"
    place.write_text("x")
    bench.ingest(folder, options=ReadOptions(exclude=(pattern,)))
    bench.open().verify("pets", data=[folder])
    place.unlink()
    if becomes == "folder":
        place.mkdir()
        (place / "evil.png").write_text("poison")
    else:
        place.symlink_to(folder / "dog" if becomes == "link" else bench.write("out", {"x.png": ""}))
    assert findings(bench, folder) == [("stranger", "cat/notes.md")]
    with pytest.raises(InputError, match="is a folder, and --exclude names it as a file") as caught:
        bench.ingest(folder)
    assert "'/cat/notes.md/'" in caught.value.hint
    how = ReadOptions(exclude=("/cat/notes.md/",))
    bench.ingest(folder, options=how)
    bench.open().verify("pets", data=[folder])


def test_folder_in_a_zip_file_in_the_place_of_a_file_that_is_no_sample(bench: Bench) -> None:
    folder = bench.folder / "zip"
    zip_(folder / "a.zip", "one", "notes.md")
    how = ReadOptions(exclude=("notes.md.txt",))
    bench.ingest(folder, options=how)
    bench.open().verify("pets", data=[folder])
    (folder / "a.zip").unlink()
    zip_(folder / "a.zip", "one", "notes.md.txt/evil")
    for act in (
        lambda: bench.open().verify("pets", data=[folder]),
        lambda: bench.ingest(folder),
    ):
        with pytest.raises(InputError, match="is a folder, and --exclude names it as a file"):
            act()


HIDDEN = ["cat/.evil.png", ".ape/1.jpg", "cat/.h/i/evil.JPEG", "dog/.x.txt"]


def test_hidden_files_that_are_called_like_data(bench: Bench) -> None:
    """`ImageFolder` reads hidden files, and enters hidden folders."""
    folder = bench.pets()
    bench.ingest(folder)
    (folder / ".gitignore").write_text("x")
    (folder / "cat/.note").write_text("x")
    bench.open().verify("pets", data=[folder])
    for path in HIDDEN:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("poison")
    assert findings(bench, folder) == [("stranger", path) for path in sorted(HIDDEN)]
    # Who publishes says so: hidden files are left out, and nobody answers for them.
    outcome = bench.ingest(folder)
    assert outcome.head is not None
    assert "hidden" in outcome.head.reading["left_out"]
    bench.open().verify("pets", data=[folder])
    assert bench.ingest(folder).head is None


def test_hidden_members_of_a_zip_file_that_are_called_like_data(bench: Bench) -> None:
    folder = bench.folder / "zip"
    zip_(folder / "a.zip", "one")
    bench.ingest(folder)
    (folder / "a.zip").unlink()
    zip_(folder / "a.zip", "one", ".evil", ".h/evil")
    assert findings(bench, folder) == [("stranger", "c/.evil.txt"), ("stranger", "c/.h/evil.txt")]
    assert bench.ingest(folder).head is not None
    bench.open().verify("pets", data=[folder])


def test_empty_folder_beside_classes(bench: Bench) -> None:
    """Programs that number the folders give every class behind it another index."""
    folder = bench.pets()
    bench.ingest(folder)
    (folder / "cat/empty").mkdir()  # no class to anybody
    bench.open().verify("pets", data=[folder])
    (folder / "ape/sub").mkdir(parents=True)
    (folder / "ape/.hidden").write_text("x")
    assert findings(bench, folder) == [("stranger", "ape/")]
    outcome = bench.ingest(folder)
    assert outcome.head is not None
    assert outcome.head.reading["left_out"]["empty"] == 1
    bench.open().verify("pets", data=[folder])
    without = bench.pets("flat")
    bench.ingest(without, name="flat", options=ReadOptions(label="none"))
    (without / "ape").mkdir()
    bench.open().verify("flat", data=[without])


def test_more_well_known_files_than_patterns_may_be_are_refused(bench: Bench) -> None:
    """Nobody could verify a version whose head had so many."""
    folder = bench.folder / "data"
    table(folder / "a.csv", "one")
    for number in range(300):
        (folder / f"{number}[a]").mkdir()
        (folder / f"{number}[a]/_SUCCESS").touch()
    with pytest.raises(InputError, match="lies beside the data"):
        bench.ingest(folder)
    bench.ingest(folder, options=ReadOptions(format="csv", exclude=("_SUCCESS",)))
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
        bench.ingest(
            bench.folder / "t", options=ReadOptions(format="parquet", exclude=("label=*",))
        )
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
        bench.ingest(folder, options=ReadOptions(format=format_, exclude=("/",)))


def test_what_is_left_out_from_now_on_is_a_version_of_its_own(bench: Bench) -> None:
    """Else nobody could let a README lie beside signed data: what is signed would not say so."""
    folder = bench.folder / "data"
    table(folder / "a.csv", "one")
    bench.ingest(folder)
    (folder / "README").write_text("x")
    assert strangers(bench, folder) == ["README"]
    second = bench.ingest(folder)
    assert second.head is not None
    assert second.head.reading["adopted"] == [{"path": "README", "content": blake3_digest(b"x")}]
    bench.open().verify("pets", data=[folder])
    assert bench.ingest(folder).head is None
    (bench.folder / "files/c").mkdir(parents=True)
    for name in ("1.txt", "2.bak"):
        (bench.folder / "files/c" / name).write_text(name)
    bench.ingest(bench.folder / "files", name="files", options=ReadOptions(exclude=("*.log",)))
    (bench.folder / "files/c/3.tmp").write_text("x")
    how = ReadOptions(exclude=("*.log", "*.tmp"))
    assert bench.ingest(bench.folder / "files", name="files", options=how).head is not None
    bench.open().verify("files", data=[bench.folder / "files"])
