"""Layers are built of packages whose bytes are known by their hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from layers import build
from layers.lock import lock_text

PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[\w+\])?==(\S+)", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    return {name.lower().replace("_", "-"): version for name, version in PINNED.findall(text)}


def test_every_pin_of_the_functions_is_locked_for_the_layers() -> None:
    locked = build.DEPENDENCY_REQUIREMENTS.read_text("utf8")

    assert pins(locked) == pins(build.REQUIREMENTS.read_text("utf8")), "run python -m layers.lock"
    assert len(re.findall(r"^ +--hash=sha256:[0-9a-f]{64}", locked, re.MULTILINE)) >= len(pins(locked))


@pytest.mark.parametrize("name", build.LAYERS)
def test_a_layer_takes_nothing_without_its_hash(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def pip(*arguments: str) -> None:
        asked.append((*arguments, Path(arguments[-1]).read_text("utf8")))
        raise build.LayerFailed

    monkeypatch.setattr(build, "pip", pip)
    with pytest.raises(build.LayerFailed):
        build.build_layer(name, "arm64", tmp_path)

    ((*options, text),) = asked
    assert "--require-hashes" in options
    assert pins(text)
    assert all(f"{pin} \\\n    --hash" in text for pin in re.findall(r"^\S+==\S+", text, re.MULTILINE))


def test_a_lock_has_the_hashes_of_both_architectures() -> None:
    reports = [
        {"install": [{"metadata": {"name": "A", "version": "1"}, "download_info": {"archive_info": {"hashes": one}}}]}
        for one in ({"sha256": "b" * 64}, {"sha256": "a" * 64})
    ]

    assert lock_text(reports).splitlines()[1:] == [
        "a==1 \\",
        f"    --hash=sha256:{'a' * 64} \\",
        f"    --hash=sha256:{'b' * 64}",
    ]
