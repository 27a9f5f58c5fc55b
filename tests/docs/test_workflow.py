"""The workflow of docs/guides/ci.md: linted, and its own steps run against a Sigstore on loopback.

What stands in for GitHub: a clone for its checkout, a token of loopback's user for its identity.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sigstore_instance import Instance as Loopback

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "docs/guides/ci/dataset.yml"
POLICY = ROOT / "docs/guides/ci/policy.toml"
WORKFLOWS = [WORKFLOW, *sorted((ROOT / ".github/workflows").glob("*.yml"))]
ME = "https://github.com/OWNER/REPOSITORY/.github/workflows/dataset.yml@refs/heads/main"


def linted(*command: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(str(command[0]))
    return subprocess.run(
        [program, *command[1:]], capture_output=True, check=False, text=True, timeout=60
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_passes_the_linters(path: Path, tmp_path: Path) -> None:
    schema = ("check-jsonschema", "--builtin-schema", "vendor.github-workflows")
    audit = ("zizmor", "--offline", "--no-config", "--no-progress")
    for command in (schema, audit):
        found = linted(*command, path)
        assert found.returncode == 0, found.stdout + found.stderr
    # Neither passes everything.
    worse = tmp_path / ".github/workflows/bad.yml"
    worse.parent.mkdir(parents=True)
    text = re.sub(r"@[0-9a-f]{40}", "@main", path.read_text("utf-8"))
    worse.write_text(text, "utf-8")
    assert linted(*audit, worse).returncode != 0
    worse.write_text(text.replace("runs-on:", "runs-of:"), "utf-8")
    assert linted(*schema, worse).returncode != 0


def test_document_shows_the_policy_that_is_run() -> None:
    document = (ROOT / "docs/guides/ci.md").read_text("utf-8")
    assert f"```toml\n{POLICY.read_text('utf-8')}```" in document
    assert "ci/dataset.yml" in document


@dataclass(frozen=True)
class Runner:
    """A machine that runs jobs of the workflow over clones of `origin`."""

    folder: Path
    loopback: Loopback

    @property
    def origin(self) -> Path:
        return self.folder / "origin.git"

    def shell(self, script: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=cwd,
            env={
                "HOME": str(self.folder / "home"),
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "PROVREG_TRUSTED_ROOT": str(self.folder / "root.json"),
                "GIT_CONFIG_NOSYSTEM": "1",
                **more,
            },
            capture_output=True,
            check=False,
            text=True,
            timeout=100,
        )

    def must(self, script: str, cwd: Path) -> str:
        ran = self.shell(script, cwd)
        assert ran.returncode == 0, f"{script}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def clone(self, name: str) -> Path:
        path = self.folder / name
        self.must(f"rm -rf {name} && git clone -q origin.git {name}", self.folder)
        return path

    def job(self, name: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """The shell steps of a job, one after the other, up to the first that fails."""
        steps = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"][name]["steps"]
        ours = [one for one in steps if "run" in one and one["name"] != "Install provreg"]
        assert ours
        for step in ours:
            environment = dict.fromkeys(step.get("env", {}), "a token of github")
            where = cwd / step.get("working-directory", ".")
            ran = self.shell(step["run"], where, **environment, **more)
            if ran.returncode:
                break
        return ran

    def gate(self) -> subprocess.CompletedProcess[str]:
        """The branch `proposal` is asked to be taken into main."""
        job = self.folder / "job"
        self.must("rm -rf job && mkdir job", self.folder)
        self.must(f"git clone -q {self.origin} trusted", job)
        self.must(f"git clone -q --branch proposal {self.origin} proposed", job)
        return self.job("gate", job)

    def nightly(self, identity: str = ME) -> subprocess.CompletedProcess[str]:
        token = {"PROVREG_IDENTITY_TOKEN": self.loopback.oidc.token(identity)}
        return self.job("nightly", self.clone("night"), **token)

    def push(self, files: dict[str, str], branch: str = "main") -> None:
        clone = self.clone("person")
        for name, text in files.items():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_text(text, "utf-8")
        commit = "git -c user.name=p -c user.email=p@example.org commit -qm p"
        self.must(f"git add -A && {commit} && git push -qf origin HEAD:{branch}", clone)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture
def runner(tmp_path: Path, loopback: Loopback) -> Runner:
    """A repository set up as docs/guides/ci.md tells, its policy made for loopback's issuer."""
    made = Runner(tmp_path, loopback)
    config = tmp_path / "trust-config.json"
    config.write_text(json.dumps(loopback.trust_config(2)), "utf-8")
    (tmp_path / "root.json").write_text(json.dumps(loopback.trusted_root()), "utf-8")
    (tmp_path / "home").mkdir(mode=0o700)
    program = tmp_path / "bin/provreg"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = ingest ] && set -- "$@" --trust-config {config}\n'
        f'exec {sys.executable} -m provreg "$@"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    made.must("git init -q --bare --initial-branch=main origin.git", tmp_path)
    identity = f'identities = [{{ identity = "{ME}", issuer = "{loopback.oidc.issuer}" }}]'
    policy, replaced = re.subn(
        "^identities = .*$", identity, POLICY.read_text("utf-8"), flags=re.MULTILINE
    )
    assert replaced == 1
    made.push({"policy.toml": policy, **photos(20)})
    clone = made.clone("person")
    commit = "git -c user.name=p -c user.email=p@example.org commit -qm init"
    made.must(f"provreg init registry && git add -A && {commit} && git push -q", clone)
    return made


