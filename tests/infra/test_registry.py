"""The registry that MODELS_CONFIG names reaches the functions that read it, by a way each of them has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.stages import stage_named
from local.synth import node_path
from tests.infra.templates import Templates, listed

READERS = ("generate_media", "review", "provider_catalog")
SET_AT_START = "{{resolve:ssm:/vsl/local/models-config}}"


def dev_with(named: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Templates:
    """The dev stage's templates with this registry."""
    import os

    monkeypatch.setenv("PATH", node_path(os.environ))
    monkeypatch.setenv("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "1")
    # Importing the CDK starts Node.js, which must be on PATH by then.
    from aws_cdk import App

    from infra.application import build_stage

    app = App(outdir=str(folder))
    build_stage(app, replace(stage_named("dev"), models_config=named))
    app.synth()
    return Templates.read("dev", folder)


def readable(templates: Templates, name: str) -> set[str]:
    """What the function may get from other buckets than the media's."""
    found = [resources for actions, resources in templates.statements(name) if actions == {"s3:GetObject"}]
    return {arn.rpartition(":::")[2] for resources in found for arn in resources if arn.startswith("arn:")}


def through_s3_endpoint(templates: Templates) -> list[set[str]]:
    """What each statement of the endpoint's policy lets the private network reach."""
    endpoints = templates.all("AWS::EC2::VPCEndpoint").values()
    (policy,) = (found["PolicyDocument"] for found in endpoints if found["ServiceName"].endswith(".s3"))
    return [listed(statement["Resource"]) for statement in policy["Statement"]]


def test_functions_read_the_file_they_are_deployed_with_unless_told_otherwise(dev: Templates, local: Templates) -> None:
    assert {dev.environment(name)["MODELS_CONFIG"] for name in READERS} == {"config/models.json"}
    assert {local.environment(name)["MODELS_CONFIG"] for name in READERS} == {SET_AT_START}


def test_an_object_is_read_by_those_who_need_it_and_nothing_else_of_its_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = dev_with("s3:our-settings/vsl/models.json", tmp_path, monkeypatch)

    assert {templates.environment(name)["MODELS_CONFIG"] for name in READERS} == {"s3:our-settings/vsl/models.json"}
    assert [readable(templates, name) for name in READERS] == [{"our-settings/vsl/models.json"}] * len(READERS)
    assert readable(templates, "status") == set()
    assert {"arn:AWS::Partition:s3:::our-settings/vsl/models.json"} in through_s3_endpoint(templates)


def test_a_parameter_is_read_at_deploy_as_the_private_network_has_no_way_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = dev_with("ssm:/vsl/dev/models", tmp_path, monkeypatch)

    assert {templates.environment(name)["MODELS_CONFIG"] for name in READERS} == {"{{resolve:ssm:/vsl/dev/models}}"}


def test_one_version_of_a_parameter_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = dev_with("ssm:/vsl/dev/models:3", tmp_path, monkeypatch)

    assert templates.environment("review")["MODELS_CONFIG"] == "{{resolve:ssm:/vsl/dev/models:3}}"
