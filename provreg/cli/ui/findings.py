"""Findings, a sample each, as people see them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from provreg.cli.ui.output import Output
from provreg.cli.ui.render import short

if TYPE_CHECKING:
    from provreg.errors import Finding

_SHOWN = 20


def list_findings(findings: tuple[Finding, ...], output: Output) -> None:
    """The findings, a table a kind; of very many the first ones, with how to get all."""
    counts = Counter(finding.kind for finding in findings)
    for kind, count in counts.items():
        shown = [finding for finding in findings if finding.kind == kind]
        if not output.verbose:
            shown = shown[:_SHOWN]
        columns: dict[str, list[str | None]] = {
            "id": [finding.id for finding in shown],
            "expected": [_value(finding.expected) for finding in shown],
            "found": [_value(finding.found) for finding in shown],
            "now at": [finding.found_id for finding in shown],
            "url": [finding.uri for finding in shown],
            "why": [finding.detail for finding in shown],
            "source": [finding.source for finding in shown],
            "labeler": [finding.labeler for finding in shown],
        }
        filled = {name: cells for name, cells in columns.items() if any(cells)}
        output.line(f"{kind}: {count:,}")
        output.table(
            tuple(filled), list(zip(*filled.values(), strict=True)), whole=("id", "now at")
        )
        if len(shown) < count:
            output.line(f"… and {count - len(shown):,} more (-v or --json lists all)")
        output.line()


def _value(value: str | None) -> str | None:
    """A label, or enough of a digest to recognise it."""
    return short(value) if value is not None and value.startswith("blake3:") else value
