"""Picks the stage and builds its stacks: `python app.py -c stage=dev`, or CDK's `-c stage=...`."""

from __future__ import annotations

import json
import os
import sys

from aws_cdk import App

from infra.application import build_stage
from infra.stages import stage_named


def main() -> None:
    """Synthesizes one stage; needs no credentials, no Docker and no network."""
    context = json.loads(os.environ.get("CDK_CONTEXT_JSON", "{}"))
    arguments = dict(pair.split("=", 1) for pair in sys.argv[1:] if "=" in pair)
    name = arguments.get("stage") or context.get("stage") or "dev"
    app = App(context=arguments)
    build_stage(app, stage_named(name))
    app.synth()


if __name__ == "__main__":
    main()
