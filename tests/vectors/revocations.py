"""Registries with revocations and *latest* statements (steps 8 and 9)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blake3 import blake3
from case import Case
from forge import OTHER_UID, UID, Forge, Kept, entry, pets, segment, table
from histories import OTHER, end, pin, seen, two_versions
from signing import bundle, policy

from provreg.core.changes.changes import compare
from provreg.core.encoding.canonical import canonical

CHIEF = {
    "revoke": [{"datasets": ["*"], "principals": ["bob"]}],
    "freshness": [{"datasets": ["*"], "principals": ["bob"], "required": False}],
}


def trust(*, required: bool = False) -> dict[str, Any]:
    """Alice publishes, bob revokes and attests."""
    made = policy("alice") | json.loads(json.dumps(CHIEF))
    made["principal"] += policy("bob")["principal"]
    made["freshness"][0]["required"] = required
    return made


def by_one_key(name: str) -> dict[str, Any]:
    """The policy that `--key` stands for (docs/format/names.md)."""
    every = {"datasets": ["*"], "principals": [name]}
    return policy(name) | {
        "revoke": [every], "freshness": [every | {"required": False}], "train": [every]
    }  # fmt: skip


def about(kind: str, head: str, version: int, facts: dict[str, Any], uid: str = UID) -> bytes:
    """A statement about a version of pets, written without provreg's own code."""
    return canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "predicate": {"dataset": "pets", "uid": uid, "version": version} | facts,
            "predicateType": f"https://provreg/{kind}/v1",
            "subject": [
                {"digest": {"sha256": head.removeprefix("sha256:")}, "name": f"pets@{version}"}
            ],
        }
    )


def digest_of(statement: bytes) -> str:
    return "sha256:" + hashlib.sha256(statement).hexdigest()


def put(forge: Forge, prefix: str, statement: bytes, signers: Sequence[str]) -> None:
    """The bundles over a statement."""
    for name in signers:
        data = canonical(bundle(statement, name))
        forge.files[f"{prefix}/{segment(digest_of(statement))}/{segment(digest_of(data))}"] = data


def revocation(
    forge: Forge,
    head: str,
    version: int,
    *,
    number: int = 1,
    previous: tuple[int, str] | None = None,
    by: Sequence[str] = ("bob",),
    uid: str = UID,
    under: int | None = None,
    **facts: Any,
) -> str:
    """A revocation in `forge`; the digest of its statement."""
    said = {
        "created": "2026-11-22T12:00:00Z",
        "number": number,
        "previous": previous and {"number": previous[0], "digest": previous[1]},
        "reason": "labels were flipped",
        "samples": None,
    } | facts
    statement = about("revocation", head, version, said, uid)
    forge.files[f"revocations/{under or number:08d}.json"] = statement
    put(forge, "revocations/signatures", statement, by)
    return digest_of(statement)


def latest(
    forge: Forge, head: str, version: int, *, by: Sequence[str] = ("bob",), uid: str = UID,
    as_of: str = "2026-11-22T12:00:00Z", expires: str = "2999-01-01T00:00:00Z",
    revoked: tuple[int, str] | None = None,
) -> None:  # fmt: skip
    """A *latest* statement in `forge`."""
    link = revoked and {"number": revoked[0], "digest": revoked[1]}
    facts = {"as_of": as_of, "expires": expires, "revocation": link}
    put(forge, "latest/pets", about("latest", head, version, facts, uid), by)


def cases(kept: Kept) -> Iterator[Case]:
    yield from _revoked(kept)
    yield from _samples(kept)
    yield from _listed_samples(kept)
    yield from _withdrawn(kept)
    yield from _annotated_samples(kept)
    yield from _lapsing(kept)
    yield from _hidden(kept)
    yield from _latest(kept)


