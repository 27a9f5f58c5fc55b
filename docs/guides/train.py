"""Trains a small convolutional network on a verified version and publishes a signed receipt.

    python docs/guides/train.py --ref digits@1 --data digits --policy policy.toml \
        --sign key:team.key --out out

The version has images in the splits `train` and `test`, of any size and with any classes. If the
data differ from the signed data, the script stops before the first step and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

import provreg
from provreg.loaders.torch import ImageDataset

BATCH = 64


def pixels(image: Image.Image) -> Tensor:
    """An RGB image as a tensor of shape (3, height, width), from -1 to 1."""
    values = torch.from_numpy(np.array(image, np.float32))
    return values.permute(2, 0, 1) / 127.5 - 1


class Network(nn.Module):
    """Three convolutions and the mean over their output, so images can be of any size."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
            layers += [
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
        self.features = nn.Sequential(*layers)
        self.classify = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images).mean((2, 3)))


def train(network: nn.Module, images: DataLoader, epochs: int, rate: float, device: str) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, epochs=epochs, steps_per_epoch=len(images)
    )
    network.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch, targets in images:
            loss = nn.functional.cross_entropy(network(batch.to(device)), targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(images):.4f}", flush=True)


@torch.no_grad()
def accuracy(network: nn.Module, images: DataLoader, device: str) -> float:
    network.eval()
    right = count = 0
    for batch, targets in images:
        right += int((network(batch.to(device)).argmax(1).cpu() == targets).sum())
        count += len(targets)
    return right / count


def main(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True)

    trust = {"policy": options.policy, "key": options.key, "registry": options.registry}
    arguments = {
        "data": options.data,
        "transform": pixels,
        "exclude_revoked": options.exclude_revoked,
        **trust,
    }
    training = ImageDataset(options.ref, select="split = 'train'", **arguments)
    # The same version, also where `--ref` is the latest and a newer one has just come.
    test = ImageDataset(training.verified.reference, select="split = 'test'", **arguments)
    # Everything in the data, strangers too, and before the first step.
    training.verify_data()

    network = Network(len(training.classes)).to(options.device)
    parameters = {
        "epochs": options.epochs,
        "rate": options.rate,
        "batch": BATCH,
        "seed": options.seed,
    }
    batches = DataLoader(training, BATCH, shuffle=True, num_workers=options.workers)
    test_batches = DataLoader(test, BATCH, num_workers=options.workers)
    with provreg.training_run(
        training, model=options.out, sign=options.sign, parameters=parameters
    ) as run:
        train(network, batches, options.epochs, options.rate, options.device)
        reached = run.parameters["accuracy"] = accuracy(network, test_batches, options.device)
        options.out.mkdir(parents=True, exist_ok=True)
        model = {"classes": training.classes, "weights": network.state_dict()}
        torch.save(model, options.out / "model.pt")
    print(f"accuracy {reached:.4f} on {len(test):,} test samples of {test.verified.reference}")
    print(f"receipt {run.receipt}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ref", required=True, help="a version, such as digits@1")
    parser.add_argument("--data", required=True, type=Path, help="the folder it was made from")
    parser.add_argument("--policy", type=Path, help="policy; by default found as provreg finds it")
    parser.add_argument("--key", type=Path, help="a public key to trust, in place of a policy")
    parser.add_argument("--registry", type=Path, help="by default found as provreg finds it")
    parser.add_argument(
        "--exclude-revoked",
        action=argparse.BooleanOptionalAction,
        help="exclude revoked samples, or train on them; by default training is refused",
    )
    parser.add_argument("--sign", required=True, help="who signs the receipt: key:FILE or keyless")
    parser.add_argument("--out", required=True, type=Path, help="a folder for the model")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=0.005, help="the highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes that read and decode")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main(arguments())
    except provreg.ProvregError as refused:
        for found in getattr(refused, "findings", ()):
            print(f"{found.kind}: {found.id}", file=sys.stderr)
        print(f"refused: {refused.message}\n  {refused.hint}", file=sys.stderr)
        sys.exit(refused.exit_code)
