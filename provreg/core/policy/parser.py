"""A strict parser of policy files (docs/reference/policy.md, schemas/policy.v1.json)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar, get_args

from provreg.core.encoding.names import name_complaint
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.encoding.times import parse_duration
from provreg.core.manifest.head import KINDS
from provreg.core.policy.identities import check_disjoint, read_identity
from provreg.core.policy.policy import (
    AcceptRule,
    FreshnessRule,
    LabelRule,
    Limit,
    NameList,
    Origin,
    Policy,
    Principal,
    PublishRule,
    Required,
    RevokeRule,
    Rule,
    TrainRule,
    TrustedKey,
)
from provreg.errors import FormatError

POLICY_FORMAT = "provreg.policy/v1"
PRINCIPAL_NAME = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"
DATASET_PATTERN = r"[a-z0-9*?][a-z0-9._*?-]{0,127}"
MAX_PEM = 16 * 1024
PEM = re.compile(
    r"\s*-----BEGIN PUBLIC KEY-----\r?\n"
    r"([A-Za-z0-9+/=]{1,76}\r?\n)+"
    r"-----END PUBLIC KEY-----\s*"
)

_MAX_PRINCIPALS = 256
_MAX_KEYS = 32
_MAX_RULES = 1024
_MAX_DATASETS = 256
_Rule = TypeVar("_Rule", bound=Rule)


def parse_policy(document: Any, fingerprint: Callable[[str], str]) -> Policy:
    """The policy in `document`, the result of tomllib.

    `fingerprint` maps a public key's PEM to its written fingerprint; it raises FormatError for an
    unsupported key. Raises FormatError for an unknown field, an identity without an issuer, a
    duplicate name, key or identity, principals that one certificate could match, a rule with an
    unknown principal or none, and a threshold that its principals cannot reach.
    """
    fields = Fields(document, "policy")
    format_ = fields.text("format", limit=100)
    if format_ != POLICY_FORMAT:
        raise FormatError(
            f"the policy has format {quoted(format_)}, expected {POLICY_FORMAT}",
            hint="update provreg to a version that reads it",
        )
    principals: tuple[Principal, ...] = ()
    if fields.has("principal"):
        principals = fields.items(
            "principal",
            lambda item: _read_principal(item, fingerprint),
            limit=_MAX_PRINCIPALS,
            item_name="principal",
        )
    policy = Policy(
        principals,
        publish=_read_rules(fields, "publish", _read_publish),
        revoke=_read_rules(fields, "revoke", _read_revoke),
        freshness=_read_rules(fields, "freshness", _read_freshness),
        train=_read_rules(fields, "train", _read_train),
        accept=_read_rules(fields, "accept", _read_accept),
    )
    fields.done()
    _check_consistent(policy)
    return policy


def _read_principal(fields: Fields, fingerprint: Callable[[str], str]) -> Principal:
    name = fields.text("name", pattern=PRINCIPAL_NAME)
    keys = _read_keys(fields, name, fingerprint) if fields.has("keys") else ()
    identities = (
        fields.items("identities", read_identity, limit=_MAX_KEYS, item_name="identity")
        if fields.has("identities")
        else ()
    )
    if not keys and not identities:
        raise FormatError(f"policy: principal {quoted(name)} has neither keys nor identities")
    return Principal(name, keys, identities)


def _read_keys(
    fields: Fields, name: str, fingerprint: Callable[[str], str]
) -> tuple[TrustedKey, ...]:
    """Keys as plain text, or as tables with the text and its validity."""
    what = f"policy: a key of principal {quoted(name)}"
    items = fields.raw("keys")
    if not isinstance(items, list) or len(items) > _MAX_KEYS:
        raise fields.wrong("keys", f"is not an array of at most {_MAX_KEYS}")
    keys = []
    for item in items:
        key = Fields(item if isinstance(item, Mapping) else {"pem": item}, what)
        pem = key.text("pem")
        if len(pem) > MAX_PEM or PEM.fullmatch(pem) is None:
            raise FormatError(
                f"{what} is not a single PEM public key",
                hint="copy the whole .pub file between the triple quotes",
            )
        start, end = _read_moment(key, "valid_from"), _read_moment(key, "valid_until")
        revoked = _read_moment(key, "revoked")
        key.done()
        if start is not None and end is not None and end <= start:
            raise FormatError(f"{what} has a valid_until before its valid_from")
        try:
            keys.append(TrustedKey(fingerprint(pem), pem, start, end, revoked))
        except FormatError as error:
            raise FormatError(
                f"policy: principal {quoted(name)}: {error.message}", hint=error.hint
            ) from None
    return tuple(keys)


def _read_moment(fields: Fields, name: str) -> datetime | None:
    """A TOML offset date-time, in UTC: a local time would differ between machines."""
    if not fields.has(name):
        return None
    moment = fields.raw(name)
    try:
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except OverflowError:
        pass
    complaint = fields.wrong(name, "is not a date and time with an offset")
    raise FormatError(complaint.message, hint="write it without quotes: 2026-01-31T00:00:00Z")


def _read_rules(fields: Fields, name: str, read: Callable[[Fields], _Rule]) -> tuple[_Rule, ...]:
    if not fields.has(name):
        return ()
    rules = fields.items(name, read, limit=_MAX_RULES, item_name=f"{name} rule")
    return tuple(replace(rule, place=place) for place, rule in enumerate(rules, start=1))


def _read_publish(fields: Fields) -> PublishRule:
    datasets, principals = _read_datasets(fields), _read_names(fields, "principals")
    countersigners: tuple[str, ...] = ()
    if fields.has("countersigners"):
        countersigners = _read_names(fields, "countersigners")
    threshold = _read_threshold(fields, len(principals) + len(countersigners))
    minimum = 1
    if fields.has("minimum_version"):
        minimum = fields.integer("minimum_version", minimum=1, maximum=99_999_999)
    return PublishRule(
        datasets,
        principals,
        threshold,
        countersigners,
        minimum_version=minimum,
        sources=read_names(fields, "source"),
        labelers=read_names(fields, "labeler"),
        labels=_read_labels(fields, threshold, len(principals) + len(countersigners)),
        limits=read_limits(fields, threshold, len(principals) + len(countersigners)),
        maximum_age=_read_age(fields),
        required=_read_required(fields),
    )


def _read_revoke(fields: Fields) -> RevokeRule:
    datasets, principals = _read_datasets(fields), _read_names(fields, "principals")
    return RevokeRule(datasets, principals, _read_threshold(fields, len(principals)))


def _read_train(fields: Fields) -> TrainRule:
    datasets, principals = _read_datasets(fields), _read_names(fields, "principals")
    return TrainRule(datasets, principals, _read_threshold(fields, len(principals)))


def _read_accept(fields: Fields) -> AcceptRule:
    datasets, principals = _read_datasets(fields), _read_names(fields, "principals")
    threshold = _read_threshold(fields, len(principals))
    return AcceptRule(datasets, principals, threshold, maximum_age=_read_age(fields))


def _read_freshness(fields: Fields) -> FreshnessRule:
    datasets, principals = _read_datasets(fields), _read_names(fields, "principals")
    threshold = _read_threshold(fields, len(principals))
    mandatory = fields.raw("required") if fields.has("required") else True
    if not isinstance(mandatory, bool):
        raise fields.wrong("required", "is not a boolean")
    return FreshnessRule(
        datasets, principals, threshold, mandatory=mandatory, maximum_age=_read_age(fields)
    )


def _read_datasets(fields: Fields) -> tuple[str, ...]:
    datasets = fields.texts("datasets", limit=_MAX_DATASETS)
    for pattern in datasets:
        if re.fullmatch(DATASET_PATTERN, pattern) is None:
            raise fields.wrong(
                "datasets", f"has {quoted(pattern)}, expected a name with '*' and '?'"
            )
    if not datasets:
        raise fields.wrong("datasets", "is empty")
    return datasets


def _read_names(fields: Fields, name: str) -> tuple[str, ...]:
    names = fields.texts(name, limit=_MAX_PRINCIPALS)
    if not names:
        raise fields.wrong(name, "is empty")
    return names


def _read_threshold(fields: Fields, signers: int) -> int:
    threshold = fields.integer("threshold", minimum=1) if fields.has("threshold") else 1
    if threshold > signers:
        raise fields.wrong("threshold", f"is {threshold}, but there are {signers} principals")
    return threshold


def _read_age(fields: Fields) -> timedelta | None:
    if not fields.has("maximum_age"):
        return None
    try:
        return parse_duration(fields.text("maximum_age", limit=20))
    except FormatError as error:
        wrong = fields.wrong("maximum_age", f"is wrong: {error.message}")
        raise FormatError(wrong.message, hint=error.hint) from None


def _read_required(fields: Fields) -> Required | None:
    if not fields.has("require"):
        return None
    found: Required | None = None
    text = fields.text("require", limit=100)
    for kind in get_args(Required):
        if kind == text:
            found = kind
    if found is None:
        raise fields.wrong(
            "require", f"is {quoted(text)}, expected {', '.join(get_args(Required))}"
        )
    return found


def _check_consistent(policy: Policy) -> None:
    names = [principal.name for principal in policy.principals]
    _refuse_repeats((name.casefold() for name in names), "the principal name")
    _refuse_repeats((key.fingerprint for key in policy.trusted_keys()), "the key")
    known = itertools.chain.from_iterable(who.identities for who in policy.principals)
    _refuse_repeats((str(identity) for identity in known), "the identity")
    check_disjoint(policy.principals)
    for rule in policy.rules():
        _refuse_repeats(rule.signers, "in a rule, the principal")
        unknown = sorted(set(rule.signers) - set(names))
        if unknown:
            raise FormatError(f"policy: a rule names the unknown principal {quoted(unknown[0])}")


def _refuse_repeats(values: Iterable[str], what: str) -> None:
    """Duplicates are refused: a key under two names would count twice."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise FormatError(f"policy: {what} {quoted(value)} is listed twice")
        seen.add(value)


