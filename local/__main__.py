"""The local stack's command line: `python -m local COMMAND`; see local/command_line.py."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    # Nothing runs yet that must be stopped: Ctrl-C ends the process as it ends any, not even imports print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from local.command_line import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
