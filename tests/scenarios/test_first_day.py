"""A first day: sign data, refuse poison at rest, find the insider, pin what was good."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

Person = Callable[[str], Any]


def test_poison_at_rest_is_refused_and_poison_with_a_signature_has_a_name(person: Person) -> None:
    ann = person("ann")
    for number in range(20):
        ann.write(f"data/cat/{number:02}.txt", f"picture of a cat {number}")
        ann.write(f"data/dog/{number:02}.txt", f"picture of a dog {number}")

    # Ann signs what she has.
    ann("key generate --out my.key --no-passphrase")
    ann("policy init --key my.key.pub --name ann")
    published = ann("ingest data --name pets --source web --labeler ann --sign key:my.key")
    assert published.out.startswith("pets@1 published: 40 samples, 40 injected\n")
    verified = ann("verify pets --data data").out
    assert verified.startswith("pets@1 is verified: 40 samples in data as signed")
    assert "trusted because signed by 1 of 1 needed by publish rule 1 (*): ann" in verified

    # Somebody with access to the disk poisons it.
    good = shutil.copytree(ann.folder / "data", ann.folder / "good")
    (ann.folder / "data/cat/03.txt").rename(ann.folder / "data/dog/x03.txt")
    (ann.folder / "data/dog/05.txt").write_text("something else", "utf-8")
    (ann.folder / "data/dog/07.txt").unlink()
    ann.write("data/cat/extra.txt", "injected")
    refused = ann("verify pets --data data", code=4)
    for said in ("cat/03.txt", "dog/x03.txt", "dog/05.txt", "dog/07.txt", "cat/extra.txt"):
        assert said in refused.out
    assert "1 changed, 1 missing, 1 relabeled, 1 stranger" in refused.err

    # An insider, whom the policy allows to publish, signs the same poison.
    mallory = person("mallory")
    mallory.trusts(ann, mallory)
    ann.trusts(ann, mallory)
    shutil.copytree(ann.folder / "data", mallory.folder / "data")
    mallory(
        "ingest data --name pets --source vendor-b --labeler mallory --sign key:my.key"
        " -m 'more pets'"
    )
    assert ann("verify pets --data data").out.startswith("pets@2 is verified")

    # Every change has a name beside it.
    diff = ann("diff pets@1 pets@2").out
    assert diff.startswith(
        "pets@1 -> pets@2: 1 injected, 1 removed, 1 relabeled, 1 modified, 1 renamed\n"
    )
    lines = {line.split("  ")[0]: line for line in diff.splitlines()}
    assert "cat/extra.txt" in lines["injected"]
    assert "vendor-b" in lines["injected"]
    assert "mallory in @2" in lines["injected"]
    assert "cat -> dog" in lines["relabeled renamed"]
    blame = ann("blame pets cat/extra.txt dog/x03.txt --json").json["samples"]
    extra, moved = blame
    assert (extra["content"]["since"], extra["content"]["source"]) == (2, "vendor-b")
    assert (moved["content"]["since"], moved["content"]["source"]) == (1, "web")
    assert (moved["label"]["since"], moved["label"]["labeler"]) == (2, "mallory")
    assert [signer["principal"] for signer in moved["label"]["signers"]] == ["mallory"]

    # Ann goes back to what was good, and settles on it.
    ann.trusts(ann)
    assert "UNTRUSTED" in ann("log pets").out
    ann("verify pets", code=4)
    ann("pin pets@1")
    assert "pets@1 is verified" in ann(f"verify pets@1 --data {good.name}").out


def test_a_script_that_guards_nothing_and_has_threads_verifies_its_data(person: Person) -> None:
    """As most training scripts are: a thread that logs, and no `if __name__ == "__main__"`."""
    ann = person("ann")
    # So many that worker processes share them out.
    for number in range(1200):
        ann.write(f"data/{number % 2}/{number:04}.txt", f"text {number}")
    ann.key()
    ann("ingest data --name texts --source web --sign key:my.key")
    ann.write(
        "train.py",
        """
import threading, time
from pathlib import Path
import provreg

print("begun", flush=True)
threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
registry = provreg.Registry.open(key=Path("my.key.pub"))
print(registry.verify("texts", data=[Path("data")]).reference)
Path("data/1/0007.txt").write_text("poison")
try:
    registry.verify("texts", data=[Path("data")])
except provreg.NotTrustedError as error:
    print([finding.id for finding in error.findings])
""",
    )
    assert ann.python("train.py").out == "begun\ntexts@1\n['1/0007.txt']\n"
