"""From a model's files to the runs that made them, and whether the files are as those signed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provreg.core.encoding.text import counted, quoted
from provreg.core.statements.receipt import ModelFile
from provreg.errors import Finding, NotTrustedError
from provreg.flows.receipts.runs import Refusal, RunJudge, TrainingRun
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ModelMatch:
    """The run that made the files at hand, and which of them differ from what it left.

    For a single file, which may have been renamed, `findings` is empty.
    """

    run: TrainingRun
    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        return f"ModelMatch({self.run}, {counted(len(self.findings), 'finding')})"

    @property
    def refused(self) -> Refusal | None:
        """The first reason not to use the files as this run's model, or None."""
        if self.run.refused is not None:
            return self.run.refused
        for version in self.run.versions:
            if version.refused is not None:
                reason = version.refused.reason
                return Refusal(
                    version.refused.step,
                    f"it was trained on {version.name}, which is not trusted: {reason}",
                )
        if self.findings:
            return Refusal(12, f"{len(self.findings)} of its files are not as signed")
        return None


def runs_of_model(
    workspace: Workspace, files: Sequence[ModelFile], trust: Trust | None, *, whole: bool
) -> list[ModelMatch]:
    """The runs in the index that made any of `files`, those first that fit best.

    `whole` says that `files` are all of a folder, which is then compared with all that a run left.
    """
    judge = RunJudge(workspace, trust)
    found = [
        ModelMatch(run, tuple(_compared(run.receipt.model, files)) if whole else ())
        for run in judge.runs(workspace.indexed_runs.with_file([file.sha256 for file in files]))
    ]
    # The latest of equals last, as in a log that is read from below.
    return sorted(
        found,
        key=lambda match: (
            match.refused is not None,
            len(match.findings),
            match.run.receipt.finished,
        ),
    )


def verify_model(
    workspace: Workspace, name: str, files: Sequence[ModelFile], trust: Trust, *, whole: bool
) -> ModelMatch:
    """The run that made `files`, all of them and no others, by receipt and under `trust`.

    Raises NotTrustedError with the step that refused: 12 where no receipt names a file, or a file
    is changed, missing or a stranger, with a finding each.
    """
    made = runs_of_model(workspace, files, trust, whole=whole)
    if not made:
        raise NotTrustedError(
            f"no receipt in {quoted(workspace.location)} names what is in {quoted(name)}",
            step=12,
            hint="it was changed since its run, or its run left no receipt in this registry",
        )
    best = made[0]
    if best.refused is not None:
        raise NotTrustedError(
            f"{quoted(name)} is not as the receipt {best.run.digest} can vouch for:"
            f" {best.refused.reason}",
            step=best.refused.step,
            hint="`provreg show model:…` shows every run that names one of its files",
            findings=best.findings,
        )
    return best


def _compared(signed: Sequence[ModelFile], found: Sequence[ModelFile]) -> Iterator[Finding]:
    """What is not as `signed`, by name."""
    here = {file.name: file for file in found}
    for file in signed:
        other = here.pop(file.name, None)
        if other is None:
            yield Finding("missing", file.name, expected=file.sha256)
        elif (other.sha256, other.blake3) != (file.sha256, file.blake3):
            yield Finding("changed", file.name, expected=file.sha256, found=other.sha256)
    for name, stranger in here.items():
        yield Finding("stranger", name, found=stranger.sha256)
