"""Syntheses of stages in regions, with what cdk-nag and cfn-lint find, kept for each state of what they are made of."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from local.layout import find_layout
from local.synth import node_path

ROOT = Path(__file__).resolve().parents[2]
# What a synthesis reads, and what judges it: the versions of the tools are in requirements-dev.txt.
_FOLDERS = ("infra", "layers", "shared", "functions", "config", "operate")
_FILES = (
    "app.py",
    "cdk.json",
    "requirements.txt",
    "requirements-dev.txt",
    "tests/infra/nagged_app.py",
    "tests/infra/checked.py",
)
PACKS = ("AwsSolutions", "Serverless")
ACCOUNT = "111122223333"
ANY_REGION = ""
REGIONS = ("us-east-1", "sa-east-1", "eu-central-1")
STAGES = ("dev", "staging", "homolog", "prod")
ASSEMBLIES_KEPT = 2
# W3005: the CDK writes DependsOn beside a reference to the same resource; CloudFormation allows both.
LINT = ("--ignore-checks", "W3005", "--non-zero-exit-code", "none", "--format", "json")


@dataclass(frozen=True)
class Checked:
    """A stage as it is synthesized for a region; of ANY_REGION, for that of the credentials."""

    stage: str
    region: str = ANY_REGION
    is_bare: bool = False

    def assembly(self) -> Path:
        """Where templates and nag's report are; synthesized unless the cache has them."""
        place = self._place()
        if not (place / "validation-report.json").exists():
            self._synthesize(place)
        os.utime(place)
        return place

    def nag_findings(self) -> list[dict[str, str]]:
        """Each finding as its rule and the construct's path."""
        report = json.loads((self.assembly() / "validation-report.json").read_text())
        plugins = {plugin["pluginName"]: plugin["violations"] for plugin in report["pluginReports"]}
        return [
            {"rule": f"{pack}::{violation['ruleName']}", "path": construct["constructPath"]}
            for pack in PACKS
            for violation in plugins[pack]
            for construct in violation["violatingConstructs"]
        ]

    def accepted(self) -> list[dict[str, str]]:
        """Of a bare one: each acceptance as its rule, the construct's path and the reason."""
        accepted: list[dict[str, str]] = json.loads((self.assembly() / "accepted.json").read_text())
        return accepted

    def lint_findings(self) -> list[str]:
        """What cfn-lint says of all templates for the region (for all of REGIONS where there is none)."""
        assembly = self.assembly()
        kept = assembly / "cfn-lint.json"
        if not kept.exists():
            draft = assembly / f"cfn-lint.{uuid4().hex}"
            draft.write_text(json.dumps(self._lint(assembly)))
            draft.rename(kept)
        found: list[str] = json.loads(kept.read_text())
        return found

    def _lint(self, assembly: Path) -> list[str]:
        templates = sorted(str(file) for file in assembly.glob("*.template.json"))
        regions = [self.region] if self.region else REGIONS
        done = subprocess.run(
            [Path(sys.executable).with_name("cfn-lint"), *LINT, "--regions", *regions, "--", *templates],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return [_sentence(finding) for finding in json.loads(done.stdout)]

    def _synthesize(self, place: Path) -> None:
        draft = place.with_name(f"{place.name}.{uuid4().hex}.new")
        draft.mkdir(parents=True)
        # Templates are all that is wanted: no layer is built.
        context = {**json.loads((ROOT / "cdk.json").read_text())["context"], "bundle": "false"}
        environment = {
            **os.environ,
            "CDK_OUTDIR": str(draft),
            "CDK_CONTEXT_JSON": json.dumps(context),
            "PATH": node_path(os.environ),
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
            **({"VSL_ACCOUNT": ACCOUNT, "VSL_REGION": self.region} if self.region else {}),
        }
        command = [sys.executable, "-m", "tests.infra.nagged_app", self.stage, *(["--bare"] if self.is_bare else [])]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{self} cannot be synthesized:\n{done.stderr[-3000:]}"
        _publish(draft, place)

    def _place(self) -> Path:
        kind = "bare" if self.is_bare else "checked"
        return find_layout().assemblies / f"{kind}-{self.stage}-{self.region or 'any'}-{_fingerprint()}"


def _sentence(finding: dict[str, Any]) -> str:
    path = "/".join(map(str, finding["Location"].get("Path") or []))
    return f"{finding['Rule']['Id']} {Path(finding['Filename']).name} {path}: {finding['Message']}"


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for file in sorted(set(_sources())):
        digest.update(f"\0{file.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:20]


def _sources() -> Iterator[Path]:
    yield from (ROOT / name for name in _FILES)
    for folder in _FOLDERS:
        files = (ROOT / folder).rglob("*")
        yield from (file for file in files if file.is_file() and not {"__pycache__", "build"} & set(file.parts))


def _publish(draft: Path, place: Path) -> None:
    """Gives the draft its name, unless another process was first, and forgets older ones of the kind."""
    try:
        draft.rename(place)
    except OSError:
        shutil.rmtree(draft)
    older = sorted(
        place.parent.glob(f"{place.name.rpartition('-')[0]}-*"), key=lambda found: found.stat().st_mtime, reverse=True
    )
    for forgotten in older[ASSEMBLIES_KEPT:]:
        shutil.rmtree(forgotten, ignore_errors=True)
