from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import provreg

Load = Callable[..., provreg.VerifiedSamples]


def test_samples_are_read_by_index(load: Load) -> None:
    samples = load()
    assert samples.random_access
    assert [samples[index] for index in range(8)] == list(samples)
    assert samples[-1] == samples[7]
    assert samples.read(2)[1] == samples[2].payload
    for index in (8, -9):
        with pytest.raises(IndexError):
            samples[index]


def test_what_is_signed_of_a_sample_is_looked_up_with_its_bytes(load: Load) -> None:
    samples = load()
    for index, signed in enumerate(samples.entries.to_pylist()):
        entry, payload = samples.read(index)
        assert len(payload) == entry.size
        assert samples.classes[entry.class_index] == signed["label"]
        for name in ("id", "content", "label", "label_digest", "source", "labeler", "split"):
            assert getattr(entry, name) == signed[name]


def test_a_sample_without_a_label_has_no_class(
    tmp_path: Path, publish: Callable[..., None], load_data: Load
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1").write_bytes(b"one")
    publish(tmp_path / "a", label="none")
    assert load_data(tmp_path / "a").read(0)[0].class_index == -1


def test_shares_are_all_samples_once(load: Load) -> None:
    samples = load(select="label = 'dog' or split = 'train'")
    shares = [list(samples.share(number, 3)) for number in range(3)]
    assert sorted(one.id for share in shares for one in share) == [one.id for one in samples]
    assert {len(share) for share in shares} == {2, 3}


def test_all_data_can_be_checked_before_the_first_step(load: Load, pets: Path) -> None:
    samples = load(select="split = 'train'")
    samples.verify_data()
    (pets / "test/cat/stranger.jpg").write_bytes(b"evil")
    (pets / "train/cat/1.jpg").write_bytes(b"evil")
    with pytest.raises(provreg.NotTrustedError) as caught:
        samples.verify_data()
    assert [finding.kind for finding in caught.value.findings] == ["stranger", "changed"]


def test_a_bad_sample_is_skipped_only_where_that_was_asked_for(load: Load, pets: Path) -> None:
    (pets / "train/cat/1.jpg").write_bytes(b"evil")
    with pytest.raises(provreg.SampleError):
        list(load())
    samples = load(on_bad="skip")
    for _ in range(2):
        assert len(list(samples)) == 7
        assert samples.skipped == 1
    with pytest.raises(provreg.SampleError):
        samples[2]


def test_skipping_ends_at_its_limit(load: Load, pets: Path) -> None:
    for name in ("train/cat/1.jpg", "train/cat/3.jpg", "train/cat/5.jpg"):
        (pets / name).write_bytes(b"evil")
    with pytest.raises(provreg.NotTrustedError, match=r"2 samples .* at most 1 may be skipped"):
        list(load(on_bad="skip"))
    assert len(list(load(on_bad="skip", most_bad=0.5))) == 5
    with pytest.raises(provreg.NotTrustedError, match="at most 2 may be skipped"):
        list(load(on_bad="skip", most_bad=0.25))
    with pytest.raises(provreg.UsageError, match="on_bad"):
        load(on_bad="ignore")


IN_ANOTHER_PROCESS = """
import gc, json, pickle, sys
samples = pickle.load(open(sys.argv[1], "rb"))
ids = [sample.id for sample in samples]
print(json.dumps([ids, samples.skipped, sorted(sys.modules), gc.get_freeze_count()]))
"""


def in_another_process(samples: provreg.VerifiedSamples, folder: Path) -> Any:
    import json

    (folder / "pickled").write_bytes(pickle.dumps(samples))
    ran = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(folder / "pickled")],
        capture_output=True, text=True, cwd="/", check=False,
        env={"PYTHONPATH": str(Path(provreg.__file__).parents[1])},
    )  # fmt: skip
    return json.loads(ran.stdout) if ran.returncode == 0 else ran.stderr


def test_another_process_reads_the_same_without_duckdb_and_sigstore(
    load: Load, pets: Path, tmp_path: Path
) -> None:
    (pets / "train/cat/3.jpg").write_bytes(b"evil")
    samples = load(select="split = 'train'", on_bad="skip")
    ids, skipped, modules, frozen = in_another_process(samples, tmp_path)
    assert ids == [one.id for one in samples]
    assert skipped == samples.skipped == 1
    assert {"duckdb", "sigstore"} & {name.partition(".")[0] for name in modules} == set()
    assert not frozen, "what it has is its own"


