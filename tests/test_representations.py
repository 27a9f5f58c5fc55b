"""What a prompt, a log or a notebook shows of results: short, and never what is in the data."""

from __future__ import annotations

from typing import Any

import pytest

import provreg
from provreg.core.encoding.listing import Listing, html_table
from provreg.flows.sign.scope import Scope
from provreg.registry import Registry
from provreg.trust.sigstore.sign import Instance, KeylessSigner

HOSTILE = "<script>alert(1)</script>&\x1b[2J\u202egnp\n" + "x" * 5000
MOST = 400


@pytest.fixture
def registry(bench: Any) -> Registry:
    """Three versions, one of them by somebody else."""
    data = bench.pets()
    bench.ingest(data, labeler="ann")
    (data / "cat/1.jpg").rename(data / "dog/1.jpg")
    bench.ingest(data, labeler="<b>ben</b>")
    bench.write("pets", {"cat/evil.jpg": b"evil"})
    bench.ingest(data, by="mallory", trusting=["alice"], source="web")
    opened: Registry = bench.open("alice", revoke=["alice"])
    return opened


def results(registry: Registry, bench: Any) -> dict[str, object]:
    """A result of everything that a registry does, by the call."""
    version = registry.verify("pets@2")
    diff, blamed = registry.diff("pets@1", "pets@2"), registry.blame("pets@2")
    signer = bench.signer()
    ingestion = provreg.Ingestion("new", (bench.folder / "pets",), source="s")
    revoked = registry.revoke("pets@2", "poison " * 500, signer, samples=Scope(source="web"))
    return {
        "registry": registry,
        "verify": version,
        "head": version.head,
        "chain": version.chain,
        "workspace": registry.workspace,
        "trust": registry.trust,
        "log": registry.log("pets"),
        "ls": registry.ls(),
        "resolve": registry.resolve("pets@3"),
        "show": registry.show("pets@2"),
        "pin": registry.pin("pets@2", bench.folder / "provreg.lock"),
        "training_run": provreg.training_run(
            provreg.load(
                "pets@2",
                data=bench.folder / "pets",
                registry=bench.registry,
                key=bench.key_file(),
            ),
            model="model.bin",
            sign=signer,
        ),
        "diff": diff,
        "change": next(iter(diff)),
        "blame": blamed,
        "sample of blame": next(iter(blamed)),
        "dry_run": registry.dry_run(ingestion, signer),
        "review": registry.review("pets@1"),
        "revoke": revoked,
        "signer": signer,
        "keyless signer": KeylessSigner(Instance(), lambda _: ""),  # type: ignore[arg-type]
        "runs": registry.runs(),
        "proposals": registry.proposals(),
    }


def test_every_result_is_shown_in_a_line_or_two(bench: Any, registry: Registry) -> None:
    for call, result in results(registry, bench).items():
        shown = repr(result)
        assert len(shown) < MOST, (call, shown)
        assert shown.isprintable(), call
        assert " at 0x" not in shown, (call, shown)
        assert "BEGIN PUBLIC KEY" not in shown, call
        assert "=b'" not in shown, (call, shown)


def test_results_say_what_they_are(bench: Any, registry: Registry) -> None:
    location = registry.workspace.location
    assert repr(registry) == f"Registry('{location}', a test)"
    assert repr(bench.open().verify("pets@1")) == (
        "VerifiedVersion(pets@1, 6 samples, signed by alice)"
    )
    log = registry.log("pets")
    assert repr(log[1]) == "Ancestor(pets@2, 6 samples, trusted, signed by alice)"
    assert repr(log[0]).startswith("Ancestor(pets@3, 7 samples, distrusted, signed by ")
    diff = registry.diff("pets@1", "pets@2")
    assert repr(diff) == "Diff('pets@1', 'pets@2': 1 relabeled, 1 renamed)"
    assert [repr(change) for change in diff] == [
        "Change('dog/1.jpg', relabeled, renamed, 'cat' -> 'dog')"
    ]
    (sample,) = registry.blame("pets@2", ["dog/1.jpg"])
    assert repr(sample) == (
        "SampleBlame('dog/1.jpg', content=Attribution(@1, source 'shelter', labeler 'ann'),"
        " label=Attribution(@2, source 'shelter', labeler '<b>ben</b>'))"
    )
    assert repr(registry.blame("pets@2")) == "Blamed(pets@2, 6 samples)"


def test_registry_without_trust_says_so(bench: Any) -> None:
    provreg.Registry.init(bench.folder / "empty")
    opened = provreg.Registry.open(bench.folder / "empty")
    assert repr(opened).endswith("/empty', no policy or key)")


def test_long_list_shows_its_first_items_and_how_many_more(registry: Registry) -> None:
    many = Listing(registry.log("pets") * 1000)
    assert repr(many).endswith(", … 2,997 more]")
    assert len(repr(many)) < MOST
    assert many._repr_html_().count("<tr>") == 51
    assert "2,950 more" in many._repr_html_()
    assert (repr(Listing()), Listing()._repr_html_()) == (
        "[]",
        "<table><thead><tr></tr></thead><tbody></tbody></table>",
    )


def test_notebook_shows_lists_and_diffs_as_tables(registry: Registry) -> None:
    log = registry.log("pets")
    assert "<th>signed by</th>" in log._repr_html_()
    assert log._repr_html_().count("<tr>") == 4
    diff = registry.diff("pets@1", "pets@2")._repr_html_()
    assert "<td>relabeled renamed</td><td>dog/1.jpg</td><td>cat</td><td>dog</td>" in diff
    assert "&lt;b&gt;ben&lt;/b&gt;" in diff


def test_hostile_text_cannot_leave_its_cell_of_a_notebook() -> None:
    table = html_table([HOSTILE], [[HOSTILE], [None], [True], [12345]], 4)
    assert table.isprintable()
    assert "<script" not in table
    assert len(table) < 1000
    assert "<td></td></tr><tr><td>True</td></tr><tr><td>12,345</td>" in table
