"""A user's SQL over the index, with what the policy in force trusts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from provreg.core.encoding.listing import html_table
from provreg.core.encoding.text import counted, quoted
from provreg.core.manifest.entry import NO_ENTRIES, TIMESTAMP
from provreg.core.manifest.head import PartRef
from provreg.core.policy.policy import Signature
from provreg.core.statements.revocation import NamedSamples, Revocation
from provreg.errors import UsageError
from provreg.flows.history.revocation_list import list_revocations
from provreg.flows.receipts.runs import RunJudge
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.lineage import Ancestor, judge_versions
from provreg.flows.verify.manifest import checked_part, read_head
from provreg.flows.verify.signatures import BundleSigner
from provreg.store.index.index import with_part

_TEXT, _TEXTS, _BOOL = pa.string(), pa.list_(pa.string()), pa.bool_()
_TRUST = pa.schema(
    [("head", _TEXT), ("trusted_because", _TEXT), ("untrusted_because", _TEXT),
     ("standing", _TEXT), ("signers", _TEXTS), ("principals", _TEXTS)]
)  # fmt: skip
_SIGNATURES = pa.schema(
    [("head", _TEXT), ("signer", _TEXT), ("issuer", _TEXT), ("principal", _TEXT),
     ("verified", _BOOL), ("counts", _BOOL), ("signed_at", TIMESTAMP), ("proof", _TEXT)]
)  # fmt: skip
_REVOCATIONS = pa.schema(
    [("revocation", pa.int32()), ("digest", _TEXT), ("dataset", _TEXT), ("uid", _TEXT),
     ("version", pa.int32()), ("head", _TEXT), ("revokes", _TEXT), ("source", _TEXT),
     ("labeler", _TEXT), ("since", pa.int32()), ("listed", pa.int64()),
     ("withdraws", pa.int32()),
     ("reason", _TEXT), ("created", TIMESTAMP), ("in_force", _BOOL),
     ("because", _TEXT), ("signers", _TEXTS), ("principals", _TEXTS)]
)  # fmt: skip
_RUN_TRUST = pa.schema([("receipt", _TEXT), ("trusted_because", _TEXT)])


class Answer(NamedTuple):
    """The answer to a query."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def __repr__(self) -> str:
        shape = (counted(len(self.columns), "column"), counted(len(self.rows), "row"))
        return f"Answer({', '.join(shape)})"

    def _repr_html_(self) -> str:
        return html_table(self.columns, self.rows, len(self.rows))

    def objects(self) -> Iterable[dict[str, Any]]:
        """Each row by column name. Raises UsageError for a duplicate name."""
        duplicates = {name for name in self.columns if self.columns.count(name) > 1}
        if duplicates:
            raise UsageError(
                f"duplicate column name {quoted(min(duplicates))}",
                hint="give each column a name of its own: SELECT … AS name",
            )
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)


def query(workspace: Workspace, sql: str, trust: Trust | None) -> Answer:
    """The answer to one SELECT; raises UsageError for anything else.

    Trust is judged now, under `trust`, and is not in the index.
    """
    heads = [
        (indexed.head, read_head(workspace, indexed.head)) for indexed in workspace.index.versions()
    ]
    versions = judge_versions(workspace, heads, trust)
    words = sql.lower()
    # Only what the query can ask for is read and judged. Many versions often share a part: it is
    # scanned once and joined.
    parts = {
        part.blocks: part
        for _, head in heads
        if "entries" in words or ("changes" in words and head.parent is None)
        for part in head.parts
    }
    tables = {
        "part_entries": _entries(workspace, parts.values()),
        "version_trust": _table(map(_trust, versions), _TRUST),
        "version_signatures": _table(_signatures(versions), _SIGNATURES),
        "revocation_list": _table(
            _revocations(workspace, trust) if "revocations" in words else (), _REVOCATIONS
        ),
        "run_trust": _table(_runs(workspace, trust) if "runs" in words else (), _RUN_TRUST),
    }
    return Answer(*workspace.index.query(sql, tables))


def _entries(workspace: Workspace, parts: Iterable[PartRef]) -> pa.Table:
    tables = [with_part(checked_part(workspace, part), part.blocks) for part in parts]
    return pa.concat_tables([with_part(NO_ENTRIES, ""), *tables])


def _table(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema)


def _trust(version: Ancestor) -> dict[str, Any]:
    return {
        "head": version.digest,
        "trusted_because": version.trusted_because,
        "untrusted_because": version.refused_because,
        "standing": version.standing,
        **_names(version.signatures),
    }


def _names(signatures: Iterable[BundleSigner]) -> dict[str, list[str]]:
    """Who signed: the keys and identities, and their principals.

    Whom a bundle only claims is marked, so that nobody is found by a signature they did not make.
    """
    signers, principals = set(), set()
    for made in signatures:
        signers.add(made.signer if made.is_verified and made.signer else str(made))
        if made.principal is not None:
            principals.add(made.principal)
    return {"signers": sorted(signers), "principals": sorted(principals)}


def _signatures(versions: Iterable[Ancestor]) -> Iterator[dict[str, Any]]:
    for version in versions:
        counted = [signer.signature for signer in version.signers]
        for made in version.signatures:
            verified = made.by if isinstance(made.by, Signature) else None
            yield {
                "head": version.digest,
                "signer": made.signer,
                "issuer": made.by.issuer,
                "principal": made.principal,
                "verified": verified is not None,
                "counts": verified in counted,
                "signed_at": verified and verified.signed_at,
                "proof": verified and verified.proof,
            }


def _revocations(workspace: Workspace, trust: Trust | None) -> Iterator[dict[str, Any]]:
    for status in list_revocations(workspace, trust):
        revocation = status.revocation
        yield {
            "revocation": revocation.number,
            "digest": status.digest,
            "dataset": revocation.dataset,
            "uid": revocation.uid,
            "version": revocation.version,
            "head": revocation.head,
            **_revoked(revocation),
            "reason": revocation.reason,
            "created": revocation.created,
            "in_force": status.in_force,
            "because": status.because,
            **_names(status.signatures),
        }


def _revoked(revocation: Revocation) -> dict[str, Any]:
    samples = revocation.samples
    if revocation.withdraws is not None:
        return {"revokes": "nothing", "withdraws": revocation.withdraws.number}
    if samples is None:
        return {"revokes": "version"}
    if isinstance(samples, NamedSamples):
        return {
            "revokes": " and ".join(samples.names),
            "source": samples.source,
            "labeler": samples.labeler,
            "since": samples.since,
        }
    listed = sum(keys.count for keys in samples.lists.values())
    return {"revokes": "samples", "listed": listed}


def _runs(workspace: Workspace, trust: Trust | None) -> Iterator[dict[str, Any]]:
    for run in RunJudge(workspace, trust).runs(workspace.indexed_runs.receipts()):
        because = ", ".join(signer.principal for signer in run.signers) or None
        yield {"receipt": run.digest, "trusted_because": because}
