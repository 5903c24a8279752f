"""The local runner with real processes of AWS's runtime client."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime_handlers.started import Answer, Runtime, call, running_runtime

ECHO = {"handler": "echo.handler", "timeout": 10, "memory": 256}
FUNCTIONS: dict[str, dict[str, Any]] = {
    "echo": {**ECHO, "environment": {"COLOUR": "green"}},
    "hasty": {**ECHO, "timeout": 1},
    "single": {**ECHO, "reservedConcurrency": 1},
    "unloadable": {"handler": "broken_import.handler"},
    "misnamed": {"handler": "echo.no_such_function"},
    "looping": {**ECHO, "mayLoop": True},
    "small": {**ECHO, "storage": 30},
}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    with running_runtime(tmp_path_factory.mktemp("runner"), FUNCTIONS, max_concurrency=3) as started:
        yield started


def test_a_function_sees_lambda_and_nothing_of_the_machine(runtime: Runtime) -> None:
    seen = runtime.invoke("echo", {"do": "describe"}, {"X-Amzn-Lambda-Request-Id": "r-1"}).json
    environment = seen["environment"]
    assert seen["requestId"] == "r-1"
    assert seen["arn"].endswith(":function:echo")
    assert 0 < seen["remainingMs"] <= 10_000
    assert environment["COLOUR"] == "green"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["PATH"].startswith(str(runtime.config.opt_bin_dir))
    assert "USER" not in environment
    assert not set(os.environ) & set(environment) - {"PATH", "HOME", "LANG", "TMPDIR", "TZ", "PYTHONPATH"}


def test_work_of_a_queue_gives_way_to_what_somebody_waits_for(runtime: Runtime) -> None:
    records = {"Records": [{"eventSource": "aws:sqs"}]}
    waited_for, of_a_queue = (runtime.invoke("echo", {"do": "describe", **more}).json["pid"] for more in ({}, records))
    assert niceness(of_a_queue) > niceness(waited_for)


def niceness(process: int) -> int:
    """That of its session too, by which kernels with autogroups choose."""
    own, session = os.getpriority(os.PRIO_PROCESS, process), Path(f"/proc/{process}/autogroup")
    if session.exists() and Path("/proc/sys/kernel/sched_autogroup_enabled").read_text() == "1\n":
        assert session.read_text().endswith(f" nice {own}\n")
    return own


def test_the_next_call_meets_the_same_process(runtime: Runtime) -> None:
    pids = {runtime.invoke("echo", {"do": "describe"}).json["pid"] for _ in range(3)}
    assert len(pids) == 1


def test_concurrent_calls_get_environments_of_their_own(runtime: Runtime) -> None:
    with ThreadPoolExecutor(3) as threads:
        pids = list(threads.map(lambda _: runtime.invoke("echo", {"do": "sleep", "seconds": 1}).json, range(3)))
    assert len(set(pids)) == 3


def test_a_burst_of_calls_is_no_burst_of_processes(tmp_path: Path) -> None:
    started = running_runtime(tmp_path, FUNCTIONS, max_concurrency=40, max_starting=1)
    with started as runtime, ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: runtime.invoke("echo", {"do": "describe"}), range(40)))
    assert {answer.status for answer in answers} == {200}
    # Those that were busy were free again before others had started.
    assert len({answer.json["pid"] for answer in answers}) < 20


def test_a_call_over_the_limit_is_throttled(runtime: Runtime) -> None:
    with ThreadPoolExecutor(2) as threads:
        calls = threads.map(lambda _: runtime.invoke("single", {"do": "sleep", "seconds": 1}).status, range(2))
    assert sorted(calls) == [200, 429]


def test_a_function_has_no_more_temporary_storage_than_it_was_given(runtime: Runtime) -> None:
    assert runtime.invoke("small", {"do": "fill", "mb": 20}).json == 20
    ended = runtime.invoke("small", {"do": "fill", "mb": 200})
    assert (ended.status, ended.json["errorType"]) == (502, "Sandbox.StorageFull")
    assert "No space left on device" in ended.json["errorMessage"]
    # What it held went with its environment.
    assert runtime.invoke("small", {"do": "fill", "mb": 20}).json == 20


def test_what_a_function_leaves_in_its_temporary_storage_counts_for_the_next_call(runtime: Runtime) -> None:
    assert runtime.invoke("small", {"do": "fill", "mb": 9}).json == 9
    assert runtime.invoke("small", {"do": "fill", "mb": 25}).status == 502


def test_a_chain_is_ended_at_its_seventeenth_round_as_lambda_does(runtime: Runtime) -> None:
    statuses = [answer.status for answer in _chain(runtime, "echo", 17)]
    assert statuses == [200] * 16 + [400]


def test_a_chain_that_is_allowed_goes_on(runtime: Runtime) -> None:
    assert [answer.status for answer in _chain(runtime, "looping", 20)] == [200] * 20


def test_rounds_of_other_functions_are_not_counted(runtime: Runtime) -> None:
    *_, last = _chain(runtime, "looping", 20)
    trace = last.json["environment"]["_X_AMZN_TRACE_ID"]
    assert runtime.invoke("echo", {"do": "describe"}, {"X-Amzn-Trace-Id": trace}).status == 200


def test_a_chain_that_comes_by_a_queue_is_counted_by_its_longest_message(runtime: Runtime) -> None:
    *_, last = _chain(runtime, "echo", 16)
    traces = ["Root=1-67891233-abcdef012345678912345678", last.json["environment"]["_X_AMZN_TRACE_ID"]]
    records = [{"eventSource": "aws:sqs", "attributes": {"AWSTraceHeader": trace}} for trace in traces]
    ended = runtime.invoke("echo", {"do": "describe", "Records": records})
    assert (ended.status, ended.json["errorType"]) == (400, "RecursiveInvocationException")
    assert runtime.invoke("echo", {"do": "describe", "Records": records[:1]}).status == 200


def test_a_raised_error_is_answered_in_lambdas_shape(runtime: Runtime) -> None:
    answer = runtime.invoke("echo", {"do": "fail"})
    assert answer.status == 502
    assert answer.json["errorType"] == "ValueError"
    assert answer.json["errorMessage"] == "as asked"


@pytest.mark.parametrize(("wish", "ended"), [("die", "signal: killed"), ("exit", "exit status 3")])
def test_a_crash_fails_the_call_and_the_next_one_starts_anew(runtime: Runtime, wish: str, ended: str) -> None:
    crashed = runtime.invoke("echo", {"do": wish})
    assert crashed.status == 502
    assert crashed.json["errorType"] == "Runtime.ExitError"
    assert crashed.json["errorMessage"].endswith(ended)
    assert runtime.invoke("echo", {"do": "describe"}).status == 200


def test_a_timeout_ends_the_function_and_what_it_started(runtime: Runtime, tmp_path: Path) -> None:
    note = tmp_path / "pids"
    answer = runtime.invoke("hasty", {"do": "hang", "note": str(note)})
    assert answer.json["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in answer.json["errorMessage"]
    assert [pid for pid in note.read_text().split() if _runs(pid)] == []


def test_an_earlier_deadline_of_the_caller_counts(runtime: Runtime) -> None:
    deadline = {"X-Amzn-Lambda-Deadline-Ms": str(int(time.time() * 1000) + 500)}
    answer = runtime.invoke("single", {"do": "sleep", "seconds": 9}, deadline)
    assert answer.json["errorType"] == "Sandbox.Timedout"


@pytest.mark.parametrize(
    ("function", "error_type"),
    [("unloadable", "Runtime.ImportModuleError"), ("misnamed", "Runtime.HandlerNotFound")],
)
def test_a_function_that_cannot_be_loaded_says_so(runtime: Runtime, function: str, error_type: str) -> None:
    answer = runtime.invoke(function, {})
    assert (answer.status, answer.json["errorType"]) == (502, error_type)


def test_an_answer_over_six_megabytes_is_an_error(runtime: Runtime) -> None:
    answer = runtime.invoke("echo", {"do": "large", "size": 7_000_000})
    assert answer.json["errorType"] == "Function.ResponseSizeTooLarge"
    assert runtime.invoke("echo", {"do": "large", "size": 6_000_000}).status == 200


def test_an_unknown_function_is_not_found(runtime: Runtime) -> None:
    assert runtime.invoke("nobody", {}).status == 404


def test_output_stands_between_start_and_end_of_its_request(runtime: Runtime) -> None:
    runtime.invoke("single", {"do": "print"}, {"X-Amzn-Lambda-Request-Id": "r-print"})
    log = runtime.function_log("single")
    request = log[log.index("START RequestId: r-print") : log.index("END RequestId: r-print")]
    assert request.splitlines()[1:] == ["a line of output", "a line of trouble"]
    assert "REPORT RequestId: r-print\tDuration: " in log


def test_a_reload_reads_the_functions_again(runtime: Runtime) -> None:
    before = runtime.invoke("echo", {"do": "describe"}).json["environment"]
    sources = runtime.config.functions_file
    assert sources is not None
    sources.write_text(sources.read_text().replace("green", "blue"))
    call(runtime.config.runner_port, "POST", "/reload", {})
    after = runtime.invoke("echo", {"do": "describe"}).json["environment"]
    assert (before["COLOUR"], after["COLOUR"]) == ("green", "blue")
    assert not Path(before["TMPDIR"]).exists()


def test_idle_environments_are_ended(tmp_path: Path) -> None:
    with running_runtime(tmp_path, {"echo": ECHO}, idle_seconds=0.1, reap_seconds=0.1) as runtime:
        pid = runtime.invoke("echo", {"do": "describe"}).json["pid"]
        assert _comes_true(lambda: not _runs(pid))


def test_a_killed_runner_leaves_no_process_and_no_files(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    with running_runtime(tmp_path, {"echo": ECHO}) as runtime, ThreadPoolExecutor(1) as threads:
        idle = runtime.invoke("echo", {"do": "describe"}).json
        hanging = threads.submit(runtime.invoke, "echo", {"do": "hang", "note": str(note)})
        assert _comes_true(lambda: note.exists() and len(note.read_text().split()) == 2)
        runtime.process.kill()
        assert isinstance(hanging.exception(), OSError)
        pids = [str(idle["pid"]), *note.read_text().split()]
        assert _comes_true(lambda: not any(_runs(pid) for pid in pids))
        assert _comes_true(lambda: not Path(idle["environment"]["TMPDIR"]).exists())


def _chain(runtime: Runtime, function: str, rounds: int) -> list[Answer]:
    """Each round is called with the trace header that botocore would send in the one before."""
    trace, answers = "Root=1-67891233-abcdef012345678912345678;Sampled=0", []
    for _ in range(rounds):
        answers.append(runtime.invoke(function, {"do": "describe"}, {"X-Amzn-Trace-Id": trace}))
        trace = answers[-1].json.get("environment", {}).get("_X_AMZN_TRACE_ID", trace)
    return answers


def _runs(pid: object) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _comes_true(condition: Callable[[], bool], within_seconds: float = 15) -> bool:
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
