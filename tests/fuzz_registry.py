"""Broken registries, decided by provreg and by the second reader: the same, at the same step.

    python tests/fuzz_registry.py --seconds 3600 [--seed N]

Each begins as a test vector and is changed by chance: a byte, a value of a document, objects that
change places, keys that go or come. What the change needs to get further is made anew, with the
vectors' own keys: digests in names, links, statements, signatures, the digests over entries. The
first difference ends the run, and is written out as a vector.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent / "vectors"))

import pyarrow as pa
import pyarrow.parquet as pq
import second_manifest
import second_reader
import second_verdict
from mutations import changed, places, value_at, values
from second_conventions import Refused, canonical, digest
from second_signing import RefusedAt
from signing import bundle, hint
from test_vectors import CASES, policy_of, read, registry_of, trust_of, workspace_of

from provreg.core.encoding.names import Reference
from provreg.core.manifest.entry import ENTRY
from provreg.errors import NotFoundError, NotTrustedError
from provreg.flows.verify.steps import verify
from provreg.store.registry.parts import write_part

Registry = dict[str, bytes]
SIGNERS = ("alice", "bob", "carol", "mallory")
LARGE = 200_000
# Where a change before left nothing that this one could be made to.
UNFIT = (
    AttributeError, IndexError, KeyError, OSError, OverflowError, TypeError, ValueError,
    struct.error, Refused,
)  # fmt: skip
ODD: list[Any] = [
    0, -1, 1, 2, 2**53 - 1, 2**53, 2**64, 99_999_999, 100_000_000, 1.5, 1e21, 5e-7, 1e-7, "", " ",
    "x", "\u0085", "\u2028", "a\u200b", "e\u0301", "\u00e9", "a\u0300b", "\ufe0f", "\U0001f600",
    "\uff21", "Pets", "pets.", "pets..", "2026-11-22T12:00:00Z", "2026-11-22T24:00:00Z",
    "0000-01-01T00:00:00Z", "2026-02-29T00:00:00Z", "2999-12-31T23:59:60Z", "x" * 300, "x" * 5000,
    "2026-11-22T12:00:00+00:00", None, True, [], {}, {"\ue000": 1, "\U0001f600": 2}, [[]],
]  # fmt: skip


@dataclass
class Broken:
    """A vector that is being changed, and what was done to it."""

    case: dict[str, Any]
    registry: Registry
    chance: random.Random
    done: list[str]

    def key(self, like: str) -> str | None:
        keys = sorted(key for key in self.registry if like in key)
        return self.chance.choice(keys) if keys else None

    def put(self, data: bytes, algorithm: str = "blake3") -> str:
        made = digest(algorithm, data)
        digits = made.partition(":")[2]
        self.registry[f"objects/{digits[:2]}/{algorithm}-{digits}"] = data
        return made

    def bytes_of(self, written: str) -> bytes | None:
        algorithm, _, digits = written.partition(":")
        return self.registry.get(f"objects/{digits[:2]}/{algorithm}-{digits}")

    def value(self, document: Any) -> Any:
        """`document` with one value changed."""
        found = list(places(document))
        where = self.chance.choice(found[:-1] or found)
        before = value_at(document, where)
        others = [
            lambda: self.chance.choice(list(values(before, every=7))),
            lambda: self.chance.choice(ODD),
            lambda: value_at(document, self.chance.choice(found)),
            lambda: self.digest_like(before),
        ]
        after = self.chance.choice(others)()
        self.done.append(f"{where}: {str(before)[:60]!r} -> {str(after)[:60]!r}")
        return changed(document, where, after)

    def digest_like(self, before: Any) -> Any:
        """Another digest of an object that is there, written the same way."""
        names = [key.rpartition("/")[2] for key in self.registry if key.startswith("objects/")]
        other = self.chance.choice(sorted(names) or ["sha256-" + "0" * 64])
        if isinstance(before, str) and len(before) == 64:
            return other.partition("-")[2]
        return other.replace("-", ":")

    def written(self, document: Any) -> bytes:
        """Canonical, but for once in a while."""
        try:
            made = canonical(document)
        except Refused:
            return json.dumps(document).encode()
        if self.chance.random() < 0.05:
            return json.dumps(document).encode()
        return made

    def sign(self, prefix: str, statement: bytes, like: str | None = None) -> None:
        """Bundles over `statement`, by those who signed what lies under `like`."""
        old = [data for key, data in self.registry.items() if key.startswith(like or prefix)]
        names = [name for name in SIGNERS if any(hint(name).encode() in data for data in old)]
        for name in names or ["alice"]:
            data = canonical(bundle(statement, name))
            self.registry[f"{prefix}{digest('sha256', data).replace(':', '-')}"] = data


# --- What is changed ------------------------------------------------------------------------------


def a_byte(broken: Broken) -> None:
    key = broken.key("")
    if key is None:
        return
    data, chance = broken.registry[key], broken.chance
    at, length = chance.randrange(len(data) + 1), chance.choice((0, 1, 1, 3))
    new = bytes(chance.choice(b'\x00 {}[]":,0a\xff') for _ in range(chance.randrange(3)))
    broken.registry[key] = data[:at] + new + data[at + length :]
    broken.done.append(f"bytes of {key} at {at}")


def a_value(broken: Broken) -> None:
    """A value of a record, a statement or a bundle, as it lies there."""
    key = broken.key(
        broken.chance.choice(("/versions/", "revocations/0", "/signatures/", "latest/"))
    )
    document = None if key is None else json_of(broken.registry[key])
    if key is not None and document is not None:
        broken.registry[key] = broken.written(broken.value(document))


def a_bundle(broken: Broken) -> None:
    """A bundle's value, under the name that its bytes have then."""
    key = broken.key(broken.chance.choice(("/signatures/", "latest/")))
    document = None if key is None else json_of(broken.registry[key])
    if key is not None and document is not None:
        data = broken.written(broken.value(document))
        del broken.registry[key]
        name = digest("sha256", data).replace(":", "-")
        broken.registry[f"{key.rpartition('/')[0]}/{name}"] = data


