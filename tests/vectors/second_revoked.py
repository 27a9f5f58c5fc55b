"""What the second reader (`second_reader.py`) takes from docs/format/revocation.md: which samples
are revoked."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from blake3 import blake3
from second_conventions import fetch
from second_manifest import read_part
from second_reader import read_head
from second_standing import Knowledge, check_standing, read_list

Entries = Mapping[str, Mapping[str, Any]]
SAID = {"source": ("content",), "labeler": ("label", "label_digest")}
BROUGHT = {"source": ("content",), "labeler": ("content", "label", "label_digest")}


def revoked(registry: Mapping[str, bytes], digest: str, policy: Mapping[str, Any]) -> list[str]:
    """The ids of the samples of the head `digest` that are revoked, in their order."""
    heads = [read_head(fetch(registry, digest, 64 << 20))]
    newest = heads[0]
    while heads[0]["parent"] is not None:
        heads.insert(0, read_head(fetch(registry, heads[0]["parent"], 64 << 20)))
    line = [entries_of(registry, head) for head in heads]
    numbers = [head["version"] for head in heads]
    known = Knowledge(datetime.now(UTC), None, None)
    chain, _ = check_standing(registry, policy, known, newest, digest)
    found: set[str] = set()
    for place in chain.in_force:
        said = chain.read[place]
        samples = said["samples"]
        if samples and (said["dataset"], said["uid"]) == (newest["dataset"], newest["uid"]):
            found |= meant(line, numbers, names_of(registry, samples), samples.get("since", 1),
                           all if "since" in samples else any)  # fmt: skip
    return [identity for identity in line[-1] if identity in found]


def entries_of(registry: Mapping[str, bytes], head: Mapping[str, Any]) -> Entries:
    return {
        entry["id"]: entry
        for part in head["parts"]
        for entry in read_part(fetch(registry, part["file"], part["size"]), part["rows"])
    }


# (who answers, whether an entry has the name)
Name = tuple[str, Callable[[Mapping[str, Any]], bool]]


def names_of(registry: Mapping[str, bytes], samples: Mapping[str, Any]) -> list[Name]:
    """The names of a revocation, its lists among them."""
    if "criteria" in samples:
        lists = {"source": samples["contents"], "labeler": samples["labels"]}
        return [(by, is_listed(by, read_list(registry, listed)))
                for by, listed in lists.items() if listed is not None]  # fmt: skip
    named = {samples["by"]: samples["name"]} if "by" in samples else {
        by: samples[by] for by in ("source", "labeler")
    }  # fmt: skip
    return [(by, partial(has_name, by, name)) for by, name in named.items()]


def has_name(by: str, name: str, entry: Mapping[str, Any]) -> bool:
    return name in names(entry, by)


def is_listed(by: str, keys: set[bytes]) -> Callable[[Mapping[str, Any]], bool]:
    """Whether the key of an entry is in a list."""
    what = "content" if by == "source" else "label"
    numbered = ["id", "content"] + ([] if by == "source" else ["label", "label_digest"])

    def listed(entry: Mapping[str, Any]) -> bool:
        hasher = blake3(derive_key_context=f"provreg 2026-12-01 v1 revoked {what}")
        for place, column in enumerate(numbered, 1):
            value = entry[column]
            if value is not None:
                data = value.encode() if isinstance(value, str) else value
                hasher.update(struct.pack("<BI", place, len(data)) + data)
        return hasher.digest() in keys

    return listed


def meant(
    line: Sequence[Entries], numbers: Sequence[int], named: Sequence[Name], since: int,
    combine: Callable[[Iterable[bool]], bool],
) -> set[str]:  # fmt: skip
    """Those of the last version of a line that have all or any of the names or had them, less
    those that stood."""
    if numbers[-1] < since:
        return set()
    bore = [bearers(line, by, has) for by, has in named]
    found = {one for one in line[-1] if combine(one in ids[-1] for ids in bore)}
    before = [place for place, number in enumerate(numbers) if number < since]
    if not before:
        return found
    old, now = line[before[-1]], line[-1]
    return {
        one
        for one in found
        if not all(
            one in ids[before[-1]] and of(old[one], BROUGHT[by]) == of(now[one], BROUGHT[by])
            for (by, _), ids in zip(named, bore, strict=True)
        )
    }


def bearers(
    line: Sequence[Entries], by: str, has_it: Callable[[Mapping[str, Any]], bool]
) -> list[set[str]]:
    """Of each version of a line the ids that have the name or had it."""
    found: list[set[str]] = []
    for place, now in enumerate(line):
        has = {identity for identity, entry in now.items() if has_it(entry)}
        if place:
            old, bore = line[place - 1], found[-1]
            has |= {
                one for one in bore & now.keys() if of(old[one], SAID[by]) == of(now[one], SAID[by])
            }
            left = {of(old[one], BROUGHT[by]) for one in bore if not stands(old, now, one, by)}
            has |= {
                one
                for one in now
                if not stands(now, old, one, by) and of(now[one], BROUGHT[by]) in left
            }
        found.append(has)
    return found


def names(entry: Mapping[str, Any], by: str) -> set[str | None]:
    if by == "source":
        return {entry["source"]}
    return {entry["labeler"], *(note["labeler"] for note in entry["annotations"] or ())}


def stands(here: Entries, there: Entries, one: str, by: str) -> bool:
    return one in there and of(here[one], BROUGHT[by]) == of(there[one], BROUGHT[by])


def of(entry: Mapping[str, Any], columns: Sequence[str]) -> tuple[Any, ...]:
    return tuple(entry[column] for column in columns)
