"""Options that several commands share, so that they mean and are called the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        envvar="PROVREG_REGISTRY",
        help="The registry's folder. Default: the nearest .provreg upward.",
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option("--policy", help="The policy that says whom to trust. See docs/policy.md."),
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", help="Trust this public key alone, instead of a policy."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document (schemas/), errors too.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say every step.")]
SignOption = Annotated[
    str | None,
    typer.Option("--sign", help="key:FILE signs with a private key, none leaves it unsigned."),
]
ReferenceArgument = Annotated[
    str, typer.Argument(metavar="REF", help="name, name@3, name@latest or name@sha256:…")
]
