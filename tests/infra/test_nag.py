"""cdk-nag's packs AwsSolutions and Serverless on the dev stage. What we accept is in infra/suppressions.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def packs(dev_assembly: Path) -> dict[str, list[dict[str, Any]]]:
    report = json.loads((dev_assembly / "validation-report.json").read_text())
    return {plugin["pluginName"]: plugin["violations"] for plugin in report["pluginReports"]}


@pytest.mark.parametrize("pack", ["AwsSolutions", "Serverless"])
def test_a_pack_of_rules_finds_nothing_that_is_not_accepted(packs: dict[str, list[dict[str, Any]]], pack: str) -> None:
    found = [f"{violation['ruleName']} at {_places(violation)}" for violation in packs[pack]]

    assert not found, "\n".join(["", *found])


def _places(violation: dict[str, Any]) -> str:
    return ", ".join(construct["constructPath"] for construct in violation["violatingConstructs"])
