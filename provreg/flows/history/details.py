"""One version, with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from provreg.core.policy.policy import Signature
from provreg.flows.history.label_counts import LabelCounts
from provreg.flows.verify.lineage import Ancestor
from provreg.flows.verify.signatures import Skipped


@dataclass(frozen=True, slots=True)
class VersionDetails:
    """A version, trusted or not, the number of its parent, and its signatures.

    `parent` is None for a first version, and for one whose parent cannot be read. `signatures` are
    those that verify, counted or not; `skipped` are the bundles that do not. `labels` is None if
    the entries are damaged.
    """

    version: Ancestor
    parent: int | None
    signatures: tuple[Signature, ...]
    skipped: tuple[Skipped, ...]
    labels: LabelCounts | None

    def __repr__(self) -> str:
        return f"VersionDetails({self.version!r})"
