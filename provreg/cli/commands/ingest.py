"""`provreg ingest`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provreg.cli.ui.fetching import Fetching, fetched_to_json, warn_failed_urls
from provreg.cli.ui.findings import list_findings
from provreg.cli.ui.options import (
    AfterRevokedOption,
    CheckMediaOption,
    Opening,
    Origin,
    Printing,
    Signing,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.reading_options import LabelsFile, Reading
from provreg.cli.ui.render import gate_to_json
from provreg.cli.ui.session import (
    open_registry,
    open_signer,
    print_gate,
    print_notices,
    print_warnings,
    warn_waiting,
)
from provreg.core.encoding.text import counted, quoted
from provreg.core.manifest.head import counts_in_words
from provreg.errors import NotFetchedError, NotTrustedError, UsageError

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome

EXAMPLES = (
    "provreg ingest train/ --name cifar10 --source cifar --labeler ann --sign key:my.key",
    "provreg ingest train/ --name cifar10 --dry-run",
    "provreg ingest web/ --name web --split dir --include '*.jpg' --exclude old/ --source web"
    " --sign key:my.key",
    "provreg ingest web/ --name web --label none --labels labels.csv --sign key:my.key",
    "provreg ingest web/ --name web --label none --labels crowd.csv --aggregate majority"
    " --labels-delimiter ';' --labels-exclude comment --labels-timezone UTC --sign key:my.key",
    "provreg ingest web/ --name web --dry-run --check-media",
    "provreg ingest model/ --name model --label none --sha256 --source us --sign key:my.key",
    "provreg ingest night-002/ --name web --append --prefix night-002/ --source web"
    " -m 'one night' --sign key:my.key",
    "provreg ingest fixed/ --name web --append --replace --rehash --sign key:my.key",
    "provreg ingest clean/ --name web --after-revoked --source web --sign key:my.key",
    "provreg ingest batch/ --name web --append --source vendor --propose --sign key:my.key",
    "provreg ingest calls.csv --name calls --id call --label verdict --source crm"
    " --sign key:my.key",
    "provreg ingest pairs.tsv --name pairs --quoting none --source tatoeba --sign key:my.key",
    "provreg ingest calls.txt --name calls --format csv --delimiter ';' --null NA --column size:int"
    " --source crm --sign key:my.key",
    "provreg ingest calls.jsonl --name calls --source-column from --labeler-column by"
    " --labeled-at-column at --sign key:my.key",
    "provreg ingest train/ --name cifar10 --source cifar --sign key:my.key"
    " --timestamp https://timestamp.sigstore.dev/api/v1/timestamp",
    "provreg ingest meters.parquet --name meters --id meter --time at --split-at 2026-01-01"
    " --source grid --sign key:my.key",
    "provreg ingest photos/ --name photos --id image --file-column image --label class"
    " --source camera --sign key:my.key",
    "provreg ingest notes/chats.jsonl pictures/ --name chats --file-column images"
    " --files-root .. --source crowd --sign key:my.key",
    "provreg ingest urls.csv --name list --text-column file --source web --sign key:my.key",
    "provreg ingest nightly/ --name reviews --append --exclude-column batch --column-added score"
    " --sign key:my.key",
    "provreg ingest shards/ --name web --label json:class --split file --source crawl"
    " --sign key:my.key",
    "provreg ingest urls.csv --name laion --fetch laion/ --url-column URL --id key --label caption"
    " --fetch-failures 500 --fetch-limit 20 --source laion --sign key:my.key",
    "provreg ingest scans.csv --name scans --fetch scans/ --fetch-from-private --source ward"
    " --sign key:my.key",
    "provreg ingest train/ --name trial --source me --sign keyless --trust-config sigstore.json",
    "provreg ingest train/ --name trial --source me --sign keyless --staging"
    " --trusted-root root.json",
)


def ingest(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders or tables.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the dataset.")],
    *,
    origin: Origin,
    signing: Signing,
    message: Annotated[
        str, typer.Option("--message", "-m", metavar="TEXT", help="Message for the log.")
    ] = "",
    reading: Reading,
    labels_file: LabelsFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do not publish.")] = False,
    check_media: CheckMediaOption = False,
    after_revoked: AfterRevokedOption = False,
    propose: Annotated[
        bool,
        typer.Option("--propose", help="Store a version that lacks signatures as a proposal."),
    ] = False,
    fetching: Fetching,
    opening: Opening,
    printing: Printing,
) -> None:
    """Ingest data as the next version and sign it.

    The data are hashed, compared with the verified parent, signed and published. Unchanged samples
    keep their origin. If nothing changed, nothing is published. A version that the policy would not
    trust is refused (exit code 4), or with --propose stored as a proposal. A proposal becomes a
    version when others have signed it (`provreg sign`).
    """
    from provreg.flows.ingest.request import Ingestion

    output = printing.output()
    ingestion = Ingestion(
        dataset=name,
        paths=tuple(paths),
        source=origin.source,
        labeler=origin.labeler,
        options=replace(reading.options(), prefix=origin.prefix),
        labels=labels_file.labels,
        labels_options=labels_file.options(),
        append=origin.append,
        replace=origin.replace,
        rehash=reading.rehash,
        after_revoked=after_revoked,
        propose=propose,
        check_media=check_media,
        message=message,
        fetch=fetching.request(),
    )
    outside = [*paths, *([] if ingestion.fetch is None else [ingestion.fetch.folder])]
    opened = open_registry(opening, output, root=signing, outside=tuple(outside))
    signer = open_signer(signing.sign, signing, opened, output)
    if signer is None and not dry_run:
        raise UsageError(
            "a version must be signed",
            hint="pass --sign key:FILE (`provreg key generate --out FILE` makes one), or"
            " --sign keyless to sign with your identity",
        )
    try:
        with output.progress("hashing" if ingestion.fetch is None else "downloading") as progress:
            if signer is None or dry_run:
                outcome = opened.dry_run(ingestion, signer, progress=progress)
            else:
                outcome = opened.ingest(ingestion, signer, progress=progress)
    except NotFetchedError as error:
        list_findings(error.findings, output)
        raise
    print_warnings(opened, output)
    _report(outcome, dry_run=dry_run, output=output)
    refused = outcome.lacks is not None
    if outcome.lacks is not None:
        what = "be proposed" if propose else "NOT be published"
        output.line(f"it would {what}: {outcome.lacks.message}")
        output.line(f"  {outcome.lacks.hint}")
    if outcome.gate is not None:
        refused |= print_gate(outcome.gate, output)
    if refused and not propose:
        raise typer.Exit(NotTrustedError.exit_code)


def _note_unsigned(outcome: Outcome, output: Output) -> None:
    """Says which files and columns of the data are no part of the version."""
    if outcome.left_out:
        counts = (f"{count:,} {reason}" for reason, count in outcome.left_out.items())
        output.note(f"excluded: {', '.join(counts)}")
    head = outcome.head
    if head is not None and (unsigned := head.reading.get("columns_excluded")):
        output.note(f"not signed: the columns {', '.join(map(quoted, unsigned))}")


def _report(outcome: Outcome, *, dry_run: bool, output: Output) -> None:
    """Prints what was published, or would be, and what was excluded."""
    head = outcome.head
    proposed = outcome.proposed
    for skipped in outcome.passed_over:
        output.warn(
            f"skipped {outcome.dataset}@{skipped.number}, which does not verify: {skipped.reason}"
        )
    for warning in outcome.warnings:
        output.warn(warning)
    own = None if proposed is None else proposed.digest
    others = [waiting for waiting in outcome.waiting if waiting.digest != own]
    warn_waiting(outcome.dataset, others, output)
    _note_unsigned(outcome, output)
    document = {
        "dataset": outcome.dataset,
        "published": head is not None,
        "version": None if head is None else head.version,
        "head": outcome.digest,
        "samples": outcome.samples,
        "changes": outcome.changes,
        "left_out": outcome.left_out,
        "reused_digests": outcome.reused,
    }
    if proposed is not None:
        document["proposal"] = {
            "head": proposed.digest,
            "version": proposed.head.version,
            "because": proposed.lacks.message,
            "needed": proposed.lacks.hint,
            "again": proposed.again,
        }
    if outcome.fetched is not None:
        warn_failed_urls(outcome.fetched, output)
        document["fetched"] = fetched_to_json(outcome.fetched)
    if outcome.lacks is not None:
        document["lacks"] = {"because": outcome.lacks.message, "needed": outcome.lacks.hint}
    if outcome.gate is not None:
        document["policy"] = gate_to_json(outcome.gate)
    if outcome.notices:
        document["notices"] = [notice.to_json() for notice in outcome.notices]
    output.document(document)
    changed = f"{counted(outcome.samples, 'sample')}, {counts_in_words(outcome.changes)}"
    if head is not None:
        output.line(f"{head.dataset}@{head.version} published: {changed}")
        output.line(f"  head {outcome.digest}")
    elif proposed is not None:
        state = "is already proposed" if proposed.again else "is proposed"
        output.line(f"{outcome.dataset}@{proposed.head.version} {state}: {changed}")
        output.line(f"  {proposed.lacks.message}")
        output.line(f"  {proposed.lacks.hint}")
        output.note(f"to sign it: provreg sign {outcome.dataset}@{proposed.digest}")
    elif dry_run:
        output.line(f"{outcome.dataset} would have {changed}")
    else:
        output.line(f"{outcome.dataset}: nothing changed, nothing published")
    print_notices(outcome.notices, output)
