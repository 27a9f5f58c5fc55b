"""Checking revocations and *latest* statements, whoever signed them: a part of `provreg check`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provreg.core.encoding.digest import sha256_digest
from provreg.core.statements.latest import parse_latest
from provreg.core.statements.revocation import Revocation, parse_revocation
from provreg.errors import FormatError, ProvregError
from provreg.flows.session.workspace import Workspace
from provreg.trust.bundle import parse_bundle

# Where, and what is not as it should be.
Found = tuple[str, str]


def check_revocations(workspace: Workspace) -> Iterator[Found]:
    """Every number that is no revocation, or that continues one which is not there."""
    read: dict[int, Revocation] = {}
    for number in workspace.revocations.numbers():
        name = f"revocation {number}"
        try:
            statement = workspace.revocations.statement(number)
            revocation = parse_revocation(statement)
            if revocation.number != number:
                raise FormatError(f"it is a copy of revocation {revocation.number}")
        except ProvregError as error:
            yield name, error.message
            continue
        read[number] = revocation
        bundles = list(workspace.revocations.signatures(statement))
        if not bundles:
            yield name, "it has no signature"
        for digest, data in bundles:
            try:
                if parse_bundle(data).payload != statement:
                    raise FormatError("it signs another statement")
            except ProvregError as error:
                yield f"{name}, bundle {digest}", error.message
    yield from _missing(read)


def check_latest(workspace: Workspace, dataset: str) -> Iterator[Found]:
    """Every *latest* statement of `dataset` that is none."""
    for statement in workspace.latest.statements(dataset):
        for digest, data in workspace.latest.bundles(dataset, statement):
            try:
                payload = parse_bundle(data).payload
                if sha256_digest(payload) != statement:
                    raise FormatError("it signs another statement than that of its folder")
                latest = parse_latest(payload)
                if latest.dataset != dataset:
                    raise FormatError(f"it is of {latest.dataset}")
            except ProvregError as error:
                yield f"latest statement of {dataset}, bundle {digest}", error.message


def _missing(read: Mapping[int, Revocation]) -> Iterator[Found]:
    for number, revocation in read.items():
        link = revocation.previous
        if link is None:
            continue
        before = read.get(link.number)
        if before is None or before.digest() != link.digest:
            yield f"revocation {number}", f"revocation {link.number}, which it continues, is gone"
