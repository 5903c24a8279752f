"""Invokes functions: finds a free execution environment or starts one, within a limit per function."""

import asyncio
import secrets
import time
import uuid
from dataclasses import dataclass, field

from local.runtime.config import RuntimeConfig
from local.runtime.functions import FunctionConfig, FunctionSource
from local.runtime.lineage import MOST_ROUNDS, rounds_of, trace_of_messages, with_round
from local.runtime.logs import CappedLog
from local.runtime.process import ExecutionEnvironment
from local.runtime.runtime_api import Invocation, Outcome, RuntimeApi

_ADMISSION_POLL_SECONDS = 0.01


class Throttled(RuntimeError):
    """All environments the function may have are busy."""


class LoopStopped(RuntimeError):
    """The chain of invocations came to the function too often."""


@dataclass
class _Pool:
    log: CappedLog
    idle: list[ExecutionEnvironment] = field(default_factory=list)
    busy: set[ExecutionEnvironment] = field(default_factory=set)
    starting: int = 0

    def latest_idle(self, in_background: bool) -> ExecutionEnvironment | None:
        """Takes the one that was used last."""
        found = next((one for one in reversed(self.idle) if one.in_background == in_background), None)
        if found is not None:
            self.idle.remove(found)
        return found


class Runner:
    """All environments of all functions. `invoke` is safe to call concurrently."""

    def __init__(self, config: RuntimeConfig, source: FunctionSource) -> None:
        self._config = config
        self._source = source
        self._api = RuntimeApi(config.runtime_api_port)
        self._functions: dict[str, FunctionConfig] = {}
        self._pools: dict[str, _Pool] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._api.start()
        self._reaper = asyncio.create_task(self._reap())

    async def stop(self) -> None:
        self._reaper.cancel()
        await _stop_all([*self._all_idle(), *self._all_busy()])
        await self._api.stop()
        for pool in self._pools.values():
            pool.log.close()

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        request_id: str | None = None,
        deadline_ms: int | None = None,
        trace_id: str | None = None,
        patience_seconds: float = 0,
        in_background: bool = False,
    ) -> Outcome:
        """Runs the function on an event (JSON). Its timeout counts from when it is loaded; a caller's
        `deadline_ms` (Unix time) that comes earlier wins. With patience a free environment is waited for. Work in the
        background gives way to what somebody waits for: Lambda gives each environment processors of its own.

        Raises UnknownFunction, SourceUnavailable, Throttled, LoopStopped.
        """
        function = await self._function(name)
        pool = self._pool(name)
        trace = _next_round(function, pool.log, trace_of_messages(payload, function.arn) or trace_id or _trace_id())
        environment = await self._admitted(pool, function, patience_seconds, in_background)
        try:
            failure = await self._started(pool, environment)
            if failure is not None:
                return failure
            limit_ms = int((time.time() + function.timeout_seconds) * 1000)
            return await environment.invoke(
                Invocation(
                    request_id=request_id or str(uuid.uuid4()),
                    function_arn=function.arn,
                    payload=payload,
                    trace_id=trace,
                    deadline_ms=min(limit_ms, deadline_ms or limit_ms),
                    outcome=asyncio.get_running_loop().create_future(),
                )
            )
        finally:
            await self._release(pool, environment)

    async def reload(self) -> None:
        """Forgets what was read of functions; environments of the old configuration end when free."""
        self._functions.clear()
        idle = self._all_idle()
        for pool in self._pools.values():
            pool.idle.clear()
        await _stop_all(idle)

    def describe(self) -> list[dict[str, object]]:
        """All environments, see `ExecutionEnvironment.describe`."""
        return [environment.describe() for environment in (*self._all_busy(), *self._all_idle())]

    async def account_id(self, name: str) -> str:
        """The account a function belongs to. Raises as `invoke`."""
        return (await self._function(name)).arn.split(":")[4]

    async def _function(self, name: str) -> FunctionConfig:
        if name not in self._functions:
            self._functions[name] = await self._source.function(name)
        return self._functions[name]

    def _pool(self, name: str) -> _Pool:
        if name not in self._pools:
            path = self._config.logs_dir / "functions" / f"{name}.log"
            self._pools[name] = _Pool(CappedLog(path, self._config.log_limit_bytes))
        return self._pools[name]

    async def _admitted(
        self, pool: _Pool, function: FunctionConfig, patience_seconds: float, in_background: bool
    ) -> ExecutionEnvironment:
        give_up = time.monotonic() + patience_seconds
        while (environment := self._claim(pool, function, in_background)) is None:
            if time.monotonic() >= give_up and len(pool.busy) >= self._limit(function):
                raise Throttled(function.name)
            await asyncio.sleep(_ADMISSION_POLL_SECONDS)
        return environment

    def _claim(self, pool: _Pool, function: FunctionConfig, in_background: bool) -> ExecutionEnvironment | None:
        """None over the limit, or while enough are starting. Without an await in it, so that the limits hold."""
        while (environment := pool.latest_idle(in_background)) is not None:
            if environment.usable():
                pool.busy.add(environment)
                return environment
            self._retire(environment)
        if len(pool.busy) >= self._limit(function) or pool.starting >= self._config.max_starting:
            return None
        environment = ExecutionEnvironment(function, self._config, self._api, pool.log, in_background)
        pool.busy.add(environment)
        pool.starting += 1
        return environment

    def _limit(self, function: FunctionConfig) -> int:
        most = self._config.max_concurrency
        return most if function.reserved_concurrency is None else min(most, function.reserved_concurrency)

    async def _started(self, pool: _Pool, environment: ExecutionEnvironment) -> Outcome | None:
        if environment.alive:
            return None
        try:
            return await environment.start(await self._source.credentials(environment.function))
        finally:
            pool.starting -= 1

    async def _release(self, pool: _Pool, environment: ExecutionEnvironment) -> None:
        current = self._functions.get(environment.function.name)
        pool.busy.discard(environment)
        if environment.usable() and current is environment.function:
            pool.idle.append(environment)
            return
        await environment.stop()

    def _retire(self, environment: ExecutionEnvironment) -> None:
        task = asyncio.create_task(environment.stop())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(self._config.reap_seconds)
            oldest = time.monotonic() - self._config.idle_seconds
            for pool in self._pools.values():
                self._drop_idle(pool, oldest)

    def _drop_idle(self, pool: _Pool, oldest: float) -> None:
        kept = [item for item in pool.idle if item.usable() and item.idle_since > oldest]
        for environment in set(pool.idle) - set(kept):
            self._retire(environment)
        pool.idle[:] = kept

    def _all_idle(self) -> list[ExecutionEnvironment]:
        return [environment for pool in self._pools.values() for environment in pool.idle]

    def _all_busy(self) -> list[ExecutionEnvironment]:
        return [environment for pool in self._pools.values() for environment in pool.busy]


async def _stop_all(environments: list[ExecutionEnvironment]) -> None:
    await asyncio.gather(*(environment.stop() for environment in environments))


def _next_round(function: FunctionConfig, log: CappedLog, trace: str) -> str:
    """The trace header of the invocation that is about to begin. Raises LoopStopped."""
    if rounds_of(trace, function.arn) >= MOST_ROUNDS and not function.may_loop:
        log.write_text(f"LOOP STOPPED after {MOST_ROUNDS} rounds: {function.name} {trace}")
        raise LoopStopped(function.arn)
    return with_round(trace, function.arn)


def _trace_id() -> str:
    root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    return f"Root={root};Parent={secrets.token_hex(8)};Sampled=0"
