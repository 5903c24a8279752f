"""What is accepted of cdk-nag's findings is found where it is accepted: a reason for nothing hides the next finding."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from operate.cdk import node_path

ROOT = Path(__file__).resolve().parents[2]
Places = set[tuple[str, str]]


@pytest.fixture(scope="module")
def nag(tmp_path_factory: pytest.TempPathFactory) -> tuple[Places, Places]:
    """Rules with paths of constructs: what would be accepted, and what is found while nothing is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", node_path(os.environ))
        patch.setenv("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "1")
        return _without_acceptance(tmp_path_factory.mktemp("nag"), patch)


def test_what_is_accepted_is_found_there(nag: tuple[Places, Places]) -> None:
    accepted, found = nag

    idle = {
        (rule, path) for rule, path in accepted
        if not any(rule == other and f"{place}/".startswith(f"{path}/") for other, place in found)
    }  # fmt: skip

    assert accepted
    assert not idle, "\n".join(["", *(f"{rule} at {path}" for rule, path in sorted(idle))])


def _without_acceptance(folder: Path, patch: pytest.MonkeyPatch) -> tuple[Places, Places]:
    # Importing the CDK starts Node.js, which must be on PATH by then.
    from aws_cdk import App, Validations
    from cdk_nag import AwsSolutionsChecks, ServerlessChecks

    from infra import suppressions
    from infra.application import build_stage
    from infra.stages import stage_named

    accepted: Places = set()

    def record(construct: Any, findings: Mapping[str, str]) -> None:
        accepted.update((rule.partition("::")[2], construct.node.path) for rule in findings)

    patch.setattr(suppressions, "_accept", record)
    app = App(context=json.loads((ROOT / "cdk.json").read_text())["context"], outdir=str(folder))
    build_stage(app, stage_named("dev"))
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    return accepted, _found(folder)


def _found(folder: Path) -> Places:
    report = json.loads((folder / "validation-report.json").read_text())
    violations = [violation for plugin in report["pluginReports"] for violation in plugin["violations"]]
    return {(one["ruleName"], place["constructPath"]) for one in violations for place in one["violatingConstructs"]}
