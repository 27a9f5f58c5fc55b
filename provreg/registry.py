"""The facade: a registry as a Python user sees it, with the policy that judges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.core.names import Reference

if TYPE_CHECKING:
    from provreg.core.finding import Finding
    from provreg.flows.blame import Blamed
    from provreg.flows.diff import Diff
    from provreg.flows.draft import Draft
    from provreg.flows.ingest import Ingestion
    from provreg.flows.lineage import Ancestor
    from provreg.flows.publish import Published
    from provreg.flows.verify import Step, Trust, VerifiedVersion
    from provreg.flows.workspace import Workspace
    from provreg.trust.signer import Signer

Progress = Callable[[int, int], None]
