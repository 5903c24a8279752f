"""Tries to connect to ports, from the function's own process and from a child of it."""

import socket
import subprocess
import sys
from typing import Any

_CHILD = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=2)"


def handler(event: dict[str, Any], _context: Any) -> dict[str, list[bool]]:
    """Per port: whether the process got through, whether a child did."""
    return {str(port): [_connects(port), _child_connects(port)] for port in event["ports"]}


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except PermissionError:
        return False
    return True


def _child_connects(port: int) -> bool:
    child = subprocess.run([sys.executable, "-c", _CHILD, str(port)], capture_output=True, timeout=10, check=False)
    return child.returncode == 0
