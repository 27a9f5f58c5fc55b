"""huggingface.huggingface: what `datasets` writes is read, and what would mislead is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.errors import FormatError, InputError, NotFoundError, NotTrustedError, UsageError
from provreg.executors.processes import LocalProcesses
from provreg.readers.api import ReadContext, ReadOptions, ReadResult
from provreg.readers.catalog import detect
from provreg.readers.huggingface import huggingface
from provreg.readers.tables import features
from provreg.readers.tables.table import TableOptions, read_table

if TYPE_CHECKING:
    from tests.conftest import Bench

CLASSES = {"names": ["cat", "dog"], "_type": "ClassLabel"}
FEATURES: dict[str, Any] = {
    "image": {"_type": "Image"},
    "label": CLASSES,
    "tags": {"feature": {"names": ["a", "b"], "_type": "ClassLabel"}, "_type": "List"},
}
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def schema(said: Any = FEATURES) -> pa.Schema:
    columns = [("image", IMAGE), ("label", pa.int64()), ("tags", pa.list_(pa.int64()))]
    metadata = {"huggingface": json.dumps({"info": {"features": said}})}
    return pa.schema(columns, metadata=None if said is None else metadata)


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [
        {
            "image": {"bytes": b"picture %d" % n, "path": f"{n}.png"},
            "label": n % 2,
            "tags": [n % 2, 0] if n % 3 else None,
        }
        for n in numbers
    ]


def saved(folder: Path, *shards: list[dict[str, Any]], said: Any = FEATURES, **state: Any) -> Path:
    """A folder as `save_to_disk` writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data-{n:05}-of-{len(shards):05}.arrow" for n in range(len(shards))]
    for name, shard in zip(names, shards, strict=True):
        table = pa.Table.from_pylist(shard, schema(said))
        with pa.ipc.new_stream(folder / name, table.schema) as sink:
            sink.write_table(table, max_chunksize=2)
    files = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": None} | state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    return folder


def read(
    path: Path, workers: int = 1, before: dict[str, Any] | None = None, **how: Any
) -> ReadResult:
    options = huggingface.settle("huggingface", ReadOptions(**how), before)
    return huggingface.read(
        [path], "huggingface", options, ReadContext(executor=LocalProcesses(workers))
    )


def facts(found: ReadResult) -> list[dict[str, Any]]:
    wanted = found.table.select(["id", "content", "size", "label", "split"])
    return sorted(wanted.to_pylist(), key=lambda row: row["id"])


def test_names_of_classes_are_labels_and_content(tmp_path: Path) -> None:
    found = read(saved(tmp_path / "d", rows(0, 1, 2)))
    assert sorted(found.table["label"].to_pylist()) == ["cat", "cat", "dog"]
    plain = pa.Table.from_pylist(
        [{"image": r["image"], "tags": [("a", "b")[t] for t in r["tags"]] if r["tags"] else None}
         for r in rows(0, 1, 2)],
        pa.schema([("image", IMAGE), ("tags", pa.list_(pa.string()))]),
    )  # fmt: skip
    pq.write_table(plain, tmp_path / "plain.parquet")
    expected = read_table([tmp_path / "plain.parquet"], "parquet", TableOptions()).table
    assert found.table["content"].to_pylist() == expected["content"].to_pylist()


def test_the_order_of_names_does_not_count_what_they_mean_does(tmp_path: Path) -> None:
    swapped = FEATURES | {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}
    one, other = rows(0), rows(0)
    other[0]["label"] = 1
    first = saved(tmp_path / "a", one)
    second = saved(tmp_path / "b", other, said=swapped)
    (second / "dataset_info.json").write_text(json.dumps({"features": swapped}))
    assert facts(read(first)) == facts(read(second))


def test_saved_shards_workers_and_the_hubs_parquet_give_the_same(tmp_path: Path) -> None:
    whole = facts(read(saved(tmp_path / "a", rows(*range(7)))))
    shards = saved(tmp_path / "b", rows(6, 1, 2), rows(3, 4), rows(5, 0))
    hub = tmp_path / "hub"
    (hub / "data").mkdir(parents=True)
    (hub / "README.md").write_text("---\n")
    pq.write_table(
        pa.Table.from_pylist(rows(*range(7)), schema()),
        hub / "data/all.parquet",
        row_group_size=3,
    )
    for path in (tmp_path / "a", shards, hub, hub / "data"):
        assert detect([path]) == "huggingface"
    assert facts(read(shards, workers=2)) == facts(read(hub)) == facts(read(hub / "data")) == whole


