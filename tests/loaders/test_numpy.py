"""Arrays as scikit-learn, ART and TensorFlow take them, with a provenance matrix that is signed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LogisticRegression

import provreg
from provreg.loaders.numpy import Arrays, arrays

Publish = Callable[..., None]
Load = Callable[..., provreg.VerifiedSamples]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def table(tmp_path: Path, publish: Publish) -> Path:
    rows = [
        {"id": "b", "a": 1, "b": 0.5, "y": "pos", "from": "shop", "who": "ann"},
        {"id": "a", "a": None, "b": 1.5, "y": "neg", "from": "crawl", "who": None},
        {"id": "c", "a": 3, "b": -2.0, "y": None, "from": "shop", "who": "bob"},
    ]
    path = jsonl(tmp_path / "rows.jsonl", rows)
    publish(path, id="id", label="y", source_column="from", labeler_column="who", labeler=None)
    return path


def test_rows_are_their_numbers_with_signed_labels_and_provenance(
    table: Path, load_data: Load
) -> None:
    made = arrays(load_data(table))
    np.testing.assert_array_equal(made.x, [[1, 0.5], [np.nan, 1.5], [3, -2]])
    assert made.y.tolist() == [1, 0, -1]
    assert made.ids.tolist() == ["b", "a", "c"]
    assert (made.classes, made.origins) == (("neg", "pos"), ("crawl", "shop"))
    assert made.provenance.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert made.one_hot().tolist() == [[0, 1], [1, 0], [0, 0]]


def test_provenance_by_labeler_has_a_column_for_nobody(table: Path, load_data: Load) -> None:
    made = arrays(load_data(table), by="labeler")
    assert made.origins == ("ann", "bob", None)
    assert made.provenance.argmax(axis=1).tolist() == [0, 2, 1]


def test_lists_of_one_length_are_a_matrix(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{"v": [1.0, 2.0]}, {"v": [3.0, 4.0]}])
    publish(path)
    samples = load_data(path)
    assert arrays(samples).x.tolist() == [[1, 2], [3, 4]]
    assert arrays(samples, decode=lambda row: row["v"][0]).x.tolist() == [1, 3]
    with pytest.raises(provreg.InputError, match=r"has type float64 and shape \(1,\), the first"):
        arrays(samples, decode=lambda row: row["v"] if row["v"][0] == 1 else row["v"][:1])


def test_what_holds_no_numbers_needs_a_decoder(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{"text": "abc", "v": [1]}, {"text": "d", "v": [1, 2]}])
    publish(path, label="text")
    with pytest.raises(provreg.UsageError, match="equally long lists"):
        arrays(load_data(path))
    publish(path, label="none")
    with pytest.raises(provreg.UsageError, match="column 'text' is not numeric"):
        arrays(load_data(path))
    made = arrays(load_data(path), decode=lambda row: len(row["text"]))
    assert (made.x.tolist(), made.y.tolist(), made.classes) == ([3, 1], [-1, -1], ("abc", "d"))


@pytest.mark.parametrize("values", [[2**53 + 1, None], [-(2**53) - 1, None], [2**63 - 1, None],
                                    [2**60, None, 2**62 + 1]])  # fmt: skip
def test_integers_that_a_float_would_round_are_refused(
    tmp_path: Path, publish: Publish, load_data: Load, values: list[int | None]
) -> None:
    rounded = next(one for one in values if one is not None and int(float(one)) != one)
    says = f"column 'n' holds the integer {abs(rounded)}, which float64 would round"
    path = jsonl(tmp_path / "rows.jsonl", [{"n": one} for one in values])
    publish(path)
    with pytest.raises(provreg.InputError, match=says):
        arrays(load_data(path))
    made = arrays(load_data(path), decode=lambda row: np.array([row["n"] or 0], np.int64))
    assert made.x.ravel().tolist() == [one or 0 for one in values]


def test_integers_beside_floats_or_in_a_matrix_are_exact_or_refused(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{"f": 0.5, "n": 2**53 + 1}])
    publish(path)
    with pytest.raises(provreg.InputError, match="column 'n' holds the integer 9007199254740993"):
        arrays(load_data(path))
    path = jsonl(tmp_path / "rows.jsonl", [{"f": 0.5, "n": 2**62 + 2**10}, {"f": 1, "n": -(2**63)}])
    publish(path)
    assert arrays(load_data(path)).x.tolist() == [[0.5, 2**62 + 2**10], [1, -(2**63)]]


def test_integers_that_a_matrix_of_floats_would_round_are_refused(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = jsonl(tmp_path / "lists.jsonl", [{"v": [1, None]}, {"v": [2**53 + 1, 2]}])
    publish(path)
    with pytest.raises(provreg.InputError, match="column 'v' holds the integer 9007199254740993"):
        arrays(load_data(path))


def test_images_are_decoded_alike_or_not_at_all(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    def png(width: int) -> bytes:
        file = io.BytesIO()
        Image.new("L", (width, 3), 7).save(file, "PNG")
        return file.getvalue()

    data = tmp_path / "images"
    (data / "cat").mkdir(parents=True)
    for name, width in (("1.png", 2), ("2.png", 2)):
        (data / "cat" / name).write_bytes(png(width))
    publish(data)
    made = arrays(load_data(data))
    assert (made.x.shape, made.x.dtype, made.x[0, 0, 0].tolist()) == (
        (2, 3, 2, 3),
        "uint8",
        [7] * 3,
    )
    assert arrays(load_data(data), decode=len).x.tolist() == [len(png(2))] * 2
    (data / "cat" / "3.png").write_bytes(png(5))
    publish(data)
    with pytest.raises(
        provreg.InputError, match=r"'cat/3.png' has type uint8 and shape \(3, 5, 3\)"
    ):
        arrays(load_data(data))


@pytest.mark.parametrize("decode", [None, lambda row: row["b"]], ids=["columns", "decoded"])
def test_a_poisoned_table_is_no_array(
    table: Path, load_data: Load, decode: Callable[[Any], Any] | None
) -> None:
    table.write_text(table.read_text().replace("1.5", "1.6"))
    with pytest.raises(provreg.SampleError, match="'a' of d@1"):
        arrays(load_data(table), decode=decode)


# Real defences and estimators


def four_sources(features: Any, labels: Any) -> list[dict[str, Any]]:
    """Rows from four sources in turn; those of source-2 have the other label."""
    return [
        {"id": f"{at:04}", "v": [float(one) for one in row], "from": f"source-{at % 4}",
         "y": int((label + (at % 4 == 2)) % 2)}
        for at, (row, label) in enumerate(zip(features, labels, strict=True))
    ]  # fmt: skip


@pytest.fixture
def flipped(tmp_path: Path, publish: Publish, load_data: Load) -> tuple[Arrays, Any, Any]:
    """300 samples of which source-2's have the other label, and 100 trusted ones."""
    x, y = make_classification(400, 8, n_informative=6, n_redundant=0, random_state=1)
    path = jsonl(tmp_path / "rows.jsonl", four_sources(x[100:], y[100:]))
    publish(path, id="id", label="y", source_column="from")
    return arrays(load_data(path)), x[:100], np.eye(2)[y[:100]]


