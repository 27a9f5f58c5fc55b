"""provreg.store.private.stat_cache: fast, private, and worth nothing as soon as anything is odd."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.store.backends import local_devices as devices_module
from provreg.store.backends.local_devices import local_devices
from provreg.store.private import stat_cache
from provreg.store.private.stat_cache import MAGIC, StatCache

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
DEVICE = 64769


def stats_of(*rows: tuple[int, int, int, int, int]) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(rows, np.int64).reshape(-1, 5).view(np.uint64)


def digests(*values: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.repeat(np.array(values, np.uint8)[:, None], 32, axis=1)


def row(inode: int, *, device: int = DEVICE, size: int = 3, mtime: int = 5, ctime: int = 6):  # type: ignore[no-untyped-def]
    return (device, inode, size, mtime, ctime)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "stats"


def filled(path: Path) -> StatCache:
    cache = StatCache.open(path, devices=[DEVICE])
    assert cache.record(stats_of(row(1), row(2), row(3)), digests(1, 2, 3), read_at_ns=NOW)
    return StatCache.open(path, devices=[DEVICE])


def test_what_was_recorded_is_known_after_reopening(path: Path) -> None:
    known, content = filled(path).lookup(stats_of(row(3), row(9), row(1)))
    assert known.tolist() == [True, False, True]
    assert (content == digests(3, 0, 1)).all()


@pytest.mark.parametrize(
    "changed",
    [
        row(1, device=DEVICE + 1),
        row(4),
        row(1, size=4),
        row(1, mtime=7),
        row(1, ctime=7),
        row(1, mtime=-5),
    ],
)
def test_file_of_any_other_stat_is_not_known(
    path: Path, changed: tuple[int, int, int, int, int]
) -> None:
    cache = StatCache.open(path, devices=[DEVICE, DEVICE + 1])
    cache.record(stats_of(row(1)), digests(1), read_at_ns=NOW)
    known, content = cache.lookup(stats_of(changed))
    assert not known.any()
    assert not content.any()


def test_empty_cache_knows_nothing(path: Path) -> None:
    cache = StatCache.open(path, devices=[DEVICE])
    assert len(cache) == 0
    known, content = cache.lookup(stats_of(row(1), row(2)))
    assert known.tolist() == [False, False]
    assert content.shape == (2, 32)
    assert not StatCache.open(path, devices=[DEVICE]).lookup(stats_of())[0].size
    assert cache.record(stats_of(), digests(), read_at_ns=NOW)


@pytest.mark.parametrize(
    ("mtime", "ctime", "kept"),
    [
        (NOW - 3 * SECOND, NOW - 3 * SECOND, True),
        (NOW - 3 * SECOND, NOW - SECOND, False),
        (NOW - SECOND, NOW - 3 * SECOND, False),
        (NOW + 9 * SECOND, NOW - 3 * SECOND, False),
        (NOW - 2 * SECOND, NOW - 2 * SECOND, False),
        (-5, NOW - 3 * SECOND, True),
    ],
)
def test_files_touched_within_two_seconds_are_not_remembered(
    path: Path, mtime: int, ctime: int, kept: bool
) -> None:
    cache = StatCache.open(path, devices=[DEVICE])
    stats = stats_of(row(1, mtime=mtime, ctime=ctime))
    cache.record(stats, digests(1), read_at_ns=NOW)
    assert cache.lookup(stats)[0].tolist() == [kept]


def test_files_of_devices_that_are_not_local_are_neither_remembered_nor_known(path: Path) -> None:
    cache = filled(path)
    remote = stats_of(row(7, device=99))
    cache.record(remote, digests(7), read_at_ns=NOW)
    assert len(cache) == 3
    assert not StatCache.open(path, devices=[]).lookup(stats_of(row(1)))[0].any()


def test_newer_digest_of_the_same_file_replaces_the_older(path: Path) -> None:
    cache = filled(path)
    cache.record(stats_of(row(2, ctime=8), row(4)), digests(22, 4), read_at_ns=NOW)
    cache = StatCache.open(path, devices=[DEVICE])
    assert len(cache) == 4
    known, content = cache.lookup(stats_of(row(1), row(2), row(2, ctime=8), row(3), row(4)))
    assert known.tolist() == [True, False, True, True, True]
    assert (content == digests(1, 0, 22, 3, 4)).all()


def test_nothing_new_is_not_written_again(path: Path) -> None:
    cache = filled(path)
    written = path.stat().st_ino
    assert cache.record(stats_of(row(3), row(1)), digests(3, 1), read_at_ns=NOW)
    assert path.stat().st_ino == written
    assert cache.record(stats_of(row(1), row(1, ctime=7)), digests(1, 8), read_at_ns=NOW)
    assert path.stat().st_ino != written


def test_digest_read_anew_replaces_a_stale_one_of_the_same_stat(path: Path) -> None:
    filled(path).record(stats_of(row(2)), digests(22), read_at_ns=NOW)
    cache = StatCache.open(path, devices=[DEVICE])
    assert (cache.lookup(stats_of(row(2)))[1] == digests(22)).all()


def test_cache_is_bounded_and_forgets_the_old_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stat_cache, "MOST_ENTRIES", 4)
    cache = filled(path)
    cache.record(stats_of(row(11), row(12), row(13)), digests(11, 12, 13), read_at_ns=NOW)
    cache = StatCache.open(path, devices=[DEVICE])
    assert len(cache) == 4
    assert cache.lookup(stats_of(row(11), row(12), row(13)))[0].all()
    cache.record(stats_of(*(row(n) for n in range(20, 26))), digests(*range(6)), read_at_ns=NOW)
    assert len(cache) == 4


def test_files_whose_keys_collide_never_get_each_others_digest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stat_cache, "_keys", lambda stats: stats[:, 1] % np.uint64(2))
    cache = filled(path)
    known, content = cache.lookup(stats_of(row(1), row(2), row(3), row(4)))
    assert known.sum() == 2
    assert (content[known] == digests(1, 2, 3, 4)[known]).all()


@settings(max_examples=20, deadline=None)
@given(
    recorded=st.lists(st.tuples(*[st.integers(0, 4)] * 2, *[st.integers(-3, 3)] * 3), max_size=30),
    asked=st.lists(st.tuples(*[st.integers(0, 4)] * 2, *[st.integers(-3, 3)] * 3), max_size=30),
)
def test_lookup_agrees_with_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory,
    recorded: list[tuple[int, int, int, int, int]],
    asked: list[tuple[int, int, int, int, int]],
) -> None:
    cache = StatCache.open(tmp_path_factory.mktemp("c") / "stats", devices=range(5))
    by_file: dict[tuple[int, int], tuple[object, int]] = {}
    for number, stat in enumerate(recorded):
        cache.record(stats_of(stat), digests(number + 1), read_at_ns=NOW)
        by_file[stat[:2]] = (stat, number + 1)
    known, content = cache.lookup(stats_of(*asked))
    for place, stat in enumerate(asked):
        found, value = by_file.get(stat[:2], (None, 0))
        assert known[place] == (found == stat)
        assert content[place, 0] == (value if found == stat else 0)


def test_file_and_folder_are_private(path: Path) -> None:
    filled(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [found.name for found in path.parent.iterdir()] == ["stats"]


@pytest.mark.parametrize("mode", [0o640, 0o602, 0o644, 0o660])
def test_cache_others_could_have_written_or_read_is_ignored(path: Path, mode: int) -> None:
    filled(path)
    path.chmod(mode)
    assert len(StatCache.open(path, devices=[DEVICE])) == 0


def test_cache_of_another_user_is_ignored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    monkeypatch.setattr(stat_cache.os, "geteuid", lambda: os.getuid() + 1)
    assert len(StatCache.open(path, devices=[DEVICE])) == 0


def test_cache_behind_a_link_or_a_pipe_is_ignored(path: Path) -> None:
    filled(path)
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")
    assert len(StatCache.open(path, devices=[DEVICE])) == 0
    path.unlink()
    os.mkfifo(path, 0o600)
    assert len(StatCache.open(path, devices=[DEVICE])) == 0


def test_damaged_cache_is_ignored_whatever_byte_is_damaged(path: Path) -> None:
    filled(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert len(StatCache.open(path, devices=[DEVICE])) == 0, place
    for cut in (b"", MAGIC[32], whole[:-1], whole[:-72], whole + b"x", whole + b"x" * 72):
        path.write_bytes(cut)
        assert len(StatCache.open(path, devices=[DEVICE])) == 0
    path.write_bytes(whole)
    assert len(StatCache.open(path, devices=[DEVICE])) == 3


def test_cache_with_sha256_keeps_both_digests(path: Path) -> None:
    both = np.hstack([digests(1, 2), digests(7, 8)])
    StatCache.open(path, devices=[DEVICE], width=64).record(
        stats_of(row(1), row(2)), both, read_at_ns=NOW
    )
    known, found = StatCache.open(path, devices=[DEVICE], width=64).lookup(
        stats_of(row(2), row(9), row(1))
    )
    assert known.tolist() == [True, False, True]
    assert (found == np.hstack([digests(2, 0, 1), digests(8, 0, 7)])).all()


@pytest.mark.parametrize(("kept", "asked"), [(32, 64), (64, 32)])
def test_cache_of_other_digests_than_those_asked_for_is_ignored(
    path: Path, kept: int, asked: int
) -> None:
    # 13 entries of 72 bytes are as long as 9 of 104.
    rows = [row(number) for number in range(13 if kept == 32 else 9)]
    cache = StatCache.open(path, devices=[DEVICE], width=kept)
    cache.record(stats_of(*rows), np.ones((len(rows), kept), np.uint8), read_at_ns=NOW)
    assert len(StatCache.open(path, devices=[DEVICE], width=kept)) == len(rows)
    assert len(StatCache.open(path, devices=[DEVICE], width=asked)) == 0


def test_cache_larger_than_any_is_not_read(path: Path) -> None:
    filled(path)
    os.truncate(path, 1 << 40)
    assert len(StatCache.open(path, devices=[DEVICE])) == 0


def test_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = StatCache.open(tmp_path / "file" / "stats", devices=[DEVICE])
    assert not cache.record(stats_of(row(1)), digests(1), read_at_ns=NOW)
    (tmp_path / "folder").mkdir()
    cache = StatCache.open(tmp_path / "folder", devices=[DEVICE])
    assert not cache.record(stats_of(row(1)), digests(1), read_at_ns=NOW)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder"]


def test_hundred_thousand_entries_are_looked_up_whole(path: Path) -> None:
    generator = np.random.default_rng(1)
    stats = generator.integers(0, NOW - 3 * SECOND, (100_000, 5)).astype(np.uint64)
    stats[:, 0] = DEVICE
    content = generator.integers(0, 256, (100_000, 32)).astype(np.uint8)
    StatCache.open(path, devices=[DEVICE]).record(stats, content, read_at_ns=NOW)
    known, found = StatCache.open(path, devices=[DEVICE]).lookup(stats)
    assert known.all()
    assert (found == content).all()


MOUNTS = (
    "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "21 20 0:30 / /mnt/my\\040nfs rw shared:1 master:2 - nfs4 server:/x rw\n"
    "22 20 0:31 / /sys rw - sysfs sysfs rw\n"
    "23 20 0:32 / /btr rw,noatime - btrfs /dev/sdb rw\n"
    "24 20 0:33 / /mnt/fuse rw - fuse.sshfs x rw\n"
    "not a mount\n"
)


def test_only_devices_of_local_file_systems_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount_table(tmp_path, monkeypatch, MOUNTS)
    assert local_devices([]) == {os.makedev(8, 1), os.makedev(0, 32)}


def test_device_that_a_mount_gives_its_files_is_found_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount_table(tmp_path, monkeypatch, MOUNTS)
    btrfs, nfs = (os.makedev(0, 77), 23), (os.makedev(0, 78), 21)
    places = {"a": btrfs, "b": nfs, "c": (0, 0)}
    monkeypatch.setattr(devices_module, "_mount_of", lambda path: places[path])
    assert local_devices(["a", "b", "c"]) == {
        os.makedev(8, 1), os.makedev(0, 32), os.makedev(0, 77)
    }  # fmt: skip


def test_device_shared_with_a_network_file_system_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount_table(tmp_path, monkeypatch, MOUNTS + "30 1 8:1 / /x rw - nfs4 /dev/sda1 rw\n")
    assert local_devices([]) == {os.makedev(0, 32)}


def test_without_a_table_of_mounts_nothing_is_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_module, "MOUNTS", str(tmp_path / "missing"))
    assert local_devices([tmp_path]) == frozenset()


def test_mount_of_a_folder_here_is_its_device(tmp_path: Path) -> None:
    device, mount = devices_module._mount_of(tmp_path)
    assert device == tmp_path.stat().st_dev
    assert mount > 0
    assert devices_module._mount_of(tmp_path / "missing") == (0, 0)


def mount_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "mountinfo").write_text(text)
    monkeypatch.setattr(devices_module, "MOUNTS", str(tmp_path / "mountinfo"))