def test_splits_come_from_dictionaries_states_and_names_of_files(tmp_path: Path) -> None:
    both = tmp_path / "dict"
    saved(both / "train", rows(0, 1))
    saved(both / "test", rows(2))
    (both / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert detect([both]) == "huggingface"
    assert sorted(row["split"] for row in facts(read(both))) == ["test", "train", "train"]
    alone = saved(tmp_path / "one", rows(0), _split="validation")
    assert [row["split"] for row in facts(read(alone))] == ["validation"]
    assert [row["split"] for row in facts(read(alone, split="none"))] == [None]
    for name in ("train-00000-of-00001", "test-00000-of-00001-0123456789abcdef"):
        pq.write_table(
            pa.Table.from_pylist(rows(len(name)), schema()), tmp_path / f"{name}.parquet"
        )
        found = facts(read(tmp_path / f"{name}.parquet"))
        assert [row["split"] for row in found] == [name.partition("-")[0]]


def test_minus_one_is_no_label(tmp_path: Path) -> None:
    unlabeled = rows(0)
    unlabeled[0]["label"] = -1
    assert facts(read(saved(tmp_path / "d", unlabeled)))[0]["label"] is None


def test_only_what_datasets_wrote_is_taken_for_it(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    assert detect([tmp_path]) == "parquet"
    pq.write_table(
        pa.table({"a": [1]}).replace_schema_metadata({"huggingface": "{"}), tmp_path / "a.parquet"
    )
    assert detect([tmp_path]) == "parquet"


def test_a_table_stays_one_when_it_continues(bench: Bench) -> None:
    path = bench.folder / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows(0, 1), schema()), path)
    bench.ingest(path, options=ReadOptions(format="parquet", label="label"))
    outcome = bench.ingest(path)
    assert outcome.head is None
    bench.open().verify("pets", data=[path])


def test_the_reading_is_parsed_strictly_and_inherited(tmp_path: Path) -> None:
    path = saved(tmp_path / "d", rows(0))
    reading = read(path).reading
    assert read(path, before=reading).reading == reading
    seen = reading["features"][1]
    assert seen == {"at": ["label"], "type": "ClassLabel", "with": {"names": ["cat", "dog"]}}
    for change in (
        {"features": None}, {"features": [seen, seen]}, {"features": [seen | {"at": []}]},
        {"features": [seen | {"at": ["none such"]}]}, {"features": [seen | {"at": [None]}]},
        {"features": [seen | {"with": {}}]}, {"features": [seen | {"with": {"names": ["a", 1]}}]},
        {"features": [seen | {"type": "Value"}]}, {"features": [seen | {"more": 1}]},
        {"features": [{"at": ["image"], "type": "Image", "with": {"decode": True}}]},
        {"features": [{"at": ["image"], "type": "Image", "with": {"mode": ["RGB"]}}]},
        {"features": [{"at": ["image"], "type": "Array2D", "with": {"shape": [2]}}]},
        {"reader_version": 2}, {"split_from": "dir"}, {"split": "image"}, {"more": 1},
        {"label": "none such"}, {"columns": 1}, {"reader": "parquet"},
    ):  # fmt: skip
        with pytest.raises(FormatError):
            huggingface.options_from_reading(reading | change)
    with pytest.raises(UsageError):
        read(path, label="dir")


def test_rows_are_handed_on_as_they_were_hashed(tmp_path: Path) -> None:
    path = saved(tmp_path / "d", rows(*range(5)))
    found = read(path)
    options = huggingface.options_from_reading(found.reading)
    batches = list(huggingface.stream([path], "huggingface", options, ReadContext()))
    handed = [row for payloads, _ in batches for row in payloads.to_pylist()]
    assert [row["image"] for row in handed] == [row["image"] for row in rows(*range(5))]
    assert handed[1]["tags"] == ["b", "a"]
    read_again = pa.Table.from_batches([samples for _, samples in batches])
    assert sorted(read_again["content"].to_pylist()) == found.table["content"].to_pylist()


