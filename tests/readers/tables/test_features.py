"""Features changed by chance: what still passes is handed out by `datasets` as it was signed."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import provreg
import provreg.loaders.huggingface as hf
from provreg.errors import ProvregError
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from tests.conftest import Bench

SHARD = "train-00000-of-00001.parquet"
# Words of features, so that what is drawn is often one.
WORDS = st.sampled_from(
    [
        "Value", "ClassLabel", "List", "LargeList", "Sequence", "Image", "Audio", "Json",
        "Array2D", "Translation", "Features", "int8", "int64", "float32", "float64", "string",
        "binary", "bool", "date32", "large_string", "uint64", "cat", "dog", "1",
    ]
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "_type", "dtype", "names", "feature", "length", "mode", "decode", "shape", "id",
        "languages", "sampling_rate", "num_classes", "bytes", "path", "x", "text", "label",
        "tags",
    ]
)  # fmt: skip
LEAVES = WORDS | st.none() | st.booleans() | st.integers(-2, 300) | st.text(max_size=3)
FEATURES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=6,
)


# What an attacker would write, by name.
KNOWN = st.sampled_from(
    [
        (["picture", "mode"], "1"), (["picture", "mode"], "L"), (["picture", "decode"], False),
        (["picture", "_type"], "Audio"), (["box", "shape"], [3, 2]), (["box", "dtype"], "float32"),
        (["x", "dtype"], "float32"), (["x", "dtype"], "int32"), (["x", "dtype"], "string"),
        (["score", "dtype"], "float32"), (["score", "dtype"], "float16"),
        (["deep", "at", "feature", "dtype"], "float32"), (["text", "_type"], "Json"),
        (["label", "names"], ["cat", "dog", "evil"]),
        (["tags", "_type"], "LargeList"), (["tags", "length"], 1),
    ]
).map(lambda one: (one[0], "set", one[1]))  # fmt: skip
# A place, walked down by numbers, what to do there, and with what.
DRAWN = st.tuples(
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
    st.sampled_from(["put", "drop", "add", "turn", "type"]),
    FEATURES,
)
CHANGES = st.lists(KNOWN | DRAWN, max_size=2)


def changed(features: Any, some: list[tuple[list[Any], str, Any]]) -> Any:
    holder = [features]
    for steps, do, value in some:
        if do == "set":
            above = holder[0]
            for step in steps[:-1]:
                above = above.get(step) if isinstance(above, dict) else None
            if isinstance(above, dict):
                above[steps[-1]] = value
            continue
        above, place = holder, 0
        for step in steps:
            here = above[place]
            places = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(
                here, list) else []  # fmt: skip
            if not places:
                break
            above, place = here, places[step % len(places)]
        here = above[place]
        if do == "turn" and isinstance(here, list):
            here.reverse()
        elif do == "drop" and above is not holder:
            del above[place]
        elif do == "add" and isinstance(here, dict):
            here[str(value)[:5]] = value
        elif do == "type" and isinstance(here, dict) and "_type" in here:
            here["_type"] = value
        else:
            above[place] = value
    return holder[0]


@pytest.fixture(scope="module")
def made() -> datasets.Dataset:
    file = io.BytesIO()
    Image.new("RGB", (1, 1), (200, 10, 10)).save(file, "PNG")
    one, features = datasets.ClassLabel(names=["cat", "dog"]), datasets.Features
    return datasets.Dataset.from_dict(
        {
            "x": [1, 300, 70000],
            "score": [1e300, 0.5, -0.0],
            "text": ["a", '{"b": 1}', "3"],
            "label": [0, 1, -1],
            "tags": [[0], [1, 0], []],
            "deep": [{"kind": 0, "at": [0.5]}, {"kind": 1, "at": []}, {"kind": 1, "at": [2.0]}],
            "picture": [{"bytes": file.getvalue(), "path": "a.png"}] * 3,
            "box": [[[1, 2, 3], [4, 5, 6]]] * 3,
        },
        features=features(
            {
                "x": datasets.Value("int64"),
                "score": datasets.Value("float64"),
                "text": datasets.Value("string"),
                "label": one,
                "tags": datasets.List(one),
                "deep": {"kind": one, "at": datasets.List(datasets.Value("float64"))},
                "picture": datasets.Image(),
                "box": datasets.Array2D((2, 3), "int32"),
            }
        ),
    )


def renumbered(made: datasets.Dataset, column: str) -> datasets.Dataset:
    """The same names of classes in the same rows, with the other numbers."""
    features = made.features.copy()
    other = datasets.ClassLabel(names=["dog", "cat"])
    if column == "deep":
        features[column] = features[column] | {"kind": other}
    else:
        features[column] = datasets.List(other) if column == "tags" else other

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return value | {"kind": turned(value["kind"])}
        return [1 - one for one in value] if isinstance(value, list) else (1, 0, -1)[value]

    raw = made.cast_column("picture", datasets.Image(decode=False))[:]
    columns = raw | {column: [turned(value) for value in raw[column]]}
    return datasets.Dataset.from_dict(columns, features=features)


def shown(value: Any) -> Any:
    """A value so that equal ones are the same: with its type, and pictures by their pixels."""
    if isinstance(value, Image.Image):
        return value.mode, value.size, value.tobytes()
    if isinstance(value, dict):
        return {name: shown(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shown(one) for one in value]
    return type(value).__name__, repr(value)


def handed_out(folder: Path, cache: Path) -> datasets.Dataset:
    if (folder / "state.json").exists():
        return datasets.load_from_disk(str(folder))
    return datasets.load_dataset(
        "parquet", data_files=str(folder / SHARD), split="train", cache_dir=str(cache)
    )


def rewrite(folder: Path, where: str, features: Any) -> None:
    """Puts features into one of the places that hold them, or into all."""
    info = folder / "dataset_info.json"
    if info.exists() and where != "schema":
        info.write_text(json.dumps({"features": features}))
    if where == "info":
        return
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    for file in [*folder.glob("*.arrow"), *folder.glob("*.parquet")]:
        if file.suffix == ".arrow":
            table = pa.ipc.open_stream(file.read_bytes()).read_all()
            table = table.replace_schema_metadata(metadata)
            with pa.ipc.new_stream(file, table.schema) as sink:
                sink.write_table(table)
        else:
            pq.write_table(pq.read_table(file).replace_schema_metadata(metadata), file)


@pytest.mark.parametrize("kind", ["disk", "parquet"])
def test_features_changed_by_chance_change_no_value_unseen(
    bench: Bench, made: datasets.Dataset, kind: str, tmp_path: Path
) -> None:
    datasets.disable_progress_bars()
    folder = bench.folder / "d"
    every = {name: renumbered(made, name) for name in ("label", "tags", "deep")} | {"": made}
    for name, one in every.items():
        place = bench.folder / f"of-{name}"
        if kind == "disk":
            one.save_to_disk(str(place))
        else:
            place.mkdir()
            one.to_parquet(str(place / SHARD))
    signed = bench.folder / "of-"
    shutil.copytree(signed, folder)
    bench.ingest(folder, options=ReadOptions(label="label"))
    registry = bench.open()
    registry.verify("pets", data=[folder])
    samples = provreg.load("pets", data=folder, key=bench.key_file(), registry=bench.registry)
    wanted, stored = shown(made[:]), made.cast_column("picture", datasets.Image(decode=False))[:]
    passed = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(["", "", "", *every]),
        CHANGES,
        st.sampled_from(["both", "both", "schema", "info"]),
    )
    def check(numbers: str, some: list[tuple[list[Any], str, Any]], where: str) -> None:
        nonlocal passed
        shutil.rmtree(folder)
        shutil.copytree(bench.folder / f"of-{numbers}", folder)
        features = every[numbers].features.to_dict()
        rewrite(folder, where, changed(json.loads(json.dumps(features)), some))
        try:
            registry.verify("pets", data=[folder])
        except ProvregError:
            sound = False
        else:
            sound = True
        try:
            there = handed_out(folder, tmp_path / f"cache-{passed}")
            values = shown(there[:])
        except Exception:
            return  # the library hands out nothing
        if sound:
            passed += 1
            assert values == wanted
        try:
            hf.verify_dataset(there, samples)
        except ProvregError:
            return
        pictures = values.pop("picture")
        assert values == {name: one for name, one in wanted.items() if name != "picture"}
        assert pictures in (wanted["picture"], shown(stored["picture"])), "or their bytes"

    check()
    assert passed, "nothing that was handed out was found as signed"
    shutil.rmtree(folder)
    shutil.copytree(signed, folder)
    registry.verify("pets", data=[folder])
