from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

import provreg
from provreg.registry import Registry
from provreg.trust.keys import generate, write_key
from provreg.trust.signers import KeySigner


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a registry, a key, and private folders of its own, as the current folder."""
    for name in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"PROVREG_{name}", str(tmp_path / f"private-{name}"))
    monkeypatch.chdir(tmp_path)
    Registry.init(tmp_path / ".provreg")
    return tmp_path


def publish(path: Path, **more: object) -> None:
    key = generate("p256")
    write_key(key, Path("k"), "", unencrypted=True)
    ingestion = provreg.Ingestion("d", (path,), source="s", labeler="ann", **more)
    Registry.open().ingest(ingestion, KeySigner(key))


def load(path: Path | str) -> provreg.VerifiedSamples:
    return provreg.load("d@1", data=path, key="k.pub")


@pytest.fixture
def folder(place: Path) -> Path:
    data = place / "data"
    for name, payload in (("cat/1", b"one"), ("cat/2", b""), ("dog/3", b"three" * 9999)):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(payload)
    publish(data)
    return data


def test_a_folder_streams_its_samples_as_signed(folder: Path) -> None:
    samples = list(load(folder))
    assert [(one.id, one.payload, one.label) for one in samples] == [
        ("cat/1", b"one", "cat"),
        ("cat/2", b"", "cat"),
        ("dog/3", b"three" * 9999, "dog"),
    ]
    assert {(one.source, one.labeler) for one in samples} == {("s", "ann")}


def test_a_public_key_is_given_as_text(folder: Path) -> None:
    pem = Path("k.pub").read_text("utf-8")
    for key in (pem, pem.encode()):
        assert len(provreg.load("d@1", data=folder, key=key)) == 3
    with pytest.raises(provreg.FormatError):
        provreg.load("d@1", data=folder, key=Path("k").read_text("utf-8"))


def test_a_stream_knows_its_length_and_classes_and_can_be_read_again(folder: Path) -> None:
    stream = load(folder)
    assert (len(stream), stream.classes) == (3, ("cat", "dog"))
    assert list(stream) == list(stream)


@pytest.mark.parametrize("poison", [b"xne", b"on", b"oneone", b""])
def test_a_changed_sample_does_not_load_and_says_who_answers_for_it(
    folder: Path, poison: bytes
) -> None:
    (folder / "cat/1").write_bytes(poison)
    with pytest.raises(provreg.SampleError, match=r"'cat/1' of d@1 .* 's', labeler 'ann'") as e:
        list(load(folder))
    assert (e.value.sample, e.value.source, e.value.labeler, e.value.step) == (
        "cat/1", "s", "ann", 12)  # fmt: skip
    assert e.value.expected != e.value.found


def test_a_missing_sample_does_not_load(folder: Path) -> None:
    (folder / "cat/1").unlink()
    with pytest.raises(provreg.SampleError, match="has no file") as caught:
        list(load(folder))
    assert caught.value.found is None


def test_a_stranger_never_loads(folder: Path) -> None:
    (folder / "cat/stranger").write_bytes(b"evil")
    assert [one.id for one in load(folder)] == ["cat/1", "cat/2", "dog/3"]


def test_a_link_out_of_the_folder_never_loads(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"one")
    (folder / "cat/1").unlink()
    (folder / "cat/1").symlink_to(tmp_path / "secret")
    with pytest.raises(provreg.SampleError):
        list(load(folder))


def test_a_file_swapped_while_streaming_never_gets_through(folder: Path) -> None:
    stream = iter(load(folder))
    assert next(stream).payload == b"one"
    (folder / "dog/3").write_bytes(b"evil" * 9999)
    with pytest.raises(provreg.SampleError, match="dog/3"):
        list(stream)


def test_sample_errors_survive_pickling(folder: Path) -> None:
    (folder / "cat/1").write_bytes(b"evil")
    with pytest.raises(provreg.SampleError) as caught:
        list(load(folder))
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert str(again) == str(caught.value)
    assert vars(again) == vars(caught.value)


def test_nothing_loads_without_somebody_to_trust(folder: Path) -> None:
    with pytest.raises(provreg.NotTrustedError, match="no policy or key was given"):
        provreg.load("d@1", data=folder)


def test_the_registry_named_in_the_environment_is_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".provreg").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("PROVREG_REGISTRY", str(tmp_path / "elsewhere"))
    assert len(load(folder)) == 3


def rows(path: Path, items: list[dict]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


ROWS = [{"text": "b", "y": "1"}, {"text": "a", "y": "0"}, {"text": "b", "y": "0"}]


@pytest.fixture
def table(place: Path) -> Path:
    path = rows(place / "rows.jsonl", ROWS)
    publish(path, options=provreg.ReadOptions(label="y"))
    return path


def test_a_table_streams_its_rows_in_order_with_signed_labels(table: Path) -> None:
    assert [(one.payload, one.label) for one in load(table)] == [
        ({"text": "b"}, "1"), ({"text": "a"}, "0"), ({"text": "b"}, "0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "poisoned",
    [
        [*ROWS[:2], {"text": "evil", "y": "0"}],
        [*ROWS, {"text": "evil", "y": "0"}],
        [{"text": "b", "y": "1"}, {"text": "a", "y": "1"}, {"text": "b", "y": "0"}],
        [*ROWS, ROWS[0]],
    ],
    ids=["changed", "stranger", "relabeled", "repeated"],
)
def test_a_batch_of_a_poisoned_table_hands_on_no_row(table: Path, poisoned: list[dict]) -> None:
    rows(table, poisoned)
    stream = iter(load(table))
    with pytest.raises(provreg.SampleError):
        next(stream)


def test_a_row_missing_from_a_table_is_found_at_its_end(table: Path) -> None:
    rows(table, ROWS[:2])
    stream = iter(load(table))
    assert [next(stream).payload["text"] for _ in range(2)] == ["b", "a"]
    with pytest.raises(provreg.NotTrustedError, match="1 samples of d@1 are missing") as caught:
        next(stream)
    assert [finding.kind for finding in caught.value.findings] == ["missing"]


@pytest.fixture
def shards(place: Path) -> Path:
    """Two shards of two rows with ids."""
    data = place / "shards"
    data.mkdir()
    for shard in (0, 1):
        names = (f"{shard}-{row}" for row in (0, 1))
        rows(data / f"{shard}.jsonl", [{"id": name, "text": f"text {name}"} for name in names])
    publish(data, options=provreg.ReadOptions(id="id"))
    return data


def test_a_shard_swapped_while_the_table_streams_never_gets_through(shards: Path) -> None:
    stream = iter(load(shards))
    assert [next(stream).id for _ in range(2)] == ["0-0", "0-1"]
    second = shards / "1.jsonl"
    before = second.stat()
    second.write_bytes(second.read_bytes().replace(b"text 1-0", b"evil 1-0"))
    os.utime(second, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(provreg.InputError, match="changed while it was being read"):
        list(stream)
    with pytest.raises(provreg.SampleError, match=r"'1-0' of d@1 .* differ from the signed ones"):
        list(load(shards))


def test_rows_moved_to_other_shards_load_as_signed(shards: Path) -> None:
    (shards / "0.jsonl").rename(shards / "2.jsonl")
    assert [one.id for one in load(shards)] == ["1-0", "1-1", "0-0", "0-1"]


def test_selected_rows_of_a_table_must_be_there_and_others_need_not(shards: Path) -> None:
    (shards / "0.jsonl").unlink()
    chosen = provreg.Selection(ids=["1-1"])
    some = provreg.load("d@1", data=shards, key="k.pub", select=chosen)
    assert [one.id for one in some] == ["1-1"]
    (shards / "1.jsonl").rename(shards / "1.other")
    rows(shards / "1.jsonl", [{"id": "1-0", "text": "text 1-0"}])
    with pytest.raises(provreg.NotTrustedError, match="missing"):
        list(some)


@pytest.mark.parametrize("bad", ["changed", "stranger", "missing"])
def test_skipped_rows_of_a_table_are_counted_and_no_more_than_may_be(
    shards: Path, bad: str
) -> None:
    good = [{"id": "1-0", "text": "text 1-0"}, {"id": "1-1", "text": "text 1-1"}]
    poisoned = {
        "changed": [good[0], good[1] | {"text": "evil"}],
        "stranger": [{"id": "evil", "text": "evil"}, *good],
        "missing": good[:1],
    }
    rows(shards / "1.jsonl", poisoned[bad])
    some = provreg.load("d@1", data=shards, key="k.pub", on_bad="skip")
    loaded = [one.id for one in some]
    assert loaded == ["0-0", "0-1", "1-0", *(["1-1"] if bad == "stranger" else [])]
    assert some.skipped == 4 - len(loaded)
    rows(shards / "1.jsonl", [{"id": f"evil {at}", "text": "evil"} for at in range(2)])
    with pytest.raises(provreg.NotTrustedError, match="2 samples are not as signed"):
        list(some)


def test_long_labels_are_read_from_the_data(place: Path) -> None:
    long = "é" * 600
    path = rows(place / "rows.jsonl", [{"text": "a", "y": long}])
    publish(path, options=provreg.ReadOptions(label="y"))
    assert [one.label for one in load(path)] == [long]


def test_long_labels_of_a_labels_file_are_kept_in_the_registry(place: Path) -> None:
    long = "é" * 600
    (place / "data").mkdir()
    (place / "data/1.txt").write_text("x")
    labels = rows(place / "labels.jsonl", [{"id": "1.txt", "label": long}])
    publish(place / "data", options=provreg.ReadOptions(label="none"), labels=labels)
    labels.unlink()
    assert [one.label for one in load(place / "data")] == [long]


def test_a_name_that_is_pinned_exactly_stays_and_the_log_names_the_newer_version(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry.open(key=Path("k.pub"))
    registry.pin(registry.verify("d@1"), Path("provreg.lock"), exact=True)
    (folder / "dog/4").write_bytes(b"four")
    key = KeySigner.load("k")
    Registry.open().ingest(provreg.Ingestion("d", (folder,), source="s", labeler="ann"), key)
    assert len(provreg.load("d", data=folder, key="k.pub")) == 3
    assert caplog.messages == ["d@1 is pinned exactly; the newest version is @2"]
    assert len(provreg.load("d@latest", data=folder, key="k.pub")) == 4
    assert len(caplog.messages) == 1
