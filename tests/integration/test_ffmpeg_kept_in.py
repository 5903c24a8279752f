"""What runs in FFmpeg's place is ended in time with all its children, knows nothing of us and works in private."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from shared.adapters import hardening, landlock
from shared.adapters.ffmpeg import FfmpegEncoder
from shared.domain.errors import BadMedia, Conflict
from tests.footage import FFMPEG, clip, encoder
from tests.scripted_server import always, reply, scripted

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
    program = pretender(
        tmp_path,
        f"( sleep 600 & echo $! > {noted}.new; mv {noted}.new {noted}; wait ) &\n"
        f"while [ ! -e {noted} ]; do sleep 0.01; done\n{rest}",
    )
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
    pid, mask, environments, sessions = tmp_path / "pid", tmp_path / "mask", list[bytes](), list[int]()
    program = pretender(tmp_path, f"umask > {mask}; echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 600")

    def look() -> bool:
        if pid.exists():
            environments.append(Path(f"/proc/{int(pid.read_text())}/environ").read_bytes())
            sessions.append(os.getsid(int(pid.read_text())))
        return bool(environments)

    (tmp_path / "clip-0.mp4").write_bytes(b"x")
    with pytest.raises(Conflict):
        FfmpegEncoder(program, should_stop=look, seconds_left=lambda: 60).probe(tmp_path / "clip-0.mp4")
    assert (environments, mask.read_text()) == ([b""], "0077\n")
    assert sessions == [os.getsid(0)]  # whose share of the processors it has


# As an ordinary user, as whom Lambda runs functions: root reads every process. Changing the user hides a process as
# well, which is undone first (PR_SET_DUMPABLE is 4).
AS_AN_ORDINARY_USER = """
import ctypes, encodings.latin_1, os, sys
from pathlib import Path
from shared.adapters import hardening
from shared.adapters.ffmpeg import FfmpegEncoder
if sys.argv[3] == "without Landlock":
    hardening.has_landlock = lambda: False
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
encoder = FfmpegEncoder(sys.argv[1], should_stop=lambda: False, seconds_left=lambda: 60)
encoder.thumbnail(Path(sys.argv[2]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("kernel", ["with Landlock", "without Landlock"])
def test_it_cannot_read_its_parents_environment_nor_gain_privileges(kernel: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder, "seen")
        program = pretender(Path(folder), f"(cat /proc/$PPID/environ; cat /proc/self/status) > {seen} 2>&1; exit 0")
        for path in (folder, program) if os.getuid() == 0 else ():
            os.chown(path, 65534, 65534)
        environment = {"AWS_SECRET_ACCESS_KEY": "not-for-children", "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", AS_AN_ORDINARY_USER, program, seen, kernel], env=environment, check=True)
        text = seen.read_text()

    assert "not-for-children" not in text
    assert "Permission denied" in text
    # A child that is kept to its files does not even read what the kernel says of itself.
    assert ("NoNewPrivs:\t1" in text) == (kernel == "without Landlock" or not hardening.has_landlock())


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


needs_landlock = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
NO_NEW_PRIVILEGES = re.compile(r"NoNewPrivs:\t(\d)")
INPUT = ("-v", "error", "-nostdin", "-i")


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of somebody else's, with a clip and a secret."""
    folder = tmp_path_factory.mktemp("elsewhere")
    clip(folder / "canary.mp4")
    (folder / "secret").write_text("canary")
    return folder


def bare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What a child that nothing keeps in does."""
    return subprocess.run([FFMPEG, *map(str, arguments)], capture_output=True, text=True, check=False)


@needs_landlock
def test_it_reads_no_file_elsewhere_whatever_its_arguments_say(tmp_path: Path, elsewhere: Path) -> None:
    mine = clip(tmp_path / "clip-0.mp4")
    stolen = [*INPUT, f"file:{elsewhere / 'canary.mp4'}", "-c", "copy", f"file:{tmp_path / 'stolen.mp4'}"]
    assert bare("-y", *stolen).returncode == 0
    (tmp_path / "stolen.mp4").unlink()

    with pytest.raises(BadMedia):
        encoder()._run(stolen, mine, tmp_path / "stolen.mp4")

    assert not (tmp_path / "stolen.mp4").exists()
    assert encoder().probe(mine).video


@needs_landlock
def test_it_writes_nothing_elsewhere(tmp_path: Path, elsewhere: Path) -> None:
    mine = clip(tmp_path / "clip-0.mp4")
    written = [*INPUT, f"file:{mine}", "-c", "copy", "-y", f"file:{elsewhere / 'canary.mp4'}"]
    before = (elsewhere / "canary.mp4").read_bytes()

    with pytest.raises(BadMedia):
        encoder()._run(written, mine)

    assert (elsewhere / "canary.mp4").read_bytes() == before


@needs_landlock
def test_what_it_starts_lists_reads_writes_and_removes_nothing_elsewhere(tmp_path: Path, elsewhere: Path) -> None:
    secret, seen = elsewhere / "secret", tmp_path / "seen"
    tries = [f"cat {secret}", "cat /etc/passwd", "cat /proc/1/environ", f"ls {elsewhere}", "ls /tmp"]
    tries += [f"rm -f {secret}", f"cp /dev/null {secret}", f"touch {secret}.x", f"ln -s / {secret}.x"]
    tries += [f"mv {secret} {secret}.x", f"mkdir {secret}.x", f"ln {secret} {tmp_path}/secret"]
    program = pretender(
        tmp_path, "\n".join([*(f"sh -c '{one}' >> {seen} 2>&1" for one in tries), f"echo done >> {seen}"])
    )
    mine = clip(tmp_path / "clip-0.mp4")

    FfmpegEncoder(program, should_stop=lambda: False, seconds_left=lambda: 60).thumbnail(mine, seen)

    said = seen.read_text().splitlines()
    assert (len(said), said[-1]) == (len(tries) + 1, "done")
    assert all("denied" in line or "not permitted" in line or "cross-device" in line for line in said[:-1]), said
    assert sorted(path.name for path in elsewhere.iterdir()) == ["canary.mp4", "secret"]
    assert secret.read_text() == "canary"


@pytest.mark.skipif(landlock.version() < 4, reason="this kernel's Landlock knows no TCP")
def test_it_connects_to_nothing(tmp_path: Path) -> None:
    mine = clip(tmp_path / "clip-0.mp4")
    with scripted(always(reply(200, mine.read_bytes()))) as server:
        fetched = [*INPUT, f"{server.origin}/a.mp4", "-f", "null", "-"]
        assert bare(*fetched).returncode == 0
        asked = len(server.asked)

        with pytest.raises(BadMedia):
            encoder()._run(fetched, mine)

    assert (asked > 0, len(server.asked)) == (True, asked)


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock knows no signals")
def test_it_signals_nobody(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = pretender(tmp_path, f"kill -0 $PPID > {seen} 2>&1 || echo refused >> {seen}")
    FfmpegEncoder(program, should_stop=lambda: False, seconds_left=lambda: 60).thumbnail(seen, seen)
    assert seen.read_text().endswith("refused\n")


def test_a_clip_that_is_linked_to_and_a_result_elsewhere_are_its_own(tmp_path: Path, elsewhere: Path) -> None:
    link, results = tmp_path / "clip-0.mp4", tmp_path / "results"
    link.symlink_to(elsewhere / "canary.mp4")
    results.mkdir(mode=0o700)

    encoder().thumbnail(link, results / "thumbnail.jpg")

    assert (results / "thumbnail.jpg").stat().st_size > 0


def test_this_process_is_not_kept_in_with_it(tmp_path: Path, elsewhere: Path) -> None:
    privileges = NO_NEW_PRIVILEGES.findall(Path("/proc/thread-self/status").read_text())

    encoder().probe(clip(tmp_path / "clip-0.mp4"))

    assert (elsewhere / "secret").read_text() == "canary"
    assert NO_NEW_PRIVILEGES.findall(Path("/proc/thread-self/status").read_text()) == privileges


def test_without_landlock_films_are_made_and_it_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(hardening.logger, "warning", lambda name, **_: said.append(name))
    hardening.has_landlock.cache_clear()
    mine = clip(tmp_path / "clip-0.mp4")

    for _ in range(3):
        assert encoder().probe(mine).video

    hardening.has_landlock.cache_clear()
    assert said == ["no_landlock"]
