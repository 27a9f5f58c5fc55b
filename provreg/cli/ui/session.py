"""Opening the registry and the signer, and warnings that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.cli.ui.options import Opening, Root, Signing, Sigstore
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import name_of, refusal_of
from provreg.core.encoding.text import counted, quoted
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.core.changes.notices import Notice
    from provreg.flows.index.sync import Damaged
    from provreg.flows.verify.gate import Gate
    from provreg.flows.verify.lineage import Ancestor
    from provreg.flows.verify.signatures import PendingProposal
    from provreg.registry import Registry
    from provreg.trust.signers import Signer

# Of very many untrusted versions the first ones are named.
_SHOWN = 5
# Samples that stand for those of a notice.
_EXAMPLES = 3


def open_registry(
    opening: Opening,
    output: Output,
    *,
    root: Root | None = None,
    identity: str | None = None,
    issuer: str | None = None,
    outside: tuple[Path, ...] = (),
    also: Sequence[Path] = (),
) -> Registry:
    """The registry of a command. No policy is taken from the data folders in `outside`."""
    from provreg.registry import Registry

    opened = Registry.open(
        opening.registry,
        policy=opening.policy,
        key=opening.key,
        identity=identity,
        issuer=issuer,
        trusted_root=None if root is None else root.file,
        staging=root is not None and root.staging,
        outside=outside,
        also=also,
        notice=output.note,
    )
    if opened.trust is not None and output.verbose:
        output.note(f"trust: {opened.trust.origin}")
    return opened


def open_signer(
    sign: str | None, sigstore: Sigstore, opened: Registry, output: Output
) -> Signer | None:
    """The signer that `--sign` names; None for `none` or without the option.

    A timestamp is for keys: the Sigstore instance proves the time of a keyless signature.
    """
    if sign is None or sign == "none":
        return None
    kind, _, value = sign.partition(":")
    if kind == "keyless":
        token = Path(value) if value else None
        return _open_keyless(token, sigstore.trust_config, sigstore.staging, output)
    if kind != "key" or not value:
        raise UsageError(
            f"invalid value of --sign: {quoted(sign)}",
            hint="pass --sign key:FILE, --sign keyless or --sign none",
        )
    from provreg.trust.keys import load_private
    from provreg.trust.signers import KeySigner

    stamp = None
    if isinstance(sigstore, Signing) and sigstore.timestamp is not None:
        from provreg.trust.sigstore.root import PUBLIC_GOOD
        from provreg.trust.timestamps import TimestampAuthority

        stamp = TimestampAuthority(sigstore.timestamp, opened.root or PUBLIC_GOOD).stamp
    key = load_private(Path(value), lambda: passphrase("passphrase of the key: "))
    return KeySigner(key, stamp)


def require_signer(signing: Signing, opened: Registry, output: Output) -> Signer:
    """As `open_signer`, for a command that only signs."""
    signer = open_signer(signing.sign, signing, opened, output)
    if signer is None:
        raise UsageError(
            "no signer was given",
            hint="pass --sign key:FILE, or --sign keyless to sign with your identity",
        )
    return signer


def _open_keyless(
    token: Path | None, trust_config: Path | None, staging: bool, output: Output
) -> Signer:
    """A signer with an identity, which is checked before any hashing begins."""
    from provreg.trust.sigstore.sign import KeylessSigner

    person = output.warn if sys.stdin.isatty() else None
    return KeylessSigner.load(
        trust_config=trust_config, staging=staging, token=token, person=person
    )


def passphrase(prompt: str) -> str | None:
    """From PROVREG_PASSWORD, COSIGN_PASSWORD, or the terminal; None without any."""
    import getpass

    for variable in ("PROVREG_PASSWORD", "COSIGN_PASSWORD"):
        if variable in os.environ:
            return os.environ[variable]
    return getpass.getpass(prompt) if sys.stdin.isatty() else None


def confirm(question: str, *, yes: bool) -> None:
    """Asks at the terminal before an action that cannot be undone, unless `yes`.

    Raises UsageError without a terminal, typer.Abort if the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"cannot ask for confirmation without a terminal: {question}",
            hint="pass --yes to confirm",
        )
    import typer

    typer.confirm(question, abort=True, err=True)


def print_warnings(opened: Registry, output: Output) -> None:
    """Warns of what the registry ignored so far."""
    for warning in opened.warnings:
        output.warn(warning)


def warn_damaged(damaged: list[Damaged], output: Output) -> None:
    """Warns of version numbers whose integrity does not hold."""
    for version in damaged:
        output.warn(f"skipped {version.dataset}@{version.number}: {version.reason}")


def print_gate(gate: Gate, output: Output) -> bool:
    """Prints whether the policy would accept unpublished data; returns whether it refuses."""
    since = "" if gate.base is None else f", compared with {gate.base}"
    output.line(f"{gate.rule} would {'NOT ' if gate.refusals else ''}accept it{since}")
    for refusal in gate.refusals:
        output.line(f"  {refusal}")
    return bool(gate.refusals)


def print_notices(notices: Iterable[Notice], output: Output) -> None:
    """Prints what deserves a look, with the first samples of each."""
    for notice in notices:
        output.line(f"notice: {notice.message}")
        if notice.ids:
            more = ", …" if notice.samples > _EXAMPLES else ""
            output.line(f"  {', '.join(quoted(sample) for sample in notice.ids[:_EXAMPLES])}{more}")


def warn_waiting(dataset: str, waiting: Iterable[PendingProposal], output: Output) -> None:
    """Warns of proposals that wait for signatures."""
    for proposal in waiting:
        output.warn(
            f"a proposal for {dataset}@{proposal.number} waits for signatures:"
            f" {dataset}@{proposal.digest}, signed by {', '.join(proposal.by)}"
        )


def warn_untrusted(versions: Iterable[Ancestor], output: Output) -> None:
    """Warns of versions that the policy does not trust, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for version in versions:
        if version.trusted_because is None:
            reasons.setdefault(refusal_of(version), []).append(name_of(version))
    for reason, names in list(reasons.items())[:_SHOWN]:
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        are = "is" if len(names) == 1 else "are"
        output.warn(f"{', '.join(names[:_SHOWN])}{more} {are} {reason}")
    left = sum(map(len, reasons.values())) - sum(map(len, list(reasons.values())[:_SHOWN]))
    if left:
        more = f"{counted(left, 'more version')} {'is' if left == 1 else 'are'}"
        output.warn(f"{more} UNTRUSTED, for other reasons; --json has all of them")
