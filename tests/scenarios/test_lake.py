"""A lake of nightly folders: thirty nights, each ingested as it comes, verified as it lies."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

Person = Callable[[str], Any]

CIFAR10 = Path(__file__).resolve().parents[3] / "shared/data/cifar10-jpeg.tar.xz"
NIGHTS, A_NIGHT = 30, 4


def pictures() -> list[tuple[str, bytes]]:
    """(class, bytes) of as many pictures as are needed: of CIFAR-10, or else made."""
    count = NIGHTS * A_NIGHT
    if not CIFAR10.exists():
        return [("cat" if n % 2 else "dog", b"\xff\xd8 picture %d" % n) for n in range(count)]
    with tarfile.open(CIFAR10) as tar:
        files = (member for member in tar if member.isfile() and member.name.endswith(".jpg"))
        return [
            (file.name.split("/")[-2], tar.extractfile(file).read())  # type: ignore[union-attr]
            for file in islice(files, count)
        ]


def test_thirty_nights_are_signed_and_verified_as_the_lake_they_lie_in(person: Person) -> None:
    ci = person("ci")
    ci.trusts(ci)
    left = iter(pictures())
    for night in range(1, NIGHTS + 1):
        # Every delivery names its pictures and its folders alike.
        folder = ci.folder / f"vendor/night-{night:03}"
        (folder / "images").mkdir(parents=True)
        rows = ["id,label,labeler"]
        for number, (kind, data) in enumerate(islice(left, A_NIGHT)):
            (folder / f"images/img_{number:06}.jpg").write_bytes(data)
            rows.append(f"img_{number:06}.jpg,{kind},{('ann', 'ben')[number % 2]}")
        (folder / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
        how = "--label none --exclude labels.csv" if night == 1 else "--append"
        place = f"night-{night:03}"
        ingested = ci(
            f"ingest vendor/{place}/images --name photos --prefix {place}/images/ {how}"
            f" --labels vendor/{place}/labels.csv --source vendor --sign key:my.key --json"
        ).json
        assert (ingested["version"], ingested["changes"]["injected"]) == (night, A_NIGHT)
    # The lake as it lies: with the labels files that were excluded at the first night.
    assert "verified" in ci("verify photos --data vendor").out
    assert "no changes" in ci("diff photos ./vendor --exit-code").out
    (sample,) = ci("blame photos night-007/images/img_000001.jpg --json").json["samples"]
    assert sample["content"]["since"] == 7
    assert sample["label"]["labeler"] == "ben"
    ci.write(
        "load.py",
        "import provreg\n"
        "samples = provreg.load('photos', data='vendor')\n"
        "last = list(samples)[-1]\n"
        "print(len(samples), last.label, last.id)\n",
    )
    count, label, name = ci.python("load.py").out.split()
    assert (int(count), name) == (NIGHTS * A_NIGHT, f"night-030/images/img_{A_NIGHT - 1:06}.jpg")
    assert label != "None"
    # A night that is gone, and a picture under another night's name.
    lake = ci.folder / "vendor"
    shutil.rmtree(lake / "night-030")
    shutil.copy(lake / "night-001/images/img_000000.jpg", lake / "night-002/images/img_000000.jpg")
    findings = ci("verify photos --data vendor --json", code=4).json["findings"]
    kinds = sorted(finding["kind"] for finding in findings)
    assert kinds == ["changed"] + ["missing"] * A_NIGHT