# Attacks


def test_names_of_classes_swapped_in_the_metadata_do_not_verify(bench: Bench) -> None:
    path = saved(bench.folder / "d", rows(0, 1, 2, 3))
    bench.ingest(path)
    bench.open().verify("pets", data=[path])
    swapped = FEATURES | {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}
    saved(path, rows(0, 1, 2, 3), said=swapped)
    (path / "dataset_info.json").write_text(json.dumps({"features": swapped}))
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[path])
    assert {finding.kind for finding in caught.value.findings} == {"relabeled", "changed"}
    assert len(caught.value.findings) == 5


def test_names_of_nested_classes_swapped_do_not_verify(bench: Bench) -> None:
    path = saved(bench.folder / "d", rows(1))
    bench.ingest(path)
    tags = {"feature": {"names": ["b", "a"], "_type": "ClassLabel"}, "_type": "List"}
    saved(path, rows(1), said=FEATURES | {"tags": tags})
    (path / "dataset_info.json").write_text(json.dumps({"features": FEATURES | {"tags": tags}}))
    with pytest.raises(NotTrustedError):
        bench.open().verify("pets", data=[path])


def test_features_that_differ_between_info_and_files(tmp_path: Path) -> None:
    swapped = FEATURES | {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}
    with pytest.raises(InputError, match="other features"):
        read(saved(tmp_path / "d", rows(0), said=swapped))
    with pytest.raises(InputError, match="other features"):
        read(saved(tmp_path / "e", rows(0), said=None))


def test_path_without_its_bytes_is_not_hashed_as_if_it_were_the_image(tmp_path: Path) -> None:
    outside = rows(0, 1)
    outside[1]["image"] = {"bytes": None, "path": "/etc/passwd"}
    with pytest.raises(InputError, match="path without its bytes") as caught:
        read(saved(tmp_path / "d", outside))
    assert "row 2" in caught.value.message


@pytest.mark.parametrize("number", [2, -2, 2**40])
def test_class_that_has_no_name(tmp_path: Path, number: int) -> None:
    wrong = rows(0, 1)
    wrong[1]["label"] = number
    with pytest.raises(InputError, match=f"row 2.*class {number} has no name"):
        read(saved(tmp_path / "d", wrong))


@pytest.mark.parametrize(
    "names", [["../d", "x"], ["/etc/passwd"], [".."], [""], ["a", "a"], [1], [], "x", None]
)
def test_state_that_lists_files_elsewhere(tmp_path: Path, names: Any) -> None:
    path = saved(tmp_path / "d", rows(0))
    files = [{"filename": name} for name in names] if isinstance(names, list) else names
    (path / "state.json").write_text(json.dumps({"_data_files": files}))
    with pytest.raises(InputError, match="does not list the files"):
        read(path)


@pytest.mark.parametrize("splits", [["../d"], ["/"], [1], [], None, ["d", "d"]])
def test_dictionary_whose_splits_lie_elsewhere(tmp_path: Path, splits: Any) -> None:
    saved(tmp_path / "x/d", rows(0))
    (tmp_path / "x/dataset_dict.json").write_text(json.dumps({"splits": splits}))
    with pytest.raises(InputError, match="does not list its splits"):
        read(tmp_path / "x")


def test_format_in_which_other_values_are_handed_out(bench: Bench) -> None:
    """`load_from_disk` casts as the file of states says, which nobody signs."""
    folder = bench.folder / "d"
    saved(folder, rows(0, 1))
    bench.ingest(folder)
    for said in (
        {"_format_type": "numpy"},
        {"_format_kwargs": {"dtype": "int8"}},
        {"_format_columns": ["text"]},
    ):
        saved(folder, rows(0, 1), **said)
        with pytest.raises(InputError, match="sets a format of rows"):
            bench.open().verify("pets", data=[folder])


def test_rows_picked_by_an_index_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "d", rows(0), _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(InputError, match="indices file"):
        read(path)