# What is revoked of the two versions of `_samples`, and which samples that means.
SAMPLES: tuple[tuple[str, str, dict[str, Any], str, list[str]], ...] = (
    ("source", "Bytes keep a source that they had, also under another id; new bytes do not.",
     {"by": "source", "name": "shelter", "since": 1}, "pets",
     ["cat/1.jpg", "cat/9.jpg", "dog/1.jpg", "dog/2.jpg", "dog/3.jpg"]),
    ("new-source", "What was given another source is of that one too.",
     {"by": "source", "name": "farm", "since": 1}, "pets",
     ["cat/1.jpg", "cat/3.jpg", "cat/9.jpg"]),
    ("labeler", "A label keeps a labeler that it had, also on new bytes; a new label does not.",
     {"by": "labeler", "name": "ann", "since": 1}, "pets",
     ["cat/1.jpg", "cat/3.jpg", "cat/9.jpg", "dog/2.jpg", "dog/3.jpg"]),
    ("source-since", "What stood before under its id stands; a renamed sample is new.",
     {"by": "source", "name": "shelter", "since": 2}, "pets", ["cat/9.jpg"]),
    ("labeler-since", "A label of other bytes is another.",
     {"by": "labeler", "name": "ann", "since": 2}, "pets", ["cat/3.jpg", "cat/9.jpg"]),
    ("before-since", "In a version before nothing is revoked.",
     {"by": "source", "name": "shelter", "since": 2}, "pets@1", []),
    ("both", "Of two names a sample has or had each.",
     {"source": "shelter", "labeler": "ann", "since": 1}, "pets",
     ["cat/1.jpg", "cat/9.jpg", "dog/2.jpg", "dog/3.jpg"]),
    ("both-since", "What had both names before stands.",
     {"source": "shelter", "labeler": "ann", "since": 2}, "pets", ["cat/9.jpg"]),
    ("nobodys", "A name that no sample had means none.",
     {"by": "source", "name": "Shelter", "since": 1}, "pets", []),
)  # fmt: skip


def _pets_reattributed() -> tuple[Any, Any]:
    """The entries of two versions, between which origins, ids, bytes and a label changed."""
    before = table(pets())
    second = {row["id"]: row for row in before.to_pylist()}
    second["cat/1.jpg"] |= {"source": "farm"}
    second["cat/9.jpg"] = second.pop("cat/2.jpg") | {"id": "cat/9.jpg", "source": "farm"}
    second["cat/3.jpg"] |= entry("cat/3.jpg", "another picture") | {"source": "farm"}
    second["dog/1.jpg"] |= {"label": "cat", "labeler": "ben"}
    second["dog/2.jpg"] |= {"labeler": "ben"}
    after = table([second[identity] for identity in sorted(second)])
    return before, after


def _samples(kept: Kept) -> Iterator[Case]:
    before, after = _pets_reattributed()
    for name, claim, samples, reference, ids in SAMPLES:
        forge = Forge(kept)
        first = forge.version(before, forge.parts("pets", before))
        digest = forge.version(
            after, forge.parts("pets-reattributed", after), parent=first, version=2,
            changes=compare(before, after).counts(),
        )  # fmt: skip
        revocation(forge, digest, 2, samples=samples)
        asked = first if reference == "pets@1" else digest
        yield Case(f"good-samples-of-{name}", claim, forge.files, reference=reference,
                   facts={"head": asked, "revoked": ids}, policy=trust())  # fmt: skip


# (name, claim, ids of `contents`, ids and labels of `labels`, version asked for, revoked).
LISTED: tuple[tuple[str, str, list[str], list[str], str, list[str]], ...] = (
    ("listed", "Listed bytes stay revoked under another source, label and id; new bytes do not.",
     ["cat/1.jpg", "cat/2.jpg", "cat/3.jpg", "dog/1.jpg"], [], "pets",
     ["cat/1.jpg", "cat/9.jpg", "dog/1.jpg"]),
    ("listed-labels", "Listed labels stay revoked on new bytes; a new label is another.", [],
     ["cat/2.jpg", "cat/3.jpg", "dog/1.jpg"], "pets", ["cat/3.jpg", "cat/9.jpg"]),
    ("listed-both", "Two lists mean what either means.", ["dog/1.jpg"], ["cat/2.jpg"], "pets",
     ["cat/9.jpg", "dog/1.jpg"]),
    ("listed-before", "A version of before has what is listed, too.", ["cat/1.jpg"], [],
     "pets@1", ["cat/1.jpg"]),
)  # fmt: skip


