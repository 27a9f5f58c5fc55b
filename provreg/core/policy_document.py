"""Policy files: reading one strictly, and writing a first one (docs/policy.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from provreg.core.document import Fields
from provreg.core.policy import Identity, Policy, Principal, PublishRule, TrustedKey
from provreg.core.text import UNSAFE_CHARACTERS, quoted
from provreg.errors import FormatError, UsageError

POLICY_FORMAT = "provreg.policy/v1"
PRINCIPAL_NAME = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"
DATASET_PATTERN = r"[a-z0-9*?][a-z0-9._*?-]{0,127}"

_MAX_PRINCIPALS = 256
_MAX_KEYS = 32
_MAX_RULES = 1024
_MAX_DATASETS = 256
_MAX_PEM = 16 * 1024
_EXACT_TEXT = re.compile(rf"[^\s{UNSAFE_CHARACTERS}]{{1,2048}}")
_PEM = re.compile(
    r"\s*-----BEGIN PUBLIC KEY-----\r?\n"
    r"([A-Za-z0-9+/=]{1,76}\r?\n)+"
    r"-----END PUBLIC KEY-----\s*"
)
_STARTER = """\
# Who may publish which datasets, as this machine's user decides it (docs/policy.md).
# `provreg policy check` says in words what this file allows.
format = "provreg.policy/v1"

# A principal is a person or a pipeline. All their keys and identities speak with one voice.
[[principal]]
name = "{name}"
keys = ['''
{pem}''']

# The first rule that covers a dataset decides. What no rule covers is refused.
[[publish]]
datasets = ["*"]          # names; * is any run of characters, ? any one
principals = ["{name}"]
threshold = 1             # how many of the principals must have signed a version
"""


def parse_policy(document: Any, fingerprint: Callable[[str], str]) -> Policy:
    """The policy in `document`, as tomllib gives it.

    `fingerprint` maps a public key's PEM to its written fingerprint and raises FormatError for one
    that is not taken. Raises FormatError for an unknown field, an identity without an issuer, a
    name, key or identity that stands twice, a rule naming an unknown principal or none, and a
    threshold its principals cannot reach. Schema: schemas/policy.v1.json.
    """
    fields = Fields(document, "policy")
    written = fields.text("format", limit=100)
    if written != POLICY_FORMAT:
        raise FormatError(
            f"the policy has format {quoted(written)}, this provreg reads {POLICY_FORMAT}",
            hint="update provreg to a version that reads it",
        )
    principals: tuple[Principal, ...] = ()
    publish: tuple[PublishRule, ...] = ()
    if fields.has("principal"):
        principals = fields.items(
            "principal", lambda item: _read_principal(item, fingerprint), limit=_MAX_PRINCIPALS
        )
    if fields.has("publish"):
        publish = fields.items("publish", _read_rule, limit=_MAX_RULES)
    fields.done()
    policy = Policy(principals, publish)
    _check_consistent(policy)
    return policy


def starter_policy(pem: str, name: str) -> str:
    """The TOML of a policy by which the holder of `pem`, called `name`, may publish everything.

    Raises UsageError for a name or key that a policy could not hold: neither can write anything
    else into the file.
    """
    if re.fullmatch(PRINCIPAL_NAME, name) is None:
        raise UsageError(
            f"{quoted(name)} is not a principal's name",
            hint="use 1 to 64 of A-Z a-z 0-9 . _ @ + -, beginning with a letter or a digit",
        )
    if len(pem) > _MAX_PEM or _PEM.fullmatch(pem) is None:
        raise UsageError("that is not one public key in PEM", hint="give the .pub file")
    return _STARTER.format(name=name, pem=pem.strip().replace("\r", "") + "\n")


def _read_principal(fields: Fields, fingerprint: Callable[[str], str]) -> Principal:
    name = fields.text("name", pattern=PRINCIPAL_NAME)
    pems: tuple[str, ...] = ()
    identities: tuple[Identity, ...] = ()
    if fields.has("keys"):
        pems = fields.texts("keys", limit=_MAX_KEYS)
    if fields.has("identities"):
        identities = fields.items("identities", _read_identity, limit=_MAX_KEYS)
    if not pems and not identities:
        raise FormatError(f"policy: principal {quoted(name)} has neither keys nor identities")
    for pem in pems:
        if len(pem) > _MAX_PEM or _PEM.fullmatch(pem) is None:
            raise FormatError(
                f"policy: a key of principal {quoted(name)} is not one public key in PEM",
                hint="copy the whole of the .pub file between the triple quotes",
            )
    try:
        keys = tuple(TrustedKey(fingerprint(pem), pem) for pem in pems)
    except FormatError as error:
        raise FormatError(
            f"policy: principal {quoted(name)}: {error.message}", hint=error.hint
        ) from None
    return Principal(name, keys, identities)


def _read_identity(fields: Fields) -> Identity:
    if not fields.has("issuer"):
        raise FormatError(
            "policy: an identity without an issuer",
            hint="anyone can run an issuer that vouches for any identity: name the one you mean",
        )
    return Identity(_exact_text(fields, "identity"), _exact_text(fields, "issuer"))


def _exact_text(fields: Fields, name: str) -> str:
    value = fields.text(name)
    if _EXACT_TEXT.fullmatch(value) is None:
        raise fields.wrong(name, "is empty, too long, or holds a space or a control character")
    return value


def _read_rule(fields: Fields) -> PublishRule:
    datasets = fields.texts("datasets", limit=_MAX_DATASETS)
    for pattern in datasets:
        if re.fullmatch(DATASET_PATTERN, pattern) is None:
            raise fields.wrong("datasets", f"holds {quoted(pattern)}, not a name, '*' and '?'")
    principals = fields.texts("principals", limit=_MAX_PRINCIPALS)
    if not datasets or not principals:
        raise fields.wrong("principals" if datasets else "datasets", "is empty")
    threshold = fields.integer("threshold", minimum=1) if fields.has("threshold") else 1
    if threshold > len(principals):
        raise fields.wrong(
            "threshold", f"is {threshold}, and there are {len(principals)} principals"
        )
    minimum = 1
    if fields.has("minimum_version"):
        minimum = fields.integer("minimum_version", minimum=1, maximum=99_999_999)
    return PublishRule(datasets, principals, threshold, minimum)


def _check_consistent(policy: Policy) -> None:
    names = [principal.name for principal in policy.principals]
    _refuse_repeats((name.casefold() for name in names), "the principal name")
    _refuse_repeats((key.fingerprint for key in policy.trusted_keys()), "the key")
    _refuse_repeats(
        (
            f"{known.identity} by {known.issuer}"
            for principal in policy.principals
            for known in principal.identities
        ),
        "the identity",
    )
    for rule in policy.publish:
        _refuse_repeats(rule.principals, "in one rule the principal")
        unknown = sorted(set(rule.principals) - set(names))
        if unknown:
            raise FormatError(f"policy: a rule names the unknown principal {quoted(unknown[0])}")


def _refuse_repeats(values: Iterable[str], what: str) -> None:
    """One key under two names would count twice towards a threshold."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise FormatError(f"policy: {what} {quoted(value)} stands twice")
        seen.add(value)
