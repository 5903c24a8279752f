"""A local stack with a registry of its user's: as a text, as an object, and one that is broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local import commands
from local.layout import Layout, find_layout, read_json
from tests.e2e.client import Api

FILE = find_layout().root / "config" / "models.json"
OWN = {**json.loads(FILE.read_text())["image"]["flux-schnell"], "pricing": 0.5, "pricingBy": None}
REGISTRY = {"image": {"own": {name: value for name, value in OWN.items() if value and name != "fallback"}}}
KEY = "catalog/registry.json"


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    tmp_path.chmod(0o711)
    (tmp_path / "state").mkdir(mode=0o711)
    for folder in tmp_path.parents:
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)  # PostgreSQL's user must reach its data
    layout = Layout(root=find_layout().root, state=tmp_path / "state")
    yield layout
    assert commands.clean(layout) == 0


def up(layout: Layout, monkeypatch: pytest.MonkeyPatch, setting: str) -> dict[str, Any]:
    """The stack's description; empty where it did not start."""
    monkeypatch.setenv("MODELS_CONFIG", setting)
    return read_json(layout.stack_file) if commands.up(layout, with_parent=True) == 0 else {}


def put(stack: dict[str, Any], registry: object) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=stack["s3Endpoint"],
        region_name=stack["region"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    client.put_object(Bucket=stack["bucket"], Key=KEY, Body=json.dumps(registry).encode())


def test_models_of_a_users_own_are_listed_priced_and_made(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # As a text, and one over what a parameter of SSM or an environment in AWS has room for.
    stack = up(layout, monkeypatch, json.dumps({**json.loads(FILE.read_text()), **REGISTRY}))
    api = Api(stack["baseUrl"], stack["apiKey"])
    assert list(api.get("/models").data(200)["models"]["image"]) == ["own"]
    body = {"userId": "u", "mediaType": "image", "modelId": "own", "parameters": {"prompt": "A lighthouse"}}
    answer = api.post("/generate-media", body, Prefer="wait=25").data(200)
    assert (answer["status"], answer["estimatedCost"]) == ("completed", 0.5)

    # As an object in the stack's own bucket.
    put(stack, REGISTRY)
    assert commands.down(layout) == 0
    stack = up(layout, monkeypatch, f"s3:{stack['bucket']}/{KEY}")
    api = Api(stack["baseUrl"], stack["apiKey"])
    assert list(api.get("/models").data(200)["models"]) == ["image"]

    # One that is broken: what is started says so.
    put(stack, {"image": {"own": {**REGISTRY["image"]["own"], "pricing": "free"}}})
    assert commands.down(layout) == 0
    capfd.readouterr()
    assert up(layout, monkeypatch, f"s3:{stack['bucket']}/{KEY}") == {}
    said = capfd.readouterr().err
    assert f"s3:{stack['bucket']}/{KEY} is wrong" in said
    assert "image.own.pricing must be a number of 0 or more" in said
