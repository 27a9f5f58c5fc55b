"""Identities in a policy file: exact, as a pattern, or as a CI service's repository and workflow.

The latter are written like PyPI's trusted publishers. They become Fulcio's identity of a workflow
and the repository of the run: a reusable workflow has its own identity, whoever calls it.
Source: Fulcio's docs, oid-info.md ("Mapping OIDC token claims to Fulcio OIDs").
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from provreg.core.encoding.pattern import is_pattern
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import UNSAFE_CHARACTERS, quoted
from provreg.core.policy.policy import Identity, Principal
from provreg.errors import FormatError

EXACT_TEXT = re.compile(rf"[^\s{UNSAFE_CHARACTERS}\ud800-\udfff]{{1,2048}}")
GITHUB, GITHUB_ISSUER = "https://github.com", "https://token.actions.githubusercontent.com"
GITLAB = GITLAB_ISSUER = "https://gitlab.com"

_MAX_PATTERN = 256
_MAX_PATTERNS = 256  # in one policy: each is compared with every other
# The part that determines the owner has no wildcard: the host of a URI, the domain of an address.
_PATTERN_OF_URI = re.compile(r"[a-z][a-z0-9+.-]*://(?P<host>[^/@*?]+)/(?P<owner>[^/]*).*")
_PATTERN_OF_ADDRESS = re.compile(r"[^/@]+@[^/@*?]+")
_SHARED_HOSTS = frozenset({"github.com", "gitlab.com"})

# An owner is a login of 1 to 39 characters; a managed user's ends in `_` and the enterprise's code.
_REPOSITORY = r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}/[A-Za-z0-9._-]{1,100}"
# Customers of GitHub Enterprise Cloud can append their enterprise to the issuer.
_GITHUB_ISSUERS = rf"{re.escape(GITHUB_ISSUER)}(?:/[A-Za-z0-9][A-Za-z0-9_-]{{0,99}})?"
_FILE = r"[A-Za-z0-9_.-]{1,128}\.ya?ml"
_CALLED = rf"{_REPOSITORY}/\.github/workflows/{_FILE}"
_PROJECT = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(?:/[A-Za-z0-9_.-]{1,100}){1,20}"
_PIPELINE = r"(?:[A-Za-z0-9_.-]{1,100}/){0,20}[A-Za-z0-9_.-]{1,100}\.ya?ml"
# ASCII characters that git allows in a name and that are not escaped in the URI of a certificate.
_REF = r"refs/[A-Za-z0-9_.*?/+#@!$&'(),;=-]{1,250}"
_ENVIRONMENT = rf"[^{UNSAFE_CHARACTERS}]{{1,255}}"


def read_identity(fields: Fields) -> Identity:
    """An item of `principal.identities`. Raises FormatError."""
    if fields.has("github"):
        return _read_github(fields)
    if fields.has("gitlab"):
        return _read_gitlab(fields)
    if not fields.has("issuer"):
        raise FormatError(
            "policy: an identity without an issuer",
            hint="add the issuer: anyone can run an issuer that vouches for any identity",
        )
    pattern = fields.has("identity_pattern")
    identity = _read_pattern(fields) if pattern else _exact_text(fields, "identity")
    issuer = _exact_text(fields, "issuer")
    repository = _exact_text(fields, "repository") if fields.has("repository") else None
    return Identity(identity, issuer, pattern, repository, *_read_run(fields))


def check_disjoint(principals: Sequence[Principal]) -> None:
    """Raises FormatError if a certificate could match two principals: it would count for both."""
    known = [(who.name, identity) for who in principals for identity in who.identities]
    patterns = [pair for pair in known if pair[1].pattern]
    if len(patterns) > _MAX_PATTERNS:
        raise FormatError(f"policy: more than {_MAX_PATTERNS} identities are patterns")
    exact: dict[tuple[str, str], list[tuple[str, Identity]]] = {}
    for pair in known:
        if not pair[1].pattern:
            exact.setdefault((pair[1].issuer, pair[1].identity), []).append(pair)
    same = (itertools.combinations(pairs, 2) for pairs in exact.values())
    both = itertools.chain(itertools.product(patterns, known), *same)
    for (name, identity), (other_name, other) in both:
        if name != other_name and identity.overlaps(other):
            raise FormatError(
                f"policy: a certificate could be both {name}'s ({identity}) and {other_name}'s"
                f" ({other})",
                hint="merge the principals, or make the pattern narrower",
            )


def _read_github(fields: Fields) -> Identity:
    repository = fields.text("github", pattern=_REPOSITORY)
    workflow = fields.text("workflow", pattern=f"{_FILE}|{_CALLED}")
    ref, environment = _read_run(fields)
    issuer = _read_github_issuer(fields)
    if "/" in workflow:
        # A workflow of another repository, at a ref that the caller chose.
        signer = f"{GITHUB}/{workflow}@**"
    else:
        signer = f"{GITHUB}/{repository}/.github/workflows/{workflow}@{ref or 'refs/**'}"
    return Identity(signer, issuer, is_pattern(signer), f"{GITHUB}/{repository}", ref, environment)


def _read_github_issuer(fields: Fields) -> str:
    """GitHub's issuer, or that of an enterprise on github.com; both attest github.com only."""
    if not fields.has("issuer"):
        return GITHUB_ISSUER
    issuer = fields.text("issuer")
    if re.fullmatch(_GITHUB_ISSUERS, issuer) is None:
        raise FormatError(
            f"policy: the issuer {quoted(issuer)} does not vouch for workflows at {GITHUB}",
            hint="write the values of a certificate of that server: { identity_pattern ="
            ' "https://HOST/OWNER/NAME/.github/workflows/FILE.yml@refs/**", issuer = "…",'
            ' repository = "https://HOST/OWNER/NAME" }',
        )
    return issuer


