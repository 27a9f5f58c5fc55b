"""The tables that a user's SQL sees (docs/reference/sql.md)."""

from __future__ import annotations

from provreg.core.changes.changes import BIT
from provreg.core.manifest.entry import ENTRY

_HEX = ("content", "label_digest", "delivery", "content_sha256")


def _hex(column: str, name: str) -> str:
    return f"lower(hex({column}))" if name in _HEX else column


def _hex_column(name: str, prefix: str = "") -> str:
    column = prefix + name
    return f"{_hex(column, name)} as {column}"


_KINDS_SQL = ", ".join(
    f"case when kinds & {bit} > 0 then '{kind}' end" for kind, bit in BIT.items()
)
ENTRY_COLUMNS = ", ".join(_hex_column(name) for name in ENTRY.names)
_CHANGE_SQL = ", ".join(
    _hex_column(name, side) for side in ("old_", "new_") for name in ENTRY.names
)
# A first version injected all of its samples; the index keeps no list of them.
_FIRST_SQL = ", ".join(
    [f"null as old_{name}" for name in ENTRY.names]
    + [f"{_hex(f'e.{name}', name)} as new_{name}" for name in ENTRY.names]
)
TABLES = (
    "versions", "entries", "changes", "signatures", "revocations", "runs", "models", "trained",
)  # fmt: skip
VIEWS = f"""
create view versions as
    select v.dataset, v.version, v.head, v.parent, v.root, v.samples, v.created, v.message,
           v.counts_true, t.trusted_because is not null as trusted, t.trusted_because, t.standing,
           t.untrusted_because, t.signers, t.principals
    from index.versions v left join version_trust t on t.head = v.head;
create view entries as
    select v.dataset, v.version, {ENTRY_COLUMNS}
    from index.versions v join index.parts p on p.head = v.head
    join part_entries e on e.part = p.part;
create view changes as
    select v.dataset, v.version, list_filter([{_KINDS_SQL}], lambda k: k is not null) as kinds,
           {_CHANGE_SQL}
    from index.changes c join index.versions v on v.head = c.head
    union all
    select v.dataset, v.version, ['injected'] as kinds, {_FIRST_SQL}
    from index.versions v join index.parts p on p.head = v.head
    join part_entries e on e.part = p.part
    where v.parent is null;
create view signatures as
    select v.dataset, v.version, s.*
    from index.versions v join version_signatures s on s.head = v.head;
create view revocations as from revocation_list;
create view runs as
    select r.*, t.trusted_because is not null as trusted, t.trusted_because
    from index.runs r left join run_trust t on t.receipt = r.receipt;
create view models as from index.models;
create view trained as from index.trained;
"""

# What the checks of `screening` see (docs/reference/screening.md). `content` stays binary: checks
# group by it, and 64 digits take twice as long.
_SCREENED = {
    "label": "coalesce({0}label, 'blake3:' || lower(hex({0}label_digest)))",
    "delivery": "lower(hex({0}delivery))",
}


def _screened(prefix: str = "") -> str:
    return ", ".join(
        f"{_SCREENED.get(name, '{0}' + name).format(prefix)} as {prefix}{name}"
        for name in ENTRY.names
    )


_ENTRY, _SIDES = _screened(), f"{_screened('old_')}, {_screened('new_')}"
_KIND_COLUMNS = ", ".join(f"kinds & {bit} > 0 as {kind}" for kind, bit in BIT.items())
SCREENING_VIEWS = f"""
create view entries as
    select {_ENTRY} from part_entries
    where part in (select p.part from index.parts p join screened s on p.head = s.head);
create view base as
    select {_ENTRY} from part_entries
    where part in (select p.part from index.parts p join screened s on p.head = s.base);
create view changes as
    select l.version, l.signer, {_KIND_COLUMNS}, {_SIDES}
    from index.changes c join line l on l.head = c.head where l.later;
create view versions as select * exclude (later) from line;
create view dated as
    with touched as (
        select new_id as id, max(version) as version from changes where new_id is not null
        group by new_id
    )
    select e.*, l.version, l.signer
    from entries e left join touched t on t.id = e.id
    join line l on l.version = coalesce(t.version, (select min(version) from line));
"""
# Counts of labels that several checks need, and that are made when the first of them asks.
SCREENING_TALLIES = {
    f"{view}_by_{column}": f"select {column}, label, count(*) as n from {view} group by all"
    for view in ("base", "entries")
    for column in ("labeler", "source")
}
