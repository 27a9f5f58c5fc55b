"""Options that several commands share, so that they mean and are called the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.ui.output import Output

# Where options stand in the help of their command; the others come first.
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
        help="The registry's folder. Default: the nearest .provreg upward.",
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        rich_help_panel=TRUST,
        help="The policy that says whom to trust (docs/reference/policy.md).",
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        rich_help_panel=TRUST,
        help="Trust this public key alone, without a policy.",
    ),
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", rich_help_panel=ORIGIN, help="Where what is new or changed comes from."
    ),
]
LabelerOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", rich_help_panel=ORIGIN, help="Who labeled what is new or relabeled."
    ),
]
AppendOption = Annotated[
    bool, typer.Option("--append", help="Add to what is there; remove nothing.")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="With --append: let ids get other content or labels.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document (schemas/output/), errors too.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results and warnings only.")
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say whom is trusted; list all, not the first.")
]
SignOption = Annotated[
    str | None,
    typer.Option(
        "--sign",
        metavar="key:FILE|keyless|none",
        rich_help_panel=TRUST,
        help="Sign with this private key, or with your identity; none is for --dry-run.",
    ),
]
AfterRevokedOption = Annotated[
    bool, typer.Option("--after-revoked", help="Data are clean: continue what is revoked.")
]
TimestampOption = Annotated[
    str | None,
    typer.Option(
        "--timestamp",
        envvar="PROVREG_TIMESTAMP",
        metavar="URL",
        rich_help_panel=TRUST,
        help="With --sign key: have this authority prove the time (docs/format/statement.md).",
    ),
]
TrustConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--trust-config",
        metavar="FILE",
        rich_help_panel=TRUST,
        help="With --sign keyless: sign at this private Sigstore (docs/guides/keyless.md).",
    ),
]
TrustedRootOption = Annotated[
    Path | None,
    typer.Option(
        "--trusted-root",
        metavar="FILE",
        rich_help_panel=TRUST,
        help="Verify identities against this root. Default: PROVREG_TRUSTED_ROOT, public Sigstore.",
    ),
]
StagingOption = Annotated[
    bool,
    typer.Option(
        "--staging", rich_help_panel=TRUST, help="Use Sigstore's staging instance, for trials."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
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
    """Which registry, and whom to trust in it."""

    registry: RegistryOption = None
    policy: PolicyOption = None
    key: KeyOption = None


@dataclass(frozen=True, slots=True)
class Root:
    """Which Sigstore is believed."""

    trusted_root: TrustedRootOption = None
    staging: StagingOption = False

    @property
    def file(self) -> Path | None:
        """The trusted root, or what holds one."""
        return self.trusted_root


@dataclass(frozen=True, slots=True)
class Sigstore(Root):
    """Which Sigstore is believed, and which one signs."""

    trust_config: TrustConfigOption = None

    @property
    def file(self) -> Path | None:
        return self.trusted_root or self.trust_config


@dataclass(frozen=True, slots=True)
class Signing(Sigstore):
    """Who signs, and how the time is proven."""

    sign: SignOption = None
    timestamp: TimestampOption = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Who answers for the data, and how they are put upon those of the version before."""

    source: SourceOption = None
    labeler: LabelerOption = None
    append: AppendOption = False
    replace: ReplaceOption = False


@dataclass(frozen=True, slots=True)
class Printing:
    """For whom a command prints, and how much."""

    json: JsonOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False

    def output(self) -> Output:
        return Output(json=self.json, quiet=self.quiet, verbose=self.verbose)
