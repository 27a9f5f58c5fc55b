"""What the second reader takes from docs/format/revocation.md, latest.md and state.md.

Steps 8 and 9: what was revoked, what is attested to be the newest, and what the consumer knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from second_conventions import Refused, digest, fetch, parse, parse_json, refuse_unless
from second_manifest import BLANKS, check_name, within
from second_reader import BLAKE3, SHA256, fields, number, read_head, text
from second_signing import (
    RefusedAt,
    age,
    at,
    enough,
    met,
    moment,
    pems,
    rule_of,
    signed,
    signed_by,
    who,
)

Registry = Mapping[str, bytes]
Policy = Mapping[str, Any]
KIND = "https://provreg/revocation/"
BLANK = f"{BLANKS} 0009-000D 001C-001F 0085 2028 2029"


@dataclass(frozen=True)
class Knowledge:
    """The consumer: the time, what they have seen and what they pinned, as a vector says it."""

    now: datetime
    seen: Mapping[str, Any] | None = None
    pin: Mapping[str, Any] | None = None
    trust: str = "policy"

    @property
    def uid_here(self) -> str | None:
        """The uid that was seen here under the name."""
        return None if self.seen is None or "place" in self.seen else self.seen["uid"]

    def of(self, uid: str) -> Mapping[str, Any]:
        """What was seen of the dataset `uid`, wherever."""
        return {} if self.seen is None or self.seen["uid"] != uid else self.seen


# --- The statements -------------------------------------------------------------------------------


def is_link(value: Any) -> bool:
    fields(value, number=number(1, 99_999_999), digest=SHA256)
    return True


def is_time(value: Any) -> bool:
    if not text(20, "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")(value):
        return False
    try:
        return f"{datetime.fromisoformat(value).replace(tzinfo=None).isoformat()}Z" == value
    except ValueError:
        return False


def read_about(data: bytes, kind: str, **forms: Any) -> dict[str, Any]:
    """The facts of a statement about a version, the digest of its head as `head`."""
    said = parse(data, 16 << 10)
    fields(said, _type=text(100, "https://in-toto.io/Statement/v1"), predicate=_any, subject=_any,
           predicateType=text(200, re.escape(f"https://provreg/{kind}/v1")))  # fmt: skip
    facts: dict[str, Any] = said["predicate"]
    fields(
        facts,
        dataset=lambda v: text(128, "[a-z0-9]([a-z0-9._-]*[a-z0-9_-])?")(v) and ".." not in v,
        uid=text(32, "[0-9a-f]{32}"),
        version=number(1, 99_999_999),
        **forms,
    )
    subject = said["subject"]
    refuse_unless(isinstance(subject, list) and len(subject) == 1, "subject")
    name = f"{facts['dataset']}@{facts['version']}"
    fields(subject[0], name=lambda v: v == name, digest=_any)
    fields(subject[0]["digest"], sha256=text(64, "[0-9a-f]{64}"))
    return facts | {"head": "sha256:" + subject[0]["digest"]["sha256"]}


def _any(_: Any) -> bool:
    return True


def read_revocation(data: bytes) -> dict[str, Any]:
    """A revocation or a withdrawal: `samples` of the former, `withdraws` of the latter."""
    ends = parse(data, 16 << 10).get("predicateType") == f"{KIND}withdrawal/v1"
    what: dict[str, Any] = {"samples": lambda v: v is None or _are_samples(v)}
    found = read_about(
        data, "revocation/withdrawal" if ends else "revocation",
        number=number(1, 99_999_999),
        previous=lambda v: v is None or is_link(v),
        reason=lambda v: text(4096)(v) and not all(within(one, BLANK) for one in v),
        created=is_time,
        **({"withdraws": is_link} if ends else what),
    )  # fmt: skip
    for before in (found["previous"], found.get("withdraws")):
        refuse_unless(before is None or before["number"] < found["number"], "names a later one")
    return {"samples": None, "withdraws": None} | found


def _are_samples(value: Any) -> bool:
    if isinstance(value, dict) and "criteria" in value:
        fields(value, contents=_is_list, labels=_is_list, criteria=_are_criteria)
        refuse_unless(value["contents"] or value["labels"], "lists nothing")
        return True
    names = ("name",)
    if isinstance(value, dict) and "by" in value:
        fields(value, by=text(10, "source|labeler"), name=text(256), since=number(1, 99_999_999))
    else:
        fields(value, source=text(256), labeler=text(256), since=number(1, 99_999_999))
        names = ("source", "labeler")
    for name in names:
        refuse_unless(value[name] != "", "no name")
        check_name(value[name])
    return True


def _is_list(value: Any) -> bool:
    return value is None or fields(value, digest=BLAKE3, count=number(1, 10_000_000)) is None


def _are_criteria(value: Any) -> bool:
    return isinstance(value, dict) and len(value) <= 16 and all(
        isinstance(one, str) and len(name.encode()) + len(one.encode()) <= 512
        for name, one in value.items()
    )  # fmt: skip


def read_list(registry: Registry, listed: Mapping[str, Any]) -> set[bytes]:
    """The keys of a list. Raises RefusedAt (step 8)."""
    try:
        data = fetch(registry, listed["digest"], 32 * listed["count"])
    except Refused:
        raise RefusedAt(8, "a list is gone") from None
    keys = [data[at : at + 32] for at in range(0, len(data), 32)]
    if len(data) != 32 * listed["count"] or keys != sorted(set(keys)):
        raise RefusedAt(8, "not a list")
    return set(keys)


def read_latest(data: bytes) -> dict[str, Any]:
    found = read_about(data, "latest", as_of=is_time, expires=is_time,
                       revocation=lambda v: v is None or is_link(v))  # fmt: skip
    refuse_unless(found["expires"] > found["as_of"], "ends before it begins")
    return found


# --- "What counts" of latest statements -----------------------------------------------------------


def attested(
    registry: Registry, dataset: str, uid: str | None, policy: Policy, now: datetime
) -> list[dict[str, Any]]:
    """The *latest* statements that count, with whose they are as `by`."""
    rule = rule_of(policy, "freshness", dataset)
    if rule is None:
        return []
    prefix = f"latest/{dataset}/"
    names = {key.removeprefix(prefix).partition("/")[0] for key in registry
             if key.startswith(prefix)}  # fmt: skip
    found = []
    for name in sorted(n for n in names if re.fullmatch("sha256-[0-9a-f]{64}", n))[:1000]:
        made = [(pem, payload) for pem, payload in signed_by(registry, f"{prefix}{name}/", policy)
                if digest("sha256", payload) == name.replace("-", ":")]  # fmt: skip
        try:
            said = read_latest(made[0][1]) if made else None
        except Refused:
            continue
        if said is None or said["dataset"] != dataset or uid not in (None, said["uid"]):
            continue
        as_of = moment(said["as_of"])
        if now >= moment(said["expires"]) or as_of > now + timedelta(minutes=10):
            continue
        if "maximum_age" in rule and now - as_of > age(rule["maximum_age"]):
            continue
        by, _ = signed(policy, rule, [pem for pem, _ in made], now=now, created=as_of)
        if enough(rule, by):
            found.append(said | {"by": by})
    return found


# --- "What counts" of revocations -----------------------------------------------------------------


@dataclass
class Chain:
    read: dict[int, dict[str, Any]] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)
    signed: dict[int, list[str]] = field(default_factory=dict)
    in_force: set[int] = field(default_factory=set)
    withdrawn: set[int] = field(default_factory=set)

    def line(self, link: Mapping[str, Any] | None) -> Iterator[int | None]:
        """What a link names, what that continues and so on; None at the end where one is gone."""
        while link is not None:
            if self.digests.get(link["number"]) != link["digest"]:
                yield None
                return
            yield link["number"]
            link = self.read[link["number"]]["previous"]


def read_chain(registry: Registry, policy: Policy, known: Knowledge) -> Chain:
    """The revocations; RefusedAt (step 8) where nothing can be relied upon."""
    chain, broken = Chain(), False
    keys = [key for key in registry if re.fullmatch(r"revocations/[0-9]{8}\.json", key)]
    if len(keys) > 100_000:
        raise RefusedAt(0, "too many revocations")
    for place in sorted(int(key[-13:-5]) for key in keys):
        data = registry[f"revocations/{place:08d}.json"]
        if place == 0 or len(data) > 16 << 10:
            continue
        named = digest("sha256", data)
        prefix = f"revocations/signatures/{named.replace(':', '-')}/"
        by = [pem for pem, payload in signed_by(registry, prefix, policy) if payload == data]
        try:
            found = read_revocation(data)
        except Refused:
            broken = broken or (_claims(data) and _by_who_may(policy, by))
            continue
        if found["number"] != place:
            continue
        chain.read[place], chain.digests[place], chain.signed[place] = found, named, by
        if _counts(policy, known, chain, place):
            chain.in_force.add(place)
    chain.in_force |= _known(registry, policy, known, chain)
    for place in chain.in_force:
        link = chain.read[place]["previous"]
        while link is not None and not broken:
            broken = chain.digests.get(link["number"]) != link["digest"]
            link = None if broken else chain.read[link["number"]]["previous"]
    if broken:
        raise RefusedAt(8, "the chain of revocations is broken")
    for place in list(chain.in_force):
        ends, said = chain.read[place]["withdraws"], chain.read[place]
        if ends is None:
            continue
        chain.in_force.discard(place)
        target = chain.read.get(ends["number"])
        if target is None or chain.digests[ends["number"]] != ends["digest"]:
            continue
        if (target["dataset"], target["uid"]) == (said["dataset"], said["uid"]):
            chain.withdrawn.add(ends["number"])
    chain.in_force -= chain.withdrawn
    return chain


def _claims(data: bytes) -> bool:
    try:
        said = parse_json(data, 16 << 10)
    except Refused:
        return False
    kind = said.get("predicateType") if isinstance(said, dict) else None
    return isinstance(kind, str) and kind.startswith(KIND)


def _by_who_may(policy: Policy, keys: Iterable[str]) -> bool:
    names = {name for rule in policy.get("revoke", ()) for name in who(rule)}
    return any(set(pems(one)) & set(keys) for one in policy.get("principal", ())
               if one["name"] in names)  # fmt: skip


def _counts(
    policy: Policy, known: Knowledge, chain: Chain, place: int, at: str | None = None
) -> bool:
    """Whether who signed it may revoke; `at`, it was known to be there."""
    said = chain.read[place]
    rule = rule_of(policy, "revoke", said["dataset"])
    return rule is not None and met(
        policy, rule, chain.signed[place], now=known.now, ends=said["withdraws"] is not None,
        created=moment(said["created"]), seen=lambda _: at and moment(at),
    ) == "met"  # fmt: skip


def _known(registry: Registry, policy: Policy, known: Knowledge, chain: Chain) -> set[int]:
    """Those that the consumer knows to have been in force.

    *Latest* statements show none to be older: this reader trusts no authority for their time. Whose
    they are has signed what they name.
    """
    found: set[int] = set()
    pin = known.pin or {}
    link = pin.get("revocation")
    named: tuple[Any, Any] | None = None
    while link is not None and chain.digests.get(link["number"]) == link["digest"]:
        place, said = link["number"], chain.read[link["number"]]
        of = (said["dataset"], said["uid"])
        named = named or of
        if said["withdraws"] is None and (
            of == named or _counts(policy, known, chain, place, pin.get("at"))
        ):
            found.add(place)
        link = said["previous"]
    for place, said in chain.read.items():
        seen = known.of(said["uid"]).get("in_force", {})
        if said["withdraws"] is None and seen.get(str(place)) == chain.digests[place]:
            found.add(place)
        rule = rule_of(policy, "revoke", said["dataset"])
        if rule is None or place in chain.in_force or said["withdraws"] is not None:
            continue
        good, _ = signed(policy, rule, chain.signed[place], now=known.now, ends=False,
                         created=moment(said["created"]))  # fmt: skip
        for one in attested(registry, said["dataset"], said["uid"], policy, known.now):
            together = good | one["by"] & set(who(rule))
            if place in chain.line(one["revocation"]) and enough(rule, together):
                found.add(place)
    return found


def check_standing(
    registry: Registry, policy: Policy, known: Knowledge, head: Mapping[str, Any], named: str
) -> tuple[Chain, list[dict[str, Any]]]:
    """Step 8, but for what keys say of time: the revocations, and what is attested."""
    chain = read_chain(registry, policy, known)
    this = (head["dataset"], head["uid"], named)
    for place in chain.in_force:
        said = chain.read[place]
        if said["samples"] is None and (said["dataset"], said["uid"], said["head"]) == this:
            raise RefusedAt(8, f"revocation {place}")
        if said["samples"] and (said["dataset"], said["uid"]) == this[:2]:
            for listed in (said["samples"].get("contents"), said["samples"].get("labels")):
                if listed is not None:
                    read_list(registry, listed)
    newest = attested(registry, head["dataset"], head["uid"], policy, known.now)
    rule = rule_of(policy, "freshness", head["dataset"])
    if rule is not None and rule.get("required", True) and not newest:
        raise RefusedAt(8, "no latest statement")
    return chain, newest


# --- docs/format/verification.md, "Step 9: history" -----------------------------------------------


def check_history(
    registry: Registry,
    policy: Policy,
    known: Knowledge,
    selector: str,
    head: Mapping[str, Any],
    named: str,
    chain: Chain,
    newest: Iterable[Mapping[str, Any]],
) -> None:
    """Step 9."""
    seen, pin = known.of(head["uid"]), known.pin
    revocations = [*seen.get("in_force", {}).items()]
    links = [said["revocation"] for said in newest]
    links += [one.get("revocation") for one in (seen, pin) if one is not None]
    if known.uid_here is not None and known.seen is not None:
        links.append(known.seen.get("revocation"))
    revocations += [(link["number"], link["digest"]) for link in links if link is not None]
    for place, written in revocations:
        line = chain.line({"number": int(place), "digest": written})
        hidden(None not in line, f"revocation {place}, or what it continues")
    for said in newest:
        for place in filter(None, chain.line(said["revocation"])):
            one = chain.read[place]
            counts = (
                one["withdraws"] is not None
                or place in chain.withdrawn
                or any(_covers(chain.read[other], one) for other in chain.in_force)
            )
            ours = (one["dataset"], one["uid"]) == (head["dataset"], head["uid"])
            ruled = rule_of(policy, "revoke", one["dataset"]) is not None
            hidden(counts or not (ours and ruled), f"the bundles of revocation {place}")
    hidden(pin is None or pin["uid"] == head["uid"], "pinned as another dataset")
    hidden(known.uid_here in (None, head["uid"]), "another dataset of the name")
    hidden(not seen or head["dataset"] == "pets", "another name")  # vectors are of pets
    versions = {int(place): one["head"] for place, one in seen.get("versions", {}).items()}
    hidden(versions.get(head["version"], named) == named, "another head at a seen number")
    if selector.startswith("sha256:"):
        return
    older_meant = selector.isdecimal()
    anchors = [(said["version"], said["head"]) for said in newest]
    anchors += [] if pin is None else [(pin["version"], pin["head"])]
    for place in sorted(versions, reverse=True):
        lags = older_meant and head["version"] < place and known.uid_here is None
        if not lags or _has_head(registry, versions[place]):
            anchors.append((place, versions[place]))
            break
    for place, written in anchors:
        hidden(older_meant or head["version"] >= place, f"version {place}")
        ends = sorted([(head["version"], named), (place, written)])
        on_line = at(9, lambda ends=ends: _descends(registry, ends[1][1], ends[0]))
        hidden(on_line, f"not on the line of version {place}")


def _covers(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one revocation revokes all that another does."""
    if (one["dataset"], one["uid"]) != (other["dataset"], other["uid"]):
        return False
    mine, others = one["samples"], other["samples"]
    if mine is None or others is None:
        return mine is others and one["head"] == other["head"]
    if set(mine) != set(others):
        return False
    same = all(mine[name] == others[name] for name in mine if name not in ("since", "criteria"))
    return same and mine.get("since", 1) <= others.get("since", 1)


