"""Sync, compare, query and check: what the index says is what the objects say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import duckdb
import pytest

from provreg.errors import UsageError
from provreg.flows.verify.changes import changes_between
from provreg.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Bench


@pytest.fixture
def registry(bench: Bench) -> Registry:
    """Two trusted versions and one by somebody else, in sync."""
    data = bench.pets()
    bench.ingest(data, labeler="ann", message="first")
    (data / "cat/1.jpg").rename(data / "dog/1.jpg")
    bench.ingest(data, labeler="ben", message="second")
    bench.write("pets", {"cat/evil.jpg": b"evil"})
    bench.ingest(data, by="mallory", trusting=["alice"], source="web")
    opened = bench.open()
    assert opened.sync() == []
    return opened


def test_untrusted_versions_are_indexed_and_marked(registry: Registry) -> None:
    names, rows = registry.sql("select version, trusted, message from versions order by version")
    assert names == ["version", "trusted", "message"]
    assert rows == [(1, True, "first"), (2, True, "second"), (3, False, "")]


def test_trust_is_asked_at_query_time_and_never_stored(bench: Bench, registry: Registry) -> None:
    ask = "select version from versions where trusted order by 1"
    assert registry.sql(ask)[1] == [(1,), (2,)]
    assert bench.open("mallory").sql(ask)[1] == [(3,)]
    assert replace(registry, trust=None).sql(ask)[1] == []


def test_the_columns_of_the_tables(registry: Registry) -> None:
    entry = ["id", "content", "size", "label", "label_digest", "source", "labeler", "labeled_at",
             "split", "delivery", "annotations", "uri", "content_sha256", "attrs"]  # fmt: skip
    tables = {
        "versions": ["dataset", "version", "head", "parent", "root", "samples", "created",
                     "message", "counts_true", "trusted", "trusted_because", "standing",
                     "untrusted_because", "signers", "principals"],
        "entries": ["dataset", "version", *entry],
        "changes": ["dataset", "version", "kinds",
                    *(f"{side}_{name}" for side in ("old", "new") for name in entry)],
        "signatures": ["dataset", "version", "head", "signer", "issuer", "principal", "verified",
                       "counts", "signed_at", "proof"],
        "revocations": ["revocation", "digest", "dataset", "uid", "version", "head", "revokes",
                        "source", "labeler", "since", "listed", "withdraws", "reason", "created",
                        "in_force", "because", "signers", "principals"],
    }  # fmt: skip
    for table, columns in tables.items():
        assert registry.sql(f"from {table}")[0] == columns


def test_entries_and_changes_hold_what_the_versions_do(registry: Registry) -> None:
    count = "select version, count(*) from {} group by 1 order by 1"
    assert registry.sql(count.format("entries"))[1] == [(1, 6), (2, 6), (3, 7)]
    assert registry.sql(count.format("changes"))[1] == [(1, 6), (2, 1), (3, 1)]
    _, rows = registry.sql(
        "select kinds, old_id, new_id, old_label, new_label, new_labeler from changes"
        " where version = 2"
    )
    assert rows == [(["relabeled", "renamed"], "cat/1.jpg", "dog/1.jpg", "cat", "dog", "ben")]
    _, rows = registry.sql("select id, source, length(content) from entries where label = 'cat'"
                           " and version = 3 order by id")  # fmt: skip
    assert rows == [
        ("cat/3.jpg", "shelter", 64), ("cat/5.jpg", "shelter", 64), ("cat/evil.jpg", "web", 64),
    ]  # fmt: skip


def test_first_version_injected_all_that_it_has(registry: Registry) -> None:
    """What a source brought at first must not be missing from what it brought."""
    _, rows = registry.sql("select kinds, old_id, new_id, new_label, new_labeler, old_content,"
                           " length(new_content) from changes where version = 1 order by new_id"
                           " limit 1")  # fmt: skip
    assert rows == [(["injected"], None, "cat/1.jpg", "cat", "ann", None, 64)]
    _, injected = registry.sql("select columns('new_(.*)') from changes where version = 1"
                               " order by new_id")  # fmt: skip
    _, entries = registry.sql("select * exclude (dataset, version) from entries where version = 1"
                              " order by id")  # fmt: skip
    assert injected == entries
    _, brought = registry.sql("select version, count(*) from changes where new_source = 'shelter'"
                              " group by all order by 1")  # fmt: skip
    assert brought == [(1, 6), (2, 1)]


def test_signers_of_untrusted_versions_do_not_disappear(bench: Bench, registry: Registry) -> None:
    alice, mallory = (bench.signer(name).key.public.fingerprint for name in ("alice", "mallory"))
    ask = "select version, signers, principals, standing from versions order by 1"
    claimed = [f"the key {mallory}, not verified"]
    assert registry.sql(ask)[1] == [
        (1, [alice], ["alice"], "trusted"),
        (2, [alice], ["alice"], "trusted"),
        (3, claimed, [], "distrusted"),
    ]
    knows = bench.open("alice", revoke=["mallory"])
    assert knows.sql(ask)[1][2] == (3, [mallory], ["mallory"], "distrusted")
    ask = "select version, signer, principal, verified, counts from signatures order by 1"
    assert knows.sql(ask)[1] == [
        (1, alice, "alice", True, True),
        (2, alice, "alice", True, True),
        (3, mallory, "mallory", True, False),
    ]
    assert registry.sql(ask)[1][2] == (3, mallory, None, False, False)
    assert replace(registry, trust=None).sql(ask)[1][0] == (1, alice, None, False, False)


def test_signer_of_a_revoked_version_does_not_disappear(bench: Bench, registry: Registry) -> None:
    chief = bench.open("alice", revoke=["chief"])
    chief.revoke("pets@2", "poison", bench.signer("chief"))
    ask = "select version, principals, standing, untrusted_because from versions where version = 2"
    ((version, principals, standing, because),) = chief.sql(ask)[1]
    assert (version, principals, standing) == (2, ["alice"], "revoked")
    assert "revoked by chief" in because
    ask = "select revocation, dataset, version, revokes, labeler, reason, in_force, principals"
    assert chief.sql(f"{ask} from revocations")[1] == [
        (1, "pets", 2, "version", None, "poison", True, ["chief"])
    ]


def test_pivot_finds_its_columns_itself(registry: Registry) -> None:
    asked = "pivot (from entries where version = 3) on label using count(*) group by source"
    columns, rows = registry.sql(asked)
    assert columns == ["source", "cat", "dog"]
    assert sorted(rows) == [("shelter", 2, 4), ("web", 1, 0)]
    listed = "pivot entries on label in ('cat') using count(*) group by version order by version"
    assert registry.sql(listed)[1] == [(1, 3), (2, 2), (3, 3)]


def test_answer_has_objects_by_column_name(registry: Registry) -> None:
    answer = registry.sql("select version, trusted from versions order by 1")
    assert [*answer.objects()][2] == {"version": 3, "trusted": False}
    assert repr(answer) == "Answer(2 columns, 3 rows)"
    assert "<th>trusted</th>" in answer._repr_html_()
    with pytest.raises(UsageError, match="duplicate column name 'version'"):
        registry.sql("select version, version from versions").objects()


def test_a_wrong_query_is_a_usage_error(registry: Registry) -> None:
    for query in ("selec", "select * from nothing", "select nothing from versions"):
        with pytest.raises(UsageError) as caught:
            registry.sql(query)
        assert "versions, entries, changes" in caught.value.hint


def test_sync_tells_its_progress_and_does_nothing_twice(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provreg.store.index.index import Index

    monkeypatch.setattr(Index, "add", lambda *_, **__: pytest.fail("taken in again"))
    told: list[tuple[int, int]] = []
    assert registry.sync(progress=lambda *done: told.append(done)) == []
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_version_replaced_in_the_registry_is_replaced_in_the_index(
    bench: Bench, registry: Registry
) -> None:
    head = registry.resolve("pets@3").head
    digest = bench.forge(replace(head, message="replaced"), by="mallory", claim=False)
    bench.point(3, digest)
    assert registry.log("pets")[0].digest == digest
    assert registry.sql("select count(*) from versions")[1] == [(3,)]


def test_a_version_gone_from_the_registry_goes_from_the_index(
    bench: Bench, registry: Registry
) -> None:
    bench.record(3).unlink()
    assert registry.sync() == []
    assert [one.head.version for one in registry.log("pets")] == [2, 1]


def test_a_replaced_ancestor_stays_known_by_who_descends_from_it(
    bench: Bench, registry: Registry
) -> None:
    """Replacing a middle number must not turn what it changed into the first version's."""
    head = registry.resolve("pets@2").head
    bench.point(2, bench.forge(replace(head, message="innocent"), claim=False))
    assert registry.sync() == []
    assert sorted((one.head.version, one.head.message) for one in registry.log("pets")) == [
        (1, "first"),
        (2, "innocent"),
        (2, "second"),
        (3, ""),
    ]
    found = {one.id: one.label.version.head for one in registry.blame("pets")}
    assert (found["dog/1.jpg"].version, found["dog/1.jpg"].message) == (2, "second")
    assert list(registry.check(index=True)) == []