def places_of_two(broken: Broken) -> None:
    like = broken.chance.choice(("", "/versions/", "objects/", "revocations/", "latest/"))
    one, other = broken.key(like), broken.key(like)
    if one and other:
        broken.registry[one], broken.registry[other] = broken.registry[other], broken.registry[one]
        broken.done.append(f"{one} <-> {other}")


def a_key_less(broken: Broken) -> None:
    key = broken.key(broken.chance.choice(("", "/versions/", "/signatures/", "latest/")))
    if key is not None:
        del broken.registry[key]
        broken.done.append(f"without {key}")


def a_key_more(broken: Broken) -> None:
    chance, key = broken.chance, broken.key("")
    if key is None:
        return
    folder, _, name = key.rpartition("/")
    at = chance.randrange(len(name))
    other = chance.choice((
        name[:at] + chance.choice("0129afA:-.x") + name[at + 1 :], name + chance.choice(".x0~"),
        name.upper(), name.replace("-", ":"), "00000000.json", "00000001.json", "00000003.json",
        "99999999.json", "100000000.json", "0000001.json", name[:-1],
    ))  # fmt: skip
    if other not in {"", ".", ".."}:
        broken.registry[f"{folder}/{other}"] = broken.registry[key]
        broken.done.append(f"{key} also as {other}")


def a_head(broken: Broken) -> None:
    """A head's value, signed anew: as somebody who is trusted could."""
    named = head_of(broken)
    document = json_of(broken.bytes_of(named) or b"") if named else None
    if named is not None and document is not None:
        replace_head(broken, named, rooted(broken, broken.value(document)))


def a_revocation(broken: Broken) -> None:
    key = broken.key("revocations/0")
    document = None if key is None else json_of(broken.registry[key])
    if key is None or document is None:
        return
    before = digest("sha256", broken.registry[key]).replace(":", "-")
    data = broken.written(broken.value(document))
    prefix = "revocations/signatures/"
    broken.sign(f"{prefix}{digest('sha256', data).replace(':', '-')}/", data, f"{prefix}{before}/")
    broken.registry[key] = data


def a_latest(broken: Broken) -> None:
    key = broken.key("latest/")
    outer = None if key is None else json_of(broken.registry[key])
    document = json_of(base64.b64decode(outer["dsseEnvelope"]["payload"]))
    if key is not None and document is not None:
        data = broken.written(broken.value(document))
        folder = "/".join(key.split("/")[:2])
        name = digest("sha256", data).replace(":", "-")
        broken.sign(f"{folder}/{name}/", data, key)
        del broken.registry[key]


