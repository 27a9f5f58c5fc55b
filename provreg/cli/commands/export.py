"""`provreg export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.ui.options import (
    DataOption,
    Opening,
    Printing,
    ReferenceArgument,
    SignOption,
    Sigstore,
)
from provreg.cli.ui.session import open_registry, open_signer, print_warnings
from provreg.core.encoding.text import counted
from provreg.errors import UsageError

EXAMPLES = (
    "provreg export oms model@3 --out model.sigstore.json --sign key:my.key",
    "provreg export oms model --data model/ --out model.sigstore.json --sign key:my.key",
    "provreg export oms model --out model.sigstore.json --sign keyless"
    " --trust-config sigstore.json",
    "provreg export oms model --out model.sigstore.json --sign keyless --staging"
    " --trusted-root root.json",
)


def oms(
    reference: ReferenceArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Bundle to write.")],
    sign: SignOption = None,
    data: DataOption = None,
    *,
    opening: Opening,
    sigstore: Sigstore,
    printing: Printing,
) -> None:
    """Write an OpenSSF Model Signing bundle for a version.

    The version is verified first. It must have been ingested from a folder with --sha256. Then
    `model_signing verify` accepts the folder with the bundle (docs/guides/interop.md).
    """
    from provreg.core.manifest.head import left_out_of
    from provreg.store.files import replace_file

    output = printing.output()
    paths = tuple(data or ())
    opened = open_registry(opening, output, root=sigstore, outside=paths)
    signer = open_signer(sign, sigstore, opened, output)
    if signer is None:
        raise UsageError("a bundle must be signed", hint="pass --sign key:FILE or --sign keyless")
    with output.progress("checking samples") as progress:
        version = opened.verify(reference, data=paths, progress=progress)
    print_warnings(opened, output)
    replace_file(out, opened.export_oms(version, signer), 0o666)
    left_out = sum(left_out_of(version.head.reading).values())
    if left_out:
        output.warn(
            f"{version.reference} excludes {counted(left_out, 'name')} in the folder: for files"
            " among them, model_signing needs --ignore_unsigned_files or --ignore-paths"
        )
    output.document({"ref": version.reference, "out": str(out), "files": version.head.samples})
    output.line(f"{out}: {counted(version.head.samples, 'file')} of {version.reference}")
