"""Load on an HTTP API: calls back to back from a fixed number of callers, or at a fixed rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `expected` is the status that counts as right."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    expected: int = 200


@dataclass(frozen=True, slots=True)
class Measured:
    """Latencies of right answers in milliseconds; `wrong` counts all others."""

    seconds: float
    latencies_ms: tuple[float, ...]
    wrong: int = 0

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The nearest rank; infinite when nothing was answered rightly."""
        ranked = sorted(self.latencies_ms)
        return ranked[min(int(len(ranked) * percent / 100), len(ranked) - 1)] if ranked else float("inf")

    def figures(self) -> dict[str, Any]:
        """For a table or a line of results."""
        return {
            "perSecond": round(self.per_second, 1),
            "p50Ms": round(self.percentile_ms(50), 1),
            "p99Ms": round(self.percentile_ms(99), 1),
            "answers": len(self.latencies_ms),
            "wrong": self.wrong,
        }


def back_to_back(make: Callable[[], Call], *, callers: int, seconds: float) -> Measured:
    """Each caller sends its next call once the last is answered."""
    return asyncio.run(_back_to_back(make, callers, seconds))


def at_rate(make: Callable[[], Call], *, per_second: float, seconds: float) -> Measured:
    """Calls leave on time whether or not earlier ones are answered; latency counts from when each was due."""
    return asyncio.run(_at_rate(make, per_second, seconds))


async def _back_to_back(make: Callable[[], Call], callers: int, seconds: float) -> Measured:
    found: list[float | None] = []
    began = time.monotonic()

    async def caller(session: aiohttp.ClientSession) -> None:
        while time.monotonic() - began < seconds:
            found.append(await _latency_ms(session, make(), time.monotonic()))

    async with _session() as session:
        await asyncio.gather(*(caller(session) for _ in range(callers)))
    return _measured(found, time.monotonic() - began)


async def _at_rate(make: Callable[[], Call], per_second: float, seconds: float) -> Measured:
    began = time.monotonic()
    async with _session() as session, asyncio.TaskGroup() as group:
        tasks = []
        for number in range(int(per_second * seconds)):
            due = began + number / per_second
            await asyncio.sleep(max(due - time.monotonic(), 0))
            tasks.append(group.create_task(_latency_ms(session, make(), due)))
    return _measured([task.result() for task in tasks], time.monotonic() - began)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=30), auto_decompress=False
    )


async def _latency_ms(session: aiohttp.ClientSession, call: Call, since: float) -> float | None:
    """None for a wrong status or no answer."""
    try:
        async with session.request(call.method, call.url, headers=call.headers, data=call.body) as response:
            await response.read()
            right = response.status == call.expected
    except (aiohttp.ClientError, TimeoutError):
        return None
    return (time.monotonic() - since) * 1000 if right else None


def _measured(found: list[float | None], seconds: float) -> Measured:
    right = tuple(latency for latency in found if latency is not None)
    return Measured(seconds, right, wrong=len(found) - len(right))