_MAX_NAMES = 1024
_MAX_LIMITS = 32
_MAX_NAME = 256


def read_names(fields: Fields, origin: Origin) -> NameList | None:
    """`sources` or `labelers` of a publish rule; None if absent."""
    if not fields.has(f"{origin}s"):
        return None
    names = fields.object(f"{origin}s")
    allow = _read_list(names, "allow") if names.has("allow") else None
    forbid = _read_list(names, "forbid") if names.has("forbid") else ()
    absent = False
    # A sample always has a source.
    if origin == "labeler" and names.has("absent"):
        absent = names.raw("absent")
        if not isinstance(absent, bool):
            raise names.wrong("absent", "is not a boolean")
    names.done()
    if allow is None and not forbid:
        raise fields.wrong(f"{origin}s", "has neither allow nor forbid")
    return NameList(allow, forbid, absent)


def _read_labels(fields: Fields, threshold: int, signers: int) -> LabelRule | None:
    """`labels` of a publish rule with this threshold and number of signers; None if absent."""
    if not fields.has("labels"):
        return None
    labels = fields.object("labels")
    allow = _read_list(labels, "allow") if labels.has("allow") else None
    forbid = _read_list(labels, "forbid") if labels.has("forbid") else ()
    absent, share, count = False, None, None
    bounds_absent = labels.has("absent")
    if bounds_absent:
        value = labels.raw("absent")
        if isinstance(value, bool):
            absent = value
        elif isinstance(value, Mapping):
            bounds = Fields(value, "policy: absent of labels")
            share = _read_share(bounds) if bounds.has("share") else None
            count = bounds.integer("count") if bounds.has("count") else None
            bounds.done()
            if share is None and count is None:
                raise labels.wrong("absent", "has neither share nor count")
        else:
            raise labels.wrong("absent", "is neither a boolean nor a table of share and count")
    new = None
    if labels.has("signers_for_new"):
        new = _read_unless(labels, "signers_for_new", threshold, signers)
    labels.done()
    if allow is None and not forbid and new is None and not bounds_absent:
        raise fields.wrong("labels", "has none of allow, forbid, absent and signers_for_new")
    return LabelRule(allow, forbid, absent, share, count, new)


