"""Options that several commands share, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.ui.output import Output
from provreg.errors import UsageError

# Headings of options in the help of a command; options without one come first.
READING = "Reading"
ORIGIN = "Labels and origin"
URLS = "Lists of URLs"
TRUST = "Trust and signing"

RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        envvar="PROVREG_REGISTRY",
        metavar="DIR",
        help="Registry folder. Default: the nearest .provreg, here or above.",
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        rich_help_panel=TRUST,
        help="Policy: whose signatures count (docs/reference/policy.md).",
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        rich_help_panel=TRUST,
        help="Trust only this public key, without a policy.",
    ),
]
SourceOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", rich_help_panel=ORIGIN, help="Source of new or changed samples."),
]
LabelerOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", rich_help_panel=ORIGIN, help="Labeler of new or relabeled samples."
    ),
]
AppendOption = Annotated[
    bool, typer.Option("--append", help="Append only; keep samples that are missing from the data.")
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="FOLDER",
        help="Folder that ids begin with, where PATH is one of many folders of files.",
    ),
]
ReplaceOption = Annotated[
    bool,
    typer.Option("--replace", help="With --append: allow new content or labels for known ids."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document (schemas/output/), also for errors.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only results and warnings.")
]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Explain whose signatures count; list every finding."),
]
SignOption = Annotated[
    str | None,
    typer.Option(
        "--sign",
        metavar="key:FILE|keyless|none",
        rich_help_panel=TRUST,
        help="Sign with a private key or with your identity; none is for --dry-run.",
    ),
]
AfterRevokedOption = Annotated[
    bool,
    typer.Option(
        "--after-revoked", help="Continue a revoked version; you confirm the data are clean."
    ),
]
CheckMediaOption = Annotated[
    bool,
    typer.Option("--check-media", help="Decode new pictures; list those that are damaged."),
]
TimestampOption = Annotated[
    str | None,
    typer.Option(
        "--timestamp",
        envvar="PROVREG_TIMESTAMP",
        metavar="URL",
        rich_help_panel=TRUST,
        help="With --sign key: timestamp authority to use (docs/format/statement.md).",
    ),
]
TrustConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--trust-config",
        metavar="FILE",
        rich_help_panel=TRUST,
        help="With --sign keyless: private Sigstore instance to use (docs/guides/keyless.md).",
    ),
]
TrustedRootOption = Annotated[
    Path | None,
    typer.Option(
        "--trusted-root",
        metavar="FILE",
        rich_help_panel=TRUST,
        help="Trusted root for identities. Default: PROVREG_TRUSTED_ROOT, public Sigstore.",
    ),
]
StagingOption = Annotated[
    bool,
    typer.Option(
        "--staging", rich_help_panel=TRUST, help="Use Sigstore's staging instance, for testing."
    ),
]
DataOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Also check every sample in this folder or table. Repeatable.",
    ),
]
AlsoOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--also",
        metavar="DIR",
        help="Another registry, for versions that receipts name. Repeatable.",
    ),
]
WhereOption = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="Condition on samples.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the dataset.")]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="REF|model:PATH", help="name, name@3, name@latest, name@sha256:…, or model:PATH"
    ),
]
ReferenceArgument = Annotated[
    str, typer.Argument(metavar="REF", help="name, name@3, name@latest or name@sha256:…")
]


@dataclass(frozen=True, slots=True)
class Opening:
    """The registry, and the trust in force."""

    registry: RegistryOption = None
    policy: PolicyOption = None
    key: KeyOption = None


@dataclass(frozen=True, slots=True)
class Root:
    """The Sigstore instance whose root is trusted."""

    trusted_root: TrustedRootOption = None
    staging: StagingOption = False

    @property
    def file(self) -> Path | None:
        """The file of the trusted root."""
        return self.trusted_root


@dataclass(frozen=True, slots=True)
class Sigstore(Root):
    """The Sigstore instance that is trusted, and the one that signs."""

    trust_config: TrustConfigOption = None

    @property
    def file(self) -> Path | None:
        return self.trusted_root or self.trust_config


@dataclass(frozen=True, slots=True)
class Signing(Sigstore):
    """The signer, and the timestamp authority."""

    sign: SignOption = None
    timestamp: TimestampOption = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of the data, and how they combine with the parent."""

    source: SourceOption = None
    labeler: LabelerOption = None
    append: AppendOption = False
    prefix: PrefixOption = None
    replace: ReplaceOption = False


@dataclass(frozen=True, slots=True)
class Printing:
    """The form and amount of output."""

    json: JsonOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False

    def output(self) -> Output:
        return Output(json=self.json, quiet=self.quiet, verbose=self.verbose)


def time_of(option: str, text: str | None) -> datetime | None:
    """The time that is the value of an option, in UTC; without an offset it is in UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} requires a time", hint="such as 2026-01-01T00:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def path_after(prefix: str, reference: str, *, hint: str) -> Path | None:
    """The path in `model:PATH` or `receipt:FILE`, None for a reference without the prefix."""
    if not reference.startswith(prefix):
        return None
    path = reference.removeprefix(prefix)
    if not path:
        raise UsageError(f"`{prefix}` has no path", hint=hint)
    return Path(path)
