"""Every night a delivery with its labels; every pull request through a gate."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

Person = Callable[[str], Any]


def test_nightly_deliveries_are_appended_with_their_own_labels(person: Person) -> None:
    ci = person("ci")
    ci.trusts(ci)
    sign = "--name calls --label none --sign key:my.key --json"
    for night in (1, 2, 3):
        rows = ["id,label,source,labeler,labeled_at"]
        for number in range(10):
            name = f"{night}-{number}.wav"
            ci.write(f"night{night}/{name}", f"sound {night} {number}")
            label = "yes" if number % 3 else "no"
            rows.append(f"{name},{label},desk{night},dora,2026-01-0{night}T12:00:00Z")
        ci.write(f"night{night}.csv", "\n".join(rows) + "\n")
        more = "" if night == 1 else "--append"
        ingested = ci(f"ingest night{night} {sign} --labels night{night}.csv {more}").json
        assert ingested["version"] == night
        assert ingested["samples"] == night * 10
        assert ingested["changes"]["injected"] == 10
        assert sum(ingested["changes"].values()) == 10

    # The same night again: nothing changed, nothing published.
    again = ci(f"ingest night3 {sign} --labels night3.csv --append").json
    assert again["published"] is False
    # A delivery that contradicts what is there names the sample, and publishes nothing.
    ci.write("night3/3-4.wav", "another sound")
    refused = ci(f"ingest night3 {sign} --labels night3.csv --append", code=2).json
    assert refused["error"]["sample"] == "3-4.wav"
    assert len(ci("log calls --json").json["versions"]) == 3
    (sample,) = ci("blame calls 2-0.wav --json").json["samples"]
    assert sample["content"]["since"] == sample["label"]["since"] == 2
    assert sample["content"]["source"] == "desk2"
    assert sample["label"]["labeler"] == "dora"
    assert sample["label"]["labeled_at"].startswith("2026-01-02")


def test_pull_request_gate_stops_what_was_not_announced(person: Person) -> None:
    ci = person("ci")
    ci.trusts(ci)
    for kind in ("cat", "dog"):
        for number in range(8):
            ci.write(f"train/{kind}/{number}.txt", f"{kind} {number}")
    ci("ingest train --name pets --source web --labeler ann --sign key:my.key")

    gate = "diff pets ./train --exit-code"
    assert "no changes" in ci(gate).out
    pull_request = shutil.copytree(ci.folder / "train", ci.folder / "pr/train")
    (pull_request / "cat/1.txt").rename(pull_request / "dog/stray.txt")
    (pull_request / "cat/9.txt").write_text("new", "utf-8")
    stopped = ci("diff pets ./pr/train --exit-code", code=1).out
    assert "1 injected, 1 relabeled, 1 renamed" in stopped
    for said in ("cat/9.txt", "cat/1.txt", "dog/stray.txt", "cat -> dog"):
        assert said in stopped
    # Looking publishes nothing.
    assert len(ci("log pets --json").json["versions"]) == 1


def test_gate_reads_labels_from_the_pull_requests_file(person: Person) -> None:
    ci = person("ci")
    ci.trusts(ci)
    rows = ["id,label,labeler"]
    for number in range(8):
        ci.write(f"sounds/{number}.wav", f"sound {number}")
        rows.append(f"{number}.wav,yes,dora")
    ci.write("labels.csv", "\n".join(rows) + "\n")
    ci(
        "ingest sounds --name sounds --label none --labels labels.csv --source desk"
        " --sign key:my.key"
    )
    gate = "diff sounds ./sounds --labels labels.csv --exit-code"
    assert "no changes" in ci(gate).out
    ci.write("labels.csv", "\n".join([*rows[:-1], "7.wav,no,mallory"]) + "\n")
    stopped = ci(f"{gate} --json", code=1).json
    (change,) = stopped["changes"]
    assert (change["id"], change["kinds"]) == ("7.wav", ["relabeled"])
    assert (change["old"]["label"], change["new"]["label"]) == ("yes", "no")
    assert change["attributions"]["label"]["labeler"] == "mallory"
    assert change["attributions"]["label"]["version"] is None


def test_nights_labeled_by_three_people_each(person: Person) -> None:
    """Semicolons, remarks, times without a zone, ties; and one of the three is bribed."""
    ci = person("ci")
    ci.trusts(ci)
    read = (
        "--aggregate majority --labels-delimiter ; --labels-exclude remark"
        " --labels-timezone Europe/Berlin"
    )
    people = ("ann", "ben", "cho")
    for night in (1, 2, 3):
        rows = ["id;label;labeler;labeled_at;remark"]
        for number in range(6):
            name = f"night-{night}/{number}.jpg"
            ci.write(f"lake/{name}", f"picture {night} {number}")
            for place, who in enumerate(people):
                label = "cat" if number % 2 and place else "dog"
                if number == 4:
                    label = ("dog", "cat", "fox")[place]
                rows.append(f"{name};{label};{who};2026-11-0{night} 10:00:00;ok")
        ci.write(f"night{night}.csv", "\n".join(rows) + "\n")
        ingested = ci(
            f"ingest lake --name pets --label none --source vendor --sign key:my.key"
            f" --labels night{night}.csv {read} --json"
        ).json
        assert (ingested["version"], ingested["samples"]) == (night, 6 * night)
        (tied,) = (one for one in ingested["notices"] if one["kind"] == "no-label")
        assert tied["ids"] == [f"night-{night}/4.jpg"]
    other = "ingest lake --name pets --source vendor --sign key:my.key --labels night3.csv --json"
    hint = ci(f"{other} --delimiter ;", code=2).json["error"]["hint"]
    assert "--labels-delimiter" in hint
    shown = ci("show pets --json").json
    assert (shown["unlabeled"], shown["annotators"]["top"]) == (3, dict.fromkeys(people, 18))
    assert "verified" in ci("verify pets --data lake").out
    notes = ci("show pets night-2/1.jpg --json").json["entry"]["annotations"]
    assert [(note["labeler"], note["label"]) for note in notes] == [
        ("ann", "dog"), ("ben", "cat"), ("cho", "cat"),
    ]  # fmt: skip
    assert notes[0]["labeled_at"] == "2026-11-02T09:00:00Z"
    (group, *_) = ci("blame pets --by labeler --json").json["groups"]
    assert (group["labeler"], group["samples"]) == ("ann", 18)
    assert "ann, ben, cho" in ci("blame pets night-2/1.jpg").out
    (blamed,) = ci("blame pets night-2/1.jpg --json").json["samples"]
    assert blamed["label"]["annotators"] == ["ann", "ben", "cho"]
    # A night whose labels were forgotten, and a class that is a typing error.
    ci.write("lake/night-4/1.jpg", "picture 4 1")
    dry = ci("ingest lake --name pets --source vendor --sign key:my.key --dry-run").out
    assert "now there is none (--labels FILE)" in dry
    ci.write("night4.csv", "id,label,labeler\nnight-4/1.jpg,catt,dora\n")
    gate = ci("diff pets ./lake --source vendor --labels night4.csv --json").json
    kinds = {notice["kind"] for notice in gate["notices"]}
    assert kinds >= {"new-class", "similar-classes"}
    revoked = ci("revoke pets --labeler ben --reason bribed --sign key:my.key --yes --json").json
    assert revoked["revoked"] == 18
