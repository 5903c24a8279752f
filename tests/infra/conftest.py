"""One synthesis of each stage for all tests of this folder, `dev` together with cdk-nag's packs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from local.layout import find_layout
from local.synth import node_path, synthesize
from tests.infra.templates import Templates

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def dev_assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the dev stage and nag's report on it were written."""
    folder = tmp_path_factory.mktemp("assembly")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", node_path(os.environ))
        patch.setenv("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "1")
        _synthesize_with_nag(folder)
    return folder


@pytest.fixture(scope="session")
def dev(dev_assembly: Path) -> Templates:
    return Templates.read("dev", dev_assembly)


@pytest.fixture(scope="session")
def local() -> Templates:
    """From the cache that the local stack uses as well."""
    return Templates.read("local", synthesize(find_layout(), "local").directory)


@pytest.fixture(scope="session", params=["dev", "local"])
def templates(request: pytest.FixtureRequest) -> Templates:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Templates)
    return found


def _synthesize_with_nag(folder: Path) -> None:
    # Importing the CDK starts Node.js, which must be on PATH by then.
    from aws_cdk import App, Validations
    from cdk_nag import AwsSolutionsChecks, ServerlessChecks

    from infra.application import build_stage
    from infra.stages import stage_named

    app = App(context=json.loads((ROOT / "cdk.json").read_text())["context"], outdir=str(folder))
    build_stage(app, stage_named("dev"))
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    try:
        app.synth()
    except RuntimeError as error:
        # Findings are test_nag's to tell; the templates are written all the same.
        if "ValidationFailed" not in str(error):
            raise
