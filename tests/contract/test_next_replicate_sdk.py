"""The stand-in is what the next official SDK of Replicate expects: `replicate` 2.0.0b4, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.standin_process import running

ROOT = Path(__file__).resolve().parents[2]
# Beside the environment, which holds 1.0.7: local/setup.sh puts it there.
NEXT_SDK = Path(sys.prefix) / "replicate-2"
HASH = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
THROTTLED = "Request was throttled. Your rate limit resets in ~2s."
NOT_FOUND = "The requested resource could not be found."


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the next SDK saw."""
    path = os.pathsep.join((str(NEXT_SDK), str(ROOT)))
    with running(tmp_path_factory.mktemp("provider"), token="r8_test") as standin:
        base_url = str(standin.http.base_url).rstrip("/")
        told = {"PYTHONPATH": path, "REPLICATE_API_TOKEN": "r8_test", "REPLICATE_BASE_URL": f"{base_url}/v1"}
        run = subprocess.run(
            [sys.executable, "-m", "tests.contract.next_sdk_client", base_url],
            env={**os.environ, **told},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize(
    ("what", "right"),
    [
        ("version", "2.0.0-beta.4"),
        ("created", "starting"),
        ("waited", ["processing", "['data:image/png;base64,"]),
        ("ended", ["succeeded", True, True]),
        ("by hash", HASH),
        ("cancelled", "canceled"),
        ("listed beyond a page", [True, True, True]),
        ("secret", "whsec_"),
        ("run", True),
        ("run by hash", 1),
        ("used", True),
        ("streamed", True),
        ("model", ["stability-ai", "sdxl", True]),
        ("model's version", [HASH, True]),
        ("models beyond a page", True),
        ("searched", ["meta-llama-3-8b-instruct"]),
        ("collection", "text-to-image"),
        ("collections", True),
        ("hardware", "cpu"),
        ("account", "organization"),
        ("file", ["hello.txt", 13, "text/plain", True]),
        ("file gone", ["NotFoundError", 404, NOT_FOUND]),
        ("stranger", ["AuthenticationError", 401, "You did not pass a valid authentication token"]),
        ("unknown", ["NotFoundError", 404, NOT_FOUND]),
        ("wrong", ["UnprocessableEntityError", 422, "- input.prompt: Invalid type. Expected: string, given: integer"]),
        ("throttled", ["RateLimitError", 429, THROTTLED]),
        ("broken", ["InternalServerError", 500, "An unexpected error occurred."]),
        ("aborted", "aborted"),
    ],
)
def test_the_next_sdk_takes_it_for_replicate(seen: dict[str, Any], what: str, right: Any) -> None:
    assert seen[what] == right


def test_the_next_sdk_hears_of_missing_credit_and_of_unknown_versions(seen: dict[str, Any]) -> None:
    assert seen["no credit"][:2] == ["APIStatusError", 402]
    assert seen["no such version"][:2] == ["UnprocessableEntityError", 422]
