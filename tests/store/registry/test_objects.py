"""Objects: what is handed out is what its digest says, or it is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.encoding.digest import blake3_digest, sha256_digest
from provreg.errors import DamagedError, FormatError, NotFoundError
from provreg.store.backends.local import LocalBackend
from provreg.store.registry.objects import Objects


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(LocalBackend(tmp_path))


def place(folder: Path, digest: str) -> Path:
    name = digest.replace(":", "-")
    return folder / "objects" / name[7:9] / name


@pytest.mark.parametrize(
    ("algorithm", "digest"), [("blake3", blake3_digest(b"x")), ("sha256", sha256_digest(b"x"))]
)
def test_what_is_put_is_got_by_its_written_digest(
    objects: Objects, tmp_path: Path, algorithm: str, digest: str
) -> None:
    assert objects.put(b"x", algorithm) == digest
    assert objects.get(digest, 1) == b"x"
    assert place(tmp_path, digest).read_bytes() == b"x"


def test_putting_twice_is_once(objects: Objects, tmp_path: Path) -> None:
    assert objects.put(b"x") == objects.put(b"x")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_however_many_are_put_they_are_all_there(objects: Objects) -> None:
    items = [b"%d" % (n // 2) for n in range(100)]
    objects.put_all(iter(items))
    assert [objects.get(blake3_digest(item), 9) for item in items] == items


def test_a_failure_among_many_is_raised(objects: Objects, tmp_path: Path) -> None:
    squat(tmp_path, blake3_digest(b"3"))
    with pytest.raises(DamagedError):
        objects.put_all(b"%d" % n for n in range(8))


@given(st.binary(min_size=1, max_size=300), st.sampled_from(["blake3", "sha256"]), st.data())
def test_any_changed_bit_is_noticed(data: bytes, algorithm: str, drawn: st.DataObject) -> None:
    bit = drawn.draw(st.integers(0, 8 * len(data) - 1))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    with tempfile.TemporaryDirectory() as folder:
        objects = Objects(LocalBackend(Path(folder)))
        digest = objects.put(data, algorithm)
        path = place(Path(folder), digest)
        path.unlink()
        path.write_bytes(changed)
        with pytest.raises(DamagedError) as caught:
            objects.get(digest, 1000)
    assert digest in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0"])
def test_truncated_or_extended_object_is_refused(
    objects: Objects, tmp_path: Path, change: object
) -> None:
    digest = objects.put(b"content")
    path = place(tmp_path, digest)
    path.unlink()
    path.write_bytes(change(b"content"))  # type: ignore[operator]
    with pytest.raises(DamagedError):
        objects.get(digest, 1000)


def test_an_object_renamed_to_the_other_algorithm_is_refused(
    objects: Objects, tmp_path: Path
) -> None:
    digest = objects.put(b"content")
    claimed = digest.replace("blake3", "sha256")
    place(tmp_path, digest).rename(place(tmp_path, claimed))
    with pytest.raises(DamagedError, match=claimed):
        objects.get(claimed, 1000)


def squat(folder: Path, digest: str, data: bytes = b"squatted") -> None:
    place(folder, digest).parent.mkdir(parents=True)
    place(folder, digest).write_bytes(data)


@pytest.mark.parametrize("planted", [b"", b"short", b"as long", b"rather too long"])
def test_put_refuses_a_name_somebody_squatted(
    objects: Objects, tmp_path: Path, planted: bytes
) -> None:
    squat(tmp_path, blake3_digest(b"content"), planted)
    with pytest.raises(DamagedError, match=blake3_digest(b"content").replace(":", "-")) as caught:
        objects.put(b"content")
    assert caught.value.hint


def test_put_refuses_a_name_squatted_by_a_link(objects: Objects, tmp_path: Path) -> None:
    digest = blake3_digest(b"content")
    squat(tmp_path, digest)
    place(tmp_path, digest).unlink()
    (tmp_path / "elsewhere").write_bytes(b"content")
    place(tmp_path, digest).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedError):
        objects.put(b"content")


def test_an_object_beyond_the_limit_is_not_read(objects: Objects) -> None:
    digest = objects.put(b"0123456789")
    with pytest.raises(DamagedError, match="9 bytes allowed"):
        objects.get(digest, 9)


def test_a_missing_object_is_not_found(objects: Objects) -> None:
    with pytest.raises(NotFoundError):
        objects.get(blake3_digest(b"never put"), 100)


@pytest.mark.parametrize(
    "digest", ["", "md5:00", "blake3:" + "A" * 64, "../" + "a" * 64, "sha256:" + "a" * 63 + "\n"]
)
def test_what_is_no_digest_is_refused_before_the_disk(objects: Objects, digest: str) -> None:
    with pytest.raises(FormatError):
        objects.get(digest, 100)
