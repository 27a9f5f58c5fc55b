"""How reliable people are who label the same samples, and which labels their answers contradict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import special

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
from provreg.screening.statistics.agreement import Agreement, Codes, Floats, agreement
from provreg.screening.statistics.comparison import cells_of
from provreg.screening.statistics.rates import overdispersed_tail, rates_of

# Of fewer answers nothing can be said about a person.
_LEAST_ANSWERS, _LEAST_GOLD = 20, 5
_SHOWN = 10
# A label is doubted where another one is as probable as this.
_SURE = 0.99
# Confusion matrices of all labelers together have at most so many cells (8 bytes each).
_MOST_CELLS = 20_000_000
_SPREAD, _LEAST_RATE = 0.45, 0.05
# Honest people differ in their share of wrong answers by as much, at least.
_LEAST_SPREAD = 0.05


def _queries(_question: Question) -> Mapping[str, str]:
    answers = """
        with annotated as (
            select row_number() over (order by id) - 1 as sample, id, label, annotations
            from entries where annotations is not null)"""
    return {
        "answers": f"""{answers}
            select sample, a.labeler as labeler, a.label as answer
            from annotated, unnest(annotations) as t(a)
            where a.label is not null and a.labeler is not null order by all""",
        "labels": f"{answers} select sample, id, label from annotated order by sample",
        "gold": """
            with known as (
                select id, e.label, labeler, annotations, gold.label as truth
                from entries e join gold using (id)),
            answers as (
                select a.labeler as labeler, a.label as answer, truth
                from known, unnest(annotations) as t(a)
                union all
                select labeler, label, truth from known where annotations is null)
            select labeler, count(*) as answers,
                   count(*) filter (where answer is distinct from truth) as wrong
            from answers where labeler is not null
            group by all order by all""",
    }


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    yield from _by_gold(tables["gold"], question)
    answers = tables["answers"]
    if not answers.num_rows:
        return
    labelers, classes = (
        pc.unique(answers.column(name).combine_chunks()).sort() for name in ("labeler", "answer")
    )
    if len(labelers) * len(classes) ** 2 > _MOST_CELLS:
        yield _too_many(len(labelers), len(classes), question)
        return
    samples = answers.column("sample").to_numpy()
    people, given = (
        pc.index_in(answers.column(name).combine_chunks(), of).to_numpy().astype(np.int64)
        for name, of in (("labeler", labelers), ("answer", classes))
    )
    # Samples that nobody answered leave gaps.
    known, rows = np.unique(samples, return_inverse=True)
    shape = (len(known), len(labelers), len(classes))
    found = agreement(rows.astype(np.int64), people, given, shape=shape)
    yield from _unreliable(found, rows, people, given, labelers, question)
    labels = tables["labels"].take(pa.array(known))
    yield from _doubted(found, labels, classes, question)


def _unreliable(
    found: Agreement,
    rows: Codes,
    people: Codes,
    given: Codes,
    labelers: pa.Array,
    question: Question,
) -> Iterator[Finding]:
    """Labelers who disagree with the most probable labels more than the others do."""
    counts = np.bincount(people, minlength=len(labelers))
    reliability = found.reliability()
    contradicts = given != found.labels()[rows]
    wrong = np.bincount(people[contradicts], minlength=len(labelers))
    known = np.flatnonzero(counts >= _LEAST_ANSWERS)
    if not len(known):
        return
    names = labelers.take(pa.array(known)).to_pylist()
    answers, mistakes = counts[known].astype(np.float64), wrong[known].astype(np.float64)
    median = float(np.median(mistakes / answers))
    p = _chance(mistakes / answers, answers, median)
    rates = rates_of(mistakes, answers * max(median, _LEAST_RATE), p)
    for place, severity, effect in cells_of(names, rates, "wrong answers", len(names)):
        if severity is Severity.NOTE:
            continue  # the list of all says as much
        score = reliability[known[place]]
        yield Finding(
            CHECK.name,
            severity,
            {"labeler": names[place]},
            seen=f"labeler {quoted(names[place])} contradicts the most probable label in"
            f" {int(effect.observed):,} of {counted(int(answers[place]), 'answer')};"
            f" reliability {score:.2f}",
            expected=f"{effect.expected:.1f} at the median rate of {len(names):,} labelers",
            count=int(answers[place]),
            samples=_annotated_by(names[place], question),
            explanations="harder samples than the others got, a guideline read differently, or a"
            " majority that is wrong",
            standards=CHECK.standards,
            effect=effect,
        )
    order = sorted(range(len(names)), key=lambda place: (reliability[known[place]], place))
    worst = ", ".join(
        f"{quoted(names[place])} {reliability[known[place]]:.2f}" for place in order[:_SHOWN]
    )
    yield Finding(
        CHECK.name,
        Severity.NOTE,
        {},
        seen=f"reliability of {counted(len(order), 'labeler')} with {_LEAST_ANSWERS} answers or"
        f" more: median {np.median(reliability[known]):.2f}; lowest {worst}",
        expected="the probability of a right answer, by Dawid-Skene",
        count=len(found.posterior),
        samples=entries_with(question, "annotations is not null"),
        explanations="samples that are hard for everybody",
    )


def _chance(share: Floats, answers: Floats, median: float) -> Floats:
    """The probability that an honest labeler is wrong as often: normal around the median, with
    the spread of honest people, of which half deviate by the median absolute deviation."""
    sampling = np.maximum(median * (1 - median), 0.25 / answers) / answers
    spread = (1.4826 * float(np.median(np.abs(share - median)))) ** 2
    people = max(_LEAST_SPREAD**2, spread - float(np.median(sampling)))
    return np.asarray(special.ndtr(-(share - median) / np.sqrt(sampling + people)))


def _doubted(
    found: Agreement, labels: pa.Table, classes: pa.Array, question: Question
) -> Iterator[Finding]:
    """Samples whose label is not the one that their annotations make probable."""
    probable = found.labels()
    sure = found.posterior.max(axis=1) >= _SURE
    signed = labels.column("label").combine_chunks()
    differs = pc.fill_null(pc.not_equal(signed, classes.take(pa.array(probable))), False)
    places = np.flatnonzero(sure & differs.to_numpy(zero_copy_only=False))
    if len(places):
        ids = labels.column("id").take(pa.array(places)).to_pylist()
        listed = ", ".join(literal(sample) for sample in ids[:_SHOWN])
        yield Finding(
            CHECK.name,
            Severity.NOTE,
            {},
            seen=f"{counted(len(places), 'sample')} of {len(labels):,} with several answers have"
            f" another label than the one with a probability of {_SURE} or more",
            expected="none, where labels are made from all answers and labelers are alike",
            count=len(places),
            samples=entries_with(question, f"id in ({listed})"),
            explanations="a majority of unreliable people, or somebody who decided otherwise",
            ids=tuple(ids),
        )


def _by_gold(table: pa.Table, question: Question) -> Iterator[Finding]:
    """Labelers whose answers to samples with a known label are wrong; by these alone, so that
    people who agree on wrong labels do not bear each other out."""
    table = table.filter(pc.greater_equal(table.column("answers"), _LEAST_GOLD))
    if not table.num_rows:
        return
    answers, wrong = (
        table.column(name).to_numpy().astype(np.float64) for name in ("answers", "wrong")
    )
    # The better half sets the rate: more than half of the labelers may collude.
    rate = max(_LEAST_RATE, float(np.quantile(wrong / answers, 0.25)))
    expected = answers * rate
    rates = rates_of(wrong, expected, overdispersed_tail(wrong, expected, _SPREAD), len(wrong))
    names = table.column("labeler").to_pylist()
    for place, severity, effect in cells_of(names, rates, "wrong gold answers", len(names)):
        yield Finding(
            CHECK.name,
            severity,
            {"labeler": names[place], "answers": "gold"},
            seen=f"labeler {quoted(names[place])} is wrong in {int(effect.observed):,} of"
            f" {counted(int(answers[place]), 'gold answer')}",
            expected=f"{effect.expected:.1f} at the rate of the better quarter of labelers",
            count=int(answers[place]),
            samples=_annotated_by(names[place], question),
            explanations="gold labels that are wrong, or a guideline read differently",
            standards=CHECK.standards,
            effect=effect,
        )


def _annotated_by(labeler: str, question: Question) -> Samples:
    name = literal(labeler)
    return entries_with(
        question,
        f"(labeler = {name} or list_contains([a.labeler for a in annotations], {name}))",
    )


def _too_many(labelers: int, classes: int, question: Question) -> Finding:
    return Finding(
        CHECK.name,
        Severity.NOTE,
        {},
        seen=f"{counted(labelers, 'labeler')} and {counted(classes, 'different answer')} are too"
        " many for confusion matrices: reliability was not estimated",
        expected="labels from a list of classes",
        count=0,
        samples=entries_with(question, "annotations is not null"),
        explanations="answers that are free text",
    )


CHECK = Check(
    name="annotators",
    looks_at="samples that several people labeled (annotations): the reliability of each of them;"
    " labels that their answers contradict; answers to gold samples (`--gold`)",
    null_hypothesis="each labeler contradicts the most probable label as often as the median"
    " labeler, but for a spread between honest people",
    statistic="Dawid-Skene by expectation maximization, each confusion matrix smoothed with half an"
    " answer of the pooled one; then the share of wrong answers, normal around the median with the"
    " spread of the bulk (at least 0.05); Holm, a ratio of at least 2 at its lower bound of 95 %,"
    " and 10 wrong answers in excess. Gold answers are scored by themselves, against the rate of"
    " the better quarter of labelers",
    assumptions="more than half of the answers to a sample are honest, but for gold; labelers"
    " answer independently",
    cannot_see="labelers with fewer than 20 answers; half of the labelers or more who agree on"
    " wrong labels, without gold; colluders who agree on a tenth of the samples",
    standards=(standards.POISON_TRAINING_DATA, standards.NIST_POISONING, standards.OWASP_POISONING),
    queries=_queries,
    find=_find,
)
