"""Synthesizes the CDK app, once for each state of the files it reads."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from infra.stages import SETTINGS
from local.layout import Layout
from local.supervisor import StackFailed
from operate.cdk import node_path

ASSEMBLIES_KEPT = 6
DRAFT = ".new"
# A synthesis takes a quarter of a minute, on a busy machine a few.
DRAFT_SECONDS = 3600
# Whose content the template repeats or is computed from: names, numbers, layers, the migrations' checksum,
# the requirements a layer is built of.
_FOLDERS = ("infra", "layers", "shared/migrations", "config")
# Elsewhere than locally the assembly also holds the functions' code.
_CODE_FOLDERS = ("functions", "shared")
_FILES = ("app.py", "cdk.json", "requirements.txt", "requirements-dev.txt")


@dataclass(frozen=True)
class Assembly:
    """A synthesized cloud assembly; `stacks` in the order they are deployed."""

    directory: Path
    stacks: tuple[str, ...]

    def template_file(self, stack: str) -> Path:
        return self.directory / f"{stack}.template.json"

    @property
    def template_files(self) -> list[Path]:
        return [self.template_file(stack) for stack in self.stacks]

    def templates(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in self.template_files]

    def zip_assets(self, stack: str) -> list[tuple[str, str]]:
        """Bucket and key of each file asset of the stack, templates left out."""
        manifest = self.directory / f"{stack}.assets.json"
        files = json.loads(manifest.read_text()).get("files", {}) if manifest.exists() else {}
        destinations = [place for file in files.values() for place in file["destinations"].values()]
        return [
            (place["bucketName"], place["objectKey"])
            for place in destinations
            if not place["objectKey"].endswith(".template.json")
        ]


@dataclass
class Synthesis:
    """A synthesis in a process of its own, which this one need not wait for; none where the cache has it."""

    layout: Layout
    stage: str
    directory: Path
    draft: Path
    output: IO[bytes]
    process: subprocess.Popen[bytes] | None

    def __enter__(self) -> Synthesis:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process where the result is not wanted any more."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.draft, ignore_errors=True)
        self.output.close()

    def is_done(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def result(self) -> Assembly:
        """Waits for the end. Raises StackFailed with the end of the app's output when it failed."""
        if self.process is not None:
            self._keep(self.process.wait())
        os.utime(self.directory)
        return Assembly(directory=self.directory, stacks=_deploy_order(self.directory))

    def _keep(self, exit_code: int) -> None:
        if exit_code != 0:
            self.output.seek(0)
            raise StackFailed(f"app.py failed:\n{self.output.read().decode(errors='replace').strip()[-3000:]}")
        if not (self.draft / "manifest.json").exists():
            raise StackFailed("app.py wrote no assembly where CDK_OUTDIR names it")
        _publish(self.draft, self.directory)
        _forget_old(self.layout.assemblies, self.stage)


def synthesize(layout: Layout, stage: str) -> Assembly:
    """The assembly of the stage, from the cache unless a file it is made of has changed (7-15 s).

    Raises StackFailed as `Synthesis.result` does.
    """
    with begin_synthesis(layout, stage) as synthesis:
        return synthesis.result()


def begin_synthesis(layout: Layout, stage: str) -> Synthesis:
    """Starts the CDK app, unless the cache has what it would write."""
    directory = layout.assemblies / f"{stage}-{_fingerprint(layout.root, stage)}"
    draft = directory.with_name(f"{directory.name}.{uuid4().hex}{DRAFT}")
    output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the synthesis
    cached = (directory / "manifest.json").exists()
    process = None if cached else _start_app(layout, stage, draft, output)
    return Synthesis(layout, stage, directory, draft, output, process)


def _start_app(layout: Layout, stage: str, draft: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    # Templates are all that is wanted here: layers are built by a deployment.
    context = {**_context_of(layout.root / "cdk.json"), "stage": stage, "bundle": "false"}
    environment = {
        **os.environ,
        "CDK_OUTDIR": str(draft),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "PATH": node_path(os.environ),
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }
    draft.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=layout.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def _fingerprint(root: Path, stage: str) -> str:
    # Of the environment, the app reads these alone, and not for the local stage.
    settings = [os.environ.get(name, "") for name in ("MODELS_CONFIG", *SETTINGS) if stage != "local"]
    digest = hashlib.sha256("\0".join([stage, *settings]).encode())
    for file in sorted(set(_sources(root, stage))):
        digest.update(f"\0{file.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:20]


def _sources(root: Path, stage: str) -> Iterator[Path]:
    folders = _FOLDERS if stage == "local" else (*_FOLDERS, *_CODE_FOLDERS)
    files = [root / name for name in _FILES]
    files += [file for folder in folders for file in (root / folder).rglob("*")]
    yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


def _context_of(cdk_file: Path) -> dict[str, Any]:
    """The feature flags the CDK's own command line would hand to the app."""
    context = json.loads(cdk_file.read_text()).get("context", {})
    assert isinstance(context, dict)
    return context


def _deploy_order(directory: Path) -> tuple[str, ...]:
    artifacts = json.loads((directory / "manifest.json").read_text())["artifacts"]
    stacks = {name for name, artifact in artifacts.items() if artifact["type"] == "aws:cloudformation:stack"}
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in stacks and name not in ordered:
            for needed in artifacts[name].get("dependencies", []):
                visit(needed)
            ordered.append(name)

    for name in artifacts:
        visit(name)
    return tuple(ordered)


def _publish(draft: Path, directory: Path) -> None:
    """Gives the draft its name, unless another process was first: that one's may be in use already, and is the same."""
    try:
        draft.rename(directory)
    except OSError:
        if not (directory / "manifest.json").exists():
            raise
        shutil.rmtree(draft)


def _forget_old(assemblies: Path, stage: str) -> None:
    """Drafts are other processes' own: they go only when whoever wrote them must have been killed."""
    found = sorted(((_changed_at(place), place) for place in assemblies.glob(f"{stage}-*")), reverse=True)
    whole = [place for _, place in found if place.suffix != DRAFT]
    left = [place for at, place in found if place.suffix == DRAFT and at < time.time() - DRAFT_SECONDS]
    for directory in [*whole[ASSEMBLIES_KEPT:], *left]:
        shutil.rmtree(directory, ignore_errors=True)


def _changed_at(place: Path) -> float:
    """0 for what another process has renamed or removed meanwhile."""
    try:
        return place.stat().st_mtime
    except FileNotFoundError:
        return 0