def test_what_processes_are_sent_is_small(load: Load) -> None:
    assert len(pickle.dumps(load(select="split = 'train'", on_bad="skip"))) < 2000


def test_a_sent_loader_fails_closed_where_the_cache_is_gone(
    load: Load, bench: Any, tmp_path: Path
) -> None:
    samples = load()
    bench.forget("PROVREG_CACHE")
    assert "StorageError" in in_another_process(samples, tmp_path)


def test_a_label_that_a_failing_disk_changed_in_the_cache_never_loads(
    load: Load, bench: Any
) -> None:
    assert load()[0].label == "cat"
    [part] = (Path(bench.folder) / "home/provreg_cache/parts").rglob("*.arrow")
    data = part.read_bytes()
    assert data.count(b"catdog") == 1
    part.write_bytes(data.replace(b"catdog", b"dogcat"))
    assert load()[0].label == "cat"


def test_there_is_no_way_around_verification(load: Load) -> None:
    for name in ("verify", "check", "trust", "unsafe", "skip_verification", "strict"):
        with pytest.raises(TypeError):
            load(**{name: False})
    allowed = {"reference", "data", "policy", "key", "identity", "issuer", "trusted_root",
               "registry", "lock", "select", "classes", "exclude_revoked", "on_bad",
               "most_bad"}  # fmt: skip
    assert set(inspect.signature(provreg.load).parameters) == allowed


def made_again(kind: str, text: str) -> str:
    """What PyTorch's DataLoader makes of an error's formatted text."""
    return f"Caught {kind} in DataLoader worker process 0.\nOriginal {text}"


def test_an_error_survives_being_raised_again_from_its_text(load: Load, pets: Path) -> None:
    import traceback

    (pets / "train/cat/1.jpg").write_bytes(b"evil")
    with pytest.raises(provreg.SampleError) as caught:
        list(load())
    caught.value.carry()
    text = "".join(traceback.format_exception(caught.value))
    again = provreg.SampleError(made_again("SampleError", text))
    told = {name: fact for name, fact in vars(again).items() if name != "__notes__"}
    assert told == {name: fact for name, fact in vars(caught.value).items() if name != "__notes__"}
    assert str(again) == str(caught.value)
    assert "Traceback" in again.__notes__[0]
    assert "[provreg error]" not in again.__notes__[0]


FORGED = '[provreg error] {"message": "all is as signed", "hint": "\x1b[31m", "exit_code": 0}'


@pytest.mark.parametrize("text", ["[provreg error] {no json}", FORGED])
def test_text_from_data_writes_no_other_error_in_place_of_a_refusal(text: str) -> None:
    error = provreg.SampleError(f"before\n{text}\nafter", sample="a", hint="read\x1b[2J\n")
    assert error.message.startswith("before\\n[provreg error]")
    assert error.message.isprintable()
    assert error.hint == "read\\x1b[2J\\n"
    assert (error.sample, error.exit_code) == ("a", 4)
    assert "exit_code" not in vars(error)


@pytest.mark.parametrize("carried", [True, False])
def test_cause_by_another_package_writes_no_other_error_in_place_of_a_workers(
    *, carried: bool
) -> None:
    import traceback

    quoting = ValueError(f"in the data:\n{FORGED}\nprovreg.errors.SampleError: x\n{FORGED}")
    try:
        raise provreg.SampleError(f"is not as signed: {quoting}", hint="ask Ann") from quoting
    except provreg.SampleError as error:
        if carried:
            error.carry()
        text = "".join(traceback.format_exception(error))
    again = provreg.SampleError(made_again("SampleError", text))
    assert again.message.startswith("is not as signed: in the data:\\n[provreg error]")
    assert again.hint == ("ask Ann" if carried else "")
    assert again.exit_code == 4


def test_ranks_skip_no_more_together_than_may_be_skipped(
    load: Load, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (2, 4):
        (pets / f"train/dog/{number}.jpg").write_bytes(b"evil")
    monkeypatch.setenv("RANK", "0")
    assert len(list(load(on_bad="skip", most_bad=0.25))) == 6, "two of eight"
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(provreg.NotTrustedError, match="at most 1 may be skipped"):
        list(load(on_bad="skip", most_bad=0.25))
    assert len(list(load(on_bad="skip", most_bad=0.5))) == 6
