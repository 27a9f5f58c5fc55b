"""Writes docs/attacks/README.md from what the attacks come to."""

# ruff: noqa: E501

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from benchmarks.attacks import attacks, others
from benchmarks.attacks.pictures import CIFAR10, Pictures, cifar10, digits
from benchmarks.attacks.world import Attack, Outcome, Success, at_rest, by_insider

Result = TypeVar("Result")

PAGE = Path(__file__).parents[2] / "docs/attacks/README.md"
SEED = 1
ATTACKS: dict[str, Attack] = {
    "Label flipping, random": attacks.random_flips,
    "Label flipping, targeted": attacks.targeted_flips,
    "Flips under a name that looks like another's": attacks.look_alike,
    "Backdoor trigger": attacks.triggers,
    "Clean-label feature collision": attacks.collisions,
    "Outlier injection": attacks.outliers,
    "Flooding with near-duplicates": attacks.flood,
}
SUCCESS: dict[str, Success] = {
    "Backdoor trigger": attacks.triggered,
    "Clean-label feature collision": attacks.collided,
}
SECTIONS: dict[str, Callable[[], Pictures]] = {
    "Handwritten digits": digits,
    "CIFAR-10": cifar10,
}
_COLUMNS = (
    "| attack | at rest | poisoned | flagged | precision | recall | named | by the checks"
    " | accuracy: clean | poisoned | flagged left out | success: clean | poisoned"
    " | flagged left out |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
)
_HEAD = """\
# Attacks, and what provreg says of each

<!-- Made by `python -m benchmarks.attacks`; the long tests make it anew and compare. -->

Two attackers. **At rest**: somebody changes the data after they were signed. **Insider**: somebody whose work is signed like
everybody's poisons four versions in a row, while ten honest people change 1 % of the labels. The data are 1,297
handwritten digits (scikit-learn's, 8 x 8 pixels enlarged to 16 x 16), and 3,000 pictures of CIFAR-10. Five cameras and ten labelers are
made up. Accuracy is that of a logistic regression on 500 other digits, or 1,000 other pictures: of pixels for digits, of edges
and colours for CIFAR-10. All numbers are of one seed.

The insider makes nothing but poison, and triggers and outliers come from a new source of their own. Collisions come from the
known cameras, and the flood from one of them. An insider who also works honestly is harder to see.

*Flagged* are samples in warnings and errors of `provreg screen --phash`. *Precision* is the share of them that is
poison, *recall* the share of the poison that is flagged: with a trigger, the honest originals of the copies are flagged too.
*Success* is the share of other held-out pictures that a trigger makes a zero (in CIFAR-10 an airplane), and of a collision whether the
model takes its victim, which is held out, for one. *Named* says whether such a finding is about the insider, their source or their false name. Flagged or not, every sample has its source,
its labeler and its signer in `provreg diff` and `provreg blame`.

"""
_TAIL = """
## What provreg cannot see

- **Clean-label perturbations.** Their labels are right, their bytes are new, and nothing in a manifest tells them from others, even where their
  originals are in the dataset: a blend with another picture is too far from both. In CIFAR-10 `mixes` names the insider for labeling one class
  only; one who also labels others is not seen. Features will see more; that is a later page.
- **A label that was wrong when it was first signed**, by somebody who labels as many wrong as everybody.
- **Whoever stays below what honest people differ by**: about ten samples, or twice the rate of the others.
- **Triggers in new pictures or texts** from a source that brings as much as before.
- **What most signers do together.** A policy can ask for several of them; screening compares people with each other.

Not here yet: attacks seen by features, gradients of federated clients, and poisoning of a stream.

## How much these attacks matter

On CIFAR-10, from scratch, under one protocol and averaged over three architectures, feature collision makes the chosen picture be misclassified in 1.3 % of the tries, bullseye polytope in
2.3 %, and Witches' Brew in 26 % (Schwarzschild and others 2021, "Just How Toxic is Data Poisoning?", ICML). 250 documents are
enough for a backdoor in language models of 600 million to 13 billion parameters (Souly and others 2025).
"""


