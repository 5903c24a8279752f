"""What a stage needs to be deployed: its settings, layers, compiled code; and what it refuses to be deployed with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.stages import Stage, stage_named, with_settings
from layers import build
from local.synth import node_path
from operate.failed_creation import STACKS
from tests.infra.checked import ROOT
from tests.infra.templates import Templates

OURS = {
    "VSL_ACCOUNT": "123456789012",
    "VSL_REGION": "eu-west-1",
    "VSL_CORS_ORIGINS": "https://app.vsl.tv",
    "VSL_ALARM_EMAIL": "ops@vsl.tv",
}
Synthesis = Callable[..., Path]


@pytest.fixture
def synthesized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Synthesis:
    """Synthesizes a stage with a context; where its assembly is."""
    monkeypatch.setenv("PATH", node_path(os.environ))
    monkeypatch.setenv("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "1")

    def synthesize(stage: Stage, **context: str) -> Path:
        # Importing the CDK starts Node.js, which must be on PATH by then.
        from aws_cdk import App

        from infra.application import build_stage

        app = App(context={**json.loads((ROOT / "cdk.json").read_text())["context"], **context}, outdir=str(tmp_path))
        build_stage(app, stage)
        app.synth()
        return tmp_path

    return synthesize


@pytest.fixture
def bundled(synthesized: Synthesis, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stage's assembly as a deployment has it, with layers of one small file."""
    monkeypatch.setenv("PATH", node_path(os.environ))
    from infra.constructs import bundle

    def build_layer(name: str, architecture: str, folder: Path) -> None:
        (folder / f"{name} for {architecture}").write_text("content")

    monkeypatch.setattr(bundle, "BUILT", tmp_path_factory.mktemp("layers"))
    monkeypatch.setattr(build, "build_layer", build_layer)
    monkeypatch.setattr(build, "compiler", lambda: sys.executable)
    bundle._compiled.cache_clear()
    folder = synthesized(stage_named("dev"), bundle="true")
    bundle._compiled.cache_clear()
    return folder


def errors(assembly: Path) -> list[str]:
    """Those for which the CDK's command line refuses to deploy."""
    return [
        entry["data"]
        for file in assembly.glob("*.metadata.json")
        for entries in json.loads(file.read_text()).values()
        for entry in entries
        if entry["type"] == "aws:cdk:error"
    ]


def assets(assembly: Path, resource_type: str, property_name: str) -> Mapping[str, Path]:
    """By the resource's name, the folder that is uploaded for it."""
    return {
        name: assembly / f"asset.{properties[property_name]['S3Key'].removesuffix('.zip')}"
        for name, properties in Templates.read("dev", assembly).all(resource_type).items()
    }


def resources(assembly: Path) -> list[dict[str, Any]]:
    return [resource for t in Templates.read("", assembly).by_stack.values() for resource in t["Resources"].values()]


def test_a_stage_with_placeholders_of_origins_is_not_deployed_until_they_are_named(synthesized: Synthesis) -> None:
    told = errors(synthesized(with_settings(stage_named("prod"), {}), bundle="false"))

    assert any("https://example.com, which is a placeholder" in error for error in told)
    assert any("VSL_CORS_ORIGINS=" in error for error in told)


def test_a_stage_is_not_deployed_to_a_region_whose_database_nobody_could_tell_from_another(
    synthesized: Synthesis, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = with_settings(stage_named("prod"), {**OURS, "VSL_REGION": "il-central-1"})
    monkeypatch.setenv("CDK_DEFAULT_REGION", "mx-central-1")

    (of_the_stage,), told = named.obstacles(), errors(synthesized(stage_named("dev"), bundle="false"))

    assert "its database in il-central-1" in of_the_stage
    assert "layers/README.md" in of_the_stage
    assert len([error for error in told if "its database in mx-central-1" in error]) == 1


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "sa-east-1"])
def test_regions_whose_roots_are_there_are_no_obstacle(region: str) -> None:
    assert stage_named("dev").obstacles(region) == []


def test_a_stage_with_placeholders_of_layers_is_not_deployed(dev_assembly: Path) -> None:
    assert errors(dev_assembly) == ["The layers are placeholders: deploy without `-c bundle=false`."]


