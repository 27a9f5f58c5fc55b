"""`provreg.lock`: pins that are committed beside code, for where no state survives.

JSON with one line a field, so that a change of pin reads well in a review (docs/format/state.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from provreg.core.encoding.canonical import parse_json
from provreg.core.encoding.names import check_dataset_name
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.encoding.times import format_time
from provreg.core.statements.revocation import read_link
from provreg.errors import DamagedError, FormatError, NotFoundError, UsageError
from provreg.store.files import read_regular, replace_file, storage_error
from provreg.store.layout import MAX_NUMBER
from provreg.store.private.seen import UID
from provreg.store.private.state import Pin

LOCK_NAME = "provreg.lock"
LOCK_FORMAT = "provreg.lock/v1"
_MAX_LOCK_BYTES = 1 << 20
_MAX_SIGNERS = 1024
_MAX_SIGNER_BYTES = 4200


def find_lock(start: Path) -> Path | None:
    """The nearest `provreg.lock` in `start` or above it; None if none.

    A planted one can only refuse more: pins never make anything trusted.
    """
    here = start.resolve()
    return next((f / LOCK_NAME for f in (here, *here.parents) if (f / LOCK_NAME).is_file()), None)


def read_lock(path: Path) -> dict[str, Pin]:
    """The pins in `path` by dataset name.

    Raises NotFoundError where there is no such file, DamagedError (FormatError) for anything but
    a lock file: a pin that cannot be read is not taken for none. Raises StorageError.
    """
    hint = "restore it from version control, or write it anew with: provreg pin"
    try:
        data = read_regular(path, _MAX_LOCK_BYTES)
        return _parse(data, quoted(str(path)))
    except FileNotFoundError:
        raise NotFoundError(f"there is no lock file {quoted(str(path))}") from None
    except DamagedError as error:
        raise type(error)(error.message, hint=error.hint or hint) from None
    except OSError as error:
        raise storage_error("read", str(path), error) from error


def write_lock(path: Path, pins: Mapping[str, Pin]) -> None:
    """Replaces `path` by exactly `pins`, at once.

    Raises FormatError for pins that could not be read again, StorageError.
    """
    datasets = {name: _written(pin) for name, pin in sorted(pins.items())}
    document = {"format": LOCK_FORMAT, "datasets": datasets}
    data = (json.dumps(document, indent=2) + "\n").encode()
    _parse(data, quoted(str(path)))
    replace_file(path, data, 0o666)


def _parse(data: bytes, what: str) -> dict[str, Pin]:
    fields = Fields(parse_json(data, what=what, limit=_MAX_LOCK_BYTES), what)
    found = fields.text("format")
    if found != LOCK_FORMAT:
        raise FormatError(
            f"{what} is in the format {quoted(found)}, this provreg knows {LOCK_FORMAT}",
            hint=f"update provreg to a version that knows {quoted(found)}",
        )
    datasets = fields.raw("datasets")
    fields.done()
    if not isinstance(datasets, dict):
        raise fields.wrong("datasets", "is not an object")
    return {_name(name, what): _parse_pin(pin, f"{what}: {name}") for name, pin in datasets.items()}


def _name(name: str, what: str) -> str:
    try:
        return check_dataset_name(name)
    except UsageError as error:
        raise FormatError(f"{what}: {error.message}") from None


def _parse_pin(document: object, what: str) -> Pin:
    fields = Fields(document, what)
    revocation = fields.object("revocation") if fields.has("revocation") else None
    pin = Pin(
        fields.text("uid", pattern=UID),
        fields.integer("version", minimum=1, maximum=MAX_NUMBER),
        fields.digest("head", "sha256"),
        None if revocation is None else read_link(revocation),
        _time(fields, "at") if fields.has("at") else None,
        _parse_exact(fields) if fields.has("exact") else False,
        _parse_seen(fields) if fields.has("seen") else {},
    )
    fields.done()
    return pin


def _parse_exact(fields: Fields) -> bool:
    exact = fields.raw("exact")
    if not isinstance(exact, bool):
        raise fields.wrong("exact", "is not true or false")
    return exact


def _parse_seen(fields: Fields) -> dict[str, datetime]:
    signers = fields.raw("seen")
    if not isinstance(signers, dict) or len(signers) > _MAX_SIGNERS:
        raise fields.wrong("seen", f"is not an object with at most {_MAX_SIGNERS:,} signers")
    if any(not 0 < len(signer.encode()) <= _MAX_SIGNER_BYTES for signer in signers):
        raise fields.wrong("seen", f"has a signer that is empty or over {_MAX_SIGNER_BYTES} bytes")
    times = Fields(signers, "seen")
    return {signer: _time(times, signer) for signer in signers}


def _time(fields: Fields, name: str) -> datetime:
    return fields.time(name).replace(tzinfo=UTC)


def _written(pin: Pin) -> dict[str, object]:
    """Of what a pin does not have nothing is said."""
    seen = {signer: format_time(at) for signer, at in sorted(pin.seen.items())}
    written = asdict(pin) | {"at": None if pin.at is None else format_time(pin.at), "seen": seen}
    return {name: value for name, value in written.items() if value not in (None, False, {})}
