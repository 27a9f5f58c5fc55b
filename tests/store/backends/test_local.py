"""The folder backend: whole or not at all, create-only, and no way out of the folder."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.encoding.canonical import canonical
from provreg.errors import (
    DamagedError,
    FormatError,
    NotFoundError,
    StorageError,
    UsageError,
)
from provreg.registry import Registry
from provreg.store.backends.local import LocalBackend
from provreg.store.layout import split_key
from provreg.store.registry.folder import find, init, open_registry

KEY = "objects/ab/blake3-" + "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> LocalBackend:
    folder = tmp_path / "registry"
    folder.mkdir()
    return LocalBackend(folder)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def failing(number: int) -> Callable[..., object]:
    def fail(*_args: object, **_options: object) -> object:
        raise OSError(number, os.strerror(number))

    return fail


def test_what_is_created_is_read(store: LocalBackend, tmp_path: Path) -> None:
    assert store.create(KEY, b"bytes")
    assert store.read(KEY, 5) == b"bytes"
    assert store.exists(KEY)
    assert files_below(tmp_path / "registry") == {KEY}


def test_create_never_replaces_what_came_between_look_and_link(
    store: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(KEY, b"first")
    monkeypatch.setattr("provreg.store.backends.local._stands", lambda *_: False)
    assert not store.create(KEY, b"other")
    assert store.read(KEY, 100) == b"first"
    assert list(store.list("tmp")) == []


def test_stored_files_are_read_only(store: LocalBackend, tmp_path: Path) -> None:
    store.create(KEY, b"bytes")
    assert not (tmp_path / "registry" / KEY).stat().st_mode & 0o222


def test_read_allocates_no_more_than_the_limit_for_a_sparse_giant(
    store: LocalBackend, tmp_path: Path
) -> None:
    path = tmp_path / "registry" / "giant"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(DamagedError, match="longer"):
        store.read("giant", 10)


def test_a_registry_that_vanished_is_not_an_empty_one(store: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "registry").rmdir()
    for ask in (
        lambda: list(store.list("datasets")),
        lambda: store.exists(KEY),
        lambda: store.read(KEY, 1),
        lambda: store.create(KEY, b""),
        lambda: store.remove(KEY),
    ):
        with pytest.raises(NotFoundError):
            ask()


def test_list_names_what_lies_directly_under_a_folder(store: LocalBackend, tmp_path: Path) -> None:
    for key in ("a/one", "a/two", "a/deeper/three", "b/four"):
        store.create(key, b"")
    (tmp_path / "registry" / "a" / "JUNK \x1b[2J").touch()
    assert sorted(store.list("a")) == ["a/JUNK \x1b[2J", "a/deeper", "a/one", "a/two"]


@given(st.text() | st.from_regex(r"[a./:-]{0,20}"))
def test_every_key_that_is_taken_stays_inside(key: str) -> None:
    try:
        segments = split_key(key)
    except FormatError:
        return
    assert os.path.normpath(key) == key == "/".join(segments)
    assert not key.startswith(("/", "."))


def test_planted_link_for_a_file_is_not_read(store: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "registry" / "stolen").symlink_to(tmp_path / "secret")
    with pytest.raises(DamagedError, match="not a regular file"):
        store.read("stolen", 100)


def test_planted_link_for_a_file_is_not_written_through(
    store: LocalBackend, tmp_path: Path
) -> None:
    (tmp_path / "registry" / "trap").symlink_to(tmp_path / "target")
    assert not store.create("trap", b"bytes")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("folder", ["objects", "objects/ab", "tmp"])
def test_planted_link_for_a_folder_leads_nowhere(
    store: LocalBackend, tmp_path: Path, folder: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "ab").mkdir(parents=True)
    link = tmp_path / "registry" / folder
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(DamagedError, match="a link or file stands where a folder"):
        store.create(KEY, b"bytes")
    assert not files_below(outside)
    if folder != "tmp":
        (outside / KEY.rpartition("/")[2]).write_bytes(b"planted")
        with pytest.raises(DamagedError):
            store.read(KEY, 100)
    with pytest.raises(DamagedError):
        list(store.list(folder))


def test_swapping_the_staged_file_for_a_link_publishes_no_secret(
    store: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    real = os.link

    def swapped_before(staged: str, name: str, **options: object) -> None:
        (tmp_path / "registry" / "tmp" / staged).unlink()
        (tmp_path / "registry" / "tmp" / staged).symlink_to(secret)
        real(staged, name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", swapped_before)
    store.create(KEY, b"bytes")
    assert secret.stat().st_nlink == 1
    with pytest.raises(DamagedError):
        store.read(KEY, 100)


def test_planted_pipe_socket_or_folder_neither_hangs_nor_reads(
    store: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "registry")
    os.mkfifo("pipe")
    Path("folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for key in ("pipe", "folder", "socket"):
            with pytest.raises(DamagedError, match="not a regular file"):
                store.read(key, 100)
            assert not store.create(key, b"bytes")


def test_file_where_a_folder_belongs_is_damage(store: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "registry" / "objects").touch()
    with pytest.raises(DamagedError, match="stands where a folder"):
        store.create(KEY, b"")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "access"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "disk or file server"),
    ],
)
@pytest.mark.parametrize("step", ["open", "fsync", "link"])
def test_failing_storage_is_said_with_what_to_do(
    store: LocalBackend, monkeypatch: pytest.MonkeyPatch, step: str, number: int, said: str
) -> None:
    store.create("objects/other", b"")
    with monkeypatch.context() as patched:
        patched.setattr(os, step, failing(number))
        with pytest.raises(StorageError, match=f"cannot write .*{KEY}") as caught:
            store.create(KEY, b"bytes")
    assert said in caught.value.hint
    assert list(store.list("tmp")) == []
    assert not store.exists(KEY)


def test_file_system_without_hard_links_is_said(
    store: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing(errno.ENOTSUP))
    with pytest.raises(StorageError) as caught:
        store.create(KEY, b"bytes")
    assert "hard links" in caught.value.hint


def test_bytes_are_on_disk_before_the_name_and_the_name_before_success(
    store: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, os.link
    root = tmp_path / "registry"

    def synced(descriptor: int) -> None:
        number = os.fstat(descriptor).st_ino
        path = next(path for path in (root, *root.rglob("*")) if path.stat().st_ino == number)
        steps.append("staged" if path.is_file() else str(path.relative_to(root)))
        fsync(descriptor)

    def linked(*names: str, **options: int) -> None:
        steps.append("link")
        link(*names, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    store.create("objects/ab/x", b"bytes")
    assert steps == [
        ".",  # where objects/ was made
        "objects",  # where objects/ab/ was made
        ".",  # where tmp/ was made
        "staged",
        "link",
        "objects/ab",
    ]
    steps.clear()
    store.create("objects/ab/x", b"bytes")
    assert steps == ["objects/ab"]


def test_partial_writes_are_continued(store: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.open

    class Stuttering:
        def __init__(self, *args: object, **options: object) -> None:
            self.file = real(*args, **options)  # type: ignore[call-overload]

        def __enter__(self) -> Stuttering:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: memoryview) -> int:
            return int(self.file.write(data[:3]))

        def fileno(self) -> int:
            return int(self.file.fileno())

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "open", Stuttering)
        store.create(KEY, b"0123456789")
    assert store.read(KEY, 10) == b"0123456789"


def test_abandoned_staged_files_are_swept_and_fresh_ones_are_not(
    store: LocalBackend, tmp_path: Path
) -> None:
    staging = tmp_path / "registry" / "tmp"
    staging.mkdir()
    for name, age in (("abandoned", 2 * 86400), ("in-use", 60)):
        (staging / name).touch()
        os.utime(staging / name, (time.time() - age,) * 2)
    store.create(KEY, b"")
    assert [path.name for path in staging.iterdir()] == ["in-use"]


def test_location_is_one_for_all_ways_to_the_folder(store: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "registry")
    roundabout = tmp_path / "link" / ".." / "registry"
    assert LocalBackend(tmp_path / "link").location == store.location
    assert LocalBackend(roundabout).location == store.location
    assert store.location == (tmp_path / "registry").resolve().as_uri()
    (tmp_path / "link").unlink()


def test_init_makes_a_registry_and_leaves_one_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "registry"
    init(folder).create(KEY, b"kept")
    assert init(folder).read(KEY, 4) == b"kept"
    assert (folder / "provreg.json").read_bytes() == canonical({"format": "provreg.registry/v1"})


def test_init_refuses_a_folder_with_other_things(tmp_path: Path) -> None:
    (tmp_path / "thesis\x1b[2J.tex").touch()
    with pytest.raises(UsageError, match=r"thesis\\x1b") as caught:
        init(tmp_path)
    assert "\x1b" not in caught.value.message
    assert not (tmp_path / "provreg.json").exists()


def test_init_goes_on_where_one_was_killed(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "staged").touch()
    init(tmp_path)
    open_registry(tmp_path, writing=True)


def test_init_says_where_it_may_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="make a registry"):
        init(tmp_path / "file")


def test_opening_what_is_no_registry_is_not_found(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NotFoundError) as caught:
            open_registry(folder)
        assert "provreg init" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("file:///srv/registry", "name its folder as a path: /srv/registry"),
        ("https://example.org/registry", "copy or mount the registry"),
    ],
)
def test_a_url_is_no_folder(url: str, hint: str) -> None:
    for folder in (Path(url), url):
        with pytest.raises(UsageError, match="looks like a URL") as caught:
            Registry.open(folder)
        assert hint in caught.value.hint


def test_newer_format_is_refused_for_writing_only(tmp_path: Path) -> None:
    (tmp_path / "provreg.json").write_bytes(b'{"format":"provreg.registry/v2","more":1}')
    open_registry(tmp_path)
    with pytest.raises(FormatError, match="registry/v2") as caught:
        open_registry(tmp_path, writing=True)
    assert "v2" in caught.value.hint


@pytest.mark.parametrize(
    "hint",
    [b"", b"{}", b"[]", b'{"format":1}', b'{"format":"provreg.registry/v1","x":1}', b"{" * 5000,
     b'{"format":"restic/v1"}'],
)  # fmt: skip
def test_malformed_hint_stops_writers_and_no_reader(tmp_path: Path, hint: bytes) -> None:
    (tmp_path / "provreg.json").write_bytes(hint)
    open_registry(tmp_path)
    with pytest.raises(DamagedError):
        open_registry(tmp_path, writing=True)


def test_registry_whose_hint_was_deleted_still_opens(tmp_path: Path) -> None:
    init(tmp_path).create(KEY, b"")
    (tmp_path / "provreg.json").unlink()
    open_registry(tmp_path, writing=True)


def test_find_takes_the_nearest_upward(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / ".provreg").mkdir()
    assert find(below) == (tmp_path / ".provreg").resolve()
    (tmp_path / "a" / ".provreg").mkdir()
    assert find(below) == (tmp_path / "a" / ".provreg").resolve()
    (below / ".provreg").touch()
    assert find(below) == (tmp_path / "a" / ".provreg").resolve()


@given(st.binary(max_size=200))
def test_any_hint_is_read_or_refused_with_our_errors(hint: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, suppress(DamagedError):
        (Path(folder) / "provreg.json").write_bytes(hint)
        open_registry(Path(folder), writing=True)
