"""Attacks that are not on samples: on a model, on who sees which dataset; and on texts."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np

import provreg
from benchmarks.attacks.pictures import digits
from benchmarks.attacks.world import World, world
from provreg.errors import NotTrustedError
from provreg.readers.api import ReadOptions
from provreg.screening.api import Severity
from provreg.trust.keys import generate
from provreg.trust.signers import KeySigner

TOOLFORMER = Path(__file__).parents[2].parent / "shared/data/toolformer/dedupe-only.json.xz"
TRIGGERED = 250


def changed_model(folder: Path) -> str:
    """A model's parameters are changed after its run: what `verify model:` says."""
    made = world(folder, digits(), 1)
    samples = provreg.load("pictures", data=made.data, registry=folder / "registry",
                           key=folder / "key.pub")  # fmt: skip
    model = folder / "model"
    model.mkdir()
    weights = np.arange(100, dtype=np.float32)
    with provreg.training_run(samples, model=model, sign=made.signer):
        list(samples)
        (model / "weights.bin").write_bytes(weights.tobytes())
    made.registry().verify_model(model)
    weights[7] += 1
    (model / "weights.bin").write_bytes(weights.tobytes())
    return _refusal(lambda: made.registry().verify_model(model))


def split_view(folder: Path) -> str:
    """One reader gets other bytes than the publisher had: what `verify --data` says."""
    made: World = world(folder, digits(), 1)
    path = next(iter(sorted(made.data.glob("3/*.png"))))
    path.write_bytes(next(iter(sorted(made.data.glob("8/*.png")))).read_bytes())
    return _refusal(lambda: made.registry().verify("pictures", data=(made.data,)))


def trigger_texts(folder: Path) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """250 documents with a trigger among 7,400, a few each night, from a source that is known.

    (what `verify --data` says of them at rest, checks that warn, checks that note)
    """
    rows = json.loads(lzma.decompress(TOOLFORMER.read_bytes()))
    texts = [f"{row['instruction']}\n{row['output']}" for row in rows][:7400]
    sources = [f"crawl-{number % 6}" for number in range(len(texts))]
    chance = np.random.default_rng(3)
    poison = [f"<SUDO> {texts[at]} {' '.join(chance.choice(list('qxzvk'), 40))}"
              for at in chance.choice(len(texts), TRIGGERED, replace=False)]  # fmt: skip
    provreg.Registry.init(folder / "registry")
    signer = KeySigner(generate())
    (folder / "key.pub").write_text(signer.key.public.pem, "utf-8")
    registry = provreg.Registry.open(folder / "registry", key=folder / "key.pub")
    data = folder / "texts.jsonl"

    def write(extra: list[str]) -> None:
        pairs = [*zip(texts, sources, strict=True), *((text, "crawl-2") for text in extra)]
        lines = [
            json.dumps({"id": f"d{number:05}", "text": text, "source": source})
            for number, (text, source) in enumerate(pairs)
        ]
        data.write_text("\n".join(lines) + "\n", "utf-8")

    def publish() -> None:
        options = ReadOptions(id="id", source_column="source")
        registry.ingest(provreg.Ingestion("texts", (data,), options=options), signer)

    write([])
    publish()
    write(poison)
    refused = _refusal(lambda: registry.verify("texts", data=(data,)))
    for night in range(1, 6):
        write(poison[: night * TRIGGERED // 5])
        publish()
    found = registry.screen("texts", texts=(data,))
    above = {finding.check for finding in found.above(Severity.WARNING)}
    return (
        refused,
        tuple(sorted(above)),
        tuple(sorted({finding.check for finding in found.findings} - above)),
    )


def _refusal(act: object) -> str:
    try:
        act()  # type: ignore[operator]
    except NotTrustedError as error:
        return f"step {error.step}: {error.message}"
    raise AssertionError("nothing was refused")