def _key(row: Mapping[str, Any], *, with_label: bool) -> bytes:
    """The key of an entry in a list (docs/format/revocation.md, "Listed samples")."""
    what = "label" if with_label else "content"
    values = [row["id"].encode(), row["content"], *([row["label"].encode()] if with_label else [])]
    hasher = blake3(derive_key_context=f"provreg 2026-12-01 v1 revoked {what}")
    for number, value in enumerate(values, 1):
        hasher.update(bytes([number]) + len(value).to_bytes(4, "little") + value)
    return hasher.digest()


def _list(forge: Forge, rows: Sequence[Mapping[str, Any]], *, with_label: bool) -> Any:
    """A list of these entries, stored; None for an empty one."""
    if not rows:
        return None
    keys = sorted(_key(row, with_label=with_label) for row in rows)
    return {"digest": forge.put(b"".join(keys)), "count": len(keys)}


def _listed_samples(kept: Kept) -> Iterator[Case]:
    before, after = _pets_reattributed()
    first_rows = {row["id"]: row for row in before.to_pylist()}
    for name, claim, contents, labels, reference, ids in LISTED:
        forge = Forge(kept)
        first = forge.version(before, forge.parts("pets", before))
        digest = forge.version(
            after, forge.parts("pets-reattributed", after), parent=first, version=2,
            changes=compare(before, after).counts(),
        )  # fmt: skip
        samples = {
            "contents": _list(forge, [first_rows[one] for one in contents], with_label=False),
            "labels": _list(forge, [first_rows[one] for one in labels], with_label=True),
            "criteria": {"ids": "of version 1"},
        }
        revocation(forge, first, 1, samples=samples)
        asked = first if reference == "pets@1" else digest
        yield Case(f"good-samples-{name}", claim, forge.files, reference=reference,
                   facts={"head": asked, "revoked": ids}, policy=trust())  # fmt: skip
    keys = sorted(_key(row, with_label=False) for row in list(first_rows.values())[:2])
    for name, claim, data, count in (
        ("gone", "A list that is not there hides what is revoked.", None, 2),
        ("unsorted", "Keys ascend.", b"".join(reversed(keys)), 2),
        ("twice", "A key stands once.", keys[0] * 2, 2),
        ("shorter", "A list has as many keys as is said.", keys[0], 2),
    ):
        forge, head, _ = two_versions(kept)
        digest = "blake3:" + "0" * 64 if data is None else forge.put(data)
        listed = {"contents": {"digest": digest, "count": count}, "labels": None, "criteria": {}}
        revocation(forge, head, 1, samples=listed)
        yield _refused(f"revocation-list-{name}", claim, forge, 8,
                       "a list of revoked samples cannot be read", reference="pets")  # fmt: skip
    forge, head, _ = two_versions(kept)
    nothing = {"contents": None, "labels": None, "criteria": {}}
    revocation(forge, head, 1, samples=nothing)
    yield _refused("revocation-lists-nothing", "A revocation without a list is not known.", forge,
                   8, "cannot be read", reference="pets")  # fmt: skip


def withdrawal(
    forge: Forge, head: str, version: int, of: str, *, number: int = 2,
    by: Sequence[str] = ("bob",), uid: str = UID, **facts: Any,
) -> str:  # fmt: skip
    """The withdrawal of the revocation 1 with the digest `of`; the digest of its statement."""
    link = {"number": 1, "digest": of}
    said = {
        "created": "2026-11-23T12:00:00Z",
        "number": number,
        "previous": link,
        "reason": "a mistake",
        "withdraws": link,
    } | facts
    statement = about("revocation/withdrawal", head, version, said, uid)
    forge.files[f"revocations/{number:08d}.json"] = statement
    put(forge, "revocations/signatures", statement, by)
    return digest_of(statement)


