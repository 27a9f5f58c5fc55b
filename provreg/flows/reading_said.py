"""What a head says of how its data were read; nothing of it needs a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provreg.readers.reader import HowToRead

LABELS_FILE, BESIDE = "labels_file", "beside"


def reader_said(reading: Mapping[str, Any]) -> dict[str, Any]:
    """What the reader itself said; without what a labels file said, and what lies beside."""
    return {name: said for name, said in reading.items() if name not in (LABELS_FILE, BESIDE)}


def options_said(reading: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What of a head's reading its successor inherits: how to read, and not what came of it."""
    if reading is None:
        return None
    return {name: said for name, said in reading.items() if name not in (LABELS_FILE, "left_out")}


def takes_sha256(how: HowToRead, inherited: Mapping[str, Any] | None) -> bool:
    """Whether files are read for their SHA-256 too: it was asked for now, or before."""
    return how.sha256 or (inherited is not None and inherited.get("sha256") is True)
