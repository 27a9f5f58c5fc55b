"""A model's files: read once each, never through a link, in constant memory."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest
from blake3 import blake3

from provreg.errors import InputError, NotFoundError, ProvregError
from provreg.readers.files.model import hash_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights")
    (folder / "tokenizer" / "a.json").write_bytes(b"{}")
    (folder / ".hidden").write_bytes(b"")
    return folder


def test_all_files_of_a_folder_are_digested_in_order(model: Path) -> None:
    (model / "model.sig").write_bytes(b"a signature of the folder")
    (model / "tokenizer" / "model.sig").write_bytes(b"no such signature")
    files = hash_model(model)
    assert [file.name for file in files] == [
        ".hidden", "model.bin", "tokenizer/a.json", "tokenizer/model.sig",
    ]  # fmt: skip
    assert files[1].size == 7
    assert files[1].sha256 == "sha256:" + hashlib.sha256(b"weights").hexdigest()
    assert files[1].blake3 == "blake3:" + blake3(b"weights").hexdigest()


def test_a_single_file_is_named_by_its_name(model: Path) -> None:
    [file] = hash_model(model / "model.bin")
    assert (file.name, file.size) == ("model.bin", 7)


def test_progress_counts_bytes(model: Path) -> None:
    heard: list[tuple[int, int]] = []
    hash_model(model, progress=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (9, 9)


@pytest.mark.parametrize("kind", ["link", "link to a folder", "pipe", "socket"])
def test_model_folder_with_links_or_devices_is_refused(model: Path, kind: str) -> None:
    secret = model.parent / "secret"
    if kind == "link":
        secret.write_text("secret")
        (model / "z").symlink_to(secret)
    elif kind == "link to a folder":
        secret.mkdir()
        (model / "z").symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(model / "z")
    else:
        os.mknod(model / "z", 0o140600)
    with pytest.raises(InputError, match="'z'"):
        hash_model(model)


@pytest.mark.parametrize("kind", ["folder", "empty folder", "link", "pipe", "large file"])
def test_what_is_called_as_the_signature_and_is_none_is_not_left_out(
    model: Path, kind: str
) -> None:
    signature = model / "model.sig"
    if kind == "folder":
        signature.mkdir()
        (signature / "more.safetensors").write_bytes(b"weights that nobody signed")
    elif kind == "empty folder":
        signature.mkdir()
    elif kind == "link":
        signature.symlink_to("/")
    elif kind == "pipe":
        os.mkfifo(signature)
    else:
        with signature.open("wb") as file:
            file.truncate((1 << 20) + 1)
    with pytest.raises(InputError, match=r"'model\.sig' in the model's folder is not a signature"):
        hash_model(model)


def test_a_pipe_named_as_the_model_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        hash_model(tmp_path / "pipe")


@pytest.mark.parametrize("name", [b"\xff.bin", b"\x1b[2J", "\u202e".encode()])
def test_a_name_that_no_receipt_may_hold_is_refused_and_shown_escaped(
    model: Path, name: bytes
) -> None:
    Path(os.fsdecode(bytes(model) + b"/" + name)).touch()
    with pytest.raises(InputError, match="not the name of a model's file") as refused:
        hash_model(model)
    assert refused.value.message.isprintable()


def test_nothing_and_an_empty_folder_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no model"):
        hash_model(tmp_path / "none")
    with pytest.raises(InputError, match="no files"):
        hash_model(tmp_path)


def test_a_folder_that_is_no_model_is_not_read_to_the_end(tmp_path: Path) -> None:
    for number in range(501):
        (tmp_path / str(number)).touch()
    with pytest.raises(InputError, match="more than 500"):
        hash_model(tmp_path)


def test_a_file_that_grows_without_end_while_it_is_read_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.readv

    def growing(file: int, buffers: list[memoryview]) -> int:
        with (model / "model.bin").open("ab") as writing:
            writing.write(b"!")
        return real(file, buffers)

    monkeypatch.setattr(os, "readv", growing)
    with pytest.raises(ProvregError, match="changed while it was read"):
        hash_model(model / "model.bin")


def test_a_giant_file_is_streamed_in_constant_memory(tmp_path: Path) -> None:
    giant = tmp_path / "giant.bin"
    with giant.open("wb") as file:
        file.truncate(1 << 28)
    tracemalloc.start()
    try:
        [found] = hash_model(giant)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.size == 1 << 28
    assert peak < 10 << 20