def test_layers_and_compiled_functions_are_deployed(bundled: Path) -> None:
    assert errors(bundled) == []
    layers = assets(bundled, "AWS::Lambda::LayerVersion", "Content").values()
    assert {file.name for layer in layers for file in layer.iterdir()} == {f"{name} for arm64" for name in build.LAYERS}
    codes = assets(bundled, "AWS::Lambda::Function", "Code").items()
    ours = [(name, folder) for name, folder in codes if name.startswith("vsl-dev-")]
    assert len(ours) > 10
    for name, folder in ours:
        sources = {file.relative_to(folder).with_suffix("") for file in folder.rglob("*.py")}
        compiled = [file.relative_to(folder) for file in folder.rglob("*.pyc")]
        assert {file.parent.parent / file.name.split(".")[0] for file in compiled} == sources, name
        assert Path("functions", name.removeprefix("vsl-dev-").replace("-", "_"), "handler") in sources


def test_a_layer_is_built_once_for_its_recipe_and_old_ones_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", node_path(os.environ))
    from aws_cdk import App, Stack

    from infra.constructs import bundle

    built: list[str] = []
    recipes = [f"{number}" * 64 for number in range(6)]
    monkeypatch.setattr(bundle, "BUILT", tmp_path)
    monkeypatch.setattr(build, "build_layer", lambda name, _architecture, _folder: built.append(name))
    scope = Stack(App(context={"bundle": "true"}), "stack")
    for number, recipe in enumerate([recipe for recipe in recipes for _ in range(2)]):
        monkeypatch.setattr(build, "recipe_hash", lambda *_, recipe=recipe: recipe)
        folder, _ = bundle.layer_content(scope, build.SLIM, "arm64")
        os.utime(folder, (number, number))

    assert len(built) == len(recipes)
    assert len(list(tmp_path.iterdir())) == bundle.LAYERS_KEPT
    assert folder.exists()


def test_a_deployment_without_lambdas_python_says_so(synthesized: Synthesis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", node_path(os.environ))
    from infra import application
    from infra.constructs import bundle

    for module in (application, build):
        monkeypatch.setattr(module, "compiler", lambda: None)
    monkeypatch.setattr(bundle, "layer_content", lambda *_: (bundle.PLACEHOLDER, None))
    assembly = synthesized(stage_named("dev"), bundle="true")

    warnings = [file.read_text() for file in assembly.glob("*.metadata.json")]
    assert any("No Python 3.13 is on PATH" in text for text in warnings)
    assert not list(assembly.rglob("*.pyc"))


def test_bytecode_is_taken_whatever_the_date_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "compiler", lambda: sys.executable)
    source = tmp_path / "module.py"
    source.write_text("answer = 'compiled'\n")
    build.compile_folder(tmp_path)
    source.write_text("answer = 'read from the source'\n")
    os.utime(source, (315532800, 315532800))

    told = subprocess.run(
        [sys.executable, "-c", "import module; print(module.answer)"], cwd=tmp_path, capture_output=True
    )

    assert told.stdout == b"compiled\n"


def test_the_same_sources_compile_to_the_same_bytes_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "compiler", lambda: sys.executable)
    made = []
    for place, seed in (("one", "1"), ("another", "2")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "module.py").write_text("def known(word): return word in {'a', 'b', 'c', 'd'}\n")
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        build.compile_folder(tmp_path / place)
        made += [file.read_bytes() for file in (tmp_path / place).rglob("*.pyc")]

    assert len(made) == 2
    assert made[0] == made[1]


def test_a_stage_belongs_to_the_account_and_region_it_names(synthesized: Synthesis) -> None:
    assembly = synthesized(with_settings(stage_named("prod"), OURS), bundle="false")

    stacks = [
        artifact
        for artifact in json.loads((assembly / "manifest.json").read_text())["artifacts"].values()
        if artifact["type"] == "aws:cloudformation:stack"
    ]
    assert {stack["environment"] for stack in stacks} == {"aws://123456789012/eu-west-1"}
    assert all(stack["properties"]["terminationProtection"] for stack in stacks)
    media = "vsl-prod-media-123456789012-eu-west-1"
    assert media in [resource.get("Properties", {}).get("BucketName") for resource in resources(assembly)]


def test_zones_are_the_accounts_first_or_those_the_stage_names(synthesized: Synthesis, dev: Templates) -> None:
    two = synthesized(replace(stage_named("dev"), region="us-east-1", zones=("us-east-1b", "us-east-1d")))

    named = Templates.read("dev", two).all("AWS::EC2::Subnet").values()
    assert {subnet["AvailabilityZone"] for subnet in named} == {"us-east-1b", "us-east-1d"}
    assert len(dev.all("AWS::EC2::Subnet")) == 2


