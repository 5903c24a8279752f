"""Chromium without a window, told what to do over the pipe of its DevTools protocol."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

from tests.patience import PATIENCE_SECONDS

# For a browser that hangs; no step of a test comes near.
FLAGS = (
    "--headless",
    "--no-sandbox",  # it has none for root; all it opens here is ours
    "--remote-debugging-pipe",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)
# The browser reads file 3 and writes file 4; ours have numbers that these cannot overwrite.
START = 'exec "${@:3}" 3<&"$1" 4>&"$2"'
LOWEST_OWN_FILE = 10


class PageFailed(Exception):
    """The page threw, or the browser refused a command."""


@dataclass
class Browser:
    """A running browser; `commands` and `answers` are files of its pipe."""

    commands: int
    answers: int
    process: subprocess.Popen[bytes]
    _last_id: int = 0
    _unread: bytes = field(default=b"", repr=False)

    def open(self, address: str) -> Page:
        """A page of its own, loaded."""
        target = self.send("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self.send("Page.enable", {}, session)
        self.send("Page.navigate", {"url": address}, session)
        while self._message().get("method") != "Page.loadEventFired":
            pass
        return Page(self, session)

    def send(self, method: str, params: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """The command's result; events that come before it are passed over. Raises PageFailed."""
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": params}
        os.write(self.commands, json.dumps(command | ({"sessionId": session} if session else {})).encode() + b"\0")
        while (message := self._message()).get("id") != self._last_id:
            pass
        if "error" in message:
            raise PageFailed(f"{method}: {message['error']}")
        result: dict[str, Any] = message["result"]
        return result

    def _message(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_SECONDS
        while b"\0" not in self._unread:
            if not select([self.answers], [], [], max(end - time.monotonic(), 0))[0]:
                raise PageFailed("the browser does not answer")
            read = os.read(self.answers, 2**16)
            if not read:
                raise PageFailed("the browser has ended")
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed


@dataclass(frozen=True)
class Page:
    """A page, by its session."""

    browser: Browser
    session: str

    def call(self, function: str, *arguments: object) -> Any:
        """What a function of the page returns, or its promise brings, as JSON. Raises PageFailed when it throws."""
        told = ", ".join(map(json.dumps, arguments))
        asked = {"expression": f"{function}({told})", "awaitPromise": True, "returnByValue": True}
        done = self.browser.send("Runtime.evaluate", asked, self.session)
        if "exceptionDetails" in done:
            raise PageFailed(done["exceptionDetails"]["exception"]["description"])
        return done["result"].get("value")


@contextmanager
def running(program: Path, folder: Path) -> Iterator[Browser]:
    """The browser with a new profile and its log in `folder`; it ends with the pipe."""
    its_commands, commands = _pipe()
    answers, its_answers = _pipe()
    start = ["bash", "-c", START, "-", str(its_commands), str(its_answers), str(program)]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [*start, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(its_commands, its_answers),
        )
    os.close(its_commands)
    os.close(its_answers)
    try:
        yield Browser(commands, answers, process)
    finally:
        os.close(commands)
        os.close(answers)
        _wait(process)


def _pipe() -> tuple[int, int]:
    """Its end to read and its end to write."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, LOWEST_OWN_FILE) for file in low)
    for file in low:
        os.close(file)
    return high[0], high[1]


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