def an_entry(broken: Broken) -> None:
    """A value of an entry, with all digests over it and the signatures made anew."""
    named, chance = head_of(broken), broken.chance
    head = json_of(broken.bytes_of(named) or b"") if named else None
    part = head["parts"][0]
    rows = pq.read_table(pa.BufferReader(broken.bytes_of(part["file"]))).to_pylist()
    if named is None or not rows or len(rows) > 1000:
        return
    row = chance.choice(rows)
    column = chance.choice(sorted(row))
    texts = [one for one in ODD if isinstance(one, str)] + ["cat/1.jpg", "cat", "dog", "CAT/1.jpg"]
    row[column] = chance.choice((
        None, chance.choice(rows)[column], chance.choice(texts), b"\0" * 32, 0, 2**64 - 1,
        [], [{"label": "cat", "labeler": chance.choice(texts), "labeled_at": None}], [None],
        "1", "1.0", '{"a":1}', '{"b":1,"a":2}', "1e400", "9007199254740993", "[" * 64 + "]" * 64,
    ))  # fmt: skip
    if chance.random() < 0.5:
        rows.sort(key=lambda one: str(one["id"]).encode())
    data = write_part(pa.Table.from_pylist(rows, schema=ENTRY))
    cut = list(second_manifest.blocks_of([one["id"] for one in rows]))
    leaves = iter([second_manifest.leaf(one) for one in rows])
    blocks = second_manifest.logical_digest([[next(leaves) for _ in block] for block in cut])
    new = part | {"file": broken.put(data), "size": len(data), "blocks": blocks, "rows": len(rows),
                  "first": rows[0]["id"], "last": rows[-1]["id"]}  # fmt: skip
    head["parts"][0] = new
    head["samples"] = sum(one["rows"] for one in head["parts"])
    if len(head["parts"]) == 1 and chance.random() < 0.8:
        for field, name in (("sources", "source"), ("labelers", "labeler")):
            head[field] = second_reader.name_counts(rows, name)
    broken.done.append(f"{column} of an entry is {str(row[column])[:60]!r}")
    replace_head(broken, named, rooted(broken, head))


def a_part(broken: Broken) -> None:
    """A byte of a part file, with its digest and the signatures made anew."""
    named, chance = head_of(broken), broken.chance
    head = json_of(broken.bytes_of(named) or b"") if named else None
    data = broken.bytes_of(head["parts"][0]["file"])
    if named is None or not data:
        return
    at = chance.randrange(len(data))
    data = data[:at] + bytes([chance.randrange(256)]) + data[at + chance.choice((0, 1, 1, 1)) :]
    head["parts"][0] |= {"file": broken.put(data), "size": len(data)}
    broken.done.append(f"byte {at} of a part file")
    replace_head(broken, named, head)


def the_policy(broken: Broken) -> None:
    """Another consumer's policy, or a part of one."""
    other = broken.chance.choice(CASES)
    broken.case["policy"] = policy_of(read(other))
    broken.done.append(f"the policy of {other.stem}")


def what_is_known(broken: Broken) -> None:
    """Another consumer's state or pin, or one with another version."""
    chance = broken.chance
    heads = [json_of(data) for key, data in sorted(broken.registry.items()) if "/versions/" in key]
    heads = [one["head"] for one in heads if isinstance(one, dict) and "head" in one]
    kind = chance.choice(("seen", "pin"))
    known = json.loads(json.dumps(broken.case.get(kind) or read(chance.choice(CASES)).get(kind)))
    if not known or not heads:
        return
    for one in known["versions"].values() if kind == "seen" else [known]:
        if chance.random() < 0.5:
            one["head"] = chance.choice([*map(str, heads), "sha256:" + "cd" * 32])
    if kind == "pin":
        known["version"] = chance.choice((1, 2, 3, known["version"]))
    elif chance.random() < 0.3:
        known["place"] = "file:///elsewhere"
    broken.case[kind] = known
    broken.done.append(f"{kind}: {known}")


CHANGES: dict[Callable[[Broken], None], int] = {
    a_byte: 2, a_value: 3, a_bundle: 4, places_of_two: 2, a_key_less: 2, a_key_more: 2, a_head: 8,
    a_revocation: 8, a_latest: 8, an_entry: 8, a_part: 3, the_policy: 1, what_is_known: 3,
}  # fmt: skip


# --- What is made anew ----------------------------------------------------------------------------


