"""Layers: what the functions import, and FFmpeg. Built by pip alone, and only when a deploy asks for it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling, aws_lambda
from constructs import Construct

from infra.stages import Stage
from layers import build

LAYERS = Path(build.__file__).parent


def dependency_layer(scope: Construct, stage: Stage) -> aws_lambda.LayerVersion:
    """Everything in requirements.txt."""
    return _layer(scope, stage, build.DEPENDENCIES)


def encoder_layers(scope: Construct, stage: Stage) -> tuple[aws_lambda.LayerVersion, ...]:
    """A slim set of packages and FFmpeg: together they must stay under Lambda's 250 MB."""
    return _layer(scope, stage, build.SLIM), _layer(scope, stage, build.FFMPEG)


def _layer(scope: Construct, stage: Stage, name: str) -> aws_lambda.LayerVersion:
    bundle = scope.node.try_get_context("bundle") == "true"
    return aws_lambda.LayerVersion(
        scope, f"{name}-layer", code=_built(stage, name) if bundle else _empty(),
        compatible_runtimes=[aws_lambda.Runtime.PYTHON_3_13], layer_version_name=f"vsl-{stage.name}-{name}",
    )  # fmt: skip


def _empty() -> aws_lambda.Code:
    return aws_lambda.Code.from_asset(str(LAYERS / "placeholder"))


def _built(stage: Stage, name: str) -> aws_lambda.Code:
    """Content that cdk.out keeps under the hash of its recipe, so that it is built once."""
    recipe = f"{name} {stage.architecture} {build.recipe_hash()}"
    return aws_lambda.Code.from_asset(
        str(LAYERS),
        asset_hash_type=AssetHashType.CUSTOM, asset_hash=hashlib.sha256(recipe.encode()).hexdigest(),
        bundling=BundlingOptions(
            image=DockerImage.from_registry("not-used"), local=_Build(name, stage.architecture)
        ),
    )  # fmt: skip


@jsii.implements(ILocalBundling)
class _Build:
    def __init__(self, name: str, architecture: str) -> None:
        self._name, self._architecture = name, architecture

    def try_bundle(self, output_dir: str, *_options: Any, **_named: Any) -> bool:
        """Called by the CDK with an empty folder; raising keeps it from falling back to Docker."""
        build.build_layer(self._name, self._architecture, Path(output_dir))
        return True
