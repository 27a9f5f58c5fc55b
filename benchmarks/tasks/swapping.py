"""An attacker who changes a file between open, read and use, in a process of their own."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_TURNS = ("evil", "good", "truncated", "good", "overwritten", "good", "pipe", "good", "link",
          "good", "gone", "good", "folder", "good")  # fmt: skip


def swapped_while_loading(registry: str, key: str, data: str, seconds: str) -> dict[str, Any]:
    """Loads the first sample of `data@1` over and over while it is attacked.

    Prints how many readings gave the signed bytes (`good`), were `refused`, and gave others
    (`through`), which must be none. `key` is a public key file.
    """
    import provreg

    samples = provreg.load("data@1", data=data, registry=registry, key=key)
    entry, good = samples.read(0)
    found = under_attack(lambda: samples.read(0)[1], Path(data, entry.id), good, float(seconds))
    return dict(found)


def under_attack(
    read: Callable[[], bytes], path: Path, good: bytes, seconds: float
) -> Counter[str]:
    """What came of `read` while another process kept changing what stands at `path`.

    `good`: the signed bytes; `refused`: a SampleError; `through`: any other bytes. `swaps`: how
    often the path changed.
    """
    from provreg.errors import SampleError

    processes = multiprocessing.get_context("fork")
    swaps = processes.Value("Q", lock=False)
    attacker = processes.Process(target=_attack, args=(path, good, swaps))
    attacker.start()
    found: Counter[str] = Counter(good=0, refused=0, through=0)
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            try:
                found["good" if read() == good else "through"] += 1
            except SampleError:
                found["refused"] += 1
        if not attacker.is_alive():
            raise RuntimeError("the attacker gave up")
    finally:
        attacker.kill()
        attacker.join()
    found["swaps"] = swaps.value
    return found


def _attack(path: Path, good: bytes, swaps: Any) -> None:
    """Until it is killed."""
    evil = bytes(byte ^ 0xFF for byte in good)
    staged = path.with_name(".staged")
    while True:
        for turn in _TURNS:
            swaps.value += 1
            # In place, under the reader's open file; or another file, in one step.
            if turn in ("truncated", "overwritten"):
                with path.open("r+b") as file:
                    file.truncate(1) if turn == "truncated" else file.write(evil)
                continue
            with suppress(FileNotFoundError):
                path.rmdir() if path.is_dir() else None
                staged.unlink()
            if turn == "gone":
                path.unlink()
                continue
            if turn == "folder":
                path.unlink()
                path.mkdir()
                continue
            if turn == "pipe":
                os.mkfifo(staged)
            elif turn == "link":
                staged.symlink_to("/dev/zero")
            else:
                staged.write_bytes(good if turn == "good" else evil)
            staged.replace(path)
