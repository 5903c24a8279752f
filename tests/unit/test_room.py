"""Temporary storage that is full is a failure with a code and a remedy; what a process left behind is cleared away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import bootstrap
from shared.adapters.downloader import _Landing
from shared.domain.errors import NoRoom, TooLarge
from shared.domain.room import within_room

FULL = Path("/dev/full")


def test_a_full_disk_is_an_error_of_ours_that_says_what_to_do() -> None:
    with pytest.raises(NoRoom) as caught, within_room():
        FULL.write_bytes(b"x")

    assert (caught.value.code, isinstance(caught.value, TooLarge)) == ("no_room", True)
    assert "use smaller ones" in caught.value.sentence


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), within_room():
        (tmp_path / "missing").read_bytes()


def test_a_download_that_meets_a_full_disk_is_not_tried_again() -> None:
    with FULL.open("wb", buffering=0) as file:
        landing = _Landing(file, 2**20, text_allowed=False, is_wanted=lambda: True)  # type: ignore[arg-type]

        with pytest.raises(NoRoom):
            landing.add(b"x" * 2**16)


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a worker that was ended at its timeout has in its temporary folder."""
    (tmp_path / "work-1").mkdir()
    (tmp_path / "work-1" / "in-0").write_bytes(b"x")
    (tmp_path / "listing").write_bytes(b"x")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bootstrap.clear_leftovers.cache_clear()
    yield tmp_path
    bootstrap.clear_leftovers.cache_clear()


def test_a_function_that_starts_again_finds_an_empty_folder(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    bootstrap.clear_leftovers()
    assert list(left.iterdir()) == []

    (left / "of this process").write_bytes(b"x")
    bootstrap.clear_leftovers()
    assert len(list(left.iterdir())) == 1


def test_elsewhere_nothing_is_cleared_away(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    bootstrap.clear_leftovers()
    assert len(list(left.iterdir())) == 2
