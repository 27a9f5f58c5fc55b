"""Hugging Face's own Trainer, on a tiny model: its receipts lead to its samples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import provreg
from provreg.core.statements.receipt import Receipt, parse_receipt
from provreg.trust.bundle import parse_bundle

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("accelerate", reason="transformers is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")


def receipts(bench: Any) -> list[Receipt]:
    runs = bench.open().workspace.runs
    found = [
        parse_receipt(parse_bundle(data).payload)
        for receipt in runs.digests()
        for _, data in runs.bundles(receipt)
    ]
    return sorted(found, key=lambda one: one.datasets[0].seen)


def as_tensors(sample: provreg.Sample) -> dict[str, Any]:
    ids = torch.tensor(list(sample.payload)[:8])
    return {"input_ids": ids, "labels": torch.tensor(int(sample.label == "cat"))}


def test_the_trainer_leaves_a_receipt_for_every_checkpoint_and_one_in_the_end(
    bench: Any, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    from provreg.loaders.torch import VerifiedDataset
    from provreg.loaders.transformers import ReceiptCallback

    dataset = VerifiedDataset(
        "pets@1", data=pets, key=bench.key_file(), registry=bench.registry, transform=as_tensors,
        select="split = 'train'",
    )  # fmt: skip
    config = transformers.BertConfig(
        vocab_size=256, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=2, per_device_train_batch_size=2,
        save_strategy="steps", save_steps=1, report_to=[], use_cpu=True, disable_tqdm=True,
        logging_strategy="no",
    )  # fmt: skip
    final = tmp_path / "out" / "final"
    with provreg.training_run(dataset, model=final, sign=bench.signer()) as run:
        trainer = transformers.Trainer(
            model=transformers.BertForSequenceClassification(config),
            args=arguments,
            train_dataset=dataset,
            callbacks=[ReceiptCallback(run)],
        )
        trainer.train()
        trainer.save_model(str(final))
    *checkpoints, last = receipts(bench)
    assert len(checkpoints) == 2
    assert {one.run for one in checkpoints} == {last.run}
    names = [{file.name for file in one.model} for one in (*checkpoints, last)]
    assert all("model.safetensors" in files for files in names)
    assert "trainer_state.json" in names[0]
    assert last.parameters["trainer"]["max_steps"] == 2
    assert last.environment["transformers"] == transformers.__version__
    assert 4 <= last.datasets[0].seen <= 6
    registry = bench.open()
    registry.sync()
    assert (final / "model.sig").exists()
