"""What every storage backend must do; a new one is one more of `BACKENDS`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from provreg.errors import DamagedError, FormatError, NotFoundError
from provreg.store.backends.api import Backend
from provreg.store.backends.local import LocalBackend

KEY = "objects/ab/blake3-" + "ab" * 32


def in_a_folder(place: Path) -> Backend:
    place.mkdir(exist_ok=True)
    return LocalBackend(place)


# Each opens the registry at a place of its own below a temporary folder, as often as it is asked.
BACKENDS: dict[str, Callable[[Path], Backend]] = {"folder": in_a_folder}


@pytest.fixture(params=BACKENDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Backend]:
    return lambda: BACKENDS[request.param](tmp_path / "registry")


@pytest.fixture
def backend(opened: Callable[[], Backend]) -> Backend:
    return opened()


def test_what_is_created_is_read_and_listed_by_another(opened: Callable[[], Backend]) -> None:
    assert opened().create(KEY, b"bytes")
    other = opened()
    assert other.read(KEY, 5) == b"bytes"
    assert other.exists(KEY)
    assert list(other.list("objects/ab")) == [KEY]
    assert not other.create(KEY, b"other")


@pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024 + 1])
def test_any_size_is_stored_whole(backend: Backend, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert backend.create(KEY, data[:size])
    assert backend.read(KEY, size) == data[:size]


def test_list_names_what_lies_directly_under_a_folder(backend: Backend) -> None:
    for key in ("a/one", "a/two", "a/deeper/three", "b/four", "ab/five"):
        backend.create(key, b"")
    assert sorted(backend.list("a")) == ["a/deeper", "a/one", "a/two"]


def test_list_names_everything_of_a_full_folder(backend: Backend) -> None:
    keys = {f"many/{number:04}" for number in range(1_100)}
    for key in keys:
        backend.create(key, b"")
    assert set(backend.list("many")) == keys


def test_a_registry_has_one_address(opened: Callable[[], Backend]) -> None:
    one, other = opened(), opened()
    assert one.location == other.location
    assert urlsplit(one.location).scheme
    assert one.location in one.places
    assert one.address == other.address
    assert KEY in one.where(KEY)


def test_create_never_replaces(backend: Backend) -> None:
    backend.create(KEY, b"first")
    assert not backend.create(KEY, b"other")
    assert backend.read(KEY, 100) == b"first"


def test_of_many_who_create_one_key_one_is_told_so(backend: Backend) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: backend.create(KEY, b"%d" % n), range(8)))
    assert told.count(True) == 1
    assert backend.read(KEY, 1) == b"%d" % told.index(True)


def test_read_refuses_more_than_the_limit(backend: Backend) -> None:
    backend.create(KEY, b"123456")
    with pytest.raises(DamagedError, match="longer than the 5 bytes"):
        backend.read(KEY, 5)


@pytest.mark.parametrize("key", [KEY, "objects", "nothing/here"])
def test_reading_what_is_not_there_is_not_found(backend: Backend, key: str) -> None:
    with pytest.raises(NotFoundError, match=key):
        backend.read(key, 10)
    assert not backend.exists(key)
    assert list(backend.list(key)) == []


def test_remove_is_content_with_nothing(backend: Backend) -> None:
    backend.create(KEY, b"")
    backend.remove(KEY)
    backend.remove(KEY)
    assert not backend.exists(KEY)


BAD_KEYS = ["", "/", "/etc/passwd", "a//b", "a/", "../x", "a/../b", "a/..", ".", "a/.hidden",
            "a..b", "A", "a:b", "a\\b", "a\0b", "a\n", "a b", "é", "a/" * 8 + "a",
            "a" * 134]  # fmt: skip


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_outside_the_registry_are_refused(backend: Backend, key: str) -> None:
    for ask in (
        lambda: backend.create(key, b""),
        lambda: backend.read(key, 1),
        lambda: backend.exists(key),
        lambda: backend.remove(key),
        lambda: list(backend.list(key)),
    ):
        with pytest.raises(FormatError, match="not a key"):
            ask()
