"""A user's SQL over the index, with what the policy in force trusts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from provreg.core.manifest.entry import NO_ENTRIES
from provreg.flows.receipts.runs import RunJudge
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.lineage import judge_versions
from provreg.flows.verify.manifest import checked_part, read_head
from provreg.store.index.index import uses_entries, with_part

_RUN_TRUST = pa.schema([("receipt", pa.string()), ("trusted_because", pa.string())]).empty_table()


def query(
    workspace: Workspace, sql: str, trust: Trust | None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows) of one SELECT; raises UsageError for anything else.

    Trust is judged now, under `trust`, and is not in the index.
    """
    heads = [
        (indexed.head, read_head(workspace, indexed.head)) for indexed in workspace.index.versions()
    ]
    because = [ancestor.trusted_because for ancestor in judge_versions(workspace, heads, trust)]
    trusted = pa.table(
        {
            "head": pa.array([digest for digest, _ in heads], pa.string()),
            "trusted_because": pa.array(because, pa.string()),
        }
    )
    # Many versions often share a part: it is scanned once and joined.
    parts = {part.blocks: part for _, head in heads for part in head.parts}
    tables = [with_part(NO_ENTRIES, "")]
    if uses_entries(sql):
        tables += [with_part(checked_part(workspace, part), key) for key, part in parts.items()]
    return workspace.index.query(
        sql,
        entries=pa.concat_tables(tables),
        trusted=trusted,
        trusted_runs=_trusted_runs(workspace, trust) if "runs" in sql.lower() else _RUN_TRUST,
    )


def _trusted_runs(workspace: Workspace, trust: Trust | None) -> pa.Table:
    runs = list(RunJudge(workspace, trust).runs(workspace.indexed_runs.receipts()))
    because = [", ".join(signer.principal for signer in run.signers) or None for run in runs]
    return pa.table([[run.digest for run in runs], because], schema=_RUN_TRUST.schema)
