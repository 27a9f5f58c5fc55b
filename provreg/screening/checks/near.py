"""Pictures that look the same and are not: copies with another label, across splits, in floods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import counted, quoted
from provreg.screening import standards
from provreg.screening.api import (
    Check,
    Finding,
    Question,
    Samples,
    Severity,
    Tables,
    entries_with,
    literal,
)
from provreg.screening.statistics.comparison import compare

# Hashes within two bits are of the same picture. Two that differ in two bits are equal in one of
# three parts.
_MOST_BITS = 2
_PARTS = ("hash >> 43", "(hash >> 22) & 2097151", "hash & 4194303")
# A part that very many hashes share would be compared with each of them.
_MOST_ALIKE = 2_000
_SHOWN = 5

# One entry for each content (what has equal bytes is in `duplicates`), with each of its hashes;
# `groups` are those that agree in all that matters here.
_TWINS = f"""
    with one as materialized (
        select content, min(id) as id, min(label) as label, min(source) as source,
               min(split) as split
        from entries where content in (select content from pictures) group by content),
    hashed as materialized (
        select 'p' as kind, content, phash as hash from pictures where phash is not null
        union all
        select 'd', content, dhash from pictures where dhash is not null),
    groups as materialized (
        select kind, hash, label, source, split, count(*) as n
        from one join hashed using (content) group by all),
    parts as (
        {
    " union all ".join(
        f"select distinct kind, hash, {number} as part, {part} as bits from groups"
        for number, part in enumerate(_PARTS)
    )
}),
    few as (
        select * from parts
        qualify count(*) over (partition by kind, part, bits) <= {_MOST_ALIKE}),
    alike as materialized (
        select distinct a.kind, a.hash as hash, b.hash as other
        from few a join few b using (kind, part, bits)
        where bit_count(xor(a.hash, b.hash)) <= {_MOST_BITS}),
    twins as materialized (
        select x.kind, x.hash, x.label, x.source, x.split,
               bool_or(x.label <> y.label) as other_label,
               bool_or(x.split <> y.split) as other_split,
               bool_or(x.source <> y.source) as other_source
        from groups x join alike a on a.kind = x.kind and a.hash = x.hash
        join groups y on y.kind = x.kind and y.hash = a.other
        where not (x.n = 1 and x.hash = y.hash and x.label is not distinct from y.label
                   and x.source is not distinct from y.source
                   and x.split is not distinct from y.split)
        group by all),
    found as materialized (
        select one.id, one.label, one.source, one.split,
               bool_or(coalesce(other_label, false)) as other_label,
               bool_or(coalesce(other_split, false)) as other_split,
               bool_or(coalesce(other_source, false)) as other_source
        from one join hashed using (content)
        join twins t on t.kind = hashed.kind and t.hash = hashed.hash
             and t.label is not distinct from one.label
             and t.source is not distinct from one.source
             and t.split is not distinct from one.split
        group by all)"""
_KINDS = {
    "other_label": "another label",
    "other_split": "another split",
    "other_source": "another source",
}


def _queries(_question: Question) -> Mapping[str, str]:
    return {
        "found": f"""{_TWINS}
            select id, label, source, other_label, other_split, other_source from found
            order by id""",
        "twins by source": f"""{_TWINS}
            select source as grp, label, null as source, null as delivery,
                   count(*) filter (where id in (select id from found)) as events,
                   count(*) as labels
            from one where source is not null group by all order by all""",
    }


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    found = tables["found"]
    if count := found.num_rows:
        yield Finding(
            CHECK.name,
            Severity.NOTE,
            {"kind": "any"},
            seen=f"{counted(count, 'picture')} within {_MOST_BITS} bits of another picture",
            expected="few: about 4 of 1,000 in CIFAR-10",
            count=count,
            samples=_with_ids(found.column("id").slice(0, _SHOWN).to_pylist(), question),
            explanations="photographs of one series",
        )
    for kind, words in _KINDS.items():
        samples = found.filter(found.column(kind))
        if samples.num_rows:
            yield _near(kind, words, samples, question)
    for group in compare(tables["twins by source"], "twins by source"):
        if group.severity is Severity.NOTE:
            continue
        effect = group.effect
        twins = found.filter(pc.equal(found.column("source"), group.name)).column("id").to_pylist()
        yield Finding(
            CHECK.name,
            group.severity,
            {"source": group.name},
            seen=f"{int(effect.observed):,} of {counted(group.labels, 'picture')} of source"
            f" {quoted(group.name)} look like another picture",
            expected=f"{effect.expected:.1f} at the rate of the other sources, in the same classes",
            count=int(effect.observed),
            samples=_with_ids(twins, question),
            ids=tuple(twins),
            explanations="frames of a video, or pictures of one object from one place",
            standards=CHECK.standards,
            effect=effect,
        )


def _near(kind: str, words: str, samples: pa.Table, question: Question) -> Finding:
    ids = samples.column("id").to_pylist()
    labels = pc.value_counts(samples.column("label").combine_chunks()).to_pylist()
    common = sorted(labels, key=lambda row: (-row["counts"], str(row["values"])))[:_SHOWN]
    of = ", ".join(f"{quoted(str(row['values']))} {row['counts']:,}" for row in common)
    is_label = kind == "other_label"
    return Finding(
        CHECK.name,
        Severity.WARNING if is_label else Severity.NOTE,
        {"kind": words},
        seen=f"{counted(len(ids), 'picture')} within {_MOST_BITS} bits of a picture with {words}"
        f" ({of})",
        expected="none with another label; few others, such as photographs of one series",
        count=len(ids),
        samples=_with_ids(ids, question),
        explanations="two classes in one picture" if is_label else "photographs of one series",
        standards=CHECK.standards if is_label else (),
        ids=tuple(ids),
    )


def _with_ids(ids: list[str], question: Question) -> Samples:
    return entries_with(question, f"id in ({', '.join(map(literal, ids[:_SHOWN]))})")


CHECK = Check(
    name="near",
    looks_at="pictures whose perceptual hash (pHash or dHash, `--phash`) is within 2 of 64 bits of"
    " another picture's: with another label, in another split, of another source; and the share of"
    " such pictures by source",
    null_hypothesis="pictures that look the same have one label; the share of twins in a source is"
    " that of the other sources in the same classes, times a factor that differs between honest"
    " sources",
    statistic="exact for labels (a warning) and splits (a note); pictures with a twin against those"
    " expected, as for relabels",
    assumptions="pictures of one colour, and parts of hashes that more than 2,000 hashes share, are"
    " not compared",
    cannot_see="shifted, mirrored or cropped copies; a small mark on a picture whose original is"
    " not in the dataset; texts and sounds",
    standards=(standards.NIST_BACKDOOR, standards.POISON_TRAINING_DATA, standards.OWASP_POISONING),
    queries=_queries,
    find=_find,
)
