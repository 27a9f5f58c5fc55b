"""The check `annotators`: reliability on crowd labels whose truth is known, and colluders."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from conftest import Bench
from tabular import write_rows

from provreg.readers.api import LabelsOptions, ReadOptions
from provreg.screening.api import Finding, Severity
from provreg.screening.statistics.agreement import Agreement, agreement

CROWD = Path(__file__).resolve().parents[4] / "shared/data/crowd"


def _read(name: str) -> list[dict[str, str]]:
    path = CROWD / f"{name}.csv"
    if not path.exists():
        pytest.skip("needs ../shared/data/crowd")
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _estimated(name: str) -> tuple[Agreement, list[dict[str, str]], list[list[str]]]:
    rows = _read(name)
    columns = [sorted({row[key] for row in rows}) for key in ("item", "labeler", "label")]
    codes = [
        np.searchsorted(np.array(values), [row[key] for row in rows])
        for values, key in zip(columns, ("item", "labeler", "label"), strict=True)
    ]
    shape = tuple(map(len, columns))
    return agreement(*codes, shape=shape), rows, columns  # type: ignore[arg-type]


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The probability that a positive has the lower score."""
    low, high = scores[positive], scores[~positive]
    below = (low[:, None] < high).mean()
    return float(below + (low[:, None] == high).mean() / 2)


@pytest.mark.parametrize(
    ("name", "least_auc", "least_right"),
    [("ducks", 0.98, 0.884), ("dogs", 0.915, 0.838), ("products", 0.995, 0.935)],
)
def test_reliability_ranks_the_worst_and_the_aggregate_is_right(
    name: str, least_auc: float, least_right: float
) -> None:
    found, rows, (items, people, classes) = _estimated(name)
    truth = {row["item"]: row["label"] for row in _read(f"{name}-truth")}
    labels = [classes[code] for code in found.labels()]
    right = [
        label == truth[item] for item, label in zip(items, labels, strict=True) if item in truth
    ]
    assert np.mean(right) >= least_right
    answers: dict[str, list[bool]] = {}
    for row in rows:
        if row["item"] in truth:
            answers.setdefault(row["labeler"], []).append(row["label"] == truth[row["item"]])
    known = [place for place, person in enumerate(people) if len(answers.get(person, ())) >= 20]
    correct = np.array([np.mean(answers[people[place]]) for place in known])
    worst = correct <= np.quantile(correct, 0.25)
    assert _auc(found.reliability()[known], worst) >= least_auc


def _screened(
    bench: Bench, answers: Mapping[str, Mapping[str, str]], gold: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """The findings in `answers`, labels by labeler by sample."""
    data = write_rows(
        bench.folder / "items.csv", [{"id": item, "text": item} for item in answers], ("id", "text")
    )
    labels = write_rows(
        bench.folder / "labels.csv",
        [
            {"id": item, "labeler": person, "label": label}
            for item, by in answers.items()
            for person, label in by.items()
        ],
        ("id", "labeler", "label"),
    )
    bench.ingest(
        data,
        options=ReadOptions(id="id"),
        labels=labels,
        labels_options=LabelsOptions(aggregate="majority"),
    )
    truth = None
    if gold is not None:
        rows = [{"id": item, "label": label} for item, label in gold.items()]
        truth = write_rows(bench.folder / "gold.csv", rows, ("id", "label"))
    return bench.open().screen("pets", checks=["annotators"], gold=truth).findings


def _of_crowd(name: str) -> dict[str, dict[str, str]]:
    answers: dict[str, dict[str, str]] = {}
    for row in _read(name):
        answers.setdefault(row["item"], {})[row["labeler"]] = row["label"]
    return answers


@pytest.mark.parametrize(
    ("name", "least", "most"), [("faces", 0, 0), ("ducks", 0, 0), ("dogs", 1, 5)]
)
def test_labelers_of_crowds(bench: Bench, name: str, least: int, most: int) -> None:
    """Where labelers hardly differ nobody is named."""
    named = [found for found in _screened(bench, _of_crowd(name)) if found.effect is not None]
    assert least <= len(named) <= most
    for found in named:
        assert found.severity is not Severity.NOTE
        assert len(found.ids) >= 20


def _colluding(
    share: float, samples: int = 200
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Answers of twenty people to samples of two classes; a `share` of them swap every label."""
    chance = np.random.default_rng(2)
    truth = {f"s{number:03}": str(number % 2) for number in range(samples)}
    answers: dict[str, dict[str, str]] = {}
    for item, label in truth.items():
        for person in chance.choice(20, 6, replace=False):
            wrong = person < share * 20 or chance.random() < 0.05
            given = str(1 - int(label)) if wrong else label
            answers.setdefault(item, {})[f"w{person:02}"] = given
    return answers, truth


def _named(findings: tuple[Finding, ...]) -> set[str]:
    return {found.group["labeler"] for found in findings if found.severity is not Severity.NOTE}


def test_colluders_who_are_few_are_named(bench: Bench) -> None:
    answers, _ = _colluding(0.25)
    assert _named(_screened(bench, answers)) == {f"w{person:02}" for person in range(5)}


def test_attack_most_labelers_collude_and_gold_finds_them(bench: Bench) -> None:
    answers, truth = _colluding(0.6)
    gold = {item: truth[item] for item in list(truth)[:90]}
    colluders = {f"w{person:02}" for person in range(12)}
    by_gold = [
        found for found in _screened(bench, answers, gold) if found.group.get("answers") == "gold"
    ]
    assert _named(tuple(by_gold)) == colluders


def test_answers_that_are_free_text(bench: Bench) -> None:
    answers = {
        f"s{number}": {f"w{person}": f"text {number} {person}" for person in range(4)}
        for number in range(1500)
    }
    findings = _screened(bench, answers)
    assert ["too many" in found.seen for found in findings] == [True]


def test_attack_names_of_annotators_written_as_sql(bench: Bench) -> None:
    answers, _ = _colluding(0.25)
    hostile = "w'] or true --"
    renamed = {
        item: {hostile if person == "w00" else person: label for person, label in by.items()}
        for item, by in answers.items()
    }
    [found] = [one for one in _screened(bench, renamed) if one.group.get("labeler") == hostile]
    assert set(found.ids) == {item for item, by in renamed.items() if hostile in by}


def test_agreement_smooths_with_all_answers_together() -> None:
    """Three answers a labeler: an own matrix alone would call honest people unreliable."""
    chance = np.random.default_rng(0)
    truth = chance.integers(0, 2, 300)
    samples = np.repeat(np.arange(300), 3)
    labelers = chance.permutation(900) // 3
    answers = np.where(chance.random(900) < 0.05, 1 - truth[samples], truth[samples])
    found = agreement(samples, labelers, answers, shape=(300, 300, 2))
    assert (found.labels() == truth).mean() >= 0.97
    assert (found.reliability() < 0.5).mean() <= 0.01
