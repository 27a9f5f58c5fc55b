"""Two training scripts as people write them: composed and crashing; of two registries.

The first takes splits, weights and checkpoints of one folder of pictures, and a sample goes bad
while it trains. The second trains on pictures of one team and captions of another, which are JSON
Lines and shuffled as a Hugging Face dataset.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

COMPOSED = """
import sys
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, WeightedRandomSampler, random_split
import provreg

epochs, on_bad, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
photos = provreg.loaders.torch.ImageDataset(
    "photos", data="photos", classes=("dog", "cat"), on_bad=on_bad, most_bad=0.2, key="my.key.pub",
    transform=lambda picture: torch.tensor(list(picture.convert("L").tobytes())) / 255,
)
assert photos.classes == ["dog", "cat"]
torch.manual_seed(0)
train, held_out = random_split(photos, [0.75, 0.25])
# A ConcatDataset fetches samples one by one, and one alone cannot be skipped.
both = train if on_bad == "skip" else ConcatDataset([train, Subset(held_out, range(4))])
sampler = WeightedRandomSampler(torch.ones(len(both)), 8 * len(both))
model = torch.nn.Linear(64, 2)
step = torch.optim.SGD(model.parameters(), 0.1)
with provreg.training_run(both, model=f"{out}.pt", sign="key:my.key") as run:
    for epoch in range(1, epochs + 1):
        for pictures, labels in DataLoader(both, batch_size=4, sampler=sampler):
            step.zero_grad()
            torch.nn.functional.cross_entropy(model(pictures), labels).backward()
            step.step()
        torch.save(model.state_dict(), f"{out}-{epoch}.pt")
        run.publish(f"{out}-{epoch}.pt")
        if epoch == 6:
            with open("photos/cat/1.png", "ab") as picture:
                picture.write(b"rot")
    torch.save(model.state_dict(), f"{out}.pt")
print(run)
"""

TWO_TEAMS = """
import sys
import torch
from torch.utils.data import DataLoader
import provreg

photos = provreg.loaders.torch.ImageDataset(
    "photos", data="photos", policy="policy.toml",
    transform=lambda picture: torch.tensor(list(picture.convert("L").tobytes())) / 255,
)
captions = provreg.loaders.huggingface.dataset(
    provreg.load("captions", data="captions.jsonl", registry=sys.argv[1], policy="policy.toml"),
    signed=(),
)
torch.manual_seed(0)
eyes, ears = torch.nn.Linear(64, 4), torch.nn.EmbeddingBag(128, 4)
step = torch.optim.SGD([*eyes.parameters(), *ears.parameters()], 0.1)
with provreg.training_run(
    photos, captions.shuffle(seed=1), model="joint.pt", sign="key:my.key", registry=".provreg"
) as run:
    texts = DataLoader(captions.shuffle(seed=1), batch_size=4, shuffle=True)
    for (pictures, _), rows in zip(DataLoader(photos, batch_size=4, shuffle=True), texts):
        heard = [torch.tensor(list(text.encode())) for text in rows["caption"][: len(pictures)]]
        step.zero_grad()
        (eyes(pictures) - ears(torch.stack([one[:9] for one in heard]))).square().mean().backward()
        step.step()
    torch.save([eyes.state_dict(), ears.state_dict()], "joint.pt")
