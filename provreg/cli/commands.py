"""The table of commands: each is one function in a file of its own."""

from __future__ import annotations

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


def register(app: typer.Typer) -> None:
    """Adds every command to `app`, in the order people meet them."""
    app.command("init")(init.init)
    app.add_typer(key.app, name="key")
    app.add_typer(policy.app, name="policy")
    app.command("ingest")(ingest.ingest)
    app.command("verify")(verify.verify)
    app.command("ls")(ls.ls)
    app.command("log")(log.log)
    app.command("show")(show.show)
    app.command("pin")(pin.pin)
    app.command("diff")(diff.diff)
    app.command("blame")(blame.blame)
    app.command("sql")(sql.sql)
    app.command("check")(check.check)
    app.command("demo")(demo.demo)