def hidden(holds: bool, why: str) -> None:
    if not holds:
        raise RefusedAt(9, why)


def _has_head(registry: Registry, written: str) -> bool:
    try:
        read_head(fetch(registry, written, 64 << 20))
    except Refused:
        return False
    return True


def _descends(registry: Registry, newer: str, older: tuple[int, str]) -> bool:
    """Whether the line of `newer` has that head at that number."""
    child: Mapping[str, Any] | None = None
    link: str | None = newer
    while link is not None:
        head = read_head(fetch(registry, link, 64 << 20))
        if child is not None:
            check_parent(child, head)
        if head["version"] <= older[0]:
            return (head["version"], link) == older
        child, link = head, head["parent"]
    return False


def check_parent(child: Mapping[str, Any], parent: Mapping[str, Any]) -> None:
    """docs/format/head.md, "Parent" and "Labels and classes"."""
    same = all(child[name] == parent[name] for name in ("dataset", "uid"))
    refuse_unless(same and parent["version"] < child["version"], "no parent of this")
    types = [("none", "class", "text").index(head["label_type"]) for head in (parent, child)]
    refuse_unless(types[0] <= types[1], "the label type goes back")
    kept = child["classes"][: len(parent["classes"])] == parent["classes"]
    refuse_unless(child["label_type"] != "class" or kept, "classes with other indices")
