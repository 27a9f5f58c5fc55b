"""`provreg ls`."""

from __future__ import annotations

from provreg.cli.options import (
    JsonOption,
    KeyOption,
    PolicyOption,
    QuietOption,
    RegistryOption,
    VerboseOption,
)
from provreg.cli.output import Output
from provreg.cli.render import signed_by, version_to_json, when
from provreg.cli.session import open_registry, say_damage, say_untrusted

EXAMPLES = (
    "provreg ls",
    "provreg ls --registry /srv/registry --policy policy.toml --json",
)


def ls(
    registry: RegistryOption = None,
    policy: PolicyOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List the datasets, each with its newest version."""
    output = Output(json=json, quiet=quiet, verbose=verbose)
    opened = open_registry(registry, policy=policy, key=key, output=output)
    with output.progress("indexing") as progress:
        newest = opened.newest(progress=progress)
    say_damage(opened.damaged, output)
    say_untrusted(newest, output)
    output.document({"datasets": [version_to_json(version) for version in newest]})
    if not newest:
        output.note("no datasets yet; `provreg ingest PATH --name NAME …` makes the first")
        return
    output.table(
        ("dataset", "newest", "samples", "created", "signed by"),
        [
            (
                version.head.dataset,
                version.head.version,
                version.head.samples,
                when(version.head.created),
                signed_by(version),
            )
            for version in newest
        ],
        whole=("dataset", "created"),
    )
