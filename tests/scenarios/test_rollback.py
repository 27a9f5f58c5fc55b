"""Whoever can write to the registry's storage cannot turn back what a consumer has seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Person = Callable[[str], Any]


def _publish_two_versions(ann: Any) -> None:
    ann.trusts(ann)
    for version in (1, 2):
        ann.write(f"data/cat/{version}.txt", f"cat {version}")
        ann("ingest data --name pets --source web --labeler ann --sign key:my.key")


def test_rollback_is_refused_by_who_has_seen_newer(person: Person, registry: Path) -> None:
    ann, bob, carol = person("ann"), person("bob"), person("carol")
    _publish_two_versions(ann)
    for consumer in (bob, carol):
        consumer.trusts(ann)
    bob("verify pets")
    (registry / "datasets/pets/versions/00000002.json").unlink()

    refused = bob("verify pets", code=4).err
    assert "step 9: pets went back: version 2 was seen in" in refused
    assert "went back" in bob("pin pets", code=4).err
    assert "step 9" in bob("verify pets --json", code=4).out.replace('"step": 9', "step 9")
    # Asked for by number it is still a version on the same line.
    bob("verify pets@1")
    # Carol is new and has no pin: she is told that nothing vouches for what she sees.
    assert "no pin and no earlier verification" in carol("verify pets").err


def test_rollback_is_refused_by_a_pin_without_any_state(person: Person, registry: Path) -> None:
    ann, bob, ci = person("ann"), person("bob"), person("ci")
    _publish_two_versions(ann)
    for consumer in (bob, ci):
        consumer.trusts(ann)
    bob("pin pets")
    shutil.copy(bob.folder / "provreg.lock", ci.folder)
    (registry / "datasets/pets/versions/00000002.json").unlink()
    assert "step 9: pets went back" in ci("verify pets", code=4).err


def test_rewritten_history_is_refused(person: Person, registry: Path) -> None:
    """The same signer, another history: the registry was thrown away and made anew."""
    ann, bob, ci = person("ann"), person("bob"), person("ci")
    _publish_two_versions(ann)
    for consumer in (bob, ci):
        consumer.trusts(ann)
    bob("pin pets")
    shutil.copy(bob.folder / "provreg.lock", ci.folder)
    shutil.rmtree(registry)
    ann(f"init {registry}")
    other = Path(ann.folder).parent
    for private in (".cache", ".local"):
        shutil.rmtree(other / private, ignore_errors=True)
    _publish_two_versions(ann)
    for consumer in (bob, ci):
        assert "step 9" in consumer("verify pets", code=4).err


def test_another_datasets_version_is_no_replacement(person: Person, registry: Path) -> None:
    ann, bob = person("ann"), person("bob")
    _publish_two_versions(ann)
    bob.trusts(ann)
    ann.write("junk/cat/1.txt", "junk")
    ann("ingest junk --name junk --source web --labeler ann --sign key:my.key")
    pets, junk = (registry / "datasets" / name for name in ("pets", "junk"))
    record = pets / "versions/00000002.json"
    record.chmod(0o600)
    shutil.copy(junk / "versions/00000001.json", record)
    shutil.copytree(junk / "signatures", pets / "signatures", dirs_exist_ok=True)
    assert "step 5" in bob("verify pets", code=4).err


def test_an_older_version_replayed_under_a_new_number_is_refused(
    person: Person, registry: Path
) -> None:
    ann, bob = person("ann"), person("bob")
    _publish_two_versions(ann)
    bob.trusts(ann)
    versions = registry / "datasets/pets/versions"
    shutil.copy(versions / "00000001.json", versions / "00000003.json")
    assert "step 5" in bob("verify pets", code=4).err
    assert "skipped pets@3" in bob("log pets").err