def json_of(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def head_of(broken: Broken) -> str | None:
    """The head of a version that is there."""
    key = broken.key("/versions/")
    record = None if key is None else json_of(broken.registry[key])
    named = record.get("head") if isinstance(record, dict) else None
    return named if isinstance(named, str) and broken.bytes_of(named) else None


def rooted(broken: Broken, head: Any) -> Any:
    """`head` with the root over its parts, mostly."""
    with suppress(*UNFIT):
        if broken.chance.random() < 0.8:
            head["root"] = second_manifest.root(head["parts"])
    return head


def replace_head(broken: Broken, before: str, head: Any) -> None:
    """`head` in the place of the one that was `before`: stored, signed, recorded, continued."""
    data = broken.written(head)
    named = broken.put(data, "sha256")
    if named == before:
        return
    signed = second_reader.statement(head, named)
    for key in sorted(broken.registry):
        if "/versions/" in key and before.encode() in broken.registry[key]:
            broken.registry[key] = broken.registry[key].replace(before.encode(), named.encode())
            prefix = key.partition("/versions/")[0] + "/signatures/"
            broken.sign(f"{prefix}{named.replace(':', '-')}/", signed,
                        f"{prefix}{before.replace(':', '-')}/")  # fmt: skip
    if broken.chance.random() < 0.8:
        for data in [data for key, data in sorted(broken.registry.items()) if "/sha256-" in key]:
            child = json_of(data) if key_is_head(data) else None
            if isinstance(child, dict) and child.get("parent") == before:
                replace_head(broken, digest("sha256", data), child | {"parent": named})


def key_is_head(data: bytes) -> bool:
    return b'"format":"provreg.head/v1"' in data


# --- Both decide ----------------------------------------------------------------------------------


def ours(case: Mapping[str, Any], registry: Registry, folder: Path) -> int | None:
    """The step at which provreg refuses; 0 where there is no such version."""
    shutil.rmtree(folder, ignore_errors=True)
    variables = {f"PROVREG_{name}": str(folder / name) for name in ("STATE", "CONFIG")}
    with mock.patch.dict(os.environ, variables):
        workspace = workspace_of(dict(case), folder / "registry", registry)
        try:
            verify(
                workspace,
                workspace.chosen(Reference.parse(case["reference"])),
                trust_of(dict(case)),
            )
        except NotTrustedError as error:
            return error.step
        except NotFoundError:
            return 0
    return None


def theirs(case: Mapping[str, Any], registry: Registry) -> int | None:
    """The same of the second reader."""
    try:
        second_verdict.decide(
            registry, case["reference"], policy_of(case),
            seen=case.get("seen"), pin=case.get("pin"),
        )  # fmt: skip
    except RefusedAt as refused:
        return refused.step
    return None


def broken_by(seed: int, cases: list[Path]) -> Broken:
    chance = random.Random(seed)  # noqa: S311
    path = chance.choice(cases)
    case = read(path)
    broken = Broken(case, registry_of(case), chance, [path.stem])
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        change = chance.choices(list(CHANGES), list(CHANGES.values()))[0]
        with suppress(*UNFIT):
            change(broken)
    return broken


def small_cases() -> list[Path]:
    return [
        path for path in CASES if sum(map(len, registry_of(read(path)).values())) < LARGE
    ]  # fmt: skip


def difference(
    seed: int, cases: list[Path], folder: Path, steps: Counter[int | None]
) -> str | None:
    """How the two disagree about the registry that `seed` makes; what they agree on is counted."""
    broken = broken_by(seed, cases)
    try:
        found = ours(broken.case, broken.registry, folder), theirs(broken.case, broken.registry)
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        return None  # a file where a folder is needed: no registry in a folder
    except Exception as error:  # whatever it is, the other has it not
        return f"seed {seed}: {type(error).__name__}: {error}; {broken.done}"
    if found[0] == found[1]:
        steps[found[0]] += 1
        return None
    return f"seed {seed}: step {found[0]} here, {found[1]} by the second reader; {broken.done}"


def run(seconds: float, seed: int, folder: Path, *, most: int = 10**9) -> tuple[str | None, str]:
    """The first difference in that time, None where there is none; and what was tried, in words."""
    cases, end, steps = small_cases(), time.monotonic() + seconds, Counter[int | None]()
    number = seed
    with mock.patch.dict(os.environ, {"PROVREG_CACHE": str(folder / "cache")}):
        while number < seed + most and time.monotonic() < end:
            found = difference(number, cases, folder / "case", steps)
            if found is not None:
                return found, ""
            number += 1
    agreed = ", ".join(f"{step}: {steps[step]}" for step in sorted(steps, key=str))
    return None, f"{number - seed} registries without a difference, by step {agreed}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where registries are made; in memory is faster")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found, tried = run(options.seconds, options.seed, Path(folder))
    sys.stdout.write(f"{found or tried}\n")
    sys.exit(found is not None)


if __name__ == "__main__":
    main()
