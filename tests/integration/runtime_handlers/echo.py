"""Returns what it was given, or misbehaves as `do` in the event or its query asks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    wish = event.get("do") or (event.get("queryStringParameters") or {}).get("do")
    return _WISHES[wish or "proxy"](event, context)


def _proxy(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    import json

    return {"statusCode": 200, "headers": {"X-From": "echo"}, "body": json.dumps(event)}


def _describe(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return {
        "event": event,
        "requestId": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "remainingMs": context.get_remaining_time_in_millis(),
        "environment": dict(os.environ),
        "pid": os.getpid(),
        "cwd": str(Path.cwd()),
    }


def _fail(_event: dict[str, Any], _context: Any) -> None:
    raise ValueError("as asked")


def _exit(_event: dict[str, Any], _context: Any) -> None:
    sys.exit(3)


def _die(_event: dict[str, Any], _context: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sleep(event: dict[str, Any], _context: Any) -> int:
    time.sleep(float(event.get("seconds", 0.5)))
    return os.getpid()


def _nap(_event: dict[str, Any], _context: Any) -> dict[str, int]:
    time.sleep(3)
    return {"statusCode": 200}


def _hang_with_child(event: dict[str, Any], _context: Any) -> None:
    """The child leads a session of its own, so that killing a process group does not reach it."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    Path(event["note"]).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)


def _print(_event: dict[str, Any], _context: Any) -> None:
    print("a line of output")
    print("a line of trouble", file=sys.stderr)


def _large(event: dict[str, Any], _context: Any) -> str:
    return "x" * int(event.get("size", 7_000_000))


def _fill(event: dict[str, Any], _context: Any) -> int:
    """Writes so many MB, a little at a time, and answers how many."""
    folder = Path(os.environ["TMPDIR"]) / "deep"
    folder.mkdir(exist_ok=True)
    for number in range(int(event["mb"])):
        (folder / f"{time.time_ns()}-{number}").write_bytes(b"x" * 2**20)
        time.sleep(0.02)
    return int(event["mb"])


def _malformed(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return {"hello": "no status code"}


def _picture(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return {"statusCode": 200, "headers": {"Content-Type": "image/png"}, "body": "iVBORw==", "isBase64Encoded": True}


def _cookies(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return {"statusCode": "201", "headers": {"Date": "now"}, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}}


_WISHES = {
    "proxy": _proxy,
    "describe": _describe,
    "fail": _fail,
    "exit": _exit,
    "die": _die,
    "sleep": _sleep,
    "nap": _nap,
    "hang": _hang_with_child,
    "print": _print,
    "large": _large,
    "fill": _fill,
    "malformed": _malformed,
    "picture": _picture,
    "cookies": _cookies,
}
