"""Sound clips of all kinds the reader takes, to forge from, and the process that does it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.forging import CONTAINERS
from tests.unit.media.films import clip

ROOT = Path(__file__).resolve().parents[2]


def make_corpus(folder: Path) -> Path:
    """The folder filled; its first file is the neighbour of every forgery."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = [
        clip(),
        clip(options="-preset medium -bf 2 -g 12", tone=550),
        clip(options="-movflags faststart -refs 4 -preset medium -bf 0", tone=560),
        clip("clip.mov", tone=570),
        clip(sound=None, tone=580),
        clip(options="-bsf:v dump_extra=freq=keyframe", tone=590),
        clip(options="-movflags frag_keyframe+empty_moov", tone=600),
        clip(options="-movflags frag_keyframe+delay_moov+default_base_moof -preset medium -bf 2", tone=630),
        clip(options="-movflags frag_keyframe -preset medium -bf 2 -g 4", tone=640),
        clip(options="-movflags cmaf -preset medium -bf 2", sound=None, tone=650),
        clip(options="-c:v libx265 -x265-params log-level=none -tag:v hvc1", tone=610),
        clip(
            options="-movflags negative_cts_offsets -preset medium -bf 2 -x264-params nal-hrd=vbr:"
            "vbv-maxrate=300:vbv-bufsize=300",
            tone=620,
        ),
    ]
    for number, path in enumerate(clips):
        shutil.copyfile(path, folder / f"{number:02}{path.suffix}")
    (folder / "long.mp4").write_bytes(with_long_offsets(clips[0].read_bytes()))
    return folder


def with_long_offsets(data: bytes) -> bytes:
    """The clip with co64 for stco; its index stands behind the media, so that no offset changes."""
    rebuilt = []
    at = 0
    while at + 8 <= len(data):
        end = at + int.from_bytes(data[at : at + 4], "big")
        kind, payload = data[at + 4 : at + 8], data[at + 8 : end]
        if kind in CONTAINERS:
            payload = with_long_offsets(payload)
        elif kind == b"stco":
            offsets = [payload[place : place + 4] for place in range(8, len(payload), 4)]
            kind, payload = b"co64", payload[:8] + b"".join(bytes(4) + offset for offset in offsets)
        rebuilt.append((len(payload) + 8).to_bytes(4, "big") + kind + payload)
        at = end
    return b"".join(rebuilt)


def run_in_child(corpus: Path, first: int, count: int) -> dict[str, Any]:
    """What `running.run` returns; a process that died says how."""
    argv = [sys.executable, "-m", "tests.fuzz.running", str(corpus), str(first), str(count)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"seed": first, "error": done.stderr[-2000:], "outcomes": {}}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
