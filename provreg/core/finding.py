"""What a check reports about one sample or one object."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

FindingKind = Literal[
    "changed", "missing", "stranger", "moved", "relabeled", "resplit", "reattributed",
    "unreadable", "recompressed", "replaced", "gone", "unreachable", "refused",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One sample that is not as the signed manifest says, or could not be had.

    `changed`: other bytes under the id. `missing`: in the manifest only. `stranger`: in the data
    only. `moved`: a missing sample's bytes under another id. `relabeled`: bytes as signed, under
    the same or another id, with another label. `resplit`, `reattributed`: bytes as signed, which
    the data put in another split, or say another source, labeler or labeled_at of (`detail` says
    which). `unreadable`: could not be read to be checked.

    Of samples at URLs: `recompressed` and `replaced` are `changed` to other bytes of a picture
    that looks the same, or not. `gone`: the server says there is nothing. `unreachable`: it said
    nothing. `refused`: it leads where provreg does not go, or to what it does not take.

    `expected` and `found` are digests of bytes, but for `relabeled`, `resplit` and `reattributed`
    what is signed and what the data say; `found_id` is where a moved or relabeled sample stands
    now. `source` and `labeler` answer for the signed sample.
    `uri` is where it was looked for, `detail` what came of it, in words.
    """

    kind: FindingKind
    id: str
    expected: str | None = None
    found: str | None = None
    found_id: str | None = None
    source: str | None = None
    labeler: str | None = None
    uri: str | None = None
    detail: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields that say something; `kind` and `id` always."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}