def _withdrawn(kept: Kept) -> Iterator[Case]:
    forge, _, second = two_versions(kept)
    one = revocation(forge, second, 2)
    two = withdrawal(forge, second, 2, one)
    yield _good("withdrawn", "Who may revoke ends a revocation.", forge, second)
    revocation(forge, second, 2, number=3, previous=(2, two))
    yield _refused("withdrawn-and-revoked-again", "What was withdrawn can be revoked again.",
                   forge, 8, "revocation 3): labels were flipped", reference="pets")  # fmt: skip
    for name, claim, more in (
        ("withdrawn-by-who-publishes", "Who publishes ends no revocation.", {"by": ("alice",)}),
        ("withdrawn-by-another-digest", "A withdrawal names one by its digest.",
         {"withdraws": {"number": 1, "digest": OTHER}}),
        ("withdrawn-of-another-uid", "A withdrawal is of the dataset of what it ends.",
         {"uid": OTHER_UID}),
    ):  # fmt: skip
        forge, _, second = two_versions(kept)
        one = revocation(forge, second, 2)
        withdrawal(forge, second, 2, one, **more)
        yield _refused(name, claim, forge, 8, "labels were flipped", reference="pets")
    forge, _, second = two_versions(kept)
    one = revocation(forge, second, 2)
    withdrawal(forge, second, 2, one)
    over = trust()
    end(over, "bob", valid_until="2021-01-01T00:00:00Z")
    yield _refused("withdrawn-by-an-ended-key", "A key that ended withdraws nothing.", forge, 8,
                   "labels were flipped", reference="pets", policy=over)  # fmt: skip
    forge, _, second = two_versions(kept)
    one = revocation(forge, second, 2)
    withdrawal(forge, second, 2, one)
    del forge.files["revocations/00000001.json"]
    yield _refused("withdrawn-is-hidden", "What is withdrawn must be there.", forge, 8,
                   "which the registry hides", reference="pets")  # fmt: skip
    forge, _, second = two_versions(kept)
    one = revocation(forge, second, 2)
    withdrawal(forge, second, 2, one, withdraws={"number": 2, "digest": one})
    yield _refused("withdrawal-of-itself", "A withdrawal ends what is before it.", forge, 8,
                   "cannot be read", reference="pets")  # fmt: skip


def _annotated_samples(kept: Kept) -> Iterator[Case]:
    """An annotator of three samples: of one still, of one no longer, of one with a new label."""
    notes = [{"label": "cat", "labeler": name, "labeled_at": None} for name in ("cho", "fay")]
    rows = {row["id"]: row for row in table(pets()).to_pylist()}
    for identity in ("cat/1.jpg", "cat/2.jpg", "cat/3.jpg"):
        rows[identity] |= {"labeler": None, "annotations": notes}
    before = table([rows[identity] for identity in sorted(rows)])
    rows["cat/2.jpg"] |= {"labeler": "ann", "annotations": None}
    rows["cat/3.jpg"] |= {"label": "dog", "labeler": "ann", "annotations": None}
    after = table([rows[identity] for identity in sorted(rows)])
    forge = Forge(kept)
    first = forge.version(before, forge.parts("pets-annotated", before))
    digest = forge.version(
        after, forge.parts("pets-annotated-again", after), parent=first, version=2,
        changes=compare(before, after).counts(),
    )  # fmt: skip
    revocation(forge, digest, 2, samples={"by": "labeler", "name": "fay", "since": 1})
    yield Case(
        "good-samples-of-an-annotator", "A label has the labelers of its annotations.",
        forge.files, reference="pets", policy=trust(),
        facts={"head": digest, "revoked": ["cat/1.jpg", "cat/2.jpg"]},
    )  # fmt: skip