def test_comparing_reads_only_blocks_that_differ(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import provreg.flows.verify.changes as module
    from provreg.core.changes.changes import compare

    rows = "".join(f'{{"key": "{n:05}", "text": "{n}"}}\n' for n in range(5000))
    path = bench.folder / "rows.jsonl"
    path.write_text(rows, "utf-8")
    from provreg.readers.api import ReadOptions

    old = bench.ingest(path, options=ReadOptions(id="key")).head
    path.write_text(rows.replace('"text": "77"', '"text": "changed"'), "utf-8")
    new = bench.ingest(path).head
    sizes: list[tuple[int, int]] = []

    def counting(a: object, b: object) -> object:
        sizes.append((a.num_rows, b.num_rows))
        return compare(a, b)

    monkeypatch.setattr(module, "compare", counting)
    changes = changes_between(bench.open().workspace, old, new)
    assert changes.ids().to_pylist() == ["00077"]
    assert sizes
    assert max(sizes[0]) <= 1024
    assert changes_between(bench.open().workspace, new, new).counts() == dict.fromkeys(
        changes.counts(), 0
    )


@pytest.mark.parametrize("question", ["log", "diff", "blame"])
def test_a_question_opens_the_index_once(registry: Registry, question: str) -> None:
    with patch.object(duckdb, "connect", wraps=duckdb.connect) as connect:
        {
            "log": lambda: registry.log("pets"),
            "diff": lambda: registry.diff("pets@1", "pets@3"),
            "blame": lambda: registry.blame("pets@3"),
        }[question]()
    assert connect.call_count == 1


def test_check_says_where_and_what(bench: Bench, registry: Registry, tmp_path: Path) -> None:
    assert list(registry.check()) == []
    head = registry.resolve("pets@2").head
    bench.overwrite(bench.object(head.sources.table), b"[]")
    for path in bench.signatures(head.digest()).iterdir():
        path.unlink()
    problems = list(registry.check())
    assert {problem.where for problem in problems} >= {"pets@2"}
    assert any("no signature" in problem.what for problem in problems)
    assert any("damaged" in problem.what for problem in problems)
