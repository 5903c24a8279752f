"""The real Replicate costs money: it is used where the stack's own setting asks for it, and nowhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from local import commands
from local.layout import Layout, find_layout, write_json
from local.media_provider import (
    REAL_BASE_URL,
    BadProviderSetting,
    chosen_provider,
    price_list,
    public_base_url,
    stand_in,
)

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
        ({**TOKEN, "PROVIDER": "replicate", "PUBLIC_BASE_URL": "http://127.0.0.1:8080"}, "must be a tunnel's address"),
        (
            {**TOKEN, "PROVIDER": "replicate", "PUBLIC_BASE_URL": "https://a.example/local"},
            "must be a tunnel's address",
        ),
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


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "http://127.0.0.1:8080/local"),
        ({"PUBLIC_BASE_URL": "https://a.example"}, "http://127.0.0.1:8080/local"),
        ({"PROVIDER": "replicate"}, "http://127.0.0.1:8080/local"),
        ({"PROVIDER": "replicate", "PUBLIC_BASE_URL": "https://a.example/"}, "https://a.example/local"),
    ],
)
def test_webhooks_of_the_real_one_come_through_a_tunnel_where_one_is_named(
    environment: dict[str, str], expected: str
) -> None:
    assert public_base_url(environment, "http://127.0.0.1:8080/local") == expected


@pytest.mark.parametrize(
    ("public_url", "told"),
    [
        ("http://127.0.0.1:8080/local", "results are asked for each minute"),
        ("https://a.example/local", "Its webhooks come to https://a.example/local"),
    ],
)
def test_a_stack_of_the_real_one_announces_its_prices_and_how_results_come_in(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], public_url: str, told: str
) -> None:
    addresses = {"provider": "replicate", "baseUrl": "http://127.0.0.1:8080/local", "publicBaseUrl": public_url}
    write_json(layout.stack_file, addresses)
    monkeypatch.setattr(commands, "is_up", lambda *_: True)

    assert commands.status(layout) == 0

    shown = capsys.readouterr().out
    assert "CHARGES the account of your token" in shown
    assert "0.036 USD per second" in shown
    assert told in shown


def test_the_guide_tells_the_registrys_prices() -> None:
    guide = (find_layout().root / "docs" / "real-provider.md").read_text()
    rows = re.findall(r"^\| [^|`]* \| `([\w.-]+)` \| ([\d.]+) \|$", guide, re.MULTILINE)
    prices = {name: model for kind in json.loads(MODELS.read_text()).values() for name, model in kind.items()}

    assert len(rows) == 4
    for model, usd in rows:
        units = {"second": 3, "token": 1000}.get(prices[model]["pricingUnit"], 1)
        assert float(usd) == pytest.approx(prices[model]["pricing"] * units)