def _read_gitlab(fields: Fields) -> Identity:
    project = fields.text("gitlab", pattern=_PROJECT)
    pipeline = fields.text("pipeline", pattern=_PIPELINE)
    ref, environment = _read_run(fields)
    signer = f"{GITLAB}/{project}//{pipeline}@{ref or 'refs/**'}"
    return Identity(
        signer, GITLAB_ISSUER, is_pattern(signer), f"{GITLAB}/{project}", ref, environment
    )


def _read_run(fields: Fields) -> tuple[str | None, str | None]:
    """The required (ref, environment) of a run, None for any."""
    ref = fields.text("ref", pattern=_REF) if fields.has("ref") else None
    if ref is not None:
        _check_stars(fields, "ref", ref)
    if not fields.has("environment"):
        return ref, None
    return ref, fields.text("environment", pattern=_ENVIRONMENT)


def _read_pattern(fields: Fields) -> str:
    name = "identity_pattern"
    pattern = _exact_text(fields, name)
    if len(pattern) > _MAX_PATTERN:
        raise fields.wrong(name, f"is longer than {_MAX_PATTERN} characters")
    if not is_pattern(pattern):
        raise fields.wrong(name, "has no wildcard: use identity instead")
    _check_stars(fields, name, pattern)
    uri = _PATTERN_OF_URI.fullmatch(pattern)
    if uri is None and _PATTERN_OF_ADDRESS.fullmatch(pattern) is None:
        raise fields.wrong(
            name, f"is {quoted(pattern)}: the host of a URI or the domain of an address must"
            " have no wildcard",
        )  # fmt: skip
    if uri is not None and uri["host"] in _SHARED_HOSTS and is_pattern(uri["owner"]):
        raise fields.wrong(
            name, f"is {quoted(pattern)}, which matches anyone with an account at {uri['host']}"
        )
    return pattern


def _check_stars(fields: Fields, name: str, pattern: str) -> None:
    """`**` matches all remaining segments, so it must be the whole last segment."""
    place = pattern.find("**")
    if place >= 0 and (place != len(pattern) - 2 or pattern[place - 1 : place] not in ("/", "@")):
        raise fields.wrong(name, f"is {quoted(pattern)}: ** must be the whole last segment")


def _exact_text(fields: Fields, name: str) -> str:
    value = fields.text(name)
    if EXACT_TEXT.fullmatch(value) is None:
        raise fields.wrong(name, "is empty, too long, or has a space or a control character")
    return value
