"""Which policy judges, and that a planted one is refused aloud instead of used or passed over."""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provreg.core.policy.explain import explain
from provreg.core.policy.template import principal_table, starter_policy
from provreg.errors import NotFoundError, NotTrustedError, ProvregError, StorageError, UsageError
from provreg.flows.session.trust import POLICY_LIMIT, PolicyFile, find_policy, load_policy
from provreg.trust.keys import generate

KEY = generate("ed25519").public
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")


def text(name: str) -> str:
    return starter_policy({name: principal_table(name, pem=KEY.pem)})


class Place:
    """A user's project, configuration folder, registry and data."""

    def __init__(self, base: Path) -> None:
        self.project = base / "project"
        self.configuration = base / "configuration"
        self.registry = self.project / ".provreg"
        self.data = self.project / "data"
        for folder in (self.configuration, self.registry, self.data / "train" / "cat"):
            folder.mkdir(parents=True)
        for folder in (base, *base.rglob("*")):
            folder.chmod(0o755)

    def write(self, path: Path, name: str, mode: int = 0o644) -> Path:
        path.write_text(text(name))
        path.chmod(mode)
        return path

    def find(
        self, cwd: Path | None = None, flag: Path | None = None, variable: str | None = None
    ) -> PolicyFile | None:
        environment = {} if variable is None else {"PROVREG_POLICY": variable}
        outside = [self.registry, self.data, self.project / "not-there"]
        return find_policy(
            flag, environment, cwd or self.project, outside, configuration=self.configuration
        )

    def refuses(self, why: str, cwd: Path | None = None) -> None:
        with pytest.raises(NotTrustedError, match=why) as caught:
            self.find(cwd)
        assert caught.value.step == 6
        assert "--policy" in caught.value.hint


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def named(found: PolicyFile | None) -> str:
    assert found is not None
    return found.policy.principals[0].name


def test_the_order_is_flag_environment_configuration_upward(place: Place, tmp_path: Path) -> None:
    assert place.find() is None
    upward = place.write(place.project / "provreg.policy.toml", "upward")
    assert named(place.find()) == "upward"
    place.write(place.configuration / "policy.toml", "configuration")
    assert named(place.find()) == "configuration"
    variable = place.write(tmp_path / "variable.toml", "variable")
    assert named(place.find(variable=str(variable))) == "variable"
    flag = place.write(tmp_path / "flag.toml", "flag")
    assert named(place.find(flag=flag, variable=str(variable))) == "flag"
    assert named(place.find(flag=upward)) == "upward"
    assert named(place.find(variable="")) == "configuration"


def test_path_and_digest_are_those_of_the_file(place: Place) -> None:
    path = place.write(place.project / "provreg.policy.toml", "alice")
    found = place.find()
    assert found is not None
    assert found.path == path
    assert found.digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.policy.trusted_keys()[0].fingerprint == KEY.fingerprint
    assert load_policy(path) == found


def test_the_nearest_file_upward_is_the_one(place: Place) -> None:
    inner = place.project / "a" / "b"
    inner.mkdir(parents=True, mode=0o755)
    place.write(place.project / "provreg.policy.toml", "far")
    assert named(place.find(inner)) == "far"
    place.write(place.project / "a" / "provreg.policy.toml", "near")
    assert named(place.find(inner)) == "near"


def test_named_files_are_taken_relative_to_the_current_folder(place: Place) -> None:
    place.write(place.project / "mine.toml", "mine")
    assert named(place.find(flag=Path("mine.toml"))) == "mine"
    assert named(place.find(variable="mine.toml")) == "mine"


@pytest.mark.parametrize("source", ["flag", "variable"])
def test_a_named_file_that_is_missing_is_not_replaced_by_another(place: Place, source: str) -> None:
    place.write(place.configuration / "policy.toml", "configuration")
    with pytest.raises(NotFoundError):
        place.find(**{source: Path("gone.toml") if source == "flag" else "gone.toml"})


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o620, 0o602, 0o666])
def test_a_file_others_can_write_is_refused(place: Place, mode: int) -> None:
    place.write(place.project / "provreg.policy.toml", "mallory", mode)
    place.refuses("writable by others")


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_a_file_in_a_folder_others_can_write_is_refused(place: Place, mode: int) -> None:
    place.write(place.project / "provreg.policy.toml", "mallory")
    place.project.chmod(mode)
    place.refuses("in the folder .* which is writable by others")


@ROOT_ONLY
def test_a_file_of_another_user_is_refused(place: Place) -> None:
    path = place.write(place.project / "provreg.policy.toml", "mallory")
    os.chown(path, 12345, 12345)
    place.refuses("owned by user 12345, not you")


