"""Versions against what a consumer has seen or pinned (step 9), and data against a version (12)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from case import Case
from forge import OTHER_UID, PETS, UID, Forge, Kept, pets, table
from signing import fingerprint, policy, public_pem

from provreg.core.changes.origin import OriginDefaults, assign_origin
from provreg.flows.reading.samples import read_new
from provreg.readers.api import ReadOptions

ELSEWHERE = {"place": "file:///elsewhere"}
OTHER = "sha256:" + "ab" * 32
UNCHANGED = dict.fromkeys(
    ("injected", "removed", "relabeled", "modified", "renamed", "reattributed", "resplit"), 0
)
RESPLIT = UNCHANGED | {"resplit": 6}


def two_versions(
    kept: Kept, *, parent: str | None = None, number: int = 2, **second: Any
) -> tuple[Forge, str, str]:
    """The pets as version 1, and the same in a split as version 2, after `parent` if given."""
    forge = Forge(kept)
    rows = table(pets())
    first = forge.version(rows, forge.parts("pets", rows))
    rows = table(pets(split="train"))
    facts = {"parent": parent or first, "version": number, "changes": RESPLIT} | second
    return forge, first, forge.version(rows, forge.parts("pets-train", rows), **facts)


def another_head(forge: Forge, kept: Kept, **facts: Any) -> str:
    """A sound signed head that no number names."""
    rows = table(pets(labeler="ben"))
    numbered = {key: data for key, data in forge.files.items() if "/versions/" in key}
    digest = forge.version(rows, forge.parts("pets-ben", rows), **facts)
    forge.files = {key: data for key, data in forge.files.items() if "/versions/" not in key}
    forge.files |= numbered
    return digest


def seen(
    uid: str = UID, *, at: str = "2026-11-22T12:00:00Z", trust: str = "policy", **versions: str
) -> dict[str, Any]:
    """`versions`: `v1`, `v2` … and the digest of each head, signed by alice and seen `at`."""
    signers = {trust: {fingerprint("alice"): at}}
    known = {name[1:]: {"head": head, "seen": signers} for name, head in versions.items()}
    return {"uid": uid, "versions": known}


def pin(version: int, head: str, uid: str = UID, **more: Any) -> dict[str, Any]:
    return {"uid": uid, "version": version, "head": head} | more


def ending(name: str, **when: str) -> dict[str, Any]:
    """The policy that trusts alice, with when the key of `name` holds."""
    made = policy("alice")
    end(made, name, **when)
    return made


def end(made: dict[str, Any], name: str, **when: str) -> None:
    """Says in a policy when the key of a principal holds."""
    for principal in made["principal"]:
        if principal["name"] == name:
            principal["keys"] = [{"pem": public_pem(name)} | when]


def cases(kept: Kept) -> Iterator[Case]:
    rows = table(pets())
    forge = Forge(kept)
    first = forge.version(rows, forge.parts("pets", rows))

    def refused(name: str, claim: str, says: str, reference: str = "pets", **known: Any) -> Case:
        return Case(f"history-{name}", claim, forge.files, 9, says, reference=reference, **known)

    yield refused(
        "went-back", "A registry whose newest version is older than one seen is refused.",
        "went back: version 2 was seen", seen=seen(v1=first, v2=OTHER),
    )  # fmt: skip
    yield refused(
        "before-the-pin", "A registry whose newest version is older than the pin is refused.",
        "went back: version 2 is pinned", pin=pin(2, OTHER),
    )  # fmt: skip
    yield refused(
        "other-head-at-a-seen-number", "Another head at a number that was seen is refused.",
        "version 1 is not the one seen before", seen=seen(v1=OTHER),
    )  # fmt: skip
    yield refused(
        "other-head-by-digest", "Another head at a number that was seen is refused by digest too.",
        "version 1 is not the one seen before", reference=f"pets@{first}", seen=seen(v1=OTHER),
    )  # fmt: skip
    yield refused(
        "other-head-than-pinned", "Another head at the pinned number is refused.",
        "does not descend from version 1", pin=pin(1, OTHER),
    )  # fmt: skip
    yield refused(
        "pin-against-what-was-seen", "A pin holds though another head was seen at its number.",
        "does not descend from version 1", seen=seen(v1=first), pin=pin(1, OTHER),
    )  # fmt: skip
    yield refused(
        "other-uid", "Another dataset under a name that was seen is refused.",
        "another dataset of the same name", seen=seen(OTHER_UID, v1=first),
    )  # fmt: skip
    yield refused(
        "other-uid-than-pinned", "Another dataset under a pinned name is refused.",
        "pinned as another dataset", pin=pin(1, first, OTHER_UID),
    )  # fmt: skip
    yield refused(
        "went-back-elsewhere", "What was seen in another place is known in this one.",
        "went back: version 2 was seen", seen=seen(v1=first, v2=OTHER) | ELSEWHERE,
    )  # fmt: skip
    yield Case(
        "good-mirror-that-lags", "A mirror without the newest seen elsewhere is asked by number.",
        forge.files, facts={"head": first}, reference="pets@1", seen=seen(v2=OTHER) | ELSEWHERE,
    )  # fmt: skip
    yield from _ended(kept)
    yield from _lines(kept)
    yield from _data(kept)


def _ended(kept: Kept) -> Iterator[Case]:
    """Keys that ended or were stolen, and what was seen or pinned of what they signed."""
    rows = table(pets())
    forge = Forge(kept)
    first = forge.version(rows, forge.parts("pets", rows))
    before, moment, after = (f"20{year}-01-01T00:00:00Z" for year in (20, 21, 22))
    over, stolen = ending("alice", valid_until=moment), ending("alice", revoked=moment)
    for name, claim, known in (
        ("ended-key-seen-before", "What was seen before its key ended stands.",
         {"policy": over, "seen": seen(v1=first, at=before)}),
        ("stolen-key-seen-before", "What was seen before its key was stolen stands.",
         {"policy": stolen, "seen": seen(v1=first, at=before)}),
        ("stolen-key-pinned-before", "What was pinned before its key was stolen stands.",
         {"policy": stolen, "pin": pin(1, first, at=before)}),
        ("ended-key-seen-and-pinned-after", "A pin says when who made it had seen a signature.",
         {"policy": over, "pin": pin(1, first, at=after, seen={fingerprint("alice"): before})}),
    ):  # fmt: skip
        yield Case(f"good-{name}", claim, forge.files, facts={"head": first}, **known)
    for name, claim, known in (
        ("ended-key-not-seen", "A key that ended stands for nothing that has no time.",
         {"policy": over}),
        ("ended-key-seen-by-key", "What was seen under --key vouches for nothing under the policy.",
         {"policy": over,
          "seen": seen(v1=first, at=before, trust=f"key {fingerprint('alice')}")}),
        ("stolen-key-seen-after", "What a thief signed and was seen since is refused.",
         {"policy": stolen, "seen": seen(v1=first, at=after)}),
        ("stolen-key-pinned-after", "What a thief signed and was pinned since is refused.",
         {"policy": stolen, "pin": pin(1, first, at=after)}),
        ("ended-key-pinned-without-a-time", "A pin that does not say when dates nothing.",
         {"policy": over, "pin": pin(1, first)}),
        ("ended-key-of-another-seen-and-pinned", "What a pin says was seen is of one signer each.",
         {"policy": over, "pin": pin(1, first, at=after, seen={fingerprint("bob"): before})}),
    ):  # fmt: skip
        yield Case(f"history-{name}", claim, forge.files, 8, "its key is", **known)


def _lines(kept: Kept) -> Iterator[Case]:
    def refused(name: str, claim: str, forge: Forge, says: str, **known: Any) -> Case:
        return Case(f"history-{name}", claim, forge.files, 9, says, **known)

    other = another_head(forge := Forge(kept), kept)
    kept_files = dict(forge.files)
    forge, first, second = two_versions(kept, parent=other)
    forge.files |= {key: data for key, data in kept_files.items() if "/versions/" not in key}
    says = "pets@2 does not descend from version 1"
    yield refused(
        "rewritten", "A version that does not descend from one seen is refused.", forge, says,
        reference="pets", seen=seen(v1=first),
    )  # fmt: skip
    yield refused(
        "rewritten-before-the-pin", "A version that does not lie on the pinned line is refused.",
        forge, says, reference="pets@1", pin=pin(2, second),
    )  # fmt: skip
    forge, first, _ = two_versions(kept, parent=OTHER)
    yield refused(
        "parent-missing", "A version whose parent is not there shows no line.", forge,
        "there is no", reference="pets", seen=seen(v1=first),
    )  # fmt: skip
    for name, facts, says in (
        ("parent-of-another-dataset", {"dataset": "birds"}, "the parent of pets@2 is birds@1"),
        ("parent-of-another-uid", {"uid": OTHER_UID, "statement": {"uid": OTHER_UID}},
         "the parent of pets@2 is pets@1"),
        ("parent-of-a-higher-number", {"version": 3, "parent": OTHER},
         "the parent of pets@2 is pets@3"),
    ):  # fmt: skip
        before = Forge(kept)
        other = another_head(before, kept, **facts)
        forge, first, _ = two_versions(kept, parent=other)
        forge.files |= {key: data for key, data in before.files.items() if "/versions/" not in key}
        yield refused(
            name, "A parent that cannot be its child's is refused.", forge, says,
            reference="pets", seen=seen(v1=first),
        )  # fmt: skip
    text = {"label_type": "text", "classes": []}
    for name, claim, later, says in (
        ("classes-reordered", "A version that gives its parent's classes other indices is refused.",
         [{"classes": ["dog", "cat"]}], "renumbers its parent's classes"),
        ("classes-reordered-by-way-of-text",
         "Classes in another order behind a version of texts are refused.",
         [text, {"classes": ["dog", "cat"]}], "goes back from text to class"),
        ("label-type-went-back", "A label type that goes back is refused, in whatever order.",
         [text, {}], "goes back from text to class"),
    ):  # fmt: skip
        forge = Forge(kept)
        rows = table(pets())
        parts = forge.parts("pets", rows)
        newest = first = forge.version(rows, parts)
        for number, facts in enumerate(later, start=2):
            newest = forge.version(
                rows, parts, parent=newest, version=number, changes=UNCHANGED, **facts
            )
        yield refused(name, claim, forge, says, reference="pets", seen=seen(v1=first))
    forge, first, second = two_versions(kept)
    yield Case(
        "good-older-number-on-the-line", "An older version can be asked for by its number.",
        forge.files, facts={"head": first}, reference="pets@1", seen=seen(v1=first, v2=second),
    )  # fmt: skip
    yield Case(
        "good-newest-on-the-line", "The newest version that descends from the pin is taken.",
        forge.files, facts={"head": second}, reference="pets@latest", pin=pin(1, first),
    )  # fmt: skip
    yield Case(
        "good-exact-pin", "A name alone is the version that is pinned exactly.",
        forge.files, facts={"head": first}, reference="pets", pin=pin(1, first, exact=True),
    )  # fmt: skip
    yield Case(
        "good-exact-pin-and-latest", "The newest version can be asked for beside an exact pin.",
        forge.files, facts={"head": second}, reference="pets@latest",
        pin=pin(1, first, exact=True),
    )  # fmt: skip
    yield Case(
        "history-exact-pin-of-another-head", "Another head at an exactly pinned number is refused.",
        forge.files, 9, "does not descend from version 1", reference="pets",
        pin=pin(1, OTHER, exact=True),
    )  # fmt: skip
    yield Case(
        "good-by-digest", "A head named by its digest need not be on any line.", forge.files,
        facts={"head": first}, reference=f"pets@{first}", pin=pin(2, OTHER),
    )  # fmt: skip
    forge, _, second = two_versions(kept)
    third = another_head(forge, kept, version=3, parent=second)
    forge.files[f"datasets/pets/proposals/00000003-{third.replace(':', '-')}.json"] = b"{}"
    yield Case(
        "good-proposal-above-the-newest", "A proposal is never the newest version.",
        forge.files, facts={"head": second}, reference="pets@latest",
    )  # fmt: skip
    yield Case(
        "proposed-by-digest", "A proposal is no version, not even by its digest.", forge.files, 5,
        "is a proposal of pets@3", reference=f"pets@{third}",
    )  # fmt: skip
    forge, _, _ = two_versions(kept)
    forge.files["datasets/pets/versions/00000003.json"] = b"squatted"
    yield Case(
        "latest-squatted", "Where the newest number is squatted, the newest version is refused.",
        forge.files, 1, "does not name a head", reference="pets",
    )  # fmt: skip
    forge, first, fourth = two_versions(kept, number=4)
    forge.files["datasets/pets/versions/00000002.json"] = b"squatted"
    yield Case(
        "good-gap-in-the-numbers", "Numbers may be missing, or squatted, between versions.",
        forge.files, facts={"head": fourth}, reference="pets", seen=seen(v1=first),
    )  # fmt: skip


def _data(kept: Kept) -> Iterator[Case]:
    rows = table(pets())
    forge = Forge(kept)
    forge.version(rows, forge.parts("pets", rows))
    moved = {("bird" + key[3:] if key == "cat/1.jpg" else key): text for key, text in PETS.items()}
    renamed = {("cat/9.jpg" if key == "cat/1.jpg" else key): text for key, text in PETS.items()}
    shapes: tuple[tuple[str, str, Mapping[str, str], tuple[tuple[str, str], ...]], ...] = (
        ("changed", "A sample with other bytes is found.", PETS | {"cat/1.jpg": "poison"},
         (("changed", "cat/1.jpg"),)),
        ("missing", "A missing sample is found.",
         {key: text for key, text in PETS.items() if key != "dog/2.jpg"},
         (("missing", "dog/2.jpg"),)),
        ("stranger", "A file that is no sample is found.", PETS | {"dog/9.jpg": "poison"},
         (("stranger", "dog/9.jpg"),)),
        ("relabeled", "A sample in another label's folder is found.", moved,
         (("relabeled", "cat/1.jpg"),)),
        ("moved", "A sample under another name is found.", renamed, (("moved", "cat/1.jpg"),)),
    )  # fmt: skip
    for name, claim, files, findings in shapes:
        yield Case(
            f"data-{name}", claim, forge.files, 12, f"1 {name}", data=files, findings=findings
        )
    yield from _columns(kept)


def _columns(kept: Kept) -> Iterator[Case]:
    signed = "key,text,fold,from,by\na,one,train,web,ann\nb,two,test,web,\nc,two,,scans,ben\n"
    how = ReadOptions(id="key", split="fold", source_column="from", labeler_column="by")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text(signed, "utf-8")
        samples = read_new([path], how, None)
    entries = assign_origin(
        samples.table, None, OriginDefaults("web", "fay"), labels_known=False, splits_known=True
    )
    forge = Forge(kept)
    rows = pa.Table.from_pylist(entries.to_pylist(), schema=entries.schema)
    forge.version(rows, forge.parts("data-columns", rows), reading=samples.reading)
    yield Case(
        "good-data-columns",
        "Where a column of sources or labelers is null, the data say nothing: it is not compared.",
        forge.files, facts=forge.facts,
        data={"rows.csv": signed.replace("a,one,train,web,ann", "a,one,train,,")},
    )  # fmt: skip
    shapes = (
        ("resplit", "A row in another split is found.", "b,two,test,", "b,two,train,", "b"),
        ("resplit-to-none", "A row in no split any more is found.", "b,two,test,", "b,two,,", "b"),
        ("reattributed", "A row that says another source is found.", "web,ann", "scans,ann", "a"),
        ("reattributed-labeler", "A row that says a labeler, and did not, is found.",
         "two,test,web,", "two,test,web,ann", "b"),
    )  # fmt: skip
    for name, claim, old, new, sample in shapes:
        kind = name.partition("-")[0]
        yield Case(
            f"data-{name}", claim, forge.files, 12, f"1 {kind}",
            data={"rows.csv": signed.replace(old, new)}, findings=((kind, sample),),
        )  # fmt: skip
