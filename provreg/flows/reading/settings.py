"""What a head says of how its data were read; nothing of it needs a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provreg.readers.api import ReadOptions

LABELS_FILE, BESIDE, ADOPTED, SAYS = "labels_file", "beside", "adopted", "says"


def reader_settings(reading: Mapping[str, Any]) -> dict[str, Any]:
    """What the reader itself said; without what a labels file said, and what lies beside."""
    others = (LABELS_FILE, BESIDE, ADOPTED, SAYS)
    return {name: said for name, said in reading.items() if name not in others}


def inheritable_settings(reading: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What of a head's reading its successor inherits: how to read, and not what came of it."""
    if reading is None:
        return None
    came = (LABELS_FILE, ADOPTED, SAYS, "left_out")
    return {name: said for name, said in reading.items() if name not in came}


def adopted_files(reading: Mapping[str, Any] | None) -> set[tuple[str, str]]:
    """(path, digest) of the well-known files beside data read so."""
    said = () if reading is None else reading.get(ADOPTED, ())
    return {(one["path"], one["content"]) for one in said}


def takes_sha256(how: ReadOptions, inherited: Mapping[str, Any] | None) -> bool:
    """Whether files are read for their SHA-256 too: it was asked for now, or before."""
    return how.sha256 or (inherited is not None and inherited.get("sha256") is True)
