"""`make plan` for people: a table of what would be done with their clips, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from local import plan
from local.layout import find_layout
from tests.footage import clip


def told(capsys: pytest.CaptureFixture[str], *clips: Path | str) -> tuple[int, str, str]:
    code = plan.main(find_layout(), [str(path) for path in clips])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_like_clips_are_spliced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, table, _ = told(capsys, clip(tmp_path / "one.mp4"), clip(tmp_path / "two.mp4", hertz=600))

    rows = [line.split() for line in table.splitlines()]
    assert (code, rows[1][0], rows[1][-1], rows[2][-1]) == (0, "one.mp4", "copied", "copied")
    assert "splice to mp4: a film of 2.00 s" in table
    assert "$" in table


def test_the_odd_clip_is_named_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    like = [clip(tmp_path / f"{number}.mp4", seconds=2) for number in range(2)]

    _, table, _ = told(capsys, *like, clip(tmp_path / "odd.mp4", size="320x180"))

    assert "smart to mp4" in table
    assert "Clip 3: width 320, most of the film 160." in table
    assert "not splice: Clip 3 has another frame size than most of the film." in table


@pytest.mark.parametrize("named", [[], ["nowhere.mp4"], [__file__]], ids=["none", "missing", "no media"])
def test_what_cannot_be_planned_is_said(named: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, table, said = told(capsys, *named)

    assert (code, table) == (1, "")
    assert len(said.splitlines()) == 1
