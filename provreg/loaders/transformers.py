"""Receipts for Hugging Face's `Trainer`: its arguments, and each checkpoint it saves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from provreg.errors import needs_extra
from provreg.loaders.training import TrainingRun

with needs_extra("transformers"):
    from transformers import TrainerCallback, TrainerState, TrainingArguments


class ReceiptCallback(TrainerCallback):
    """Records the trainer's arguments in `run`, which must have been entered, and publishes a
    receipt for every checkpoint; that of the whole run is published when its block ends.

        with provreg.training_run(dataset, model="out/final", sign="key:team.key") as run:
            trainer = Trainer(…, callbacks=[ReceiptCallback(run)])
            trainer.train()
            trainer.save_model("out/final")

    Pass `checkpoints=False` to publish none. In a distributed run every rank needs the callback.
    """

    def __init__(self, run: TrainingRun, *, checkpoints: bool = True) -> None:
        self._run = run
        self._checkpoints = checkpoints

    def on_train_begin(self, args: TrainingArguments, *_: Any, **__: Any) -> None:
        """Records the arguments as the trainer logs them: secrets are masked."""
        self._run.parameters["trainer"] = _plain(args.to_dict())

    def on_save(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Publishes a receipt for the checkpoint just written."""
        if self._checkpoints:
            self._run.publish(Path(args.output_dir or ".") / f"checkpoint-{state.global_step}")


def _plain(value: Any) -> Any:
    """`value` as JSON that a receipt can record; other values become text."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) < 2**53:
        return value
    return str(value)
