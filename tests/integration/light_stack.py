"""A stack of two parts under the real keeper and supervisor: `python light_stack.py [supervise]`.

PostgreSQL, and a shell with a child that the kernel does not tie to it, as FFmpeg is to a function.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from local.keeper import keep, supervise
from local.layout import Layout, find_layout, write_json
from local.ports import choose_ports
from local.postgres import prepare_postgres
from local.supervisor import Part, Supervisor

WORDS = "worker is at work"


def bring_up(layout: Layout, supervisor: Supervisor) -> None:
    ports = choose_ports(layout)
    supervisor.start(prepare_postgres(layout, ports.postgres, "secret").part(), worker(layout))
    supervisor.wait_ready()
    write_json(layout.stack_file, {"baseUrl": "http://127.0.0.1/light"})


def worker(layout: Layout) -> Part:
    log = layout.log_of("worker")
    return Part(
        name="worker",
        command=["sh", "-c", f"sleep 600 & echo {WORDS}; wait"],
        is_ready=lambda: WORDS in log.read_text(),
        environment={"PATH": os.environ["PATH"]},
        directory=layout.root,
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["supervise"]:
        sys.exit(supervise(find_layout(), bring_up))
    sys.exit(keep(find_layout(), [sys.executable, str(Path(__file__)), "supervise"]))
