"""Which devices hold local file systems, whose inodes and times can be relied upon."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# With stable inode numbers, and change times in nanoseconds that nobody can set. Everything else is
# taken for remote: network file systems keep times by another clock and serve old attributes.
LOCAL_TYPES = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "tmpfs", "xfs", "zfs"}
)
# A file touched this shortly before it was read may change again without a change of its times.
SETTLED_NS = 2_000_000_000
MOUNTS = "/proc/self/mountinfo"
# `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw` (proc_pid_mountinfo(5))
_MOUNT = re.compile(r"(\d+) \d+ (\d+):(\d+) .*? - (\S+) ")


def local_devices(paths: Iterable[str | os.PathLike[str]]) -> frozenset[int]:
    """The devices (`st_dev`) known to hold local file systems.

    By the kernel's table of mounts, and, as some file systems give files other devices than their
    mount has (btrfs), by the mounts that `paths` lie on. Empty where there is no such table: then
    nothing counts as local.
    """
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as table:
            mounts = [found.groups() for found in map(_MOUNT.match, table) if found]
    except OSError:
        return frozenset()
    kinds = {int(mount): kind in LOCAL_TYPES for mount, _, _, kind in mounts}
    local: set[int] = set()
    remote: set[int] = set()
    for _, major, minor, kind in mounts:
        (local if kind in LOCAL_TYPES else remote).add(os.makedev(int(major), int(minor)))
    for path in paths:
        device, mount = _mount_of(path)
        if kinds.get(mount, False):
            local.add(device)
    return frozenset(local - remote)


def _mount_of(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(device, number of the mount) of `path`; (0, 0) if it cannot be told."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0, 0
    try:
        with open(f"/proc/self/fdinfo/{opened}", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return os.fstat(opened).st_dev, int(fields["mnt_id"])
    except (OSError, KeyError, ValueError):
        return 0, 0
    finally:
        os.close(opened)
