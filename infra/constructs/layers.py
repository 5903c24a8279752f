"""Layers: what the functions import, and FFmpeg. Built by pip alone, and only when a deploy asks for it."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import aws_lambda
from constructs import Construct

from infra.stages import Stage

LAYERS = Path(__file__).resolve().parents[2] / "layers"


def dependency_layer(scope: Construct, stage: Stage) -> aws_lambda.LayerVersion:
    """Everything in requirements.txt."""
    return _layer(scope, stage, "dependencies")


def encoder_layers(scope: Construct, stage: Stage) -> tuple[aws_lambda.LayerVersion, ...]:
    """A slim set of packages and FFmpeg: together they must stay under Lambda's 250 MB."""
    return _layer(scope, stage, "dependencies-slim"), _layer(scope, stage, "ffmpeg")


def _layer(scope: Construct, stage: Stage, name: str) -> aws_lambda.LayerVersion:
    bundle = scope.node.try_get_context("bundle") == "true"
    folder = LAYERS / "build" / stage.architecture / name if bundle else LAYERS / "placeholder"
    return aws_lambda.LayerVersion(
        scope, f"{name}-layer", code=aws_lambda.Code.from_asset(str(folder)),
        compatible_runtimes=[aws_lambda.Runtime.PYTHON_3_13], layer_version_name=f"vsl-{stage.name}-{name}",
    )  # fmt: skip
