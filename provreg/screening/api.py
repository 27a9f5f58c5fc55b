"""What a check is, what it is asked about, and what it finds.

A check asks the index for small tables of counts, in SQL over the views below, and makes findings
of them. It never decides trust: it points at labelers, sources, batches and samples that do not
look as they should.

Views that a check's SQL can use (docs/reference/screening.md, "Writing a check"):

- `entries`: a row for each sample of the screened version, with the columns of an entry. `label` is
  the label, or the digest of a long one.
- `base`: the same of the version before the first one that is looked at; without `--against` the
  first version.
- `changes`: a row for each sample that a later version changed: `version`, `signer`, a boolean for
  each kind of change (`relabeled`, …), and `old_…` and `new_…` of every column of an entry.
- `base_by_labeler`, `base_by_source`, `entries_by_labeler`, `entries_by_source`: counts `n` by
  that column and `label`. They are made once for all checks.
- `gold`: `id` and true `label` (`--gold`). `pictures`: `content`, `phash`, `dhash` (`--phash`).
- `texts` (`--minhash`): `content`, and the words of its signature, `band_0` to `band_15`, which are
  null where a text is too short.
- `dated`: `entries` with the `version` and `signer` that last changed each sample.
- `versions`: the versions from `base` to the screened one: `version`, `created`, `signed_at`,
  `standing`, `signer`, `signers` and `principals` (lists).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

import pyarrow as pa

from provreg.core.statements.acceptance import FoundSamples

Grouping = Literal["labeler", "source", "delivery", "version", "signer"]
GROUPINGS: tuple[Grouping, ...] = ("labeler", "source", "delivery", "version", "signer")
Tables = Mapping[str, pa.Table]


class Severity(StrEnum):
    """How sure a finding is: an *error* is exact or far beyond chance, a *warning* is beyond what
    honest differences explain, a *note* is all else."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for a note, 2 for an error."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Question:
    """What is screened: `version` of `dataset`, and its changes after `base`.

    `by` are the groupings that were asked for, none for those that a check has by default.
    `split_at` divides time into training and test. `since`: the base was asked for, and changes
    before it are left out; else `base` is the first version, and nothing is left out. `distinct`
    says how many labelers, sources and labels the version has, at most.
    """

    dataset: str
    version: int
    base: int
    by: tuple[Grouping, ...]
    split_at: datetime | None = None
    since: bool = False
    distinct: Mapping[Literal["labeler", "source", "label"], int] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The screened version, as commands take it."""
        return f"{self.dataset}@{self.version}"

    def groupings(self, *default: Grouping) -> tuple[Grouping, ...]:
        """What was asked for, else `default`."""
        return self.by or default


@dataclass(frozen=True, slots=True)
class Effect:
    """How much of something was seen, against what was expected.

    `ratio` is `observed / expected`, with an interval of 90 % from `lower` to `upper`. `p` is the
    probability of as much by chance, `q` the share of false finds up to here (Benjamini-Hochberg)
    in its `family` of `tests`.
    """

    observed: float
    expected: float
    ratio: float
    lower: float
    upper: float
    p: float
    q: float
    family: str
    tests: int


@dataclass(frozen=True, slots=True)
class Samples:
    """Which samples a finding is about: rows of a view that meet the SQL condition `where`.

    `look` is a command that shows them. Of changes, `Finding.ids` are the samples that the screened
    version still has, by the ids that they have there.
    """

    view: Literal["entries", "changes"]
    where: str
    look: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found in one group of samples.

    `seen` and `expected` are sentences. `group` is what the samples have in common, such as
    `{"labeler": "dora"}`. `samples` says which they are, `count` how many; `ids` has them in order
    once they were looked up (all of a warning or error, none of a note), or from a check that knows
    them anyway. `explanations` is what else could explain what was seen. `found` is what an
    acceptance names, None for a note and where the version has none of the samples any more.
    """

    check: str
    severity: Severity
    group: Mapping[str, str]
    seen: str
    expected: str
    count: int
    samples: Samples
    explanations: str
    standards: tuple[str, ...] = ()
    effect: Effect | None = None
    ids: tuple[str, ...] = field(default=(), repr=False)
    found: FoundSamples | None = field(default=None, repr=False)

    @property
    def digest(self) -> str | None:
        """The written SHA-256 of `found`: what people accept."""
        return None if self.found is None else self.found.digest()