@pytest.mark.parametrize("document", [b"{", b"[]", b'{"a": 1, "a": 2}', b"\xff"])
def test_state_that_is_no_json_object(tmp_path: Path, document: bytes) -> None:
    path = saved(tmp_path / "d", rows(0))
    (path / "state.json").write_bytes(document)
    with pytest.raises(InputError):
        read(path)


@pytest.mark.parametrize(
    "said",
    [
        {"label": {"_type": "ClassLabel"}},
        {"label": {"_type": "ClassLabel", "names": ["a", "a"]}},
        {"label": {"_type": "ClassLabel", "names": [1, 2]}},
        {"image": CLASSES},
        {"label": {"inner": CLASSES}},
        [1],
        5,
    ],
)
def test_features_that_are_none(tmp_path: Path, said: Any) -> None:
    path = saved(tmp_path / "d", rows(0), said=said)
    (path / "dataset_info.json").write_text("{}")
    with pytest.raises(InputError):
        read(path)


@pytest.mark.parametrize("cut", [0, 1, 8, 300, 600, -8, -200])
def test_truncated_arrow_file(tmp_path: Path, cut: int) -> None:
    path = saved(tmp_path / "d", rows(*range(6)))
    file = path / "data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:cut])
    if cut == -8:  # without its end marker a stream holds all its rows still
        assert read(path).table.num_rows == 6
        return
    with pytest.raises(InputError):
        read(path)


def test_any_changed_byte_of_an_arrow_file_is_our_error_or_another_digest(tmp_path: Path) -> None:
    path = saved(tmp_path / "d", rows(*range(3)))
    file = path / "data-00000-of-00001.arrow"
    whole, before = file.read_bytes(), facts(read(path))
    for place in range(0, len(whole), 37):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        try:
            assert isinstance(facts(read(path)), list)
        except InputError:
            continue
    file.write_bytes(whole)
    assert facts(read(path)) == before


def test_struct_and_sequence_features_are_walked() -> None:
    inner = {"kind": CLASSES}
    batch = pa.RecordBatch.from_pydict(
        {
            "s": pa.array([{"kind": 1}, None], pa.struct([("kind", pa.int64())])),
            "q": pa.array(
                [{"kind": [0, 1]}, {"kind": []}], pa.struct([("kind", pa.list_(pa.int64()))])
            ),
            "l": pa.array([[{"kind": 1}], None], pa.list_(pa.struct([("kind", pa.int64())]))),
        }
    )
    said = {"s": inner, "q": {"feature": inner, "_type": "Sequence"}, "l": [inner]}
    assert features.plain_batch(batch, said).to_pylist() == [
        {"s": {"kind": "dog"}, "q": {"kind": ["cat", "dog"]}, "l": [{"kind": "dog"}]},
        {"s": None, "q": {"kind": []}, "l": None},
    ]


# With the library itself


def test_what_the_library_saves_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    pictures = pytest.importorskip("PIL.Image")
    said = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "box": datasets.Array2D((2, 2), "float32"),
            "tags": datasets.List(datasets.ClassLabel(names=["a", "b"])),
        }
    )
    made = datasets.Dataset.from_dict(
        {
            "image": [pictures.new("RGB", (2, 2), (n, 0, 0)) for n in range(4)],
            "label": [0, 1, -1, None],
            "box": [[[1, 2], [3, 4]]] * 4,
            "tags": [[0], [1, 0], [], None],
        },
        features=said,
    )
    datasets.disable_progress_bars()
    made.save_to_disk(str(tmp_path / "one"), num_shards=2)
    datasets.DatasetDict(train=made, test=made.select([0])).save_to_disk(str(tmp_path / "both"))
    (tmp_path / "hub").mkdir()
    made.to_parquet(str(tmp_path / "hub/train-00000-of-00001.parquet"))
    one = facts(read(tmp_path / "one"))
    hub = facts(read(tmp_path / "hub"))
    assert sorted(row["label"] or "" for row in one) == ["", "", "cat", "dog"]
    assert [row["content"] for row in one] == [row["content"] for row in hub]
    assert {row["split"] for row in hub} == {"train"}
    assert len(facts(read(tmp_path / "both"))) == 5
    shutil.rmtree(tmp_path / "both/test")
    with pytest.raises(NotFoundError, match=r"state\.json"):
        read(tmp_path / "both")
