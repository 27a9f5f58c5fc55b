"""Tables that whoever writes the data changes after a pass over them: what is remembered of their
rows stands for those bytes alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_footers import moved

import provreg
from provreg.errors import NotTrustedError, SampleError
from provreg.loaders import arrow, numpy
from provreg.readers.tables.parquet.checked_file import CHUNK

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

ROWS, GROUP = 1003, 100

# What is handed out of a table's texts by one loader.
Texts = Callable[[provreg.VerifiedSamples], list[str]]


def rows(word: str, count: int = ROWS) -> pa.Table:
    columns = {
        "key": [f"row-{row:05d}" for row in range(count)],
        "text": [f"{word} {row:05d}" * 60 for row in range(count)],
        "number": list(range(count)),
        "y": ["a", "b"] * (count // 2) + ["a"] * (count % 2),
    }
    return pa.table(columns)


def write(path: Path, table: pa.Table, *, after: int = 0, group: int = GROUP) -> Path:
    """A table in row groups, behind `after` zeros."""
    data = io.BytesIO()
    pq.write_table(table, data, row_group_size=group, compression="none", use_dictionary=False)
    path.write_bytes(moved(data.getvalue(), after))
    return path


def iterated(samples: provreg.VerifiedSamples) -> list[str]:
    return [sample.payload["text"] for sample in samples]  # type: ignore[call-overload]


def as_arrow(samples: provreg.VerifiedSamples) -> list[str]:
    texts: list[str] = arrow.table(samples)["text"].to_pylist()
    return texts


def as_batches(samples: provreg.VerifiedSamples) -> list[str]:
    return [text for batch in arrow.reader(samples) for text in batch["text"].to_pylist()]


def as_pandas(samples: provreg.VerifiedSamples) -> list[str]:
    pytest.importorskip("pandas", reason="pandas is not installed")
    from provreg.loaders.pandas import frame

    return list(frame(samples)["text"])


def as_polars(samples: provreg.VerifiedSamples) -> list[str]:
    pytest.importorskip("polars", reason="polars is not installed")
    from provreg.loaders.polars import frame

    return list(frame(samples)["text"])


def as_numpy(samples: provreg.VerifiedSamples) -> list[str]:
    return [str(text) for text in numpy.arrays(samples, decode=lambda row: row["text"]).x]


def as_hugging_face(samples: provreg.VerifiedSamples) -> list[str]:
    pytest.importorskip("datasets", reason="datasets is not installed")
    from provreg.loaders.huggingface import dataset

    return list(dataset(samples)["text"])


def text_of(sample: provreg.Sample) -> str:
    text: str = sample.payload["text"]  # type: ignore[call-overload]
    return text


def as_torch(samples: provreg.VerifiedSamples, *, workers: int) -> list[str]:
    pytest.importorskip("torch", reason="torch is not installed")
    from torch.utils.data import DataLoader

    from provreg.loaders.torch import VerifiedIterableDataset, _own_rank

    made = VerifiedIterableDataset.__new__(VerifiedIterableDataset)
    made.verified, made.transform, made._rank = samples, text_of, _own_rank(0, 1)
    return list(DataLoader(made, batch_size=None, num_workers=workers))


def verified(samples: provreg.VerifiedSamples) -> list[str]:
    samples.verify_data()
    return [text * 60 for text in (f"good {row:05d}" for row in range(ROWS))]


LOADERS: dict[str, Texts] = {
    "iteration": iterated,
    "arrow": as_arrow,
    "batches": as_batches,
    "pandas": as_pandas,
    "polars": as_polars,
    "numpy": as_numpy,
    "huggingface": as_hugging_face,
    "torch": partial(as_torch, workers=0),
    "torch, two workers": partial(as_torch, workers=2),
    "verify --data": verified,
}


@pytest.fixture
def path(bench: Any, tmp_path: Path) -> Path:
    path = write(tmp_path / "t.parquet", rows("good"))
    how = provreg.ReadOptions(id="key", label="y")
    bench.ingest(path, name="d", options=how)
    return path


@pytest.fixture
def load(bench: Any, path: Path) -> Callable[..., provreg.VerifiedSamples]:
    return partial(provreg.load, "d", data=path, key=bench.key_file(), registry=bench.registry)


def memos(samples: provreg.VerifiedSamples) -> list[Path]:
    return list((samples.workspace.cache.parents[1] / "rows").iterdir())


@pytest.mark.parametrize(
    ("first", "loader"), [*(("a pass", loader) for loader in LOADERS), ("verify --data", "arrow")]
)
def test_new_table_behind_zeros_where_the_remembered_one_ended(
    path: Path, load: Callable[..., provreg.VerifiedSamples], loader: str, first: str
) -> None:
    """Every chunk that is read of it has a number that the memo lacks."""
    texts = LOADERS[loader]
    good = verified(load()) if first == "verify --data" else as_arrow(load())
    assert len(memos(load())) == 1
    assert sorted(texts(load())) == sorted(good)
    for after in (-(-path.stat().st_size // CHUNK) * CHUNK, path.stat().st_size + CHUNK):
        write(path, rows("evil"), after=after)
        with pytest.raises((SampleError, NotTrustedError)):
            texts(load())


def test_new_table_behind_zeros_is_refused_row_by_row(
    path: Path, load: Callable[..., provreg.VerifiedSamples]
) -> None:
    """What may be skipped is skipped by what the rows are, not by what they were."""
    as_arrow(load())
    mixed = rows("good").to_pydict()
    mixed["text"][7] = "evil"
    write(path, pa.table(mixed), after=-(-path.stat().st_size // CHUNK) * CHUNK)
    samples = load(on_bad="skip", most_bad=0.01)
    assert arrow.table(samples, ("id",))["id"].to_pylist() == [
        key for row, key in enumerate(mixed["key"]) if row != 7
    ]


@pytest.mark.parametrize("group", [GROUP - 1, GROUP + 1, ROWS])
def test_same_rows_in_other_row_groups_are_another_file(
    path: Path, load: Callable[..., provreg.VerifiedSamples], group: int
) -> None:
    good = as_arrow(load())
    write(path, rows("good"), group=group)
    assert as_arrow(load()) == good
    write(path, rows("evil"), group=group)
    with pytest.raises(SampleError):
        as_arrow(load())


@pytest.mark.parametrize("count", [1, GROUP, ROWS - 1])
def test_fewer_rows_than_remembered(
    path: Path, load: Callable[..., provreg.VerifiedSamples], count: int
) -> None:
    as_arrow(load())
    write(path, rows("good", count), after=-(-path.stat().st_size // CHUNK) * CHUNK)
    with pytest.raises(NotTrustedError, match="missing"):
        as_arrow(load())


def test_more_rows_than_remembered(
    path: Path, load: Callable[..., provreg.VerifiedSamples]
) -> None:
    as_arrow(load())
    write(path, rows("good", ROWS + 1), after=-(-path.stat().st_size // CHUNK) * CHUNK)
    with pytest.raises(SampleError, match="no such sample"):
        as_arrow(load())
