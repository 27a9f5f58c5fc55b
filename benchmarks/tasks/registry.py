"""What a program does with a registry, timed in its process."""

from __future__ import annotations

import statistics
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.tasks import timed
from benchmarks.tasks.duckdb_peer import digest_of_ids
from benchmarks.tasks.reading import contents_digest
from provreg.registry import Registry

_REPEATS = 5


def contents(registry: str, public: str, number: str = "latest") -> dict[str, Any]:
    """What a version says of its samples."""
    version = Registry.open(Path(registry), key=Path(public)).verify(f"data@{number}")
    return {"samples": version.entries.num_rows, "contents": contents_digest(version.entries)}


def sizes(registry: str, public: str) -> dict[str, Any]:
    """Bytes of the first version's part files an entry, of its head without the list of parts, and
    of its bundle."""
    opened = Registry.open(Path(registry), key=Path(public))
    version = opened.verify("data@1")
    head = version.head
    signed = opened.workspace.versions.bundles(version.digest, "data")
    parts = sum(len(part.first) + len(part.last) + 250 for part in head.parts)
    return {
        "per_entry": sum(part.size for part in head.parts) / head.samples,
        "head": len(head.to_bytes()),
        "head_without_parts": len(head.to_bytes()) - parts,
        "parts": len(head.parts),
        "bundle": max(len(data) for _, data in signed),
    }


def part_files(registry: str, public: str, number: str, listing: str) -> dict[str, Any]:
    """Writes the paths of a version's part files to `listing`, a line each."""
    from provreg.store.layout import object_key

    opened = Registry.open(Path(registry), key=Path(public))
    head = opened.resolve(f"data@{number}").head
    paths = [str(Path(registry, object_key(part.file))) for part in head.parts]
    Path(listing).write_text("\n".join(paths), "utf-8")
    return {"bytes": sum(part.size for part in head.parts), "paths": len(paths)}


def diff(registry: str, old: str, new: str) -> dict[str, Any]:
    """Two versions compared from objects: block lists, and the blocks that differ."""
    from provreg.flows.verify.changes import changes_between

    opened = Registry.open(Path(registry))
    before, after = (opened.resolve(f"data@{number}").head for number in (old, new))
    taken, changes = timed(lambda: changes_between(opened.workspace, before, after))
    ids = changes.ids().to_pylist()
    return {"seconds": taken, "ids": digest_of_ids(ids), "changes": len(ids)}


def neighbours(registry: str, public: str, old: str, new: str) -> dict[str, Any]:
    """The diff a user asks for, with who made each change: the whole of `Registry.diff`."""
    opened = Registry.open(Path(registry), key=Path(public))

    def ask() -> list[Any]:
        return list(opened.diff(f"data@{old}", f"data@{new}"))

    times, changes = _repeated(ask)
    return {"seconds": times, "ids": digest_of_ids([change.id for change in changes])}


def blame(registry: str, public: str, *ids: str) -> dict[str, Any]:
    """Blame of all samples of the newest version, or of those named."""
    opened = Registry.open(Path(registry), key=Path(public))

    def ask() -> Any:
        blamed = opened.blame("data", ids)
        return list(blamed) if ids else blamed

    times, answer = _repeated(ask)
    samples = answer if ids else list(answer)
    since = [0] * 1000
    for sample in samples:
        since[sample.label.version.head.version] += 1
    return {"seconds": times, "since": [count for count in since if count]}


def impact(registry: str, public: str, labeler: str) -> dict[str, Any]:
    """How many samples of each version a labeler labeled, asked of the index."""
    opened = Registry.open(Path(registry), key=Path(public))
    opened.sync()
    query = f"""select version, count(*) from entries where labeler = '{labeler}'
                and version = 1 group by version order by version"""
    times, (_, rows) = _repeated(lambda: opened.sql(query))
    return {"seconds": times, "samples": rows[0][1]}


def verify(registry: str, public: str) -> dict[str, Any]:
    """Steps 1 to 11 of the first version, in a process that has verified before."""
    opened = Registry.open(Path(registry), key=Path(public))
    first, _ = timed(lambda: opened.verify("data@1"))
    taken, version = timed(lambda: opened.verify("data@1"))
    return {"seconds": taken, "first": first, "samples": version.entries.num_rows}


def sync(registry: str, public: str, number: str) -> dict[str, Any]:
    """Taking one version into an index that has all the others."""
    opened = Registry.open(Path(registry), key=Path(public))
    opened.sync()
    opened.workspace.index.forget([opened.resolve(f"data@{number}").digest])
    taken, damaged = timed(opened.sync)
    return {"seconds": taken, "damaged": len(damaged)}


def screen(registry: str, public: str) -> dict[str, Any]:
    """The exact and counted checks of the newest version and its whole history, of which
    the index knows."""
    from provreg.screening.api import Severity

    opened = Registry.open(Path(registry), key=Path(public))
    opened.sync()
    taken, found = timed(lambda: opened.screen("data"))
    return {
        "seconds": taken,
        "checks": list(found.checks),
        "above_note": len(found.above(Severity.WARNING)),
    }


def small_versions(registry: str, key: str, folder: str) -> dict[str, Any]:
    """Ingests every file of `folder` as a version, in this process; seconds of CPU of each."""
    import time

    from provreg.flows.ingest.request import Ingestion
    from provreg.readers.api import ReadOptions
    from provreg.trust.keys import load_private
    from provreg.trust.signers import KeySigner

    opened = Registry.open(Path(registry))
    signer = KeySigner(load_private(Path(key), lambda: None))
    how = ReadOptions(id="id", label="label")
    times = []
    for file in sorted(Path(folder).iterdir()):
        ingestion = Ingestion("data", (file,), source="s", labeler="l", options=how)
        start = time.process_time()
        outcome = opened.ingest(ingestion, signer)
        times.append(time.process_time() - start)
        if outcome.head is None:
            raise RuntimeError(f"{file} changed nothing")
    return {"times": times}


def whole_history(registry: str, public: str) -> dict[str, Any]:
    """Log, diff from the first to the newest version, and blame of all samples; seconds of each."""
    opened = Registry.open(Path(registry), key=Path(public))
    opened.sync()
    log, line = timed(lambda: opened.log("data"))
    newest = line[0].head.version
    diff_, changes = timed(lambda: list(opened.diff("data@1", f"data@{newest}")))
    blame_, blamed = timed(lambda: list(opened.blame("data")))
    return {
        "log": log,
        "diff": diff_,
        "blame": blame_,
        "versions": len(line),
        "descends": all(a.head.parent == b.digest for a, b in pairwise(line)),
        "attributed": all(
            change.attributions and all(hand.version for hand in change.attributions.values())
            for change in changes
        ),
        "samples": len(blamed),
        "changes": len(changes),
    }


def _repeated(call: Any) -> tuple[float, Any]:
    """(median seconds, last result) of a call, the first of which only warms the caches."""
    call()
    runs = [timed(call) for _ in range(_REPEATS)]
    return statistics.median(taken for taken, _ in runs), runs[-1][1]