print(run.receipt)
"""


@pytest.fixture
def ann(person: Callable[[str], Any]) -> Any:
    """Who has pictures of cats, dogs and a fox in a registry of her own."""
    pytest.importorskip("torch", reason="torch is not installed")
    made = person("ann")
    made = replace(made, registry=made.folder / ".provreg")
    made("init")
    made.key()
    for number in range(16):
        folder = made.folder / "photos" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number * 15).save(folder / f"{number}.png")
    (made.folder / "photos/fox").mkdir()
    Image.new("L", (8, 8), 255).save(made.folder / "photos/fox/1.png")
    made(
        "ingest photos --name photos --source camera --labeler zoe"
        " --sign key:my.key --key my.key.pub"
    )
    return made


def test_a_script_that_composes_and_crashes(ann: Any) -> None:
    ann.write("composed.py", COMPOSED)
    crashed = ann.python("composed.py 9 raise first", code=1)
    # The error names the sample, its source and labeler, and what to do.
    assert "cat/1.png" in crashed.err
    assert "source 'camera', labeler 'zoe'" in crashed.err
    # The checkpoints before the crash have receipts.
    shown = ann("show model:first-6.pt --key my.key.pub")
    assert "photos@1" in shown.out
    assert not (ann.folder / "first.pt").exists()

    finished = ann.python("composed.py 1 skip second")
    assert "SkippedSampleWarning: skipped a sample: 'cat/1.png'" in finished.err
    assert "TrainingRun(photos@1, model 'second.pt', receipt sha256:" in finished.out
    models = [run["model"][0]["name"] for run in ann("runs --json --key my.key.pub").json["runs"]]
    # Receipts of one second are in any order.
    before = [f"first-{epoch}.pt" for epoch in range(1, 7)]
    assert sorted(models) == [*before, "second-1.pt", "second.pt"]
    assert [found["receipt"] for found in ann("runs labeler=zoe --json").json["runs"]]
    # The fox was of no class that was asked for.
    assert ann("show photos fox/1.png --json --key my.key.pub").json["runs"] == []


def test_a_script_of_two_registries(ann: Any, person: Callable[[str], Any]) -> None:
    pytest.importorskip("datasets", reason="datasets is not installed")
    ben = person("ben")
    lines = [
        json.dumps({"id": f"c{number}", "caption": f"a picture {number}", "by": "kim"})
        for number in range(20)
    ]
    ben.write("captions.jsonl", "\n".join(lines) + "\n")
    ben.key()
    ben(
        "ingest captions.jsonl --name captions --id id --labeler-column by --source web"
        " --sign key:my.key --key my.key.pub"
    )
    ann.trusts(ann, ben)
    policy = ann.folder / "provreg.policy.toml"
    rules = "\n[[train]]\ndatasets = ['*']\nprincipals = ['ann']\n"
    rules += "[[revoke]]\ndatasets = ['*']\nprincipals = ['ben']\n"
    ann.write("policy.toml", policy.read_text("utf-8") + rules)
    ann.write("captions.jsonl", (ben.folder / "captions.jsonl").read_text("utf-8"))
    ann.write("two_teams.py", TWO_TEAMS)
    receipt = ann.python(f"two_teams.py {ben.registry}").out.strip()

    judged = "--policy policy.toml"
    alone = ann(f"verify model:joint.pt {judged}", code=4)
    assert "captions@1" in alone.err
    assert "name the one that has it with --also" in alone.err
    also = f"{judged} --also {ben.registry}"
    verified = ann(f"verify model:joint.pt {also}").out
    assert "trained on captions@1, photos@1" in verified
    assert "with --also" in ann("show model:joint.pt --samples", code=3).err
    assert "captions@1 c7" in ann(f"show model:joint.pt --samples {also}").out

    # Who labeled what, across both.
    [saw] = ann(f"runs labeler=kim --json {also}").json["runs"]
    assert (saw["receipt"], saw["handed"]) == (receipt, 20)
    [saw] = ann(f"runs labeler=zoe --json {also}").json["runs"]
    assert (saw["receipt"], saw["handed"]) == (receipt, 17)
    assert "with --also" in ann(f"runs labeler=kim {judged}").err

    # What ben revokes in his registry holds for the model in hers.
    ben.write("policy.toml", (ann.folder / "policy.toml").read_text("utf-8"))
    ben("revoke captions@1 --reason leaked --sign key:my.key --yes --policy policy.toml")
    refused = ann(f"verify model:joint.pt {also}", code=4)
    assert "captions@1, which is not trusted" in refused.err
    assert "leaked" in refused.err


def test_attack_a_copy_of_a_registry_without_its_revocations(
    ann: Any, person: Callable[[str], Any]
) -> None:
    """A version that several registries have must be trusted in each of them."""
    ben = replace(person("ben"), registry=ann.folder.parent / "copy")
    ann.trusts(ann)
    policy = (ann.folder / "provreg.policy.toml").read_text("utf-8")
    rules = "\n[[train]]\ndatasets = ['*']\nprincipals = ['ann']\n"
    rules += "[[revoke]]\ndatasets = ['*']\nprincipals = ['ann']\n"
    ann.write("policy.toml", policy + rules)
    ann.write(
        "train.py",
        "import json, provreg\n"
        "dataset = provreg.loaders.torch.ImageDataset\n"
        "photos = dataset('photos', data='photos', policy='policy.toml')\n"
        "with provreg.training_run(photos, model='m.json', sign='key:my.key'):\n"
        "    json.dump(sum(label for _, label in photos), open('m.json', 'w'))\n",
    )
    ann.python("train.py")
    copied = Path(ben.registry)
    shutil.copytree(ann.registry, copied)
    ann("revoke photos@1 --reason leaked --sign key:my.key --yes --policy policy.toml")
    for registry, other in ((copied, ann.registry), (ann.registry, copied)):
        line = f"verify model:m.json --policy policy.toml --registry {registry} --also {other}"
        assert "leaked" in ann(line, code=4).err
