"""Which source brought more than it used to, in its share and in number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from provreg.core.encoding.text import counted, quoted
from provreg.screening import standards
from provreg.screening.api import Check, Finding, Question, Tables, changes_with
from provreg.screening.statistics.comparison import cells_of
from provreg.screening.statistics.rates import overdispersed_tail, rates_of

_FAMILY = "floods"
_SPREAD = 0.5


def _queries(_: Question) -> Mapping[str, str]:
    return {
        _FAMILY: """
            select (select min(version) from versions) as version, source, count(*) as samples
            from base group by all
            union all
            select version, new_source, count(*) from changes where injected group by all
            order by all"""
    }


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    brought: dict[int, dict[str, int]] = defaultdict(dict)
    for row in tables[_FAMILY].to_pylist():
        brought[row["version"]][row["source"]] = row["samples"]
    before: dict[str, list[int]] = defaultdict(list)
    tests: list[tuple[int, str, int, float]] = []
    for version, sources in sorted(brought.items()):
        came, had = sum(sources.values()), sum(map(sum, before.values()))
        for source, samples in sources.items():
            if source in before:
                share = came * sum(before[source]) / had
                # A source that delivers by itself has all of a version: then its usual number.
                usual = float(np.median(before[source]))
                tests.append((version, source, samples, max(share, usual)))
        for source, samples in sources.items():
            before[source].append(samples)
    observed, expected = (np.array([test[n] for test in tests], np.float64) for n in (2, 3))
    rates = rates_of(observed, expected, overdispersed_tail(observed, expected, _SPREAD))
    names = [f"{source}@{version}" for version, source, *_ in tests]
    for place, severity, effect in cells_of(names, rates, _FAMILY, len(tests)):
        version, source, samples, _ = tests[place]
        came = sum(brought[version].values())
        yield Finding(
            CHECK.name,
            severity,
            {"source": source, "version": str(version)},
            seen=f"source {quoted(source)} brought {counted(samples, 'sample')} in version"
            f" {version}, {samples / came:.1%} of what came in; 250 are enough for a backdoor",
            expected=f"at most {effect.expected:.1f}, by its share before and by what it usually"
            " brings",
            count=samples,
            samples=changes_with(question, "injected", new_source=source, version=version),
            explanations="a new contract, a backlog that was delivered at once, or a source that"
            " had only begun",
            standards=CHECK.standards,
            effect=effect,
        )


CHECK = Check(
    name="floods",
    looks_at="how many samples each source that was there before brought in each version since the"
    " base, against the versions before it",
    null_hypothesis="a source brings its share of what came in before, or its usual number, times a"
    " factor that differs between versions",
    statistic="samples against the greater of the two, negative binomial with a coefficient of"
    " variation of 0.5; Holm over sources and versions, a ratio of at least 2 at its lower bound"
    " of 95 %, 10 samples in excess. Numbers count, not only shares: 250 documents make a backdoor"
    " in a model of any size",
    assumptions="the versions before are as they should be",
    cannot_see="a source that grows slowly; a flood under a new name (`origins` lists new sources);"
    " 250 samples of a source that brings thousands each time",
    standards=(standards.NIST_BACKDOOR, standards.PUBLISH_POISONED_DATASETS,
               standards.OWASP_SUPPLY_CHAIN),
    queries=_queries,
    find=_find,
)  # fmt: skip
