"""`provreg policy add`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import PolicyOption, Printing
from provreg.cli.ui.policy_edit import DryRunOption, apply, moment_of, policy_in_force
from provreg.core.encoding.text import quoted
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.core.policy.policy import Policy

EXAMPLES = (
    "provreg policy add principal bob --key bob.key.pub --rule publish",
    "provreg policy add principal ann --identity ann@example.org --issuer https://id.example.org",
    "provreg policy add principal nightly --github acme/photos --workflow nightly.yml"
    " --ref refs/heads/main",
    "provreg policy add principal nightly --gitlab acme/photos --pipeline .gitlab-ci.yml"
    " --environment production --dry-run",
    "provreg policy add key alice alice2.key.pub --policy policy.toml",
    "provreg policy add key alice alice2.key.pub --valid-from 2027-01-01 --valid-until 2028-01-01"
    " --dry-run",
    "provreg policy add rule publish --dataset photos --principal alice --principal bob"
    " --threshold 2",
    "provreg policy add rule publish --dataset 'crawl-*' --principal ci --countersigner alice"
    " --minimum-version 3 --maximum-age 90d --require time --before 1 --dry-run",
    "provreg policy add rule publish --dataset photos --principal nightly --principal alice"
    " --limit 'kinds=relabeled share=0.01 unless=2' --limit 'count=500 each=labeler' --dry-run",
    "provreg policy add rule publish --dataset photos --principal nightly --allow-source 'camera-*'"
    " --forbid-labeler mallory --allow-label cat --allow-label dog --unlabeled 0.02"
    " --signers-for-new 2 --dry-run",
    "provreg policy add rule publish --dataset texts --principal nightly --allow-labeler 'team-*'"
    " --no-labeler --forbid-source scraped --forbid-label spam --dry-run",
    "provreg policy add rule freshness --dataset photos --principal ci --optional",
    "provreg policy add rule accept --dataset photos --principal chief --maximum-age 90d --dry-run",
)
_LIMIT = {"kinds": str, "share": float, "count": int, "each": str, "unless": int}

PrincipalArgument = Annotated[
    str, typer.Argument(metavar="PRINCIPAL", help="Name of the principal.")
]


class Kind(StrEnum):
    """The kinds of rules."""

    PUBLISH = "publish"
    REVOKE = "revoke"
    FRESHNESS = "freshness"
    TRAIN = "train"
    ACCEPT = "accept"


class Proof(StrEnum):
    """The values of `--require`."""

    LOG = "log"
    TIMESTAMP = "timestamp"
    TIME = "time"


def principal(
    name: PrincipalArgument,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", metavar="FILE", help="Public key of the principal. Repeatable."),
    ] = None,
    identity: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Keyless identity, with --issuer.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(metavar="URL", help="Issuer of --identity.")] = None,
    github: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Repository on github.com, with --workflow."),
    ] = None,
    workflow: Annotated[
        str | None, typer.Option(metavar="FILE", help="Workflow of --github: publish.yml.")
    ] = None,
    gitlab: Annotated[
        str | None,
        typer.Option(metavar="GROUP/NAME", help="Project on gitlab.com, with --pipeline."),
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option(metavar="FILE", help="Pipeline file of --gitlab.")
    ] = None,
    ref: Annotated[
        str | None, typer.Option(metavar="REF", help="Branch or tag of the run: refs/heads/main.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment of the run.")
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:N",
            help="Rule whose principals it joins: publish:1, or publish if there is one."
            " Repeatable.",
        ),
    ] = None,
    policy: PolicyOption = None,
    dry_run: DryRunOption = False,
    *,
    printing: Printing,
) -> None:
    """Add a person or pipeline to a policy.

    Without --rule, the principal may do nothing yet: rules name who may publish or revoke. Comments
    and order of the file stay.
    """
    from provreg.core.policy.edit import add_principal, add_to_rule
    from provreg.core.policy.template import check_principal_name
    from provreg.flows.session.policy_edit import (
        check_new_key,
        check_new_principal,
        edit_policy,
        rule_place,
    )
    from provreg.trust.keys import load_public_file

    output = printing.output()
    check_principal_name(name)
    keys = [load_public_file(path) for path in key or ()]
    of_identity = {
        "identity": identity,
        "issuer": issuer,
        "github": github,
        "workflow": workflow,
        "gitlab": gitlab,
        "pipeline": pipeline,
        "ref": ref,
        "environment": environment,
    }
    written = {field: value for field, value in of_identity.items() if value is not None}
    fields: dict[str, Any] = {"name": name}
    if keys:
        fields["keys"] = [public.pem for public in keys]
    if written:
        fields["identities"] = [written]
    if len(fields) == 1:
        raise UsageError(
            f"the principal {name} has neither a key nor an identity",
            hint="pass --key FILE.pub, --identity with --issuer, or --github with --workflow",
        )

    def change(text: str, policy: Policy) -> str:
        check_new_principal(policy, name)
        for public in keys:
            check_new_key(policy, public.fingerprint)
        joined = [rule_place(policy, place) for place in rule or ()]
        text = add_principal(text, fields)
        for kind, number in joined:
            text = add_to_rule(text, kind, number, name)
        return text

    edit = edit_policy(policy_in_force(policy), change)
    apply(edit, output, dry_run=dry_run)
    if not any(name in one.signers for one in edit.after.policy.rules()):
        output.note(f"no rule names {name} yet: `provreg policy add rule` adds one")


def key(
    name: PrincipalArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Public key to add.")],
    valid_from: Annotated[
        str | None,
        typer.Option("--valid-from", metavar="TIME", help="Earlier signatures do not count."),
    ] = None,
    valid_until: Annotated[
        str | None,
        typer.Option("--valid-until", metavar="TIME", help="Later signatures do not count."),
    ] = None,
    policy: PolicyOption = None,
    dry_run: DryRunOption = False,
    *,
    printing: Printing,
) -> None:
    """Add a key of a principal to a policy.

    All keys of a principal count once; docs/guides/keys.md has the steps of a rotation. TIME is a
    day or a time with an offset (2027-01-01, 2027-01-01T12:00:00Z), or now.
    """
    from provreg.core.policy.edit import add_key
    from provreg.flows.session.policy_edit import check_new_key, edit_policy, principal_index
    from provreg.trust.keys import load_public_file

    output, public = printing.output(), load_public_file(file)
    times = {"valid_from": valid_from, "valid_until": valid_until}
    dates = {field: moment_of(text) for field, text in times.items() if text is not None}

    def change(text: str, policy: Policy) -> str:
        index = principal_index(policy, name)
        check_new_key(policy, public.fingerprint)
        return add_key(text, index, {"pem": public.pem, **dates} if dates else public.pem)

    apply(edit_policy(policy_in_force(policy), change), output, dry_run=dry_run)


def rule(
    kind: Annotated[
        Kind, typer.Argument(help="What it allows: publish, revoke, freshness, train or accept.")
    ],
    dataset: Annotated[
        list[str],
        typer.Option("--dataset", metavar="NAME", help="Dataset, or a pattern. Repeatable."),
    ],
    principal: Annotated[
        list[str], typer.Option("--principal", metavar="NAME", help="Who may sign. Repeatable.")
    ],
    countersigner: Annotated[
        list[str] | None,
        typer.Option("--countersigner", metavar="NAME", help="Who may countersign. Repeatable."),
    ] = None,
    threshold: Annotated[int, typer.Option(metavar="N", help="How many principals must sign.")] = 1,
    minimum_version: Annotated[
        int | None, typer.Option(metavar="N", help="Oldest version that is allowed.")
    ] = None,
    maximum_age: Annotated[
        str | None, typer.Option(metavar="AGE", help="Older signatures do not count: 90d.")
    ] = None,
    require: Annotated[
        Proof | None, typer.Option(help="Proof without which a signature does not count.")
    ] = None,
    optional: Annotated[
        bool, typer.Option("--optional", help="Freshness: use latest statements if there are any.")
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Publish: how much may change: 'kinds=relabeled,removed share=0.01 count=500"
            " each=labeler unless=2'. Repeatable.",
        ),
    ] = None,
    allow_source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Publish: a source or pattern. Repeatable."),
    ] = None,
    forbid_source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Publish: no samples of this source. Repeatable."),
    ] = None,
    allow_labeler: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Publish: a labeler or pattern. Repeatable."),
    ] = None,
    forbid_labeler: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Publish: no samples of this labeler. Repeatable."),
    ] = None,
    no_labeler: Annotated[
        bool, typer.Option("--no-labeler", help="Publish: samples may have no labeler.")
    ] = False,
    allow_label: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="Publish: a label or pattern. Repeatable."),
    ] = None,
    forbid_label: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="Publish: no samples with this label. Repeatable."),
    ] = None,
    unlabeled: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Publish: share of samples that may have no label."),
    ] = None,
    signers_for_new: Annotated[
        int | None,
        typer.Option(metavar="N", help="Publish: how many must sign a version with a new label."),
    ] = None,
    before: Annotated[
        int | None,
        typer.Option(metavar="N", help="Put it before rule N of its kind. Default: at the end."),
    ] = None,
    policy: PolicyOption = None,
    dry_run: DryRunOption = False,
    *,
    printing: Printing,
) -> None:
    """Add a rule to a policy.

    The first rule of a kind that covers a dataset decides. A rule that could never decide is
    refused. A publish rule can bound sources, labelers, labels and changes
    (docs/reference/policy.md).
    """
    from provreg.core.policy.edit import add_rule
    from provreg.flows.session.policy_edit import check_new_rule, edit_policy, rules_of

    output = printing.output()
    options: dict[str, Any] = {
        "countersigners": countersigner or None,
        "threshold": threshold if threshold != 1 else None,
        "minimum_version": minimum_version,
        "maximum_age": maximum_age,
        "require": None if require is None else require.value,
        "required": False if optional else None,
        "sources": _names(allow_source, forbid_source),
        "labelers": _names(allow_labeler, forbid_labeler, absent=no_labeler or None),
        "labels": _names(
            allow_label,
            forbid_label,
            absent=None if unlabeled is None else {"share": unlabeled},
            signers_for_new=signers_for_new,
        ),
        "limits": [_limit(text) for text in limit or ()] or None,
    }
    fields: dict[str, Any] = {"datasets": dataset, "principals": principal}
    fields |= {field: value for field, value in options.items() if value is not None}
    places: list[int] = []

    def change(text: str, policy: Policy) -> str:
        count = len(rules_of(policy, kind.value))
        if before is not None and not 1 <= before <= count:
            raise UsageError(
                f"there is no {kind.value} rule {before}: the policy has {count}",
                hint="`provreg policy check` lists them in order",
            )
        places.append(before or count + 1)
        return add_rule(text, kind.value, fields, before)

    edit = edit_policy(policy_in_force(policy), change)
    check_new_rule(edit.after.policy, kind.value, places[0])
    apply(edit, output, dry_run=dry_run)


def _names(
    allow: list[str] | None, forbid: list[str] | None, **more: object
) -> dict[str, object] | None:
    """A table of `allow`, `forbid` and what else is given; None if nothing is."""
    fields = {"allow": allow, "forbid": forbid, **more}
    return {name: value for name, value in fields.items() if value is not None} or None


def _limit(text: str) -> dict[str, object]:
    """A limit, written as `share=0.01 unless=2`."""
    fields: dict[str, object] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or name not in _LIMIT or name in fields:
            raise UsageError(
                f"invalid value of --limit: {quoted(word)}",
                hint="write NAME=VALUE, separated by blanks; names are " + ", ".join(_LIMIT),
            )
        try:
            fields[name] = value.split(",") if name == "kinds" else _LIMIT[name](value)
        except ValueError:
            raise UsageError(
                f"invalid value of --limit: {quoted(word)}", hint=f"{name} is a number"
            ) from None
    return fields
