"""Findings are left out of training, or weigh less: in PyTorch, scikit-learn and ART."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Bench
from tabular import Row, ingest_rows

import provreg
from provreg.errors import NotFoundError, UsageError
from provreg.flows.screen.screen import Screening
from provreg.loaders.samples import VerifiedSamples
from provreg.screening.api import Severity


def _rows() -> list[Row]:
    return [
        {
            "id": f"s{number:04}",
            "text": str(number % 4 + number % 7 / 10),
            "label": f"class {number % 4}",
            "source": "shop",
            "labeler": f"ann{number // 7 % 8}",
        }
        for number in range(2000)
    ]


def _rows_with_own_texts() -> list[Row]:
    """Rows of equal bytes would be paired in the order of their ids."""
    return [{**row, "text": f"own {row['id']}"} for row in _rows()]


@pytest.fixture
def screening(bench: Bench) -> Screening:
    """Of a dataset in which mallory flipped 60 labels."""
    rows = _rows()
    ingest_rows(bench, rows)
    for row in rows[1:240:4]:
        row["label"], row["labeler"] = "class 2", "mallory"
    ingest_rows(bench, rows)
    return bench.open().screen("pets", checks=["relabels"])


@pytest.fixture
def flipped() -> list[str]:
    return [str(row["id"]) for row in _rows()[1:240:4]]


def _load(bench: Bench, **options: Any) -> VerifiedSamples:
    data = bench.folder / "data/rows.csv"
    return provreg.load("pets", data=data, registry=bench.registry, key=bench.key_file(), **options)


def test_what_was_found_is_left_out(bench: Bench, screening: Screening, flipped: list[str]) -> None:
    assert screening.ids() == flipped
    samples = _load(bench, select=provreg.Selection(exclude=screening.ids()))
    assert len(samples) == 1940
    assert not {sample.id for sample in samples} & set(flipped)


def test_notes_leave_nothing_out(bench: Bench) -> None:
    ingest_rows(bench, _rows())
    found = bench.open().screen("pets")
    assert found.ids() == []
    assert found.ids(Severity.ERROR) == []
    assert len(_load(bench, select=provreg.Selection(exclude=found.ids()))) == 2000


def test_attack_a_renamed_sample_is_not_silently_loaded(bench: Bench, screening: Screening) -> None:
    """An exclusion list that does not fit the version says so."""
    with pytest.raises(NotFoundError, match="no sample 's9999' to exclude"):
        _load(bench, select=provreg.Selection(exclude=[*screening.ids(), "s9999"]))
    with pytest.raises(NotFoundError, match="no sample 's9999' to weigh"):
        _load(bench).weights({"s9999": 0.5})


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_are_numbers(bench: Bench, screening: Screening, weight: float) -> None:
    with pytest.raises(UsageError, match="weights are numbers"):
        _load(bench).weights(screening.weights(weight))


def test_weights_are_in_the_order_of_the_samples(
    bench: Bench, screening: Screening, flipped: list[str]
) -> None:
    samples = _load(bench, select=provreg.Selection(label=("class 1", "class 2")))
    weights = samples.weights(screening.weights(0.25))
    ids = samples.entries.column("id").to_pylist()
    assert {sample for sample, weight in zip(ids, weights, strict=True) if weight == 0.25} == set(
        flipped
    )
    assert weights.sum() == len(samples) - 60 * 0.75


def test_pytorch_draws_none_of_weight_zero(
    bench: Bench, screening: Screening, flipped: list[str]
) -> None:
    data = pytest.importorskip("torch.utils.data", reason="torch is not installed")
    samples = _load(bench)
    weights = samples.weights(screening.weights())
    drawn = list(data.WeightedRandomSampler(weights, 4000))
    ids = samples.entries.column("id").to_pylist()
    assert not {ids[place] for place in drawn} & set(flipped)


def test_scikit_learn_and_art_weigh_samples(bench: Bench, screening: Screening) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="sklearn is not installed")
    art = pytest.importorskip("art.estimators.classification", reason="art is not installed")
    samples = _load(bench)
    features, labels = np.zeros((len(samples), 1)), samples.targets
    texts = {sample.id: float(sample.payload["text"]) for sample in samples}  # type: ignore[index]
    features[:, 0] = [texts[sample] for sample in samples.entries.column("id").to_pylist()]
    weights = samples.weights(screening.weights())
    weighed = linear_model.LogisticRegression(max_iter=1000)
    weighed.fit(features, labels, sample_weight=weights)
    alone = linear_model.LogisticRegression(max_iter=1000)
    alone.fit(features[weights > 0], labels[weights > 0])
    np.testing.assert_allclose(weighed.coef_, alone.coef_, atol=1e-2)
    one_hot = np.eye(len(samples.classes))[labels]
    model = linear_model.LogisticRegression(max_iter=1000)
    wrapped = art.SklearnClassifier(model=model)
    wrapped.fit(features, one_hot, sample_weight=weights)
    np.testing.assert_allclose(model.coef_, weighed.coef_, atol=1e-3)


def test_attack_what_was_flipped_is_renamed_afterwards(
    bench: Bench, screening: Screening, flipped: list[str]
) -> None:
    """The ids of a finding are those of the screened version, not of the night of the flip."""
    rows = _rows_with_own_texts()
    ingest_rows(bench, rows)
    for row in rows[1:240:4]:
        row["label"], row["labeler"] = "class 3", "mallory"
    ingest_rows(bench, rows)
    for row in rows:
        row["id"] = f"renamed/{row['id']}"
    ingest_rows(bench, rows[:1] + rows[5:])  # the first of the flipped is removed
    found = bench.open().screen("pets", against="pets@3", checks=["relabels"])
    assert found.ids() == [f"renamed/{sample}" for sample in flipped[1:]]
    samples = _load(bench, select=provreg.Selection(exclude=found.ids()))
    assert len(samples) == 1996 - 59


def test_an_id_that_is_taken_again_names_another_sample(
    bench: Bench, screening: Screening, flipped: list[str]
) -> None:
    """What was flipped is removed; later an honest sample gets its id."""
    rows = _rows_with_own_texts()
    ingest_rows(bench, rows)
    for row in rows[1:240:4]:
        row["label"], row["labeler"] = "class 3", "mallory"
    ingest_rows(bench, rows)
    ingest_rows(bench, rows[:1] + rows[2:])
    rows[1] = {**rows[1], "text": "another", "label": "class 1", "labeler": "ann2"}
    ingest_rows(bench, rows)
    found = bench.open().screen("pets", against="pets@3", checks=["relabels"])
    assert found.ids() == flipped[1:]


def test_attack_two_samples_swap_their_names(
    bench: Bench, screening: Screening, flipped: list[str]
) -> None:
    """The name of a flipped sample, given to an honest one, does not change who is named."""
    rows = _rows_with_own_texts()
    honest = [dict(row) for row in rows]
    ingest_rows(bench, rows)
    for row in rows[1:240:4]:
        row["label"], row["labeler"] = "class 3", "mallory"
    ingest_rows(bench, rows)
    rows[1]["id"], rows[2]["id"] = rows[2]["id"], rows[1]["id"]
    ingest_rows(bench, rows)
    found = bench.open().screen("pets", against="pets@3", checks=["relabels"])
    assert set(found.ids()) == {*flipped[1:], honest[2]["id"]}