@dataclass(frozen=True, slots=True)
class Check:
    """A check: what it looks at and how, in words for the reference page, and its two functions.

    `queries` gives the SQL of each table that `find` needs; `find` gives the findings in them, in
    any order. `standards` are the entries of catalogs of attacks that it speaks of
    (`screening.standards`).
    """

    name: str
    looks_at: str
    null_hypothesis: str
    statistic: str
    assumptions: str
    cannot_see: str
    standards: tuple[str, ...]
    queries: Callable[[Question], Mapping[str, str]]
    find: Callable[[Tables, Question], Iterable[Finding]]


def entries_with(question: Question, *conditions: str, **columns: str | None) -> Samples:
    """The samples of the screened version whose `columns` have these values, and that meet the
    SQL `conditions`."""
    condition = " and ".join([*conditions, *([_equal(columns)] if columns else [])])
    look = f"provreg show {question.reference} --ids --where {_shell_word(condition)}"
    return Samples("entries", condition, look)


def relabelings_where(question: Question, condition: str) -> Samples:
    """The relabelings that meet an SQL condition over `old_…` and `new_…` columns."""
    query = (
        "select version, new_id, old_label, new_label, old_labeler, new_labeler, old_labeled_at,"
        f" new_labeled_at from changes where dataset = {literal(question.dataset)}"
        f" and version > {question.base} and version <= {question.version}"
        f" and list_contains(kinds, 'relabeled') and {condition}"
        " order by version, new_id"
    )
    return Samples("changes", f"relabeled and {condition}", f"provreg sql {_shell_word(query)}")


def changes_with(question: Question, kind: str, **columns: str | int | None) -> Samples:
    """The changes of one `kind` whose `columns` of the view `changes` have these values."""
    condition = _equal(columns)
    if "signer" in columns:  # a column of this view alone
        return Samples("changes", f"{kind} and {condition}", f"provreg log {question.dataset}")
    query = (
        "select version, new_id, old_label, new_label, old_labeler, new_labeler, new_source"
        f" from changes where dataset = {literal(question.dataset)}"
        f" and version > {question.base} and version <= {question.version}"
        f" and list_contains(kinds, {literal(kind)}) and {condition} order by version, new_id"
    )
    return Samples("changes", f"{kind} and {condition}", f"provreg sql {_shell_word(query)}")


def entries_where(question: Question, condition: str, look: str = "") -> Samples:
    """The samples of the screened version that meet an SQL condition over the views of a check.

    `look` is the condition for `provreg sql`, which reads `entries` and `changes` of one dataset
    as `mine` and `since`; without it, the command counts samples by version.
    """
    if not look:
        return Samples("entries", condition, f"provreg blame {question.reference} --by version")
    own = f"from {{}} where dataset = {literal(question.dataset)}"
    tables = [f"mine as ({own.format('entries')} and version = {question.version})"]
    if "from since" in look:
        tables.append(
            f"since as ({own.format('changes')} and version > {question.base}"
            f" and version <= {question.version})"
        )
    query = (
        f"with {', '.join(tables)} select content, id, label, split, source, labeler, labeled_at"
        f" from mine where {look} order by content, id"
    )
    return Samples("entries", condition, f"provreg sql {_shell_word(query)}")


def _shell_word(text: str) -> str:
    """`text` as one word of a shell: in double quotes, which SQL seldom has, where these do."""
    return shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'


def _equal(columns: Mapping[str, str | int | None]) -> str:
    return " and ".join(
        f"{name} is null" if value is None else f"{name} = {literal(value)}"
        for name, value in columns.items()
    )


def literal(value: str | int) -> str:
    """A value as SQL has it."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
