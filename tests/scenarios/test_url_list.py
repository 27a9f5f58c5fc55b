"""A dataset that is a list of URLs: signed as it was seen, and found out when the web changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from file_server import serving, status
from pictures import jpeg

Person = Callable[[str], Any]


def test_the_web_changes_under_a_signed_list_of_urls(person: Person) -> None:
    ann = person("ann")
    with serving() as web:
        web.files |= {f"{n}.jpg": jpeg(n) for n in range(8)}
        lines = [f"{n:04}.jpg,{web.url(f'{n}.jpg')},picture {n}\n" for n in range(8)]
        ann.write("urls.csv", "key,url,caption\n" + "".join(lines))
        ann("key generate --out my.key --no-passphrase")
        ann("policy init --key my.key.pub --name ann")
        ingest = (
            "ingest urls.csv --name laion --fetch laion --id key --label caption --source laion"
            " --sign key:my.key"
        )

        # Nobody's list leads into the network behind this machine, unless it is meant to.
        refused = ann(ingest, code=6)
        assert "which is in a private or reserved network" in refused.err
        assert web.asked == []
        published = ann(f"{ingest} --fetch-from-private")
        assert published.out.startswith("laion@1 published: 8 samples, 8 injected\n")
        assert "8 downloaded, 0 already present" in published.err

        # Data and list are as signed.
        assert "samples in laion as signed" in ann("verify laion --data laion").out
        again = ann("verify laion --refetch --fetch-from-private").out
        assert again.endswith("8 URLs: 8 as signed\n")
        shown = ann("show laion 0003.jpg --json").json
        assert web.url("3.jpg") in str(shown)

        # A host recompresses, another lets its domain go, a third one attacks.
        web.files["1.jpg"] = jpeg(1, quality=50)
        web.files["2.jpg"] = status(404)
        web.files["3.jpg"] = jpeg(333)
        found = ann("verify laion --refetch --fetch-from-private", code=4).out
        kinds = {line.split(":")[0] for line in found.splitlines() if line.endswith(": 1")}
        assert kinds == {"recompressed", "gone", "replaced"}
        assert found.endswith("8 URLs: 5 as signed, 1 gone, 1 recompressed, 1 replaced\n")
        said = ann("verify laion --refetch --fetch-from-private --json", code=4).json
        assert said["verified"]
        assert said["refetched"] == {"checked": 8, "unchanged": 5, "without_url": 0}
        assert [(one["id"], one["kind"]) for one in said["findings"]] == [
            ("0001.jpg", "recompressed"), ("0002.jpg", "gone"), ("0003.jpg", "replaced"),
        ]  # fmt: skip

        # What was downloaded in time is as good as ever.
        ann("verify laion --data laion")

        # Link rot alone, and a server that is down.
        web.files["1.jpg"], web.files["3.jpg"] = jpeg(1), jpeg(3)
        ann("verify laion --refetch --fetch-from-private", code=3)
        web.files["2.jpg"] = status(403)
        ann("verify laion --refetch --fetch-from-private", code=6)

        # Who downloads the list now signs something else, and the change has a name.
        web.files["3.jpg"] = jpeg(333)
        bob = person("bob")
        bob.trusts(ann)
        ann.write("urls.csv", "key,url,caption\n" + "".join(lines[:2] + lines[3:]))
        ann(f"{ingest} --fetch-from-private --rehash")
        changes = bob("diff laion@1 laion@2").out
        assert "1 removed" in changes
        assert "1 modified" in changes
        assert "0003.jpg" in changes