def photos(count: int, start: int = 0) -> dict[str, str]:
    return {f"incoming/{'cat' if n % 2 else 'dog'}/{n}.jpg": f"picture {n}"
            for n in range(start, start + count)}  # fmt: skip


gnu = pytest.mark.skipif(sys.platform == "darwin", reason="steps are for GNU tools, not macOS")


@gnu
def test_workflow_publishes_at_night_and_gates_a_pull_request(runner: Runner) -> None:
    published = runner.nightly()
    assert published.returncode == 0, published.stdout + published.stderr
    runner.push(photos(5, 100), "proposal")
    refused = runner.gate()
    assert refused.returncode == 4, refused.stdout + refused.stderr
    assert "20 %" in refused.stdout + refused.stderr


@gnu
@pytest.mark.long
def test_steps_of_the_workflow_do_what_the_document_says(runner: Runner) -> None:
    first = runner.nightly()
    assert first.returncode == 0, first.stdout + first.stderr
    # The same again: nothing new, no commit.
    before: Any = runner.must("git rev-parse main", runner.origin)
    assert "nothing new tonight" in runner.nightly().stdout
    assert runner.must("git rev-parse main", runner.origin) == before

    runner.push(photos(3, 100), "proposal")
    accepted = runner.gate()
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert "3 injected" in accepted.stdout

    # Too much at once; and another picture under a name that is taken.
    runner.push(photos(5, 100), "proposal")
    refused = runner.gate()
    assert refused.returncode == 4, refused.stdout + refused.stderr
    assert "20 %" in refused.stdout + refused.stderr
    runner.push({"incoming/cat/1.jpg": "a trigger"}, "proposal")
    assert runner.gate().returncode == 2
    # A policy that the pull request brings is not asked.
    open_policy = (runner.folder / "person/policy.toml").read_text("utf-8")
    lax = open_policy.replace("share = 0.2", "share = 0.9")
    assert lax != open_policy
    runner.push(photos(5, 100) | {"policy.toml": lax}, "proposal")
    assert runner.gate().returncode == 4

    # What was merged is the next version, signed by the workflow.
    runner.push(photos(3, 100))
    second = runner.nightly()
    assert second.returncode == 0, second.stdout + second.stderr
    clone = runner.clone("consumer")
    said = runner.must("provreg verify photos --registry registry --policy policy.toml", clone)
    assert "photos@2 is verified" in said
    assert ME in said
    assert json.loads((clone / "provreg.lock").read_text())["datasets"]["photos"]["version"] == 2

    # Another workflow of the same repository signs nothing that counts, and pushes nothing.
    runner.push(photos(1, 200))
    before = runner.must("git rev-parse main", runner.origin)
    assert runner.nightly(ME.replace("dataset.yml", "other.yml")).returncode == 4
    assert runner.must("git rev-parse main", runner.origin) == before
