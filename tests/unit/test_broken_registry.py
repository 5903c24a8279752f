"""A registry that cannot be used is refused with its file, the model, the field and what the field must be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app import LONGEST_REGISTRY_BYTES, with_registry
from infra.stages import stage_named
from local import commands
from local.layout import Layout, find_layout, write_json
from local.models_setting import BadModelsSetting, models_setting
from shared import bootstrap
from shared.config import ConfigurationError
from shared.domain.catalog import read_catalog
from shared.domain.errors import BrokenRegistry

ROOT = Path(__file__).resolve().parents[2]
ENTRY: Mapping[str, Any] = {
    "version": "owner/name",
    "pricing": 0.05,
    "pricingUnit": "second",
    "estimatedTime": 40,
    "supportedParams": ["prompt", "duration", "ratio", "image"],
    "defaults": {"duration": 5},
    "limits": {
        "prompt": {"type": "string", "required": True},
        "duration": {"type": "integer", "minimum": 2},
        "ratio": {"type": "string", "enum": ["16:9", "1:1"]},
    },
    "pricingBy": {"ratio": {"16:9": 0.1}},
    "pricedUpTo": {"duration": 8},
    "firstFrameParam": "image",
    "sizeTo": "ratio",
    "deadlineSeconds": 600,
    "fallback": "m",
    "provider": "replicate",
    "stoppedPricing": 0.001,
}


def registry(**changes: Any) -> str:
    """A registry of one model; None leaves a field out."""
    entry = {name: value for name, value in {**ENTRY, **changes}.items() if value is not None}
    return json.dumps({"video": {"m": entry}})


def refused(text: str) -> BrokenRegistry:
    with pytest.raises(BrokenRegistry) as broken:
        read_catalog(text, "s3:bucket/models.json")
    assert str(broken.value).startswith("The registry of models in s3:bucket/models.json is wrong: correct it there")
    return broken.value


def test_every_field_may_be_given() -> None:
    assert read_catalog(registry(), "x").model("video", "m").deadline_seconds == 600


@pytest.mark.parametrize(
    ("field", "value", "path", "words"),
    [
        ("version", None, "version", "is required and must be the provider's name of the model, as owner/name"),
        ("version", "", "version", "must be the provider's name"),
        ("pricing", "0.05", "pricing", "must be a number of 0 or more: the price in USD"),
        ("pricing", -1, "pricing", "must be a number of 0 or more"),
        ("pricing", True, "pricing", "must be a number of 0 or more"),
        ("pricingUnit", "mile", "pricingUnit", "must be one of run, second, computeSecond, image, token"),
        ("estimatedTime", None, "estimatedTime", "is required and must be a number"),
        ("supportedParams", "prompt", "supportedParams", "must be a list of the names"),
        ("suportedParams", [], "suportedParams", "did you mean 'supportedParams'?"),
        ("provider", "openai", "provider", "must be one of replicate, runway"),
        ("defaults", {"seed": 1}, "defaults.seed", "not in supportedParams (prompt, duration, ratio, image): add it"),
        ("defaults", [], "defaults", "must be an object"),
        ("limits", {"seed": {}}, "limits.seed", "not in supportedParams"),
        ("limits", {"prompt": {"max_length": 3}}, "limits.prompt.max_length", "did you mean 'maxLength'?"),
        ("limits", {"prompt": {"type": "text"}}, "limits.prompt.type", "must be one of string, integer"),
        ("limits", {"prompt": {"minimum": "2"}}, "limits.prompt.minimum", "must be a number"),
        ("limits", {"prompt": {"enum": "a"}}, "limits.prompt.enum", "must be a list"),
        ("limits", {"prompt": {"required": "yes"}}, "limits.prompt.required", "must be true or false"),
        ("limits", {"prompt": 5}, "limits.prompt", "must be an object"),
        ("pricingBy", {"ratio": {}, "duration": {}}, "pricingBy", "must be prices in USD by value of one parameter"),
        ("pricingBy", {"ratio": {"16:9": "0.1"}}, "pricingBy", "must be prices"),
        ("pricingBy", {"size": {"1": 1}}, "pricingBy.size", "not in supportedParams"),
        ("pricedUpTo", {"duration": 0}, "pricedUpTo", "must be numbers above 0"),
        ("pricedUpTo", {"prompt": 2}, "pricedUpTo.prompt", "whose limits have a type of number"),
        ("firstFrameParam", "frame", "firstFrameParam", "not in supportedParams"),
        ("sizeTo", "prompt", "sizeTo", "an enum of ratios, as 16:9"),
        ("deadlineSeconds", 4, "deadlineSeconds", "must be a whole number from 5 to 3600"),
        ("fallback", "n", "fallback", "unknown field; known are m"),
        ("stoppedPricing", "1", "stoppedPricing", "USD for each second"),
    ],
)
def test_a_wrong_field_is_named_with_what_it_must_be(field: str, value: Any, path: str, words: str) -> None:
    broken = refused(registry(**{field: value}))

    assert f"video.m.{path}" in {mistake.path for mistake in broken.mistakes}
    assert any(line.startswith(f"  video.m.{path} ") and words in line for line in str(broken).splitlines())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"video": {\n  "m": {"pricing": 1,}}}', "  line 2, column "),
        ("", "  line 1, column 1 is no JSON: Expecting value"),
        ("NaN", "  is no JSON: NaN is no JSON"),
        ("[" * 100_000, "  is no JSON: "),
        ("[]", '  must be a JSON object, as {"video": {"my-model": {...}}}'),
        ('{"vidoe": {}}', "  vidoe unknown field; did you mean 'video'?"),
        ('{"video": []}', "  video must be an object: models by id"),
        ('{"video": {"m": null}}', "  video.m must be an object: the fields of a model"),
    ],
)
def test_what_is_no_registry_at_all_is_named_by_its_place(text: str, line: str) -> None:
    assert str(refused(text)).splitlines()[1].startswith(line)


def test_the_registry_that_is_deployed_is_right() -> None:
    assert read_catalog((ROOT / "config" / "models.json").read_text(), "config/models.json").models


def test_a_function_says_what_is_wrong_and_no_caller_hears_that_it_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_CONFIG", registry(pricing="free"))
    bootstrap.catalog.cache_clear()

    with pytest.raises(BrokenRegistry, match=r"MODELS_CONFIG is wrong(.|\n)*video\.m\.pricing must be a number"):
        bootstrap.catalog()


def test_a_function_that_is_given_a_parameters_name_says_who_resolves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_CONFIG", "ssm:/vsl/dev/models")
    bootstrap.catalog.cache_clear()

    with pytest.raises(ConfigurationError, match=r"ssm:/vsl/dev/models.* where the stage is deployed"):
        bootstrap.catalog()


def test_no_stage_is_synthesized_with_a_broken_registry() -> None:
    environment = {"MODELS_CONFIG": registry(pricing="free"), "PATH": ""}
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.splitlines()[1].startswith("  video.m.pricing must be a number of 0 or more")
    assert "Traceback" not in done.stderr


def test_a_text_that_no_function_has_room_for_is_refused_with_where_to_put_it() -> None:
    limits = {"prompt": {"type": "string", "enum": ["x" * LONGEST_REGISTRY_BYTES]}}

    with pytest.raises(SystemExit, match=r"put the registry into a bucket and name it as s3:bucket/key"):
        with_registry(stage_named("dev"), {"MODELS_CONFIG": registry(limits=limits, pricedUpTo=None, sizeTo=None)})


@pytest.mark.parametrize("named", ["s3:bucket/models.json", "ssm:/vsl/dev/models", registry()])
def test_a_stage_takes_a_text_and_addresses(named: str) -> None:
    assert with_registry(stage_named("dev"), {"MODELS_CONFIG": named}).models_config == named
    assert with_registry(stage_named("local"), {"MODELS_CONFIG": named}).models_config == "config/models.json"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=find_layout().root, state=tmp_path)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (registry(pricing="free"), "video.m.pricing must be a number of 0 or more"),
        ("ssm:/vsl/dev/models", "aws ssm get-parameter --name /vsl/dev/models"),
        ("models.json", "line 1, column 1 is no JSON"),
    ],
)
def test_no_local_stack_starts_with_a_broken_registry(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str, said: str
) -> None:
    monkeypatch.setenv("MODELS_CONFIG", setting)

    assert commands.up(layout) == 1
    assert said in capsys.readouterr().err
    assert list(layout.state.iterdir()) == []


def test_a_broken_file_names_itself(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "models.json").write_text("{")

    with pytest.raises(BadModelsSetting, match=r"^The registry of models in config/models.json is wrong"):
        models_setting({}, tmp_path)


def test_a_stack_that_runs_with_another_registry_says_so(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(layout.stack_file, {"provider": "stand-in", "modelsConfig": "config/models.json"})
    monkeypatch.setattr(commands, "is_up", lambda *_: True)
    monkeypatch.setenv("MODELS_CONFIG", registry())

    assert commands.up(layout) == 1
    assert "`make down` first" in capsys.readouterr().err
