"""What functions may connect to, by world, proved with real sockets and real child processes."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.runtime import world
from tests.integration.runtime_handlers.started import HANDLERS, ROOT, Runtime, call, running_runtime

needs_landlock = pytest.mark.xfail(
    world.enforcement() != "landlock", reason="this kernel has no Landlock network rules", run=False
)


class Listeners:
    """Sockets that accept: a database's, an AWS emulator's and a stranger's."""

    def __init__(self) -> None:
        self.sockets = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(3)]
        self.database, self.services, self.stranger = (item.getsockname()[1] for item in self.sockets)


@pytest.fixture(scope="module")
def listeners() -> Iterator[Listeners]:
    made = Listeners()
    yield made
    for item in made.sockets:
        item.close()


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory, listeners: Listeners) -> Iterator[Runtime]:
    functions = {
        "inner": {"handler": "probe.handler", "timeout": 20, "inside": True},
        "outer": {"handler": "probe.handler", "timeout": 20},
        "inner-echo": {"handler": "echo.handler", "inside": True},
    }
    inside, outside = (listeners.database, listeners.services), (listeners.services, listeners.stranger)
    folder = tmp_path_factory.mktemp("worlds")
    with running_runtime(folder, functions, inside=inside, outside=outside) as started:
        yield started


@needs_landlock
def test_an_inside_function_reaches_its_own_ports_only(runtime: Runtime, listeners: Listeners) -> None:
    ports = [listeners.database, listeners.services, listeners.stranger]
    reached = runtime.invoke("inner", {"ports": ports}).json
    assert reached[str(listeners.database)] == [True, True]
    assert reached[str(listeners.services)] == [True, True]
    assert reached[str(listeners.stranger)] == [False, False]


@needs_landlock
def test_an_outside_function_cannot_reach_the_database(runtime: Runtime, listeners: Listeners) -> None:
    reached = runtime.invoke("outer", {"ports": [listeners.database, listeners.stranger]}).json
    assert reached[str(listeners.database)] == [False, False]
    assert reached[str(listeners.stranger)] == [True, True]


def test_an_inside_function_is_told_of_no_service_it_has_no_endpoint_for(runtime: Runtime) -> None:
    environment = runtime.invoke("inner-echo", {"do": "describe"}).json["environment"]
    endpoints = {name.removeprefix("AWS_ENDPOINT_URL_") for name in environment if name.startswith("AWS_ENDPOINT_URL")}
    assert endpoints == {"S3", "DYNAMODB", "SQS"}


def test_the_runner_says_how_worlds_are_enforced(runtime: Runtime) -> None:
    health = call(runtime.config.runner_port, "GET", "/health", {}).json
    assert health["worldEnforcement"] == world.enforcement()


def test_without_landlock_the_process_itself_is_still_refused(listeners: Listeners) -> None:
    program = (
        "import json, sys; from local.runtime import world; import probe\n"
        "world.enforcement = lambda: 'python-only'\n"
        "allowed, refused = int(sys.argv[1]), int(sys.argv[2])\n"
        "world.restrict_connects([allowed])\n"
        "print(json.dumps(probe.handler({'ports': [allowed, refused]}, None)))\n"
    )
    arguments = [sys.executable, "-c", program, str(listeners.services), str(listeners.stranger)]
    variables = {"PYTHONPATH": f"{ROOT}:{HANDLERS}"}
    output = subprocess.run(arguments, env=variables, capture_output=True, check=True, cwd=Path(ROOT)).stdout
    reached = json.loads(output)
    assert reached[str(listeners.services)] == [True, True]
    assert reached[str(listeners.stranger)] == [False, True]
