"""The operators' smoke test on a stack: it makes a film, and leaves nothing of it whether it succeeds or not."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from local.commands import operator_environment
from local.layout import find_layout
from operate import smoke
from operate.main_job import KEY_VARIABLE
from tests.e2e.conftest import Rows

JOBS = "SELECT count(*) FROM vsl.jobs"
SCRIPTS = "SELECT count(*) FROM vsl_frontend.section_detailed_scripts"
LIVE_JOBS = "SELECT count(*) FROM vsl.jobs WHERE erased_at IS NULL"


def run_smoke(stack: dict[str, Any], key: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "operate.smoke", "--stage", "local", *arguments],
        stdin=subprocess.DEVNULL,
        cwd=find_layout().root,
        env={**os.environ, **operator_environment(stack), KEY_VARIABLE: key},
        capture_output=True,
        text=True,
    )


def left(rows: Rows) -> list[int]:
    """Jobs that are not erased, and scripts."""
    return [int(rows(statement)[0][0]) for statement in (LIVE_JOBS, SCRIPTS)]


def test_the_main_job_runs_on_the_stage_and_nothing_is_left(stack: dict[str, Any], rows: Rows) -> None:
    before = left(rows)

    done = run_smoke(stack, stack["adminApiKey"])

    assert done.returncode == 0, done.stdout + done.stderr
    assert "96 = 48 + 48" in done.stdout
    assert "local works" in done.stdout
    assert stack["adminApiKey"] not in done.stdout + done.stderr
    assert left(rows) == before


def test_clips_that_fail_are_a_failure_that_leaves_nothing(
    stack: dict[str, Any], rows: Rows, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = left(rows)
    monkeypatch.setattr(smoke, "PROMPTS", ("a clip that is made", "[fail] a clip that is not"))
    monkeypatch.setenv(KEY_VARIABLE, stack["adminApiKey"])

    code = smoke.main(["--stage", "local", "--base-url", stack["baseUrl"]])

    assert code == 1
    assert "is failed" in capsys.readouterr().err
    assert left(rows) == before


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("apiKey", "must have the scope admin"), ("nobody's", "is none of this stage's")],
)
def test_a_key_that_does_not_reach_is_told_before_anything_is_paid(
    stack: dict[str, Any], rows: Rows, key: str, sentence: str
) -> None:
    before = rows(JOBS)

    done = run_smoke(stack, stack.get(key, "vsl_nobodys"))

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert rows(JOBS) == before


def test_a_stage_without_an_address_is_told(stack: dict[str, Any]) -> None:
    environment = {**operator_environment(stack), "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    done = subprocess.run(
        [sys.executable, "-m", "operate.smoke", "--stage", "prod"],
        cwd=find_layout().root,
        env={**os.environ, **environment, KEY_VARIABLE: "any"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "/vsl/prod/public-base-url" in done.stderr
    assert "Traceback" not in done.stderr
