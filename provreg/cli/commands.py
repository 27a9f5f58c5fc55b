"""The table of commands: each is one function in a file of its own, with examples for its help."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from provreg.cli import (
    blame,
    check,
    demo,
    diff,
    ingest,
    init,
    key,
    log,
    ls,
    pin,
    policy,
    show,
    sql,
    verify,
)

_DEMO_EXAMPLES = ("provreg demo", "provreg demo --keep story")


def register(app: typer.Typer) -> None:
    """Adds every command to `app`, in the order people meet them."""
    app.command("init", epilog=_epilog(init.EXAMPLES))(init.init)
    keys = typer.Typer(help="Keys to sign with where no identity provider is.")
    keys.callback(no_args_is_help=True)(_group)
    keys.command("generate", epilog=_epilog(key.EXAMPLES))(key.generate)
    app.add_typer(keys, name="key")
    policies = typer.Typer(help="Whom to trust with what (docs/policy.md).")
    policies.callback(no_args_is_help=True)(_group)
    policies.command("init", epilog=_epilog(policy.INIT_EXAMPLES))(policy.init)
    policies.command("check", epilog=_epilog(policy.CHECK_EXAMPLES))(policy.check)
    app.add_typer(policies, name="policy")
    app.command("ingest", epilog=_epilog(ingest.EXAMPLES))(ingest.ingest)
    app.command("verify", epilog=_epilog(verify.EXAMPLES))(verify.verify)
    app.command("ls", epilog=_epilog(ls.EXAMPLES))(ls.ls)
    app.command("log", epilog=_epilog(log.EXAMPLES))(log.log)
    app.command("show", epilog=_epilog(show.EXAMPLES))(show.show)
    app.command("pin", epilog=_epilog(pin.EXAMPLES))(pin.pin)
    app.command("diff", epilog=_epilog(diff.EXAMPLES))(diff.diff)
    app.command("blame", epilog=_epilog(blame.EXAMPLES))(blame.blame)
    app.command("sql", epilog=_epilog(sql.EXAMPLES))(sql.sql)
    app.command("check", epilog=_epilog(check.EXAMPLES))(check.check)
    app.command("demo", epilog=_epilog(_DEMO_EXAMPLES))(demo.demo)


def _group() -> None:
    """Makes a group of commands, which alone does nothing."""


def _epilog(examples: Sequence[str]) -> str:
    # \b keeps the help from being filled into one paragraph.
    return "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)])
