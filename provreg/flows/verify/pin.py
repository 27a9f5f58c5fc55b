"""Pinning: a verified version written into a lock file, to be committed beside the code."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from provreg.flows.verify.steps import VerifiedVersion
from provreg.store.private.pins import read_lock, write_lock
from provreg.store.private.state import Pin


def pin(version: VerifiedVersion, lock: Path) -> Pin:
    """Writes `version` into the file `lock`, which is made if it is not there.

    Raises FormatError for a lock file that is none, and StorageError.
    """
    pins = read_lock(lock) if lock.exists() else {}
    head = version.head
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    pinned = Pin(head.uid, head.version, version.digest, version.chain.newest, now)
    before = pins.get(head.dataset)
    if before is not None and before.at is not None and pinned == replace(before, at=now):
        # Pinned again it is as old as it was: the earlier time says more, and nothing is to commit.
        pinned = before
    write_lock(lock, {**pins, head.dataset: pinned})
    return pinned
