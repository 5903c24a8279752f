"""The main job on a deployed stage, and nothing left of it: `python -m operate.smoke --stage STAGE`.

Two short clips are generated, approved and joined; the film is fetched and its frames are counted. Then all of it
is erased; where a step failed, the erasure is begun, and the stage goes on with it by itself. The key comes from the
variable VSL_API_KEY, or is asked for without an echo; it needs every scope, `admin` for the erasure. The stage's
address is read from its parameter `public-base-url` with the AWS credentials of the environment, unless `--base-url`
names it. The provider charges for the clips.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from operate.accounts import STAGES
from operate.main_job import (
    ANSWER_SECONDS,
    KEY_VARIABLE,
    Client,
    MainJobFailed,
    Refused,
    Steps,
    Wanted,
    create_script,
    make_film,
)

PROMPTS = ("A lighthouse at dawn, slow dolly in", "Waves under the cliffs, aerial shot")
# The cheapest clips that the model makes.
PARAMETERS = {"duration": 2, "resolution": "480p"}
# What has ended is erased at once. A worker that ran at that moment may write for as long as an invocation lasts.
ERASURE_SECONDS = 900
POLL_SECONDS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the smoke test; 1 with a sentence on stderr when a step failed or something is left."""
    chosen = _parser().parse_args(arguments)
    steps = Steps()
    try:
        client = Client((chosen.base_url or base_url_of(chosen.stage)).rstrip("/"), _api_key())
        with tempfile.TemporaryDirectory(prefix="vsl-smoke-") as folder:
            run(client, steps, Path(folder))
    except MainJobFailed as failed:
        # The erasure may fail as well, and then for the same reason.
        failures = [failure for failure in (failed.__context__, failed) if isinstance(failure, MainJobFailed)]
        print("\n".join(f"smoke: {failure}" for failure in failures), file=sys.stderr)
        return 1
    print(f"{chosen.stage} works: {sum(row[1] for row in steps.rows):.0f} s, and nothing is left of it")
    return 0


def base_url_of(stage: str) -> str:
    """Where the stage's API is. Raises MainJobFailed."""
    name = f"/vsl/{stage}/public-base-url"
    try:
        return str(boto3.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    except (BotoCoreError, ClientError) as error:
        raise MainJobFailed(
            f"the parameter {name} cannot be read; deploy the stage or use --base-url: {error}"
        ) from None


def run(client: Client, steps: Steps, folder: Path) -> None:
    """All steps, then the erasure of what they made, whether they failed or not. Raises MainJobFailed."""
    steps.run("ask for the stage's health", lambda: _healthy(client))
    steps.run("be refused without a key and find ours good", lambda: _guarded(client))
    user = f"smoke-{uuid4().hex}"
    script = create_script(client, steps)
    try:
        film_url = make_film(client, steps, Wanted(user, script, PROMPTS, PARAMETERS), folder)
    except BaseException:
        steps.run("erase what was made", lambda: _begun(client, user, script), _state)
        raise
    steps.run("erase what was made", lambda: _finished(client, _begun(client, user, script)), _state)
    steps.run("find nothing left of it", lambda: _nothing_left(client, script, film_url))


def _healthy(client: Client) -> None:
    client.call("GET", "/health")


def _guarded(client: Client) -> None:
    """Before anything is paid: the API asks for a key, and ours may erase."""
    stranger = Client(client.base_url, "")
    if _status(stranger, "/jobs") != 401:
        raise MainJobFailed("GET /jobs without a key was not refused with 401")
    if (status := _status(client, f"/api/erasures/{uuid4()}")) != 404:
        why = {401: "is none of this stage's", 403: "must have the scope admin"}.get(status, f"was answered {status}")
        raise MainJobFailed(f"the key of {KEY_VARIABLE} {why}")


def _begun(client: Client, user: str, script: int) -> dict[str, Any]:
    """The receipt of the user's erasure, which cancels their jobs and takes the films that show their clips."""
    receipt = client.call("DELETE", f"/api/users/{user}")
    client.call("DELETE", f"/api/scripts/{script}")
    return receipt


def _finished(client: Client, receipt: dict[str, Any]) -> dict[str, Any]:
    give_up = time.monotonic() + ERASURE_SECONDS
    while receipt["status"] != "completed" and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
        receipt = client.call("GET", f"/api/erasures/{receipt['erasureId']}")
    if receipt["status"] != "completed":
        raise MainJobFailed(f"the erasure is not done: {_state(receipt)}")
    return receipt


def _state(receipt: dict[str, Any]) -> str:
    erased = f"{receipt['erased']['jobs']} jobs, {receipt['erased']['objects']} objects"
    if receipt["status"] == "completed":
        return erased
    reasons = ", ".join(wait["reason"] for wait in receipt["waitsFor"])
    return f"{erased}; the stage goes on with erasure {receipt['erasureId']} by itself, which waits for: {reasons}"


def _nothing_left(client: Client, script: int, film_url: str) -> None:
    if (status := _status(client, f"/api/scripts/{script}")) != 404:
        raise MainJobFailed(f"script {script} is still answered, with {status}")
    if _is_there(film_url):
        raise MainJobFailed("the film can still be downloaded")


def _status(client: Client, path: str) -> int:
    """The HTTP status that the API answers a GET with."""
    try:
        client.call("GET", path)
    except Refused as refused:
        return refused.status
    return 200


def _is_there(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 400
    except OSError as error:
        raise MainJobFailed(f"the film's address did not answer: {error}") from None


def _api_key() -> str:
    if key := os.environ.get(KEY_VARIABLE, "").strip():
        return key
    if sys.stdin.isatty():
        return getpass.getpass("API key with all scopes: ").strip()
    raise MainJobFailed(f"set {KEY_VARIABLE} to an API key with all scopes (python -m operate.accounts create-key)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="operate.smoke", description=__doc__)
    parser.add_argument("--stage", required=True, choices=STAGES)
    parser.add_argument("--base-url", help="the API's address, where it is not read from the stage's parameters")
    return parser


if __name__ == "__main__":
    sys.exit(main())
