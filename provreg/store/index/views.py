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
