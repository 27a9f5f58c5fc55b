"""The part of a policy file that speaks of content: sources, labelers and limits."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

from provreg.core.encoding.name_rules import name_complaint
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.manifest.kinds import KINDS
from provreg.core.policy.content_limits import Limit, NameList, Origin

_MAX_NAMES = 1024
_MAX_LIMITS = 32
_MAX_NAME = 256


def read_names(fields: Fields, origin: Origin) -> NameList | None:
    """`sources` or `labelers` of a publish rule; None where it says nothing of them."""
    if not fields.has(f"{origin}s"):
        return None
    names = fields.object(f"{origin}s")
    allow = _read_list(names, "allow") if names.has("allow") else None
    forbid = _read_list(names, "forbid") if names.has("forbid") else ()
    absent = False
    # A sample always has a source.
    if origin == "labeler" and names.has("absent"):
        said = names.raw("absent")
        if not isinstance(said, bool):
            raise names.wrong("absent", "is neither true nor false")
        absent = said
    names.done()
    if allow is None and not forbid:
        raise fields.wrong(f"{origin}s", "says neither whom to allow nor whom to forbid")
    return NameList(allow, forbid, absent)


def read_limits(fields: Fields, threshold: int, signers: int) -> tuple[Limit, ...]:
    """The `limits` of a publish rule that asks for `threshold` of so many `signers`."""
    if not fields.has("limits"):
        return ()
    return fields.items(
        "limits", lambda item: _read_limit(item, threshold, signers), limit=_MAX_LIMITS
    )


def _read_limit(fields: Fields, threshold: int, signers: int) -> Limit:
    kinds = fields.texts("kinds", limit=len(KINDS)) if fields.has("kinds") else KINDS
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds or len(set(kinds)) != len(kinds):
        raise fields.wrong("kinds", f"is not some of {', '.join(KINDS)}, each once")
    share = _read_share(fields) if fields.has("share") else None
    count = fields.integer("count") if fields.has("count") else None
    if share is None and count is None:
        raise fields.wrong("share", "and count are both missing: one has to say how many")
    each = _read_each(fields) if fields.has("each") else None
    if each is not None and kinds == ("removed",):
        raise fields.wrong("each", f"counts nothing: no {each} answers for a removal")
    unless = None
    if fields.has("unless"):
        unless = fields.integer("unless", minimum=1)
        if not threshold < unless <= signers:
            raise fields.wrong(
                "unless", f"is {unless}, and {threshold} of {signers} principals must sign anyway"
            )
    return Limit(() if kinds == KINDS else kinds, share, count, each, unless)


def _read_share(fields: Fields) -> Decimal:
    """As it is written in decimals, so that 1 % of 100 is 1 and not a little less."""
    share = fields.raw("share")
    if not isinstance(share, float) or not 0 <= share < 1:
        raise fields.wrong("share", "is not a number from 0.0 to below 1.0 (1 % is 0.01)")
    return Decimal(str(share))


def _read_each(fields: Fields) -> Origin:
    text = fields.text("each", limit=100)
    for origin in get_args(Origin):
        if origin == text:
            found: Origin = origin
            return found
    raise fields.wrong("each", f"is {quoted(text)}, not {' or '.join(get_args(Origin))}")


def _read_list(fields: Fields, name: str) -> tuple[str, ...]:
    names = fields.texts(name, limit=_MAX_NAMES)
    for one in names:
        if not 0 < len(one) <= _MAX_NAME or name_complaint(one) is not None:
            raise fields.wrong(name, f"holds {quoted(one)}, which no source or labeler is called")
    if not names:
        raise fields.wrong(name, "is empty")
    return names
