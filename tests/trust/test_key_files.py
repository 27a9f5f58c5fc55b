"""Key files: private to their owner, never overwritten, never half-written."""

import os
import stat
from pathlib import Path

import pytest

from provreg.errors import NotFoundError, StorageError, UsageError
from provreg.trust.keys import PrivateKey, load_private, load_public_file, public_path, write_key


def never() -> str:
    raise AssertionError("a passphrase was asked for")


def test_key_reads_back_with_its_passphrase(key: PrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    public = write_key(key, path, "Lösung")
    assert public == tmp_path / "alice.key.pub"
    assert load_private(path, lambda: "Lösung").public == key.public
    assert load_public_file(public) == key.public


def test_private_file_is_its_owners_alone_whatever_the_umask(
    p256: PrivateKey, tmp_path: Path
) -> None:
    previous = os.umask(0)
    try:
        public = write_key(p256, tmp_path / "k", "", unencrypted=True)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644


def test_no_passphrase_is_asked_for_where_none_is_needed(p256: PrivateKey, tmp_path: Path) -> None:
    write_key(p256, tmp_path / "k", "", unencrypted=True)
    assert load_private(tmp_path / "k", never).public == p256.public


@pytest.mark.parametrize(("passphrase", "unencrypted"), [("", False), ("pass", True)])
def test_an_unencrypted_key_is_written_only_where_that_is_said(
    p256: PrivateKey, tmp_path: Path, passphrase: str, unencrypted: bool
) -> None:
    with pytest.raises(UsageError):
        write_key(p256, tmp_path / "k", passphrase, unencrypted=unencrypted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("existing", ["k", "k.pub"])
def test_nothing_is_overwritten_and_nothing_left_behind(
    p256: PrivateKey, tmp_path: Path, existing: str
) -> None:
    (tmp_path / existing).write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        write_key(p256, tmp_path / "k", "pass")
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "mine"


def test_a_planted_link_does_not_lead_the_private_key_elsewhere(
    p256: PrivateKey, tmp_path: Path
) -> None:
    (tmp_path / "k").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists"):
        write_key(p256, tmp_path / "k", "pass")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_does_not_exist_is_a_storage_failure(
    p256: PrivateKey, tmp_path: Path
) -> None:
    with pytest.raises(StorageError):
        write_key(p256, tmp_path / "none" / "k", "pass")


def test_a_full_disk_leaves_no_half_of_a_key(
    p256: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_key(p256, tmp_path / "k", "pass")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_private_key_others_may_use_is_refused(
    p256: PrivateKey, tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "k"
    write_key(p256, path, "pass")
    path.chmod(mode)
    with pytest.raises(UsageError, match="others can read") as caught:
        load_private(path, never)
    assert caught.value.hint.startswith("chmod 600")


def test_a_wrong_or_missing_passphrase_is_said(p256: PrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "k"
    write_key(p256, path, "pass")
    with pytest.raises(UsageError, match="wrong passphrase"):
        load_private(path, lambda: "word")
    for nothing in (None, ""):
        with pytest.raises(UsageError, match="no passphrase was given"):
            load_private(path, lambda nothing=nothing: nothing)


def test_a_public_key_is_not_taken_for_a_private_one(p256: PrivateKey, tmp_path: Path) -> None:
    public = write_key(p256, tmp_path / "k", "pass")
    public.chmod(0o600)
    with pytest.raises(UsageError, match="is a public key, and signing needs the private key"):
        load_private(public, never)


def test_files_that_are_no_keys_are_refused(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b" " * 20_000)
    big.chmod(0o600)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(NotFoundError):
        load_private(tmp_path / "none", never)
    for path in (tmp_path, pipe):
        with pytest.raises(UsageError, match="is not a file"):
            load_private(path, never)
    for load in (load_public_file, lambda path: load_private(path, never)):
        with pytest.raises(UsageError, match="at most 16384 are allowed"):
            load(big)


def test_a_hostile_name_does_not_act_on_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        load_public_file(tmp_path / "\x1b[2J")
    assert "\x1b" not in caught.value.message
    assert public_path(tmp_path / "a.b").name == "a.b.pub"
