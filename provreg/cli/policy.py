"""`provreg policy`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.options import JsonOption, PolicyOption
from provreg.cli.output import Output
from provreg.errors import NotFoundError, UsageError

app = typer.Typer(help="Whom to trust with what. See docs/policy.md.", no_args_is_help=True)


@app.command("init")
def init(
    key: Annotated[Path, typer.Option("--key", help="The public key to trust.")],
    name: Annotated[str, typer.Option(help="Who holds it: a person or a pipeline.")] = "me",
    out: Annotated[Path, typer.Option(help="The policy to write.")] = Path("provreg.policy.toml"),
    json: JsonOption = False,
) -> None:
    """Write a policy to start from: one principal who may publish everything."""
    from provreg.core.policy_document import starter_policy
    from provreg.trust.keyfile import load_public_file

    output = Output(json=json)
    text = starter_policy(load_public_file(key).pem, name)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
        out.chmod(0o644)
    except FileExistsError:
        raise UsageError(f"{out} exists", hint="edit it, or choose another --out") from None
    output.document({"policy": str(out)})
    output.line(f"{out} trusts {key} for every dataset: edit it to fit")
    output.line(f"  provreg policy check --policy {out}")


@app.command("check")
def check(policy: PolicyOption = None, json: JsonOption = False) -> None:
    """Say in words what the policy in force allows, and where it was found."""
    from provreg.core.policy import explain
    from provreg.flows.policy_file import find_policy

    output = Output(json=json)
    found = find_policy(policy, os.environ, Path.cwd(), ())
    if found is None:
        raise NotFoundError(
            "there is no policy", hint="write one with: provreg policy init --key FILE.pub"
        )
    lines = explain(found.policy)
    output.document({"policy": str(found.path), "digest": found.digest, "allows": lines})
    output.line(f"{found.path} ({found.digest})")
    for line in lines:
        output.line(line)