def accuracy(true: Any, predicted: Any) -> float:
    return float((true.argmax(axis=1) == predicted.argmax(axis=1)).mean())


def test_scikit_learn_trains_on_verified_arrays(flipped: tuple[Arrays, Any, Any]) -> None:
    made, x, y = flipped
    honest = made.provenance[:, made.origins.index("source-2")] == 0
    scores = [
        LogisticRegression().fit(made.x[rows], made.y[rows]).score(x, y.argmax(axis=1))
        for rows in (honest, ~honest)
    ]
    assert scores[0] > 0.75 > 0.25 > scores[1]


def test_art_finds_the_poisoned_source_by_our_matrix(flipped: tuple[Arrays, Any, Any]) -> None:
    from art.defences.detector.poison import ProvenanceDefense
    from art.estimators.classification import SklearnClassifier

    made, x, y = flipped
    defence = ProvenanceDefense(
        SklearnClassifier(LogisticRegression()), made.x, made.one_hot(), made.provenance, x, y,
        eps=0.0, perf_func=accuracy,
    )  # fmt: skip
    report, clean = defence.detect_poison()
    assert [made.origins[column] for column in report] == ["source-2"]
    from_source_2 = made.provenance[:, made.origins.index("source-2")] == 1
    assert (np.asarray(clean) == ~from_source_2).all()


def test_art_rejects_single_samples_of_verified_arrays(flipped: tuple[Arrays, Any, Any]) -> None:
    from art.defences.detector.poison import RONIDefense
    from art.estimators.classification import SklearnClassifier

    made, x, y = flipped
    some = slice(0, 40)
    defence = RONIDefense(
        SklearnClassifier(LogisticRegression()), made.x[some], made.one_hot()[some], x, y,
        perf_func=accuracy, calibrated=False, eps=0.05,
    )  # fmt: skip
    report, clean = defence.detect_poison()
    assert len(clean) == 40
    assert {at for at, is_clean in enumerate(clean) if not is_clean} == set(report)


def test_art_takes_equal_pixels_for_equal_rows_and_keeps_none() -> None:
    """Of ART 1.20.1 (docs/guides/loaders.md): when this fails, say there that it is mended."""
    from art.defences.detector.poison import ProvenanceDefense

    x, y = load_digits(return_X_y=True)
    kept, _ = ProvenanceDefense.filter_input(x[100:500], y[100:500], x[:100])
    assert len(kept) == 0


def test_keras_trains_on_verified_arrays(flipped: tuple[Arrays, Any, Any]) -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    made, x, _ = flipped
    model = tensorflow.keras.Sequential(
        [tensorflow.keras.Input((made.x.shape[1],)), tensorflow.keras.layers.Dense(2)]
    )
    loss = tensorflow.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    model.fit(made.x, made.y, epochs=1, verbose=0)
    assert model.predict(x, verbose=0).shape == (100, 2)
