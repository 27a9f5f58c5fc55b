"""Receipts that could not be signed when the run ended: kept, and signed later."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mutations import mutations

import provreg
from provreg.core.statements.receipt import parse_unsigned
from provreg.errors import (
    DamagedError,
    FormatError,
    NotFoundError,
    NotTrustedError,
    StorageError,
    UsageError,
)
from provreg.flows.receipts.publish import publish_receipt
from provreg.store.private.pending_receipts import list_pending, read_pending

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
Load = Callable[..., provreg.VerifiedSamples]


class Failing:
    """A signer that signs `good` times, and then raises `error`."""

    def __init__(self, real: provreg.KeySigner, error: BaseException, good: int = 0) -> None:
        self._real, self._error, self._good = real, error, good

    def sign(self, statement: bytes) -> bytes:
        self._good -= 1
        if self._good < 0:
            raise self._error
        return self._real.sign(statement)

    def policy(self) -> Any:
        return self._real.policy()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    return folder


@pytest.fixture
def fail(bench: Any, load: Load, model: Path) -> Callable[..., Any]:
    """A run of all pets whose signer fails, and what that raised."""

    def fail(error: BaseException, good: int = 0) -> Any:
        signer = Failing(bench.signer(), error, good)
        samples = load()
        run = provreg.training_run(samples, model=model, sign=signer, oms=good > 0)
        with pytest.raises(type(error)) as raised, run:
            list(samples)
        assert run.receipt is None
        return raised.value

    return fail


def sign(bench: Any, path: Path, *more: str | Path) -> Any:
    """`provreg sign receipt:PATH`, by alice, whose policy is her own."""
    key = bench.key_file()
    return bench.run(
        "sign", f"receipt:{path}", "--sign", f"key:{key.with_suffix('')}", "--key", key, *more
    )


def test_a_receipt_that_could_not_be_signed_is_signed_later(
    bench: Any, fail: Any, model: Path
) -> None:
    before = bench.files()
    error = fail(StorageError("the log is down", hint="ask who runs it"))
    [path] = list_pending()
    assert isinstance(error, StorageError)
    assert "the log is down" in error.message
    assert str(path) in error.message
    assert f"provreg sign receipt:{path} --registry {bench.registry}" in error.hint
    assert "ask who runs it" in error.hint
    assert bench.files() == before
    assert path.stat().st_mode & 0o777 == 0o600
    schema = json.loads((SCHEMAS / "unsigned-receipt.v1.json").read_text())
    Draft202012Validator(schema).validate(json.loads(path.read_bytes()))
    assert str(path).encode() in bench.run("runs", "--key", bench.key_file()).stderr

    asked = sign(bench, path)
    assert (asked.returncode, path.exists()) == (2, True)
    assert b"8 of 8 samples, 8 deliveries in total" in asked.stdout
    signed = sign(bench, path, "--yes", "--json")
    assert signed.returncode == 0, signed.stderr
    document = json.loads(signed.stdout)
    schema = json.loads((SCHEMAS / "output/sign-receipt.v1.json").read_text())
    Draft202012Validator(schema).validate(document)
    assert document["trusted"]
    assert list_pending() == []
    verified = bench.run("verify", f"model:{model}", "--key", bench.key_file())
    assert verified.returncode == 0, verified.stderr
    assert document["receipt"].encode() in verified.stdout
    assert list(bench.open().check()) == []


def test_the_second_signature_of_a_run_can_fail_too(bench: Any, fail: Any, model: Path) -> None:
    """That for model_signing comes first: neither is there if the receipt's fails."""
    fail(StorageError("the token has expired"), good=1)
    assert not (model / "model.sig").exists()
    [path] = list_pending()
    assert sign(bench, path, "--yes").returncode == 0


def test_a_receipt_outlives_a_registry_that_was_gone_when_the_run_ended(
    bench: Any, load: Load, model: Path
) -> None:
    away = bench.folder / "away"
    samples = load()
    run = provreg.training_run(samples, model=model, sign=bench.signer())

    def moved_away() -> None:
        with run:
            list(samples)
            bench.registry.rename(away)
            bench.registry.write_text("the server is being moved")

    with pytest.raises(DamagedError, match="is kept, unsigned, in"):
        moved_away()
    bench.registry.unlink()
    away.rename(bench.registry)
    [path] = list_pending()
    assert sign(bench, path, "--yes").returncode == 0
    assert bench.run("verify", f"model:{model}", "--key", bench.key_file()).returncode == 0


def test_a_parameter_that_cannot_be_recorded_in_the_end_loses_nothing_else(
    bench: Any, load: Load, model: Path
) -> None:
    samples = load()
    run = provreg.training_run(samples, model=model, sign=bench.signer(), parameters={"lr": 0.1})

    def diverged() -> None:
        with run:
            list(samples)
            run.parameters["loss"] = float("nan")

    with pytest.raises(UsageError, match=r"'loss' cannot be recorded.* is kept, unsigned, in"):
        diverged()
    [path] = list_pending()
    assert read_pending(path)[1].parameters == {"lr": 0.1, "model_path": model.name}
    assert sign(bench, path, "--yes").returncode == 0


