"""Attacks with integers that no loader could hand out as signed: a version that verifies, and that
nobody can train on; and with numbers that wrap around into others.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import provreg
import provreg.loaders.arrow
import provreg.loaders.huggingface
import provreg.loaders.numpy
import provreg.loaders.pandas
import provreg.loaders.polars
from provreg.core.rows.column import type_from_json
from provreg.errors import InputError
from provreg.readers.api import ReadOptions
from provreg.readers.tables.text import jsonlines

if TYPE_CHECKING:
    from tests.conftest import Bench

LEAST, MOST = -(2**63), 2**63 - 1
BEYOND, MOST_UNSIGNED = 2**63, 2**64 - 1
UINT64 = {"int": "uint64"}
FORMATS = ("csv", "json", "jsonl")


def written(folder: Path, format_: str, numbers: list[int]) -> Path:
    path = folder / f"t.{format_}"
    rows = [{"k": f"k{at}", "n": number} for at, number in enumerate(numbers)]
    if format_ == "csv":
        lines = ["k,n", *(f"{row['k']},{row['n']}" for row in rows)]
    elif format_ == "jsonl":
        lines = [json.dumps(row) for row in rows]
    else:
        lines = [json.dumps(rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def reading(format_: str, kind: Any = "int") -> ReadOptions:
    """JSON's values say their type; CSV's are declared."""
    types = {"n": type_from_json(kind, "n")}
    return ReadOptions(id="k", types=types if format_ == "csv" else {})


def loaded(bench: Bench, path: Path) -> provreg.VerifiedSamples:
    return provreg.load("pets", data=path, key=bench.key_file(), registry=bench.registry)


@pytest.mark.parametrize("cut", [40, 8 << 20])
@pytest.mark.parametrize("format_", FORMATS)
def test_column_that_no_loader_could_load_is_not_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, format_: str, cut: int
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", cut)
    path = written(bench.folder, format_, [0, -1, 7, BEYOND, MOST_UNSIGNED])
    with pytest.raises(InputError, match=rf"t\.{format_}', row 4: column 'n': '{BEYOND}' is no i"):
        bench.ingest(path, options=reading(format_))
    assert not list(bench.registry.glob("datasets/*/versions/*"))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("kind", "signed", "added"), [("int", [LEAST, MOST], BEYOND), (UINT64, [0, MOST_UNSIGNED], -1)]
)
def test_integers_beyond_the_signed_form_are_refused_by_whoever_reads_them(
    bench: Bench, format_: str, kind: Any, signed: list[int], added: int
) -> None:
    path = written(bench.folder, format_, signed)
    bench.ingest(path, options=reading(format_, kind))
    bench.open().verify("pets", data=[path])
    written(bench.folder, format_, [*signed, added])
    refused = rf"t\.{format_}', row 3: column 'n': '{added}' is no u?int64"
    with pytest.raises(InputError, match=refused):
        bench.open().verify("pets", data=[path])
    with pytest.raises(InputError, match=refused):
        bench.open().diff_path("pets", path)
    with pytest.raises(InputError, match=refused):
        bench.ingest(path)
    with pytest.raises(InputError, match=refused):
        provreg.loaders.arrow.table(loaded(bench, path))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("kind", "signed"), [("int", [LEAST, -1, 0, MOST]), (UINT64, [0, BEYOND, MOST_UNSIGNED])]
)
def test_the_ends_of_each_form_reach_every_loader(
    bench: Bench, format_: str, kind: Any, signed: list[int]
) -> None:
    torch = pytest.importorskip("provreg.loaders.torch", reason="needs the extra torch")
    path = written(bench.folder, format_, signed)
    bench.ingest(path, options=reading(format_, kind))
    samples = loaded(bench, path)
    assert samples.head.reading["columns"][1] == {"name": "n", "type": kind}
    options: dict[str, Any] = {"data": path, "key": bench.key_file(), "registry": bench.registry}
    rows = torch.VerifiedIterableDataset("pets", **options)
    found = {
        "samples": [sample.payload["n"] for sample in samples],
        "arrow": provreg.loaders.arrow.table(samples, ())["n"].to_pylist(),
        "pandas": provreg.loaders.pandas.frame(samples, ())["n"].tolist(),
        "polars": provreg.loaders.polars.frame(samples, ())["n"].to_list(),
        "numpy": provreg.loaders.numpy.arrays(samples).x.ravel().tolist(),
        "torch": [sample.payload["n"] for sample in rows],
        "huggingface": provreg.loaders.huggingface.dataset(samples)["n"][:],
    }
    assert found == dict.fromkeys(found, signed)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_way_out_that_the_hint_names_works(bench: Bench, format_: str) -> None:
    numbers = [0, -1, MOST_UNSIGNED]
    path = written(bench.folder, format_, numbers)
    with pytest.raises(InputError) as caught:
        bench.ingest(path, options=reading(format_))
    hint = str(caught.value.hint)
    named = re.findall(r"NAME:([a-z]+\b|\{\S+?\})", hint)
    assert named == ['{"int":"uint64"}', '{"decimal128":0}', "text"]
    said = ("ingest", path, "--id", "k", "--source", "s", "--sign", f"key:{bench.key_file()}"[:-4])
    for at, kind in enumerate(named):
        held: list[Any] = list(map(Decimal, numbers))
        if "uint64" in kind:  # for integers that are none below 0
            held = [number for number in numbers if number >= 0]
            written(bench.folder, format_, held)
        elif kind == "text":
            held = list(map(str, numbers))
            written(bench.folder, format_, held)
        else:
            written(bench.folder, format_, numbers)
        done = bench.run(*said, "--name", f"d{at}", "--column", f"n:{kind}")
        assert done.returncode == 0, done.stderr
        trusted = {"data": path, "key": bench.key_file(), "registry": bench.registry}
        samples = provreg.load(f"d{at}", **trusted)
        assert provreg.loaders.arrow.table(samples, ())["n"].to_pylist() == held
        assert provreg.loaders.huggingface.dataset(samples)["n"][:] == held
        assert provreg.loaders.polars.frame(samples, ())["n"].to_list() == held
        assert provreg.loaders.pandas.frame(samples, ())["n"].tolist() == held


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
@pytest.mark.parametrize("digits", [39, 45, 60])
def test_decimal_that_would_wrap_around_is_refused(bench: Bench, format_: str, digits: int) -> None:
    path = written(bench.folder, format_, [1, int("9" * digits)])
    types = {"n": type_from_json({"decimal128": 0}, "n")}
    with pytest.raises(InputError, match=r"row 2: column 'n': '9+' is no decimal"):
        bench.ingest(path, options=ReadOptions(id="k", types=types))
    written(bench.folder, format_, [1, int("9" * 38)])
    bench.ingest(path, options=ReadOptions(id="k", types=types))
    assert [sample.payload["n"] for sample in loaded(bench, path)] == [1, int("9" * 38)]
