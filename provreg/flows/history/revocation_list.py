"""The revocations of a registry: what each revokes, who signed it, and whether it counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import quoted
from provreg.core.policy.policy import Signature
from provreg.core.statements.revocation import Revocation, parse_revocation
from provreg.errors import DamagedError, FormatError, NotFoundError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.revocations import Chain, read_chain
from provreg.flows.verify.signatures import BundleSigner, bundle_signers, names_of

_NOBODY = "no policy and no key says whom to trust"


@dataclass(frozen=True, slots=True)
class RevocationStatus:
    """A revocation, by the written SHA-256 of its statement, and what the policy says of it.

    `by` are the principals whose signatures count, `signatures` are all. `because` says why it is
    not in force; of one that is, how that is known if its signatures alone are not enough.
    """

    revocation: Revocation
    digest: str
    in_force: bool
    because: str | None
    by: tuple[str, ...]
    signatures: tuple[BundleSigner, ...]

    @property
    def signed_by(self) -> tuple[str, ...]:
        """Who signed it, whether or not that counts, and of whom that is only claimed."""
        return names_of(self.signatures)

    @property
    def summary(self) -> dict[str, object]:
        """The facts of the revocation for a table."""
        return {
            "revocation": self.revocation.number,
            "revokes": self.revocation.what,
            "created": self.revocation.created,
            "signed by": ", ".join(self.signed_by),
            "in force": self.in_force,
            "reason": self.revocation.reason,
        }

    def __repr__(self) -> str:
        state = "in force" if self.in_force else "not in force"
        what = quoted(self.revocation.what)
        return f"RevocationStatus({self.revocation.number}, {what}, {state})"


def list_revocations(workspace: Workspace, trust: Trust | None) -> Iterator[RevocationStatus]:
    """The revocations of the registry by number, whether or not they are in force.

    A number that has no readable revocation is reported, and so is a chain with a gap, with which
    no version verifies. Raises DamagedError for more than 100,000, StorageError.
    """
    report = workspace.revocations.report
    chain = None if trust is None else read_chain(workspace, trust)
    if chain is not None and chain.broken is not None:
        report(f"no version verifies, because {chain.broken.message}")
    verdicts = {} if chain is None else _verdicts(chain)
    unknown = (False, _NOBODY if chain is None else "it is new: list again", ())
    for number in workspace.revocations.numbers():
        try:
            statement = workspace.revocations.read(number)
            revocation = parse_revocation(statement)
            if revocation.number != number:
                raise FormatError(f"it is a copy of revocation {revocation.number}")
        except (DamagedError, NotFoundError) as error:
            report(f"revocation {number} is ignored: {error.message}")
            continue
        digest = sha256_digest(statement)
        bundles = workspace.revocations.bundles(digest)
        in_force, because, by = verdicts.get(number, unknown)
        signatures = bundle_signers(bundles, statement, trust)
        yield RevocationStatus(revocation, digest, in_force, because, by, signatures)


# Whether a revocation is in force, why (not), and the principals whose signatures count.
_Verdict = tuple[bool, str | None, tuple[str, ...]]


def _verdicts(chain: Chain) -> dict[int, _Verdict]:
    """The verdict on each number."""
    verdicts: dict[int, _Verdict] = {
        passed_over.number: (False, passed_over.reason, _names(passed_over.approvals))
        for passed_over in chain.passed_over
    }
    for counted in chain.counted:
        names, withdrawal = _names(counted.approvals), chain.withdrawal_of(counted.digest)
        because, in_force = counted.known, counted not in chain.withdrawn
        if not in_force and withdrawal is not None:
            number, by = withdrawal.revocation.number, ", ".join(_names(withdrawal.approvals))
            because = f"withdrawn by {by} (revocation {number}): {withdrawal.revocation.reason}"
        verdicts[counted.revocation.number] = (in_force, because, names)
    return verdicts


def _names(approvals: Iterable[tuple[str, Signature]]) -> tuple[str, ...]:
    return tuple(name for name, _ in approvals)