def _good(name: str, claim: str, forge: Forge, head: str, **known: Any) -> Case:
    known = {"policy": trust(), "reference": "pets"} | known
    return Case(f"good-{name}", claim, forge.files, facts={"head": head}, **known)


def _refused(name: str, claim: str, forge: Forge, step: int, says: str, **known: Any) -> Case:
    return Case(name, claim, forge.files, step, says, **({"policy": trust()} | known))


def _revoked(kept: Kept) -> Iterator[Case]:
    forge, first, second = two_versions(kept)
    revocation(forge, second, 2)
    says = "pets@2 is revoked by bob (revocation 1): labels were flipped"
    yield _refused("revoked", "A revoked version is refused.", forge, 8, says, reference="pets")
    alone = by_one_key("alice")
    yield _good("revoked-by-another-key", "Who trusts one key alone takes no other's revocation.",
                forge, second, policy=alone)  # fmt: skip
    forge, first, second = two_versions(kept)
    revocation(forge, second, 2, by=("alice",))
    yield _refused("revoked-by-the-one-key", "A key that is trusted alone revokes too.", forge,
                   8, "revocation 1): labels were flipped", reference="pets",
                   policy=alone)  # fmt: skip
    yield _good("older-than-revoked-by-the-one-key", "What it left alone stands.", forge, first,
                reference="pets@1", policy=alone)  # fmt: skip
    forge, first, second = two_versions(kept)
    revocation(forge, second, 2)
    yield _good("older-than-revoked", "What a revoked version continues stands.", forge, first,
                reference="pets@1")  # fmt: skip
    yield _good("nobody-may-revoke", "Without a rule that says who may, nothing is revoked.",
                forge, second, policy=policy("alice"))  # fmt: skip
    forge, first, second = two_versions(kept)
    revocation(forge, second, 2, by=("alice",))
    revocation(forge, second, 2, number=2, by=("mallory",))
    revocation(forge, second, 2, number=3, by=())
    yield _good("revocations-of-strangers", "Who publishes, a stranger and nobody revoke nothing.",
                forge, second)  # fmt: skip
    forge, first, second = two_versions(kept)
    revocation(forge, second, 2, uid=OTHER_UID)
    yield _good("revocation-of-another-uid", "Another dataset of the same name was revoked.",
                forge, second)  # fmt: skip
    forge, first, second = two_versions(kept)
    one = revocation(forge, OTHER, 9)
    revocation(forge, second, 2, under=7)
    forge.files["revocations/00000002.json"] = b"{}"
    forge.files["revocations/99999999.json"] = forge.files["revocations/00000001.json"]
    yield _good("squatted-revocations", "Garbage and copies under other numbers are passed over.",
                forge, second, seen=seen(v1=first) | {"revocation": {"number": 1, "digest": one}},
                pin=pin(1, first) | {"revocation": {"number": 1, "digest": one}})  # fmt: skip
    forge, first, second = two_versions(kept)
    samples = {"by": "source", "name": "shelter", "since": 1}
    revocation(forge, second, 2, samples=samples)
    yield _good("samples-revoked", "A version some of whose samples are revoked is as signed.",
                forge, second)  # fmt: skip
    forge, first, second = two_versions(kept)
    revocation(forge, first, 1, lifted=False)
    for name, claim, facts in (
        ("reason-of-blanks", "A reason of blanks, whatever their kind, is none: who may revoke, did"
         " what this reader does not know.", {"reason": " \u0085\u2028\u3000"}),
        ("name-zero-width", "A name that nobody sees cannot be revoked.",
         {"samples": {"by": "source", "name": "shel\u200bter", "since": 1}}),
    ):  # fmt: skip
        other, head, _ = two_versions(kept)
        revocation(other, head, 1, **facts)
        yield _refused(f"revocation-{name}", claim, other, 8, "cannot be read",
                       reference="pets")  # fmt: skip
    yield _refused("revocation-unknown-field", "A revocation by who may, of a kind not known, is"
                   " not passed over.", forge, 8, "cannot be read", reference="pets")  # fmt: skip


