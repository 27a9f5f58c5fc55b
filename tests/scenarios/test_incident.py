"""docs/guides/incident.md: from a suspicion to a clean version that everybody can follow."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

Person = Callable[[str], Any]


def test_a_clean_version_follows_the_bad_one(person: Person) -> None:
    ann, mallory = person("ann"), person("mallory")
    for kind in ("cat", "dog"):
        for number in range(5):
            ann.write(f"clean/{kind}/{number}.txt", f"{kind} {number}")
    for somebody in (ann, mallory):
        somebody.trusts(ann, mallory)
    ann("ingest clean --name pets --source web --labeler ann --sign key:my.key")
    bad = shutil.copytree(ann.folder / "clean", mallory.folder / "bad")
    (bad / "cat/1.txt").rename(bad / "dog/1b.txt")
    mallory("ingest bad --name pets --source vendor-b --labeler mallory --sign key:my.key")
    ann("verify pets")

    # What did they touch? Then they are out of the policy.
    asked = ann("sql --json \"select id from entries where labeler = 'mallory'\"").json
    assert asked["rows"] == [["dog/1b.txt"]]
    shutil.copy(ann.folder / "provreg.policy.toml", ann.folder / "before.toml")
    ann.trusts(ann)
    ann("verify pets", code=4)
    clean = "ingest clean --name pets --source web --labeler ann --sign key:my.key -m clean"
    assert "step 9" in ann(clean, code=4).err
    assert "pets@3 published" in ann(f"{clean} --policy before.toml").out

    assert ann("verify pets --data clean").out.startswith("pets@3 is verified")
    assert "no changes" in ann("diff pets@1 pets@3 --exit-code").out
    assert "UNTRUSTED" in ann("log pets").out
