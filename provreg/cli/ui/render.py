"""Versions, signers, changes and entries as people and machines see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from provreg.errors import NotFetchedError, NotTrustedError, ProvregError

if TYPE_CHECKING:
    from provreg.flows.history.blame import Attribution
    from provreg.flows.receipts.runs import TrainingRun
    from provreg.flows.sign.proposals import Proposal
    from provreg.flows.verify.gate import Gate
    from provreg.flows.verify.lineage import Ancestor, Standing

_SHORT = 12
_MOST_NAMES = 3


def short(digest: str | None) -> str:
    """A digest for a table: never compared, only recognised."""
    if digest is None:
        return "-"
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm}:{digits[:_SHORT]}"


def when(moment: datetime | None) -> str | None:
    """A moment in ISO 8601, UTC."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def signers_to_json(version: Ancestor | TrainingRun) -> list[dict[str, str]]:
    """Each signer as the design's diff format has it: by key, or by identity and issuer."""
    found = []
    for signer in version.signers:
        signature = signer.signature
        if signature.key is not None:
            found.append({"principal": signer.principal, "key": signature.key})
        else:
            identity, issuer = signature.identity or "", signature.issuer or ""
            found.append({"principal": signer.principal, "identity": identity, "issuer": issuer})
    return found


def name_of(version: Ancestor) -> str:
    """A version as people write it: `cifar10@3`."""
    return f"{version.head.dataset}@{version.head.version}"


# How a version stands that the policy does not trust.
_STANDINGS: Mapping[Standing, str] = {
    "waiting": "waiting",
    "revoked": "REVOKED",
    "proposed": "proposed",
    "distrusted": "UNTRUSTED",
    "unsigned": "UNTRUSTED",
}


def signed_by(*versions: Ancestor) -> str:
    """Who signed these versions, each name once; of those that are not trusted, how they stand."""
    names: dict[str, None] = {}
    for version in versions:
        if version.standing == "trusted":
            names |= dict.fromkeys(version.signed_by)
        else:
            signers = ", ".join(version.signed_by) or "nobody"
            names[f"{signers} ({_STANDINGS[version.standing]})"] = None
    return ", ".join(names)


def refusal_of(version: Ancestor) -> str:
    """How a version stands that is not trusted, for a sentence: `revoked: step 8: …`."""
    stands = {
        "waiting": "waiting for signatures",
        "revoked": "revoked",
        "proposed": "only proposed",
    }
    words = f"{stands.get(version.standing, 'UNTRUSTED')}: {version.refused_because}"
    return f"{words} ({version.needed})" if version.needed else words


def counts_of_names(counts: Mapping[str, int], *, others: bool = False) -> str | None:
    """Names with how often each occurs, `vendor-b 300, vendor-c 12`; a single one without.

    `others`: there can be names that are not in `counts`.
    """
    if len(counts) == 1:
        return next(iter(counts))
    shown = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_NAMES]
    more = f" and {len(counts) - _MOST_NAMES:,} more" if len(counts) > _MOST_NAMES else ""
    if more and others:
        more = " and others"
    return ", ".join(f"{name} {count:,}" for name, count in shown) + more or None


def day(moment: datetime) -> str:
    """A moment to the minute, UTC."""
    return f"{moment:%Y-%m-%d %H:%M}Z"


def version_to_json(version: Ancestor) -> dict[str, Any]:
    """A version as `log --json` and `show --json` give it."""
    head = version.head
    return {
        "dataset": head.dataset,
        "version": head.version,
        "head": version.digest,
        "uid": head.uid,
        "parent": head.parent,
        "root": head.root,
        "samples": head.samples,
        "changes": dict(head.changes),
        "created": when(head.created),
        "message": head.message,
        "trusted": version.trusted_because is not None,
        "because": version.trusted_because or version.refused_because,
        "standing": version.standing,
        "signed_by": list(version.signed_by),
        "signers": signers_to_json(version),
        "signed_at": when(version.signed_at),
        "proof": version.proof,
    }


def attribution_to_json(
    attribution: Attribution, name: Literal["source", "labeler"]
) -> dict[str, Any]:
    """Who answers for the bytes (by the `source`) or the label (by the `labeler`) of a sample."""
    version = attribution.version
    found: dict[str, Any] = {
        "version": version.head.version,
        "source": attribution.source,
        "labeler": attribution.labeler,
        "labeled_at": when(attribution.labeled_at),
        "attested": attribution.attested,
        "trusted": version.trusted_because is not None,
        "signers": signers_to_json(version),
        "signed_at": when(version.signed_at),
        "proof": version.proof,
    }
    if attribution.restated_in is not None:
        found["origin_rewritten_in"] = attribution.restated_in.head.version
        found["now"] = {name: attribution.present}
    if attribution.annotators:
        found["annotators"] = list(attribution.annotators)
    return found


def proposal_to_json(proposal: Proposal) -> dict[str, Any]:
    """A proposal, and what it lacks to be a version."""
    return {
        "dataset": proposal.dataset,
        "version": proposal.waiting.number,
        "head": proposal.waiting.digest,
        "state": proposal.state,
        "signed_by": list(proposal.waiting.by),
        "because": proposal.because,
        "needed": proposal.needed,
    }


def gate_to_json(gate: Gate) -> dict[str, Any]:
    """Whether a publish rule would take what is not published."""
    return {
        "rule": str(gate.rule),
        "base": None if gate.base is None else str(gate.base),
        "takes": not gate.refusals,
        "refusals": list(gate.refusals),
    }


def entry_to_json(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with digests written and times in ISO 8601; fields without a value are left out."""
    return {name: _value(name, value) for name, value in entry.items() if value is not None}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return ("sha256:" if name == "content_sha256" else "blake3:") + value.hex()
    if isinstance(value, datetime):
        return when(value)
    if isinstance(value, list):
        return [entry_to_json(item) for item in value]
    return value


def label_of(entry: Mapping[str, Any]) -> str | None:
    """An entry's label, or the short digest that stands for a long one."""
    digest = entry.get("label_digest")
    return entry.get("label") if digest is None else short(_value("label_digest", digest))


def error_to_json(error: ProvregError) -> dict[str, Any]:
    """An error as every command gives it (schemas/output/error.v1.json)."""
    fields: dict[str, Any] = {"kind": error.kind, "message": error.message}
    if error.hint:
        fields["hint"] = error.hint
    if error.sample is not None:
        fields["sample"] = error.sample
    if isinstance(error, NotTrustedError):
        fields["step"] = error.step
    if isinstance(error, NotTrustedError | NotFetchedError) and error.findings:
        fields["findings"] = [finding.to_json() for finding in error.findings]
    return fields