def _lapsing(kept: Kept) -> Iterator[Case]:
    """What becomes of a revocation when its revoker's key does not hold any more."""
    moment = "2021-01-01T00:00:00Z"
    over, stolen = trust(), trust()
    end(over, "bob", valid_until=moment)
    end(stolen, "bob", revoked=moment)
    says = "labels were flipped"
    forge, first, second = two_versions(kept)
    one = revocation(forge, second, 2)
    link = {"number": 1, "digest": one}
    yield _refused("revocation-by-an-ended-key", "A key that merely ended has revoked all the"
                   " same.", forge, 8, says, reference="pets", policy=over)  # fmt: skip
    yield _good("revocation-by-a-stolen-key", "What a key that was stolen revokes counts only if it"
                " is shown to be from before.", forge, second, policy=stolen)  # fmt: skip
    yield _refused("revocation-by-a-stolen-key-seen", "A revocation that was seen in force stays.",
                   forge, 8, says, reference="pets", policy=stolen,
                   seen=seen(v1=first) | {"in_force": {"1": one}})  # fmt: skip
    yield _refused("revocation-by-a-stolen-key-pinned", "A revocation that is pinned stays.",
                   forge, 8, says, reference="pets", policy=stolen,
                   pin=pin(1, first, revocation=link))  # fmt: skip
    attesting = json.loads(json.dumps(trust()))
    attesting["freshness"][0]["principals"] = ["alice"]
    end(attesting, "bob", revoked=moment)
    latest(forge, first, 1, by=("alice",), revoked=(1, one))
    unshown = "revocation 1 of pets is attested to be in force"
    yield _refused("revocation-by-a-stolen-key-attested", "Neither does one that is attested at a"
                   " time of which there is no proof: nothing is taken until it is made again.",
                   forge, 9, unshown, reference="pets", policy=attesting)  # fmt: skip
    attesting["revoke"][0]["principals"] = ["bob", "alice"]
    revocation(forge, second, 2, number=2, by=("alice",))
    yield _good("attested-revocation-made-again", "What is in force under another number, is.",
                forge, first, reference="pets@1", policy=attesting)  # fmt: skip
    forge, first, second = two_versions(kept)
    one = revocation(forge, second, 2, by=("mallory",))
    two = revocation(forge, OTHER, 9, number=2, previous=(1, one), uid=OTHER_UID)
    yield _good("pinned-revocation-of-another-continues-a-strangers", "A revocation continues"
                " what is not in force by that.", forge, second,
                pin=pin(1, first, revocation={"number": 2, "digest": two}))  # fmt: skip
    strangers = json.loads(json.dumps(trust()))
    strangers["freshness"][0]["principals"] = ["alice"]
    for name, by in (("a-stranger", ("mallory",)), ("who-attests", ("alice",)), ("nobody", ())):
        forge, first, second = two_versions(kept)
        one = revocation(forge, second, 2, by=by)
        two = revocation(forge, second, 2, number=2, previous=(1, one), by=by)
        latest(forge, first, 1, by=("alice",), revoked=(2, two))
        yield _refused(f"attested-revocation-of-{name}", "Who may attest, and not revoke, puts"
                       " nothing in force; but bundles may be hidden.", forge, 9,
                       "revocation 2 of pets is attested to be in force", reference="pets",
                       policy=strangers)  # fmt: skip
    forge, first, second = two_versions(kept)
    one = revocation(forge, second, 2, uid=OTHER_UID, by=())
    latest(forge, first, 1, by=("alice",), revoked=(1, one))
    yield _good("attested-revocation-of-another-uid", "Who attests one dataset says nothing of who"
                " revoked another.", forge, second, policy=strangers)  # fmt: skip
    forge, first, second = two_versions(kept)
    two = revocation(forge, OTHER, 9, number=2, previous=(1, OTHER), uid=OTHER_UID, by=())
    latest(forge, first, 1, by=("alice",), revoked=(2, two))
    yield _refused("attested-revocation-continues-what-is-gone", "What is attested must be there"
                   " with all that it continues, also where its bundles are gone.", forge, 9,
                   "hides revocation", reference="pets", policy=strangers)  # fmt: skip
    forge, first, second = two_versions(kept)
    one = revocation(forge, second, 2, by=())
    latest(forge, first, 1, revoked=(1, one))
    yield _refused("attested-revocation-by-who-may", "What is attested by who may revoke is"
                   " theirs.", forge, 8, says, reference="pets")  # fmt: skip
    forge, first, second = two_versions(kept)
    one = revocation(forge, second, 2, by=())
    yield _refused("revocation-without-its-bundles-seen", "Taking its bundles away ends none that"
                   " was seen.", forge, 8, says, reference="pets",
                   seen=seen(v1=first) | {"in_force": {"1": one}})  # fmt: skip


