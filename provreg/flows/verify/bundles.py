"""Bundles over a statement: which of them hold a signature (steps 1 to 3).

For statements of every kind. Anybody may add bundles to a registry: one that fails is passed over,
and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from provreg.core.encoding.digest import sha256_digest
from provreg.core.policy.policy import Signature
from provreg.errors import NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.trust.bundle import Bundle, parse_bundle, verify_bundle


@dataclass(frozen=True, slots=True)
class CheckedBundles:
    """Bundles with the signature that each holds, and by written SHA-256 why others hold none."""

    good: list[tuple[Bundle, Signature]] = field(default_factory=list)
    failed: list[tuple[str, NotTrustedError]] = field(default_factory=list)

    @property
    def signatures(self) -> list[Signature]:
        return [signature for _, signature in self.good]


def check_bundles(
    bundles: Iterable[tuple[str, bytes]],
    trust: Trust,
    wanted: Callable[[Bundle], bool] = lambda _: True,
) -> CheckedBundles:
    """What of `bundles`, (written SHA-256, bytes) each, verifies by the anchors of `trust`.

    Those that are not `wanted` are neither verified nor told of. Whether the policy lets a
    signature count is not asked.
    """
    checked = CheckedBundles()
    for digest, data in bundles:
        try:
            bundle = parse_bundle(data)
            if wanted(bundle):
                checked.good.append((bundle, verify_bundle(bundle, trust.anchors)))
        except NotTrustedError as error:
            checked.failed.append((digest, error))
    return checked


def over(statement: bytes) -> Callable[[Bundle], bool]:
    """The bundles over just this statement (step 5)."""
    return lambda bundle: bundle.payload == statement


def over_digest(digest: str) -> Callable[[Bundle], bool]:
    """The bundles over the statement with this written SHA-256."""
    return lambda bundle: sha256_digest(bundle.payload) == digest
