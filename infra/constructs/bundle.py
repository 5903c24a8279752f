"""The parts of a deployment besides templates: layers, and functions' sources compiled for Lambda's Python.

The context `bundle=true`, which `app.py` sets by itself, asks for it. Tests and `make synth` want templates alone and
get placeholders, with which the CDK's command line refuses to deploy (`infra/application.py`).
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from aws_cdk import Stack
from constructs import Construct

from layers import build

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = ROOT / "layers" / "placeholder"
# Beside the other things that are built once for the checkout.
BUILT = ROOT / ".local" / "layers"
RECIPE_DIGITS = 20
# Of each name: both architectures, with and without bytecode.
LAYERS_KEPT = 4
SOURCES = ("shared", "config", "functions")


def bundles(scope: Construct) -> bool:
    """Whether the assembly is to be deployed."""
    return str(scope.node.try_get_context("bundle")) == "true"


def layer_content(scope: Construct, name: str, architecture: str) -> tuple[Path, str | None]:
    """The folder of a layer, and the hash of its recipe; a placeholder where nothing is deployed."""
    if not _is_wanted(scope):
        return PLACEHOLDER, None
    recipe = build.recipe_hash(name, architecture)
    folder = BUILT / f"{name}-{recipe[:RECIPE_DIGITS]}"
    if not folder.exists():
        _build(name, architecture, folder)
    return folder, recipe


def code_folder(scope: Construct) -> Path:
    """The folder of the functions' sources: the checkout, or a compiled copy for a deployment."""
    return _compiled() if _is_wanted(scope) and build.compiler() else ROOT


def _is_wanted(scope: Construct) -> bool:
    """The CDK's command line needs no content where it only lists, bootstraps or destroys, and says so."""
    return bundles(scope) and Stack.of(scope).bundling_required


def _build(name: str, architecture: str, folder: Path) -> None:
    """A folder has its name once it is whole; where another deployment was first, its content is the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        draft = Path(scratch) / "layer"
        draft.mkdir()
        build.build_layer(name, architecture, draft)
        if not folder.exists():
            draft.rename(folder)
    _forget_old(name)


def _forget_old(name: str) -> None:
    built = sorted(BUILT.glob(f"{name}-{'?' * RECIPE_DIGITS}"), key=lambda place: place.stat().st_mtime, reverse=True)
    for folder in built[LAYERS_KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _compiled() -> Path:
    """Once a synthesis; the CDK copies of it what each function needs."""
    folder = Path(tempfile.mkdtemp(prefix="vsl-code-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for part in SOURCES:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    build.compile_folder(folder)
    return folder
