"""Texts that are nearly the same: copies with another label, across splits, in floods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provreg.core.encoding.text import counted
from provreg.screening import standards
from provreg.screening.api import Check, Finding, Question, Severity, Tables
from provreg.screening.statistics.minhash import BANDS, PERMUTATIONS, SHINGLE, similarity
from provreg.screening.twins import ELSEWHERE, Words, compared_by_source, one_of_each, with_ids

_LEAST = 0.8
_LEAST_AGREEING = next(n for n in range(PERMUTATIONS) if similarity(n) >= _LEAST)
# Of the texts that share a band, each is compared with so many: with all, but in floods.
_MOST_COMPARED = 8
_BANDS = [f"band_{number}" for number in range(BANDS)]
# In how many bytes two words differ: `((d & 7f…) + 7f…) | d` of their difference `d` has the
# highest bit of each byte that is not zero.
_SEVENS, _ONES = f"{int('7f' * 8, 16)}::ubigint", f"{int('01' * 8, 16)}::ubigint"
_DIFFERING = " + ".join(
    f"bit_count((((((({d}) & {_SEVENS}) + {_SEVENS}) | {d}) >> 7) & {_ONES})::bigint)::int"
    for d in (f"xor(x.{band}, y.{band})" for band in _BANDS)
)


_FLAGS = ", ".join(f"bool_or({name}) as {name}" for name in ELSEWHERE)
# `place` has the first of every label, split and source (`kind`) in front, so that a copy does not
# hide in a flood. `beside` is one that is likely to share the next band, too.
_FOUND = f"""
    with one as materialized (
        select (row_number() over (order by id))::int as number, each.*, {", ".join(_BANDS)},
               dense_rank() over (order by label, split, source) as kind
        from ({one_of_each("texts")}) each join texts using (content)
        where band_0 is not null),
    bands as (
        select number, kind, unnest(range({BANDS})) as band, unnest([{", ".join(_BANDS)}]) as bits,
               unnest([{", ".join([*_BANDS[1:], _BANDS[0]])}]) as next
        from one),
    shared as (
        select * from bands semi join (
            select band, bits from bands group by all having count(*) > 1) using (band, bits)),
    turns as (
        select *, row_number() over (partition by band, bits, kind order by next, number) as turn,
               lag(number) over (partition by band, bits order by next, number) as beside
        from shared),
    ordered as materialized (
        select number, band, bits, beside,
               row_number() over (partition by band, bits order by turn, next, number) as place
        from turns),
    first as materialized (select * from ordered where place <= {_MOST_COMPARED}),
    pairs as (
        select distinct greatest(x, y) as x, least(x, y) as y from (
            select a.number as x, b.number as y from ordered a join first b using (band, bits)
            where a.place > b.place
            union all
            select number, beside from ordered where beside is not null)),
    compared as materialized (
        select x.number as a, y.number as b, {_DIFFERING} as differing,
               coalesce(x.label <> y.label, false) as other_label,
               coalesce(x.split <> y.split, false) as other_split,
               x.source <> y.source as other_source
        from pairs p join one x on x.number = p.x join one y on y.number = p.y),
    alike as (
        select unnest([a, b]) as number, {", ".join(ELSEWHERE)} from compared
        where differing <= {PERMUTATIONS - _LEAST_AGREEING}),
    twins as (select number, {_FLAGS} from alike group by number)
    select id, label, source, {", ".join(ELSEWHERE)} from one join twins using (number)
    order by id"""
_SHORT = f"""
    select id from ({one_of_each("texts")}) join texts using (content) where band_0 is null
    order by id"""
_STANDARDS = (
    standards.NIST_BACKDOOR,
    standards.POISON_TRAINING_DATA,
    standards.OWASP_POISONING,
)
_WORDS = Words(
    check="texts",
    noun="text",
    alike=f"at least {_LEAST:.0%} like",
    expected="few, except where texts are made from templates",
    usual="few, except where texts are made from templates",
    series="texts made from a template, quotations, or versions of one document",
    conflict="texts made from a template, or pairs that differ in the word that matters",
    flood="texts made from a template that only this source uses",
    standards=_STANDARDS,
)


def _queries(_question: Question) -> Mapping[str, str]:
    return {
        "found": _FOUND,
        "short": _SHORT,
        "compared by source": compared_by_source("texts"),
    }


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    found, compared = tables["found"], tables["compared by source"]
    yield from _WORDS.any_twin(found, question)
    yield from _WORDS.elsewhere(found, question, Severity.NOTE)
    yield from _WORDS.by_source(
        compared, found, "twins by source", "are like another text", question
    )
    conflicts = found.filter(found.column("other_label"))
    yield from _WORDS.by_source(
        compared,
        conflicts,
        "twins with another label by source",
        "are like a text with another label",
        question,
    )
    if short := tables["short"].column("id").to_pylist():
        yield Finding(
            CHECK.name,
            Severity.NOTE,
            {"kind": "short"},
            seen=f"{counted(len(short), 'text')} without {SHINGLE} letters or digits, which"
            " are not compared",
            expected="few",
            count=len(short),
            samples=with_ids(short, question),
            explanations="empty texts, or texts of one word",
        )


CHECK = Check(
    name=_WORDS.check,
    looks_at="texts, and rows with texts, that share at least 80 % of their shingles (MinHash,"
    " `--minhash`) with another: with another label, in another split, of another source; the share"
    " of such texts by source, and the share of those like a text with another label. A shingle is"
    " a run of 5 letters and digits, in lower case, letters that look alike being one. A file is a"
    " text by its name (`.txt`, `.md`, `.html`, `.json`, …). A row's text is all that it has:"
    " every text in its columns, in lists and structs too, in the order of the columns' names,"
    " without the columns of id, label, split and origin. A sample of a shard has the members that"
    " are texts by their names",
    null_hypothesis="a source has as large a share of twins as the other sources in the same"
    " classes, times a factor that differs between honest sources",
    statistic="pairs are notes, because templates, and questions that differ in one word, are no"
    " attack: of the 7,673 texts of Toolformer, 5,000 have a twin, by their templates. Texts with a"
    " twin, and texts like one with another label, are counted against those expected by source, as"
    " for relabels",
    assumptions="several sources, of which most are honest. The similarity is estimated from 128"
    " permutations (standard deviation 0.035 at 0.8). In floods, each text is compared with the"
    " first 8 of those that share a band of 8 permutations, in which every label, split and source"
    " has its turn, and with one beside it",
    cannot_see="paraphrases and translations; texts without 5 letters or digits in a row (a note"
    " counts them); files over 256 MiB; a difference that matters, where a template is most of the"
    " row; copies with another label where there is one source only, beyond a note. Copies found of"
    " Toolformer's texts of 410 letters, changed in one letter or by trigger words: 100 %, in three"
    " letters 100 %, in 5 % of the words 60 %, in 10 % of the words 18 %, cut in half 0; of its"
    " answers of 90 letters, in one letter 79 %, by trigger words 33 %, in 10 % of the words 37 %",
    standards=_STANDARDS,
    queries=_queries,
    find=_find,
)
