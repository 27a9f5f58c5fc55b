"""The result of an ingestion, as text and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provreg.cli.ui.fetching import fetched_to_json, warn_failed_urls
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import counted, counts_in_words, gate_to_json
from provreg.cli.ui.session import warn_waiting

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome


def report(outcome: Outcome, *, dry_run: bool, output: Output) -> None:
    """Prints what was published, or would be, and what was excluded."""
    head = outcome.head
    proposed = outcome.proposed
    for skipped in outcome.passed_over:
        output.warn(
            f"skipped {outcome.dataset}@{skipped.number}, which does not verify: {skipped.reason}"
        )
    own = None if proposed is None else proposed.digest
    others = [waiting for waiting in outcome.waiting if waiting.digest != own]
    warn_waiting(outcome.dataset, others, output)
    if outcome.left_out:
        counts = (f"{count:,} {reason}" for reason, count in outcome.left_out.items())
        output.note(f"excluded: {', '.join(counts)}")
    document = {
        "dataset": outcome.dataset,
        "published": head is not None,
        "version": None if head is None else head.version,
        "head": outcome.digest,
        "samples": outcome.samples,
        "changes": outcome.changes,
        "left_out": outcome.left_out,
        "reused_digests": outcome.reused,
    }
    if proposed is not None:
        document["proposal"] = {
            "head": proposed.digest,
            "version": proposed.head.version,
            "because": proposed.lacks.message,
            "needed": proposed.lacks.hint,
            "again": proposed.again,
        }
    if outcome.fetched is not None:
        warn_failed_urls(outcome.fetched, output)
        document["fetched"] = fetched_to_json(outcome.fetched)
    if outcome.lacks is not None:
        document["lacks"] = {"because": outcome.lacks.message, "needed": outcome.lacks.hint}
    if outcome.gate is not None:
        document["policy"] = gate_to_json(outcome.gate)
    output.document(document)
    changed = f"{counted(outcome.samples, 'sample')}, {counts_in_words(outcome.changes)}"
    if head is not None:
        output.line(f"{head.dataset}@{head.version} published: {changed}")
        output.line(f"  head {outcome.digest}")
    elif proposed is not None:
        state = "is already proposed" if proposed.again else "is proposed"
        output.line(f"{outcome.dataset}@{proposed.head.version} {state}: {changed}")
        output.line(f"  {proposed.lacks.message}")
        output.line(f"  {proposed.lacks.hint}")
        output.note(f"to sign it: provreg sign {outcome.dataset}@{proposed.digest}")
    elif dry_run:
        output.line(f"{outcome.dataset} would have {changed}")
    else:
        output.line(f"{outcome.dataset}: nothing changed, nothing published")