def read_limits(fields: Fields, threshold: int, signers: int) -> tuple[Limit, ...]:
    """The `limits` of a publish rule with this threshold and number of signers."""
    if not fields.has("limits"):
        return ()
    return fields.items(
        "limits",
        lambda item: _read_limit(item, threshold, signers),
        limit=_MAX_LIMITS,
        item_name="limit",
    )


def _read_limit(fields: Fields, threshold: int, signers: int) -> Limit:
    kinds = fields.texts("kinds", limit=len(KINDS)) if fields.has("kinds") else KINDS
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds or len(set(kinds)) != len(kinds):
        raise fields.wrong("kinds", f"is not a list of different kinds of {', '.join(KINDS)}")
    share = _read_share(fields) if fields.has("share") else None
    count = fields.integer("count") if fields.has("count") else None
    if share is None and count is None:
        raise fields.wrong("share", "and count are both missing: set at least one of them")
    each = _read_each(fields) if fields.has("each") else None
    if each is not None and kinds == ("removed",):
        raise fields.wrong("each", f"has no effect: a removal has no {each}")
    unless = _read_unless(fields, "unless", threshold, signers) if fields.has("unless") else None
    return Limit(() if kinds == KINDS else kinds, share, count, each, unless)


def _read_unless(fields: Fields, name: str, threshold: int, signers: int) -> int:
    """A number of principals above the threshold, of which there are as many."""
    number = fields.integer(name, minimum=1)
    if not threshold < number <= signers:
        raise fields.wrong(
            name, f"is {number}, expected more than the threshold {threshold}, at most {signers}"
        )
    return number


def _read_share(fields: Fields) -> Decimal:
    """The decimal as written, so that 1 % of 100 is exactly 1."""
    share = fields.raw("share")
    if not isinstance(share, float) or not 0 <= share < 1:
        raise fields.wrong("share", "is not a number from 0.0 to below 1.0 (0.01 is 1 %)")
    return Decimal(str(share))


def _read_each(fields: Fields) -> Origin:
    text = fields.text("each", limit=100)
    for origin in get_args(Origin):
        if origin == text:
            found: Origin = origin
            return found
    raise fields.wrong("each", f"is {quoted(text)}, expected {' or '.join(get_args(Origin))}")


def _read_list(fields: Fields, name: str) -> tuple[str, ...]:
    names = fields.texts(name, limit=_MAX_NAMES)
    for pattern in names:
        if not 0 < len(pattern) <= _MAX_NAME or name_complaint(pattern) is not None:
            raise fields.wrong(name, f"has an invalid name: {quoted(pattern)}")
    if not names:
        raise fields.wrong(name, "is empty")
    return names