def _hidden(kept: Kept) -> Iterator[Case]:
    forge, first, _ = two_versions(kept)
    revocation(forge, first, 1, number=2, previous=(1, OTHER))
    yield _refused("revocation-hidden-in-the-middle", "A revocation that continues one which is"
                   " not there is refused.", forge, 8, "continues revocation 1",
                   reference="pets")  # fmt: skip
    gone = {"number": 3, "digest": OTHER}
    forge, first, _ = two_versions(kept)
    yield _refused("revocation-seen-and-hidden", "A revocation that was seen must be there.",
                   forge, 9, "hides revocation 3, which was seen", reference="pets",
                   seen=seen(v1=first) | {"revocation": gone})  # fmt: skip
    yield _refused("revocation-pinned-and-hidden", "A revocation that is pinned must be there.",
                   forge, 9, "hides revocation 3, which is pinned", reference="pets",
                   pin=pin(1, first) | {"revocation": gone})  # fmt: skip


def _latest(kept: Kept) -> Iterator[Case]:
    forge, first, second = two_versions(kept)
    latest(forge, first, 1)
    latest(forge, second, 2, uid=OTHER_UID)
    yield _good("latest-of-before", "A newer version than the attested one is taken.", forge,
                second, policy=trust(required=True))  # fmt: skip
    latest(forge, OTHER, 3)
    yield _refused("latest-hides-the-newest", "A version that is attested must be there.", forge,
                   9, "hides the newest version", reference="pets")  # fmt: skip
    forge, first, second = two_versions(kept)
    latest(forge, OTHER, 2)
    yield _refused("latest-of-another-head", "The attested version must be on the line.", forge,
                   9, "there is no", reference="pets")  # fmt: skip
    forge, first, second = two_versions(kept)
    latest(forge, second, 2, revoked=(4, OTHER))
    yield _refused("latest-revocation-hidden", "A revocation that is attested must be there.",
                   forge, 9, "which is attested to be the newest", reference="pets@1")  # fmt: skip
    for name, claim, says, fields in (
        ("missing", "Where a latest statement is required, none is none.", "asks for one", None),
        ("expired", "An expired latest statement is none.", "expired at",
         {"expires": "2026-11-23T12:00:00Z"}),
        ("by-a-stranger", "A latest statement by whom the rule does not name is none.",
         "asks for one", {"by": ("alice", "mallory")}),
        ("of-another-uid", "A latest statement of another dataset of the name is none.",
         "with the uid", {"uid": OTHER_UID}),
    ):  # fmt: skip
        forge, first, second = two_versions(kept)
        if fields is not None:
            latest(forge, second, 2, **fields)
        yield _refused(f"latest-{name}", claim, forge, 8, says, reference="pets",
                       policy=trust(required=True))  # fmt: skip
