"""What runs in FFmpeg's place is ended in time with all its children, knows nothing of us and works in private."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from shared.adapters.ffmpeg import FfmpegEncoder
from shared.domain.errors import BadMedia, Conflict
from tests.footage import clip, encoder

ROOT = Path(__file__).parents[2]


def pretender(tmp_path: Path, body: str) -> str:
    """A program in FFmpeg's place."""
    program = tmp_path / "pretender"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o700)
    return str(program)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("leader_ends", [False, True])
def test_children_of_children_end_with_it(tmp_path: Path, leader_ends: bool) -> None:
    noted = tmp_path / "pids"
    rest = "exit 0" if leader_ends else "wait"
    program = pretender(tmp_path, f"( sleep 600 & echo $! > {noted}.new; mv {noted}.new {noted}; wait ) &\n"
                                  f"while [ ! -e {noted} ]; do sleep 0.01; done\n{rest}")  # fmt: skip
    left = iter([60.0])
    ours = FfmpegEncoder(
        program, should_stop=noted.exists, seconds_left=lambda: next(left, 4.9) if noted.exists() else 60.0
    )
    (tmp_path / "clip-0.mp4").write_bytes(b"x")
    with pytest.raises((Conflict, BadMedia)):
        ours.probe(tmp_path / "clip-0.mp4")
    sleeper = int(noted.read_text())
    ended_by = time.monotonic() + 30
    while alive(sleeper) and time.monotonic() < ended_by:
        time.sleep(0.02)
    assert not alive(sleeper)


def test_it_is_ended_five_seconds_before_the_deadline(tmp_path: Path) -> None:
    program, left = pretender(tmp_path, "sleep 600"), iter([60.0, 10.0, 5.1, 4.9])
    ours = FfmpegEncoder(program, should_stop=lambda: False, seconds_left=lambda: next(left))
    (tmp_path / "clip-0.mp4").write_bytes(b"x")
    with pytest.raises(Conflict) as stopped:
        ours.probe(tmp_path / "clip-0.mp4")
    assert stopped.value.code == "out_of_time"
    assert next(left, None) is None


def test_nothing_of_our_environment_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for children")
    seen = tmp_path / "seen"
    program = pretender(tmp_path, f"tr '\\0' '\\n' < /proc/$$/environ > {seen}; umask >> {seen}")
    FfmpegEncoder(program, should_stop=lambda: False, seconds_left=lambda: 60).thumbnail(seen, seen)
    assert seen.read_text().split() == ["0077"]


# As an ordinary user, as whom Lambda runs functions: root reads every process. Changing the user hides a process as
# well, which is undone first (PR_SET_DUMPABLE is 4).
AS_AN_ORDINARY_USER = """
import ctypes, encodings.latin_1, os, sys
from pathlib import Path
from shared.adapters.ffmpeg import FfmpegEncoder
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
encoder = FfmpegEncoder(sys.argv[1], should_stop=lambda: False, seconds_left=lambda: 60)
encoder.thumbnail(Path(sys.argv[2]), Path(sys.argv[2]))
"""


def test_it_cannot_read_its_parents_environment_nor_gain_privileges() -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder, "seen")
        program = pretender(Path(folder), f"(cat /proc/$PPID/environ; cat /proc/self/status) > {seen} 2>&1")
        for path in (folder, program) if os.getuid() == 0 else ():
            os.chown(path, 65534, 65534)
        environment = {"AWS_SECRET_ACCESS_KEY": "not-for-children", "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", AS_AN_ORDINARY_USER, program, seen], env=environment, check=True)
        text = seen.read_text()

    assert "not-for-children" not in text
    assert "Permission denied" in text
    assert "NoNewPrivs:\t1" in text


def test_it_works_in_a_private_folder_only(tmp_path: Path) -> None:
    shared = tmp_path / "open"
    shared.mkdir()
    shared.chmod(0o755)
    path = clip(shared / "clip-0.mp4")
    with pytest.raises(PermissionError, match="private"):
        encoder().probe(path)
    shared.chmod(0o700)
    encoder().thumbnail(path, shared / "thumbnail.jpg")
    assert stat.S_IMODE((shared / "thumbnail.jpg").stat().st_mode) == 0o600


def test_a_stopped_one_leaves_no_process(tmp_path: Path) -> None:
    program = pretender(tmp_path, f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; sleep 600")
    pid = tmp_path / "pid"
    ours = FfmpegEncoder(program, should_stop=pid.exists, seconds_left=lambda: 60)
    (tmp_path / "clip-0.mp4").write_bytes(b"x")
    with pytest.raises(Conflict, match="stopped"):
        ours.probe(tmp_path / "clip-0.mp4")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), signal.SIG_DFL)
