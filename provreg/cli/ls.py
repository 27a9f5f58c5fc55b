"""`provreg ls`."""

from __future__ import annotations

from provreg.cli.options import JsonOption, KeyOption, PolicyOption, RegistryOption
from provreg.cli.output import Output
from provreg.cli.render import signed_by, version_to_json, when
from provreg.cli.session import open_registry, say_damage


def ls(
    registry: RegistryOption = None,
    policy: PolicyOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
) -> None:
    """List the datasets of the registry, each with its newest version."""
    output = Output(json=json)
    opened = open_registry(registry, policy=policy, key=key, output=output)
    say_damage(opened.sync(), output)
    newest = [opened.log(name)[0] for name in opened.datasets()]
    output.document({"datasets": [version_to_json(version) for version in newest]})
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
    )
    if not newest:
        output.note("no datasets yet; `provreg ingest PATH --name NAME …` makes the first")
