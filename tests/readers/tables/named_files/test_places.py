"""Where the files lie that rows name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.readers.tables.named_files.places import BadNameError, FilePlaces, TablePlaces

NAMES = st.text("a./\\:\n\0 é\u202e-", max_size=8) | st.just("a/" * 250 + "b") | st.just("a" * 5000)


def one_by_one(places: TablePlaces, names: list[str]) -> list[object]:
    found: list[object] = []
    for name in names:
        try:
            found.append(places.place(name))
        except BadNameError as error:
            found.append(error.complaint)
    return found


@given(st.lists(NAMES, max_size=4))
def test_names_seen_together_lead_where_each_leads_alone(names: list[str]) -> None:
    for folder in ("/data", "/data/b", "/other"):
        places = TablePlaces(["/data"], folder)
        together = [
            place.complaint if isinstance(place, BadNameError) else place
            for place in places.place_all(names)
        ]
        assert together == one_by_one(places, names)


@given(NAMES)
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    for found in TablePlaces(["/data"], "/data/b").place_all([name, "a"]):
        if not isinstance(found, BadNameError):
            root, path = found
            assert root == "/data"
            assert path.startswith("b/")
            assert {"", ".", ".."}.isdisjoint(path.split("/"))
            assert "\\" not in path
            assert "\0" not in path


@pytest.mark.parametrize(
    ("named", "table", "root", "prefix"),
    [
        (["."], "metadata.csv", "", ""),
        (["."], "train/metadata.csv", "", "train/"),
        (["."], "notes/train.jsonl", "..", ""),
        (["."], "notes/train.jsonl", "../images", "images/"),
        (["."], "a/b/t.csv", "../../..", ""),
        (["train"], "train/metadata.csv", "", ""),
        (["train/metadata.csv"], "train/metadata.csv", "", ""),
        (["notes/t.csv", "images"], "notes/t.csv", "..", ""),
    ],
)
def test_what_comes_before_names_that_are_ids(
    tmp_path: Path, named: list[str], table: str, root: str, prefix: str
) -> None:
    (tmp_path / table).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / table).touch()
    (tmp_path / "images").mkdir(exist_ok=True)
    places = FilePlaces([tmp_path / name for name in named], root)
    assert places.id_prefix(tmp_path / table) == prefix
    assert (
        FilePlaces([tmp_path], root, "night-1/").id_prefix(tmp_path / table).startswith("night-1/")
    )