def test_a_wrong_path_of_the_model_loses_no_receipt(bench: Any, load: Load, model: Path) -> None:
    samples = load()
    run = provreg.training_run(samples, model=model / "nowhere", sign=bench.signer())
    before = bench.files()
    with pytest.raises(NotFoundError, match=r"no model at .* is kept, unsigned, in") as raised, run:
        list(samples)
    assert bench.files() == before
    [path] = list_pending()
    assert f"receipt:{path} --registry {bench.registry} --model PATH" in raised.value.hint

    unsaid = sign(bench, path, "--yes")
    assert unsaid.returncode == UsageError.exit_code
    assert b"--model PATH" in unsaid.stderr
    wrong = sign(bench, path, "--yes", "--model", model / "nowhere")
    assert wrong.returncode == NotFoundError.exit_code
    assert bench.files() == before
    signed = sign(bench, path, "--yes", "--model", model)
    assert signed.returncode == 0, signed.stderr
    assert b"weights.bin" in signed.stdout
    assert list_pending() == []
    assert bench.run("verify", f"model:{model}", "--key", bench.key_file()).returncode == 0


def test_the_model_that_a_receipt_names_cannot_be_exchanged(
    bench: Any, fail: Any, model: Path
) -> None:
    fail(StorageError("down"))
    [path] = list_pending()
    refused = sign(bench, path, "--yes", "--model", model)
    assert refused.returncode == UsageError.exit_code
    assert b"names its model's files already" in refused.stderr
    assert path.exists()


def test_a_receipt_without_a_model_is_never_published(bench: Any, load: Load, model: Path) -> None:
    samples = load()
    run = provreg.training_run(samples, model=model / "nowhere", sign=bench.signer())
    with pytest.raises(NotFoundError), run:
        list(samples)
    unsigned, receipt = read_pending(list_pending()[0])
    assert receipt.model == ()
    before = bench.files()
    with pytest.raises(FormatError, match="1 to"):
        publish_receipt(bench.open().workspace, unsigned, bench.signer())
    assert bench.files() == before


def test_model_is_for_receipts_alone(bench: Any, model: Path) -> None:
    refused = bench.run("sign", "pets@1", "--sign", "key:x", "--model", model)
    assert refused.returncode == UsageError.exit_code
    assert b"--model requires receipt:FILE" in refused.stderr


def test_whoever_interrupts_the_signing_is_told_where_the_receipt_is(fail: Any) -> None:
    error = fail(KeyboardInterrupt())
    [path] = list_pending()
    assert isinstance(error, KeyboardInterrupt)
    assert str(path) in error.__notes__[0]


def test_what_cannot_be_kept_is_published_all_the_same(
    bench: Any, load: Load, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = load()
    monkeypatch.setenv("PROVREG_STATE", "/dev/null/state")
    with provreg.training_run(samples, model=model, sign=bench.signer()) as run:
        list(samples)
    assert run.receipt is not None


def test_a_receipt_that_was_published_is_not_kept(bench: Any, load: Load, model: Path) -> None:
    samples = load()
    with provreg.training_run(samples, model=model, sign=bench.signer()):
        list(samples)
    assert list_pending() == []


@pytest.mark.parametrize("whose", ["file", "folder"])
def test_a_receipt_that_others_could_have_written_is_not_signed(
    bench: Any, fail: Any, whose: str
) -> None:
    fail(StorageError("down"))
    [path] = list_pending()
    (path if whose == "file" else path.parent).chmod(0o777)
    before = bench.files()
    refused = sign(bench, path, "--yes")
    assert refused.returncode == 4
    assert b"others could have written" in refused.stderr
    assert bench.files() == before
    (path if whose == "file" else path.parent).chmod(0o700)


def test_a_link_or_nothing_in_its_place_is_refused(fail: Any) -> None:
    fail(StorageError("down"))
    [path] = list_pending()
    link = path.with_name("link.json")
    link.symlink_to(path)
    with pytest.raises((NotTrustedError, DamagedError)):
        read_pending(link)
    with pytest.raises(NotFoundError):
        read_pending(path.with_name("none.json"))


def test_every_changed_field_of_a_kept_receipt_is_refused_or_another_receipt(fail: Any) -> None:
    fail(StorageError("down"))
    [path] = list_pending()
    data = path.read_bytes()
    whole, _ = parse_unsigned(data)
    for at, document in mutations(json.loads(data), every=7):
        try:
            found, _ = parse_unsigned(json.dumps(document).encode())
        except FormatError:
            continue
        # What can be changed is what its signer says: they are shown it, and asked.
        assert at == ("statement",)
        assert found.statement != whole.statement
    for junk in (b"", b"{", b"[]", data[:-1], b"\xff" + data, b'{"a":' * 10_000):
        with pytest.raises(FormatError):
            parse_unsigned(junk)


def test_a_bitmap_of_other_samples_is_refused(fail: Any) -> None:
    fail(StorageError("down"))
    [path] = list_pending()
    document = json.loads(path.read_bytes())
    for bitmap in (b"\x00", b"\x01" * 5000, b""):
        document["bitmaps"] = [base64.b64encode(bitmap).decode()]
        with pytest.raises(FormatError, match="bitmap"):
            parse_unsigned(json.dumps(document).encode())


def test_receipt_without_a_file_is_a_usage_error(bench: Any, pets: Path) -> None:
    refused = bench.run("sign", "receipt:", "--sign", "key:x")
    assert refused.returncode == UsageError.exit_code
    assert b"has no path" in refused.stderr
