"""What the second reader (`second_reader.py`) takes from docs/format/revocation.md: which samples
are revoked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from second_conventions import fetch
from second_manifest import read_part
from second_reader import read_head
from second_standing import Knowledge, check_standing

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
        if said["samples"] and (said["dataset"], said["uid"]) == (newest["dataset"], newest["uid"]):
            found |= meant(line, numbers, **said["samples"])
    return [identity for identity in line[-1] if identity in found]


def entries_of(registry: Mapping[str, bytes], head: Mapping[str, Any]) -> Entries:
    return {
        entry["id"]: entry
        for part in head["parts"]
        for entry in read_part(fetch(registry, part["file"], part["size"]), part["rows"])
    }


def meant(
    line: Sequence[Entries], numbers: Sequence[int], by: str, name: str, since: int
) -> set[str]:
    """Those of the last version of a line that have the name or had it, less those that stood."""
    if numbers[-1] < since:
        return set()
    named = bearers(line, by, name)
    before = [place for place, number in enumerate(numbers) if number < since]
    if not before:
        return named[-1]
    old, now, bore = line[before[-1]], line[-1], named[before[-1]]
    return {
        one
        for one in named[-1]
        if not (one in bore and of(old[one], BROUGHT[by]) == of(now[one], BROUGHT[by]))
    }


def bearers(line: Sequence[Entries], by: str, name: str) -> list[set[str]]:
    """Of each version of a line the ids that have the name or had it."""
    found: list[set[str]] = []
    for place, now in enumerate(line):
        has = {identity for identity, entry in now.items() if name in names(entry, by)}
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
