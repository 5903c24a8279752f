"""The provider's adapter and the stand-in for local use understand each other."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.replicate_provider import ReplicateProvider
from shared.domain.errors import AnswerLost, NotFound, ProductError, ProviderBusy, ProviderRefused
from tests.patience import PATIENCE_SECONDS


def provider(base_url: str) -> ReplicateProvider:
    return ReplicateProvider(lambda: "token", base_url)


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The stand-in that serves local use, as a process."""
    folder: Path = tmp_path_factory.mktemp("standin")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "local.provider", "--port", str(port), "--state", str(folder)]
    process = subprocess.Popen(command)
    try:
        yield _when_ready(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


def _when_ready(base_url: str, process: subprocess.Popen[bytes]) -> str:
    for _ in range(200):
        try:
            provider(base_url).get("p1")
        except NotFound:
            return base_url
        except ProviderBusy:
            assert process.poll() is None
            time.sleep(0.05)
    raise AssertionError("the stand-in did not start")


def real_request(prompt: str) -> dict[str, Any]:
    return {"version": "black-forest-labs/flux-schnell", "input": {"prompt": prompt}}


def test_the_stand_in_makes_reads_and_cancels(standin: str) -> None:
    ours = provider(standin)

    made = ours.create(real_request("a slow cat [seconds=60]"), "http://127.0.0.1:9/hook", 60)
    ours.cancel(made.id)
    ours.cancel(made.id)

    assert ours.get(made.id).status == "canceled"


def test_a_model_of_the_community_is_called_by_its_latest_version(standin: str) -> None:
    request = {"version": "stability-ai/sdxl", "input": {"prompt": "a cat", "num_outputs": 1}}

    assert provider(standin).create(request, "http://127.0.0.1:9/hook", 60).status == "running"


@pytest.mark.parametrize("version", ["nobody/nothing", f"stability-ai/sdxl:{'0' * 64}"])
def test_a_version_that_is_not_there_is_no_reason_to_ask_again(standin: str, version: str) -> None:
    with pytest.raises(ProviderRefused, match="correct `version` in the registry"):
        provider(standin).create({"version": version, "input": {"prompt": "a"}}, "http://127.0.0.1:9/hook", 60)


@pytest.mark.parametrize("shown", ["yes", "no"])
def test_a_create_whose_answer_was_lost_is_found_at_the_stand_in(standin: str, shown: str) -> None:
    """By its webhook; and, where the provider does not show that, as the only one of its input."""
    hook = f"http://127.0.0.1:9/hook?lost={shown}"
    ours, request = provider(standin), real_request(f"a lost cat [answer=lost][shown={shown}]")
    since = datetime.now(UTC)

    with pytest.raises(AnswerLost):
        ours.create(request, hook, 60)

    resolved = ours.find(request, hook, since)
    assert resolved is not None
    assert ours.get(resolved.id).id == resolved.id


@pytest.mark.parametrize(("answer", "error"), [("429", ProviderBusy), ("500", AnswerLost)])
def test_the_stand_in_refuses_once(standin: str, answer: str, error: type[ProductError]) -> None:
    request = real_request(f"a refused cat [answer={answer}]")

    with pytest.raises(error):
        provider(standin).create(request, "http://127.0.0.1:9/hook", 60)

    assert provider(standin).create(request, "http://127.0.0.1:9/hook", 60).status == "running"


def test_two_lost_creates_of_one_input_are_told_apart_by_nobody(standin: str) -> None:
    request = real_request("twin cats [answer=lost][shown=no]")
    since = datetime.now(UTC)
    for _ in range(2):
        with pytest.raises(AnswerLost):
            provider(standin).create(request, "http://127.0.0.1:9/hook?twin", 60)

    with pytest.raises(AnswerLost, match="2 predictions"):
        provider(standin).find(request, "http://127.0.0.1:9/hook?twin", since)


def test_a_create_that_made_nothing_is_not_found(standin: str) -> None:
    since = datetime.now(UTC)

    assert provider(standin).find(real_request("no cat"), "http://127.0.0.1:9/hook?none", since) is None