def test_a_third_zone_leaves_the_subnets_and_makes_another_cache(synthesized: Synthesis, dev: Templates) -> None:
    more = Templates.read("dev", synthesized(replace(stage_named("dev"), zone_count=3, reserved_zones=0)))

    (before,), (after,) = (one.all("AWS::ElastiCache::ServerlessCache").values() for one in (dev, more))
    # Subnets can only be those of a new cache, which CloudFormation makes under no name that is taken.
    assert len(after["SubnetIds"]) == 3
    assert before["ServerlessCacheName"] != after["ServerlessCacheName"]
    ranges = [{s["CidrBlock"] for s in one.all("AWS::EC2::Subnet").values()} for one in (dev, more)]
    assert ranges[0] < ranges[1]
    # What another stack imports cannot be replaced.
    (cache,) = dev.all("AWS::ElastiCache::ServerlessCache")
    assert cache not in json.dumps(dev.by_stack["vsl-dev-data"].get("Outputs", {}))


def test_what_is_kept_is_not_kept_of_a_creation_that_is_rolled_back(synthesized: Synthesis) -> None:
    kept = resources(synthesized(with_settings(stage_named("prod"), OURS)))

    retained = [resource for resource in kept if resource.get("DeletionPolicy") == "Retain"]
    # Nothing is made for a custom resource, and neither the account's setting nor its role has a name: none of them
    # could stand in the next try's way. The setting is that of all stages in the region, which go on writing logs.
    assert {resource["Type"] for resource in retained} <= {
        "AWS::CloudFormation::CustomResource",
        "AWS::ApiGateway::Account",
        "AWS::IAM::Role",
    }
    (role,) = [resource for resource in retained if resource["Type"] == "AWS::IAM::Role"]
    assert "apigateway.amazonaws.com" in json.dumps(role["Properties"]["AssumeRolePolicyDocument"])
    assert "RoleName" not in role["Properties"]
    assert "AWS::ApiGateway::Account" in {resource["Type"] for resource in retained}
    types = {resource["Type"] for resource in kept if resource.get("DeletionPolicy") == "RetainExceptOnCreate"}
    assert types >= {"AWS::S3::Bucket", "AWS::DynamoDB::Table"}


def test_the_cluster_is_made_last_as_no_rollback_may_delete_it(dev: Templates) -> None:
    made = dev.by_stack["vsl-dev-data"]["Resources"]
    (cluster,) = [one for one in made.values() if one["Type"] == "AWS::RDS::DBCluster"]

    before = {made[name]["Type"] for name in cluster["DependsOn"]}

    assert before >= {
        "AWS::DynamoDB::Table",
        "AWS::ElastiCache::ServerlessCache",
        "AWS::ElastiCache::User",
        "AWS::ElastiCache::UserGroup",
    }
    assert len([name for name in cluster["DependsOn"] if made[name]["Type"] == "AWS::DynamoDB::Table"]) == 2


def test_stacks_of_a_failed_creation_are_looked_for_by_the_names_they_have(dev: Templates) -> None:
    assert set(dev.by_stack) == {f"vsl-dev-{part}" for part in STACKS}


@pytest.mark.parametrize(
    "kind", ["AWS::S3::Bucket", "AWS::Lambda::Function", "AWS::SQS::Queue", "AWS::DynamoDB::Table"]
)
def test_everything_bears_the_tags_of_its_stage(dev: Templates, kind: str) -> None:
    ours = [{"Key": "Project", "Value": "vsl"}, {"Key": "Stage", "Value": "dev"}]

    found = dev.all(kind).values()

    assert found
    assert all(tag in resource["Tags"] for resource in found for tag in ours)


def test_functions_take_an_address_as_it_is_at_each_deployment(templates: Templates) -> None:
    """A dynamic reference is read again only when something else of the function changes."""
    assert "{{resolve:ssm" not in json.dumps(list(templates.by_stack.values()))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("VSL_ACCOUNT", "1234", "12 digits"),
        ("VSL_REGION", "Frankfurt", "like eu-west-1"),
        ("VSL_CORS_ORIGINS", "https://app.vsl.tv/", "without a path"),
        ("VSL_CORS_ORIGINS", "*", "without a path"),
        ("VSL_ALARM_EMAIL", "ops", "like ops@our.name"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_remedy(name: str, value: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        with_settings(stage_named("dev"), {name: value})


def test_the_local_stage_takes_no_settings() -> None:
    assert with_settings(stage_named("local"), OURS) == stage_named("local")
