"""One execution environment seen from the runner: its processes, its output, its invocations."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from local.runtime.config import RuntimeConfig
from local.runtime.functions import FunctionConfig, RoleCredentials
from local.runtime.logs import CappedLog, OutputPipe
from local.runtime.runtime_api import Invocation, Outcome, RuntimeApi, Slot
from local.runtime.variables import environment_variables

_STOP_SECONDS = 2.0
_INIT_SECONDS = 10.0  # Lambda's limit, extended by the function's own timeout as its second try is
_EXPIRY_MARGIN_SECONDS = 60.0
_BACKGROUND_NICENESS = "5"
_LOOK_SECONDS = 0.25


class ExecutionEnvironment:
    """Started once, invoked one event at a time, stopped once. `alive` turns false when the process ends."""

    def __init__(
        self,
        function: FunctionConfig,
        config: RuntimeConfig,
        api: RuntimeApi,
        log: CappedLog,
        in_background: bool = False,
    ) -> None:
        self.function = function
        self.in_background = in_background
        self.alive = False
        self.idle_since = time.monotonic()
        self._init_ms: float | None = None
        self._config = config
        self._api = api
        self._log = log
        self._watch: asyncio.Task[None] | None = None

    async def start(self, credentials: RoleCredentials) -> Outcome | None:
        """None when the handler is loaded, else the failed initialisation; then it has stopped."""
        began = time.monotonic()
        self._credentials = credentials
        self._slot: Slot = await self._api.open()
        self._pipe = OutputPipe(self._log)
        self._scratch = Path(tempfile.mkdtemp(prefix=f"{self.function.name}-"))
        self._process = await self._spawn()
        self._pipe.close_write_end()
        self.alive = True
        self._watch = asyncio.create_task(self._watch_exit())
        failure = await self._initialised()
        self._init_ms = (time.monotonic() - began) * 1000
        if failure is not None:
            self._pipe.drain()
            await self.stop()
        return failure

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Always an outcome: the function's, or of its timeout or crash; after those it has stopped."""
        init_ms, self._init_ms = self._init_ms, None
        self._log.write_text(f"START RequestId: {invocation.request_id} Version: $LATEST")
        began = time.monotonic()
        self._slot.current = invocation
        self._slot.offers.put_nowait(invocation)
        if not self.alive:
            self._slot.settle(_exit_error(invocation.request_id, self._process.returncode))
        await self._watched(invocation)
        outcome = await self._outcome(invocation)
        self._slot.current = None
        self._report(invocation.request_id, (time.monotonic() - began) * 1000, init_ms)
        self.idle_since = time.monotonic()
        return outcome

    def usable(self) -> bool:
        """Whether it is free and its credentials outlast one more invocation."""
        if not self.alive or self._slot.current is not None:
            return False
        needed_seconds = self.function.timeout_seconds + _EXPIRY_MARGIN_SECONDS
        return self._credentials.expires_at - time.time() > needed_seconds

    async def stop(self) -> None:
        """Ends every process of the environment and removes its temporary folder. Idempotent."""
        if self._watch is None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(self._watch), _STOP_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._watch

    def describe(self) -> dict[str, object]:
        """`guardPid` leads the process group; `requestId` is null when idle or starting."""
        if self._watch is None:
            return {"function": self.function.name, "guardPid": None, "requestId": None}
        current = self._slot.current
        request_id = current.request_id if current else None
        return {"function": self.function.name, "guardPid": self._process.pid, "requestId": request_id}

    async def _spawn(self) -> asyncio.subprocess.Process:
        config, function = self._config, self.function
        world = config.worlds.inside if function.inside else config.worlds.outside
        ports = ",".join(str(port) for port in (*world.ports, self._api.port))
        variables = environment_variables(
            function,
            self._credentials,
            config,
            runtime_api=f"{self._slot.address}:{self._api.port}",
            scratch=self._scratch,
        )
        return await asyncio.create_subprocess_exec(
            *(("nice", "-n", _BACKGROUND_NICENESS) if self.in_background else ()),
            str(config.python_executable),
            *("-m", "local.runtime.environment", str(os.getpid()), ports, function.handler),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._pipe.write_fd,
            stderr=self._pipe.write_fd,
            cwd=config.project_root,
            env=variables,
            start_new_session=True,
        )

    async def _initialised(self) -> Outcome | None:
        limit_seconds = _INIT_SECONDS + self.function.timeout_seconds
        await asyncio.wait({self._slot.ready}, timeout=limit_seconds)
        if self._slot.ready.done():
            return self._slot.ready.result()
        return Outcome.failed("Sandbox.Timedout", f"Initialisation took over {limit_seconds:.0f} seconds")

    async def _watched(self, invocation: Invocation) -> None:
        """Until it is answered, its time is over, or it has filled its `/tmp`.

        Lambda answers a write with ENOSPC then. Nobody but root could here, so that the invocation is ended instead.
        """
        while (left_seconds := invocation.deadline_ms / 1000 - time.time()) > 0:
            await asyncio.wait({invocation.outcome}, timeout=min(left_seconds, _LOOK_SECONDS))
            held_mb = held_bytes(self._scratch) / 1024**2
            if held_mb > self.function.storage_mb:
                held = f"/tmp holds {held_mb:.0f} of {self.function.storage_mb} MB"
                sentence = f"RequestId: {invocation.request_id} Error: No space left on device: {held}"
                self._log.write_text(sentence)
                self._slot.settle(Outcome.failed("Sandbox.StorageFull", sentence))
                await self.stop()
            if invocation.outcome.done():
                return

    async def _outcome(self, invocation: Invocation) -> Outcome:
        self._pipe.drain()
        if not invocation.outcome.done():
            await self.stop()
            return self._timed_out(invocation.request_id)
        outcome = invocation.outcome.result()
        if outcome.error_type == "Function.ResponseSizeTooLarge":
            await self.stop()  # the runtime client ends when its answer is refused
        return outcome

    async def _watch_exit(self) -> None:
        code = await self._process.wait()
        self.alive = False
        self._pipe.drain()
        self._pipe.close()
        current = self._slot.current
        self._slot.settle(_exit_error(current.request_id if current else "none", code))
        await self._api.close(self._slot)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _timed_out(self, request_id: str) -> Outcome:
        sentence = f"Task timed out after {self.function.timeout_seconds:.2f} seconds"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._log.write_text(f"{now} {request_id} {sentence}")
        return Outcome.failed("Sandbox.Timedout", f"RequestId: {request_id} Error: {sentence}")

    def _report(self, request_id: str, duration_ms: float, init_ms: float | None) -> None:
        fields = [
            f"RequestId: {request_id}",
            f"Duration: {duration_ms:.2f} ms",
            f"Billed Duration: {int(duration_ms) + 1} ms",
            f"Memory Size: {self.function.memory_mb} MB",
        ]
        if init_ms is not None:
            fields.append(f"Init Duration: {init_ms:.2f} ms")
        self._log.write_text(f"END RequestId: {request_id}")
        self._log.write_text("REPORT " + "\t".join(fields))


def held_bytes(folder: Path) -> int:
    """The bytes a folder's files take on the disk; those that go meanwhile count for nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).lstat().st_blocks * 512
    return total


def _exit_error(request_id: str, code: int | None) -> Outcome:
    """The words of Lambda. The guard's code is the function's, 128 + n for signal n."""
    code = code or 0
    number = -code if code < 0 else code - 128
    ended = f"exit status {code}"
    if number in {item.value for item in signal.Signals}:
        ended = f"signal: {(signal.strsignal(number) or str(number)).lower()}"
    return Outcome.failed("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {ended}")
