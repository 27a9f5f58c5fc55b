"""Succession of keys: a new key signs every version of a dataset that is trusted (ADR 48).

The versions must verify under the policy, by what this user has seen or pinned where their keys
ended. So nothing is signed anew that the policy refuses, a thief's versions least of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from provreg.core.encoding.names import Reference
from provreg.core.statements.statement import statement_of
from provreg.errors import NotFoundError, NotTrustedError
from provreg.executors.api import Progress
from provreg.flows.session.trust import POLICY, Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.sign.countersign import signed_before
from provreg.flows.verify.lineage import Ancestor, judge_versions
from provreg.flows.verify.manifest import locate, read_head
from provreg.flows.verify.signatures import all_signatures
from provreg.flows.verify.steps import check_manifest
from provreg.trust.keys import PublicKey
from provreg.trust.signers import Signer
from provreg.trust.sigstore.root import TrustedRoot


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A version that is not signed, and why."""

    version: Ancestor
    because: str


@dataclass(frozen=True, slots=True)
class SigningPlan:
    """The versions of a dataset that a signer is about to sign, oldest first.

    `signed` are those that they have signed already. `known` says whether the policy has this
    signer's key or identity.
    """

    dataset: str
    versions: Sequence[Ancestor]
    signed: Sequence[Ancestor]
    passed_over: Sequence[PassedOver]
    known: bool


def plan_signing(
    workspace: Workspace,
    dataset: str,
    signer: Signer,
    trust: Trust,
    root: TrustedRoot | None,
    *,
    signed_by: PublicKey | None = None,
    progress: Progress | None = None,
) -> SigningPlan:
    """What `signer` would sign of `dataset`: every version that verifies (steps 1 to 11).

    With `signed_by` only those that this key has signed. Raises NotTrustedError where another trust
    than a policy is in force: a single key never ends, and its thief's versions verify too. Raises
    NotFoundError for no such dataset.
    """
    if trust.name != POLICY:
        raise NotTrustedError(
            "signing all versions needs a policy: one key alone has no end, and whoever stole it"
            " would have their versions signed too",
            step=6,
            hint="pass --policy FILE, or review and sign the versions one by one",
        )
    locate(workspace, Reference(dataset))  # raises where there is no such dataset
    heads = []
    for number in workspace.versions.numbers(dataset):
        with suppress(NotTrustedError, NotFoundError):  # squatted: no version
            _, digest = locate(workspace, Reference(dataset, version=number))
            heads.append((digest, read_head(workspace, digest)))
    judged = judge_versions(workspace, heads, trust)
    found, signed, passed_over = list[Ancestor](), list[Ancestor](), list[PassedOver]()
    for place, version in enumerate(judged):
        because = _objection(workspace, version, trust, signed_by)
        if because is not None:
            passed_over.append(PassedOver(version, because))
        elif signed_before(workspace, version.head, version.digest, signer, root):
            signed.append(version)
        else:
            found.append(version)
        if progress is not None:
            progress(place + 1, len(judged))
    return SigningPlan(dataset, found, signed, passed_over, is_known(signer, trust))


def sign_versions(
    workspace: Workspace,
    plan: SigningPlan,
    signer: Signer,
    trust: Trust,
    root: TrustedRoot | None,
    *,
    progress: Progress | None = None,
) -> list[Ancestor]:
    """Signs the versions of `plan`, oldest first, and returns them.

    Interrupted, it is completed by a new plan: what is signed stays. Raises NotTrustedError, before
    anything is signed, where the policy trusts one of them no longer; raises as `Signer.sign`,
    StorageError.
    """
    # Between what was shown and the answer of a person much can happen.
    again = judge_versions(workspace, [(one.digest, one.head) for one in plan.versions], trust)
    for version in again:
        if version.trusted_because is None:
            raise NotTrustedError(
                f"{version.head.dataset}@{version.head.version} is not trusted any more:"
                f" {version.refused_because}",
                step=8,
                hint="run the command again",
            )
    signed: list[Ancestor] = []
    for place, version in enumerate(again):
        head, digest = version.head, version.digest
        if not signed_before(workspace, head, digest, signer, root):
            workspace.versions.add(digest, signer.sign(statement_of(head)), head.dataset)
        signed.append(version)
        if progress is not None:
            progress(place + 1, len(again))
    return signed


def _objection(
    workspace: Workspace, version: Ancestor, trust: Trust, signed_by: PublicKey | None
) -> str | None:
    """Why a version is not to be signed; None if it is."""
    if version.trusted_because is None:
        return version.refused_because
    head, digest = version.head, version.digest
    if signed_by is not None:
        signatures, _ = all_signatures(workspace, head, digest, trust)
        if all(made.key != signed_by.fingerprint for made in signatures):
            return f"not signed by the key {signed_by.fingerprint}"
    try:
        check_manifest(workspace, head, digest)
    except NotTrustedError as error:
        return f"step {error.step}: {error.message}"
    return None


def is_known(signer: Signer, trust: Trust) -> bool:
    """Whether the policy has the key of `signer`, or one of its identities."""
    own = signer.policy()
    keys = {key.fingerprint for key in trust.policy.trusted_keys()}
    identities = [one for who in trust.policy.principals for one in who.identities]
    return any(key.fingerprint in keys for key in own.trusted_keys()) or any(
        mine.overlaps(other)
        for who in own.principals
        for mine in who.identities
        for other in identities
    )
