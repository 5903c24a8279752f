"""The real Replicate costs money: it is used where the stack's own setting asks for it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from local import commands
from local.layout import Layout, find_layout, write_json
from local.media_provider import REAL_BASE_URL, BadProviderSetting, chosen_provider, price_list, stand_in

TOKEN = {"REPLICATE_API_TOKEN": "r8_exported"}
MODELS = find_layout().root / "config" / "models.json"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=find_layout().root, state=tmp_path)


@pytest.mark.parametrize("environment", [{}, TOKEN, {**TOKEN, "PROVIDER": ""}, {**TOKEN, "PROVIDER": "stand-in"}])
def test_an_exported_token_alone_chooses_nothing(environment: dict[str, str]) -> None:
    assert chosen_provider(8080, environment) == stand_in(8080)


def test_the_setting_chooses_the_real_one() -> None:
    chosen = chosen_provider(8080, {**TOKEN, "PROVIDER": "replicate"})

    assert (chosen.base_url, chosen.token) == (REAL_BASE_URL, "r8_exported")


@pytest.mark.parametrize(
    ("environment", "remedy"),
    [
        ({"PROVIDER": "replicate"}, "export REPLICATE_API_TOKEN"),
        ({"PROVIDER": "real"}, "must be stand-in or replicate"),
    ],
)
def test_a_wrong_setting_names_the_remedy(environment: dict[str, str], remedy: str) -> None:
    with pytest.raises(BadProviderSetting, match=remedy):
        chosen_provider(8080, environment)


def test_nothing_is_started_with_a_wrong_setting(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROVIDER", "real")

    assert commands.up(layout) == 1
    assert "must be stand-in or replicate" in capsys.readouterr().err
    assert list(layout.state.iterdir()) == []


def test_the_demo_refuses_the_real_one(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROVIDER", "replicate")
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_exported")

    assert commands.demo(layout, None) == 1
    assert "run it without PROVIDER=replicate" in capsys.readouterr().err
    assert list(layout.state.iterdir()) == []


def test_the_demo_refuses_a_running_stack_of_the_real_one(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(layout.stack_file, {"provider": "replicate"})
    monkeypatch.setattr(commands, "is_up", lambda *_: True)
    monkeypatch.setattr(commands, "is_alive", lambda *_: True)

    assert commands.demo(layout, None) == 1
    assert "`make down` first" in capsys.readouterr().err


def test_the_price_of_each_of_its_models_is_told() -> None:
    told = "\n".join(price_list(MODELS.read_text()))

    assert "0.036 USD per second" in told
    assert "gen4" not in told