@ROOT_ONLY
def test_a_file_in_a_folder_of_another_user_is_refused(place: Place) -> None:
    place.write(place.project / "provreg.policy.toml", "mallory")
    os.chown(place.project, 12345, 12345)
    place.refuses("in the folder .* owned by user 12345")


def test_a_file_of_another_user_is_refused_by_who_asks(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(place.project / "provreg.policy.toml", "mallory")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    place.refuses(f"owned by user {owner}, not you")


def test_a_policy_planted_in_the_registry_is_refused(place: Place) -> None:
    place.write(place.registry / "provreg.policy.toml", "mallory")
    place.refuses("is inside", place.registry)


@pytest.mark.parametrize("folder", ["data", "data/train"])
def test_a_policy_planted_in_the_data_is_refused_from_below(place: Place, folder: str) -> None:
    place.write(place.project / folder / "provreg.policy.toml", "mallory")
    place.refuses("is inside", place.data / "train" / "cat")


def test_a_planted_policy_is_not_passed_over_for_one_further_up(place: Place) -> None:
    place.write(place.project / "provreg.policy.toml", "alice")
    assert named(place.find(place.data / "train")) == "alice"
    place.write(place.data / "provreg.policy.toml", "mallory")
    place.refuses("is inside", place.data / "train")


def test_data_reached_by_another_spelling_is_still_data(place: Place) -> None:
    link = place.project / "link"
    link.symlink_to(place.data / "train", target_is_directory=True)
    place.write(place.data / "train" / "provreg.policy.toml", "mallory")
    with pytest.raises(NotTrustedError, match="is inside"):
        find_policy(None, {}, place.data / "train", [link], configuration=place.configuration)
    with pytest.raises(NotTrustedError, match="is inside"):
        find_policy(None, {}, link, [place.data], configuration=place.configuration)


def test_a_planted_file_that_would_not_be_used_is_left_alone(place: Place) -> None:
    place.write(place.project / "provreg.policy.toml", "mallory", 0o666)
    place.write(place.configuration / "policy.toml", "alice")
    assert named(place.find()) == "alice"


@pytest.mark.parametrize("target", ["elsewhere.toml", "dangling"])
def test_a_symbolic_link_upward_is_refused(place: Place, tmp_path: Path, target: str) -> None:
    place.write(tmp_path / "elsewhere.toml", "mallory")
    (place.project / "provreg.policy.toml").symlink_to(tmp_path / target)
    place.refuses("is a symbolic link")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_folder_or_pipe_in_its_place_is_refused(
    place: Place, make: Callable[[Path], None]
) -> None:
    make(place.project / "provreg.policy.toml")
    place.refuses("is not a file")


def test_the_users_configuration_may_be_a_link_and_not_be_writable_by_others(
    place: Place, tmp_path: Path
) -> None:
    real = place.write(tmp_path / "dotfiles.toml", "alice")
    (place.configuration / "policy.toml").symlink_to(real)
    assert named(place.find()) == "alice"
    real.chmod(0o666)
    place.refuses("writable by others")


def test_the_configuration_folder_is_the_users_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVREG_CONFIG", str(place.configuration))
    place.write(place.configuration / "policy.toml", "configuration")
    assert named(find_policy(None, {}, place.project, [])) == "configuration"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", UsageError),
        (b"format = ", UsageError),
        (b"\xff", UsageError),
        (b"a = " + b"[" * 20_000, UsageError),
        (b"a = " + b"9" * 20_000, UsageError),
        (b"# " + b"x" * POLICY_LIMIT, UsageError),
        (b'format = "provreg.policy/v2"', UsageError),
        (b'format = "provreg.policy/v1"\nx = 1979-05-27', UsageError),
    ],
)
def test_what_is_no_policy_is_refused(
    place: Place, content: bytes, kind: type[ProvregError]
) -> None:
    path = place.project / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(kind, match=r"mine\.toml"):
        place.find(flag=path)


def test_a_folder_named_as_policy_is_a_storage_failure(place: Place) -> None:
    with pytest.raises(StorageError):
        place.find(flag=place.project)


def test_a_key_that_is_not_taken_names_file_and_principal(place: Place) -> None:
    path = place.project / "mine.toml"
    path.write_text(text("alice").replace("MCow", "MCox"))
    with pytest.raises(UsageError, match=r"mine\.toml.*'alice'"):
        place.find(flag=path)


def test_the_example_of_the_documentation_says_what_is_said_of_it(place: Place) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "policy.md").read_text("utf-8")
    path = place.project / "example.toml"
    path.write_text(page.partition("```toml\n")[2].partition("```\n")[0])
    lines = explain(load_policy(path).policy, datetime.now(UTC))
    assert "publish rule 1 (cifar10, toolformer-*): 2 of alice, ci, carol" in lines
    assert "publish rule 2 (*): 1 of alice" in lines
