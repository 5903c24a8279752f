"""Layers: what the functions import, and FFmpeg. Built by pip alone, once for each recipe."""

from __future__ import annotations

from aws_cdk import aws_lambda
from constructs import Construct

from infra.constructs.bundle import layer_content
from infra.stages import Stage
from layers import build


def dependency_layer(scope: Construct, stage: Stage) -> aws_lambda.LayerVersion:
    """Everything in requirements.txt."""
    return _layer(scope, stage, build.DEPENDENCIES)


def encoder_layers(scope: Construct, stage: Stage) -> tuple[aws_lambda.LayerVersion, ...]:
    """A slim set of packages and FFmpeg: together they must stay under Lambda's 250 MB."""
    return _layer(scope, stage, build.SLIM), _layer(scope, stage, build.FFMPEG)


def _layer(scope: Construct, stage: Stage, name: str) -> aws_lambda.LayerVersion:
    folder, recipe = layer_content(scope, name, stage.architecture)
    return aws_lambda.LayerVersion(
        # Without the hash, the CDK would read all of the folder to make one.
        scope,
        f"{name}-layer",
        code=aws_lambda.Code.from_asset(str(folder), asset_hash=recipe),
        compatible_runtimes=[aws_lambda.Runtime.PYTHON_3_13],
        layer_version_name=f"vsl-{stage.name}-{name}",
    )
