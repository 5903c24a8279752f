"""Picks the stage and builds its stacks: `python app.py stage=dev`, or CDK's `-c stage=...`.

Layers and compiled functions are built on the way (`infra/constructs/bundle.py`), unless `bundle=false` says that only
the templates are wanted. MODELS_CONFIG names another registry of models than `config/models.json`: its text, or an
`s3:` or `ssm:` address.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from infra.stages import Stage, stage_named, with_settings
from shared.domain.catalog import read_catalog
from shared.domain.errors import BrokenRegistry

# Lambda gives a function 4 KB for its whole environment.
LONGEST_REGISTRY_BYTES = 2500


def main() -> None:
    """Synthesizes one stage; needs no credentials, no Docker and no network."""
    context = json.loads(os.environ.get("CDK_CONTEXT_JSON", "{}"))
    arguments = dict(pair.split("=", 1) for pair in sys.argv[1:] if "=" in pair)
    name = arguments.get("stage") or context.get("stage") or "dev"
    stage = with_registry(_stage(name), os.environ)
    # The CDK starts Node.js: what is refused is refused before.
    from aws_cdk import App

    from infra.application import build_stage

    # The CDK's command line has the last word: its context replaces this one.
    app = App(context={"bundle": "true", **arguments})
    build_stage(app, stage)
    app.synth()


def _stage(name: str) -> Stage:
    try:
        return with_settings(stage_named(name), os.environ)
    except ValueError as wrong:
        raise SystemExit(str(wrong)) from None


def with_registry(stage: Stage, environ: Mapping[str, str]) -> Stage:
    """The stage with the registry that MODELS_CONFIG names, which the local stack sets when it starts.

    What can be read here is checked here. Raises SystemExit with what is wrong.
    """
    named = environ.get("MODELS_CONFIG", "") if not stage.is_local else ""
    try:
        if not named:
            read_catalog(
                Path(__file__).with_name("config").joinpath("models.json").read_text("utf8"), stage.models_config
            )
            return stage
        if not named.startswith(("s3:", "ssm:")):
            read_catalog(named, "MODELS_CONFIG")
    except BrokenRegistry as broken:
        raise SystemExit(str(broken)) from None
    if len(named.encode()) > LONGEST_REGISTRY_BYTES:
        raise SystemExit(
            f"MODELS_CONFIG has {len(named.encode())} bytes and a function's environment room for "
            f"{LONGEST_REGISTRY_BYTES}: put the registry into a bucket and name it as s3:bucket/key."
        )
    return replace(stage, models_config=named)


if __name__ == "__main__":
    main()
