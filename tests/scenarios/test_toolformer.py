"""Real data: five versions of a table, each a filtered one of the last; ids from content."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

Person = Callable[[str], Any]
NAMES = ("dedupe-only", "similarity-0.9", "similarity-0.8", "similarity-0.7", "similarity-0.6")


def _counted(rows: list[dict[str, str]]) -> Counter[str]:
    return Counter(json.dumps(row, sort_keys=True) for row in rows)


def test_five_versions_of_toolformer(person: Person, toolformer: Path) -> None:
    ann = person("ann")
    ann.trusts(ann)
    contents = []
    for name in NAMES:
        data = lzma.decompress((toolformer / f"{name}.json.xz").read_bytes())
        (ann.folder / f"{name}.json").write_bytes(data)
        contents.append(_counted(json.loads(data)))
        ann(f"ingest {name}.json --name toolformer --source toolformer --sign key:my.key -m {name}")

    versions = ann("log toolformer --json").json["versions"][::-1]
    assert [version["message"] for version in versions] == list(NAMES)
    assert [version["samples"] for version in versions] == [sum(c.values()) for c in contents]
    for number in range(1, 5):
        old, new = contents[number - 1], contents[number]
        expected = {"injected": (new - old).total(), "removed": (old - new).total()}
        changes = versions[number]["changes"]
        assert {kind: count for kind, count in changes.items() if count} == {
            kind: count for kind, count in expected.items() if count
        }

    # What the strictest version has and the first does not, named.
    diff = ann("diff toolformer@1 toolformer@5 --json").json
    strangers = [change["id"] for change in diff["changes"] if change["kinds"] == ["injected"]]
    assert diff["counts"]["injected"] == len(strangers) == 9
    only_there = [json.loads(row) for row in (contents[4] - contents[0]).elements()]
    ann.write("nine.json", json.dumps(only_there))
    ann("ingest nine.json --name nine --source toolformer --sign key:my.key")
    asked = ann("sql --json \"select id from entries where dataset = 'nine' order by id\"").json
    assert [name for (name,) in asked["rows"]] == strangers
    shown = ann("diff toolformer@1 toolformer@5").out
    assert f"toolformer@1 -> toolformer@5: 9 injected, {diff['counts']['removed']:,} removed" in (
        shown
    )
    assert len(shown.splitlines()) < 40
    ann("verify toolformer@3 --data similarity-0.8.json")

    # People who label and publish as they should give no more than notes.
    findings = ann("screen toolformer --json").json["findings"]
    assert {finding["severity"] for finding in findings} <= {"note"}


def test_templates_of_toolformer_are_notes(person: Person, toolformer: Path) -> None:
    """Most of its texts are nearly the same as others, of all sources, and of one tool each."""
    ann = person("ann")
    ann.trusts(ann)
    rows = json.loads(lzma.decompress((toolformer / "dedupe-only.json.xz").read_bytes()))
    for number, row in enumerate(rows):
        access = row["instruction"].split("\n")[1]
        row |= {"tool": access.removeprefix("toolformer access: "), "crawl": f"crawl-{number % 6}"}
    ann.write("texts.json", json.dumps(rows))
    ann("ingest texts.json --name texts --label tool --source-column crawl --sign key:my.key")
    found = ann("screen texts --data texts.json --minhash --json").json["findings"]
    assert {finding["severity"] for finding in found} == {"note"}
    counts = {finding["group"]["kind"]: finding["samples"] for finding in found}
    # What the tables of look-alike letters call one letter changes the number a little.
    assert 4800 < counts.pop("any") < 5200
    assert counts.pop("another label", 0) < 20
    assert counts.keys() == {"another source"}
