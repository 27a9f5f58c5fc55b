"""Pictures that look the same and are not: copies with another label, across splits, in floods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provreg.screening import standards
from provreg.screening.api import Check, Finding, Question, Severity, Tables
from provreg.screening.twins import Words, compared_by_source, one_of_each

# Hashes within two bits are of the same picture. Two that differ in two bits are equal in one of
# three parts.
_MOST_BITS = 2
_PARTS = ("hash >> 43", "(hash >> 22) & 2097151", "hash & 4194303")
# A part that very many hashes share would be compared with each of them.
_MOST_ALIKE = 2_000

# One entry for each content, with each of its hashes; `groups` are those that agree in all that
# matters here.
_FOUND = f"""
    with one as materialized ({one_of_each("pictures")}),
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
        group by all)
    select one.id, one.label, one.source,
           bool_or(coalesce(other_label, false)) as other_label,
           bool_or(coalesce(other_split, false)) as other_split,
           bool_or(coalesce(other_source, false)) as other_source
    from one join hashed using (content)
    join twins t on t.kind = hashed.kind and t.hash = hashed.hash
         and t.label is not distinct from one.label
         and t.source is not distinct from one.source
         and t.split is not distinct from one.split
    group by all order by id"""
_STANDARDS = (
    standards.NIST_BACKDOOR,
    standards.POISON_TRAINING_DATA,
    standards.OWASP_POISONING,
)
_WORDS = Words(
    check="near",
    noun="picture",
    alike=f"within {_MOST_BITS} bits of",
    expected="none with another label; few others, such as photographs of one series",
    usual="few: about 4 of 1,000 in CIFAR-10",
    series="photographs of one series",
    conflict="two classes in one picture",
    flood="frames of a video, or pictures of one object from one place",
    standards=_STANDARDS,
)


def _queries(_question: Question) -> Mapping[str, str]:
    return {"found": _FOUND, "compared by source": compared_by_source("pictures")}


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    found = tables["found"]
    yield from _WORDS.any_twin(found, question)
    yield from _WORDS.elsewhere(found, question, Severity.WARNING)
    yield from _WORDS.by_source(
        tables["compared by source"],
        found,
        "twins by source",
        "look like another picture",
        question,
    )


CHECK = Check(
    name=_WORDS.check,
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
    standards=_STANDARDS,
    queries=_queries,
    find=_find,
)