def main() -> None:
    for data in (others.TOOLFORMER, CIFAR10):
        if not data.exists():
            sys.exit(f"the data are not there: {data}")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")


def page() -> str:
    """The page's text."""
    tables = [
        ([row(name, pictures()) for name in ATTACKS], honest_work(pictures()))
        for pictures in SECTIONS.values()
    ]
    return assembled(tables, other_rows())


def assembled(tables: Sequence[tuple[list[str], str]], rest: list[str]) -> str:
    """The page of these rows: for each section those of attacks, and what honest work comes to."""
    lines: list[str] = []
    for section, (rows, honest) in zip(SECTIONS, tables, strict=True):
        lines += [f"## {section}", "", *_COLUMNS, *rows, "", honest, ""]
    lines += ["## Models, views, texts", "", "| attack | what provreg says |", "|---|---|", *rest]
    return _HEAD + "\n".join(lines) + "\n" + _TAIL


def other_rows() -> list[str]:
    """The rows of a changed model, a split view and trigger texts."""
    model = _in_folder(others.changed_model)
    view = _in_folder(others.split_view)
    refused, warned, noted = _in_folder(others.trigger_texts)
    return [
        f"| Direct change of model parameters | `verify model:` refuses, {_plain(model)} |",
        f"| Split view of a URL: one reader gets other bytes | `verify --data` refuses, {view} |",
        f"| {others.TRIGGERED} documents with a trigger among 7,400, at rest |"
        f" `verify --data` refuses, {refused} |",
        f"| the same by an insider, over five nights, from a known source (`--minhash`) |"
        f" warnings: {', '.join(warned) or 'none'}; notes: {', '.join(noted) or 'none'} |",
    ]


def honest_work(pictures: Pictures) -> str:
    """The line of what is flagged where nobody attacks."""
    clean = _in_folder(lambda folder: by_insider(folder, pictures, attacks.nothing, SEED))
    flagged = f"{clean.flagged} samples flagged, by {', '.join(clean.checks) or 'no check'}"
    notes = ", ".join(clean.notes) or "none"
    return f"Honest work alone: {flagged} (notes: {notes}); accuracy {clean.attacked:.3f}."


def row(name: str, pictures: Pictures) -> str:
    """The row of an attack on these pictures, at rest and by an insider."""
    attack, success = ATTACKS[name], SUCCESS.get(name)
    found = _in_folder(lambda folder: at_rest(folder, pictures, attack, SEED))
    outcome: Outcome = _in_folder(
        lambda folder: by_insider(folder, pictures, attack, SEED, success)
    )
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.items())
    if not kinds:
        raise AssertionError(f"{name}: at rest, nothing was refused")
    precision = f"{outcome.found / outcome.flagged:.2f}" if outcome.flagged else "-"
    recall = f"{outcome.found / outcome.poisoned:.2f}" if outcome.poisoned else "-"
    checks = ", ".join(outcome.checks) or "none"
    shares = ["-"] * 3 if outcome.success is None else [f"{one:.2f}" for one in outcome.success]
    cells = [
        name,
        f"refused: {kinds}",
        str(outcome.poisoned),
        str(outcome.flagged),
        precision,
        recall,
        "yes" if outcome.named else "no",
        checks,
        f"{outcome.clean:.3f}",
        f"{outcome.attacked:.3f}",
        f"{outcome.cleaned:.3f}",
        *shares,
    ]
    return f"| {' | '.join(cells)} |"


def _plain(refusal: str) -> str:
    """A refusal without paths and digests, which differ from run to run."""
    step, _, reason = refusal.partition(":")
    if "no receipt" not in reason:
        raise AssertionError(f"the changed model was not refused for its files: {refusal}")
    return f"{step}: no receipt names these files"


def _in_folder(act: Callable[[Path], Result]) -> Result:
    with TemporaryDirectory() as folder:
        return act(Path(folder))


if __name__ == "__main__":
    main()
