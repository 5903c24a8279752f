"""Every function has its world and its environment; its rights are in test_permissions.py."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from functions.fetch_source.handler import MAX_SOURCE_BYTES
from functions.store_media.handler import MAX_OUTPUT_BYTES
from infra.stages import STAGES, Stage
from shared.config import SETTINGS, load
from shared.domain.uploads import KINDS
from tests.infra.templates import Templates

LARGEST_UPLOAD_BYTES = max(kind.max_bytes for kind in KINDS.values())
EVERYWHERE = {"STAGE", "LOG_LEVEL", "POWERTOOLS_SERVICE_NAME"}
LIVE = {"DATABASE_URL", "REDIS_URL", "DYNAMODB_TABLE", "S3_BUCKET"}
TOPICS = {f"{topic}_QUEUE_URL" for topic in ("CALLS", "STORE", "INSPECT", "COMPILE", "FETCH")}


@dataclass(frozen=True)
class Promise:
    """What a function is given. Its rights are in `needs.py`."""

    inside: bool
    variables: set[str]


WAITERS = {"WAITERS_OF_ACCOUNT", "WAITERS_OF_STAGE"}
PROMISES = {
    "authorizer": Promise(False, {"API_KEYS_TABLE"}),
    "generate_media": Promise(
        True,
        LIVE | WAITERS | {"CALLS_QUEUE_URL", "COMPILE_QUEUE_URL", "FETCH_QUEUE_URL", "CORS_ORIGINS", "MODELS_CONFIG"},
    ),
    "status": Promise(True, LIVE | WAITERS | {"CORS_ORIGINS"}),
    "review": Promise(True, LIVE | {"CALLS_QUEUE_URL", "CORS_ORIGINS", "MODELS_CONFIG"}),
    "compile_videos": Promise(
        True,
        LIVE | WAITERS | {"COMPILE_QUEUE_URL", "FETCH_QUEUE_URL", "SOURCE_ORIGINS", "CORS_ORIGINS", "COMPILE_SHARE"},
    ),
    "webhook": Promise(False, {"REPORTS_QUEUE_URL", "REPLICATE_WEBHOOK_SECRET", "WEBHOOK_URL_KEY"}),
    "call_provider": Promise(
        False,
        {
            "SETTLE_FUNCTION",
            "REPORTS_QUEUE_URL",
            "S3_BUCKET",
            "PUBLIC_BASE_URL",
            "REPLICATE_API_TOKEN",
            "REPLICATE_BASE_URL",
            "RUNWAY_API_TOKEN",
            "RUNWAY_BASE_URL",
            "WEBHOOK_URL_KEY",
        },
    ),
    "store_media": Promise(
        False,
        {
            "SETTLE_FUNCTION",
            "REPORTS_QUEUE_URL",
            "S3_BUCKET",
            "REPLICATE_API_TOKEN",
            "REPLICATE_BASE_URL",
            "RUNWAY_API_TOKEN",
            "RUNWAY_BASE_URL",
            "PROVIDER_OUTPUT_ORIGINS",
        },
    ),
    "fetch_source": Promise(False, {"SETTLE_FUNCTION", "REPORTS_QUEUE_URL", "S3_BUCKET", "SOURCE_ORIGINS"}),
    "provider_catalog": Promise(False, {"S3_BUCKET", "REPLICATE_API_TOKEN", "REPLICATE_BASE_URL", "MODELS_CONFIG"}),
    "settle": Promise(True, LIVE | TOPICS),
    "inspect_media": Promise(True, LIVE | {"INSPECT_QUEUE_URL", "INSPECT_SHARE"}),
    "reconcile": Promise(True, LIVE | TOPICS | {"API_KEYS_TABLE", "COMPILE_SHARE", "INSPECT_SHARE"}),
    "retention": Promise(True, LIVE | {"CALLS_QUEUE_URL", "CORS_ORIGINS"}),
    "migrate": Promise(True, {"DATABASE_URL"}),
    "account": Promise(True, {"DATABASE_URL", "API_KEYS_TABLE", "CORS_ORIGINS"}),
}
every_function = pytest.mark.parametrize("name", PROMISES)


def test_there_are_these_functions_and_no_others(templates: Templates) -> None:
    expected = {templates.function_name(name) for name in PROMISES}
    # It has a world of its own (test_database.py).
    alone = {templates.function_name("database_roles")} if templates.stage != "local" else set()

    found = {f["FunctionName"] for f in templates.all("AWS::Lambda::Function").values() if "FunctionName" in f}

    assert found == expected | alone
    assert set(PROMISES) | {"database_roles"} == set(SETTINGS)


@every_function
def test_a_function_is_in_the_private_network_only_if_its_world_is_inside(templates: Templates, name: str) -> None:
    assert ("VpcConfig" in templates.function(name)) == PROMISES[name].inside


@every_function
def test_a_function_is_told_what_it_uses_and_nothing_else(templates: Templates, name: str) -> None:
    assert set(templates.environment(name)) == EVERYWHERE | PROMISES[name].variables


@every_function
def test_a_function_reads_its_settings_from_its_environment(templates: Templates, name: str) -> None:
    settings = load(SETTINGS[name], templates.environment(name))

    assert settings.stage == templates.stage


@every_function
def test_a_function_is_told_the_right_names(templates: Templates, name: str) -> None:
    prefix = f"vsl-{templates.stage}"
    right = {
        f"{topic.upper()}_QUEUE_URL": f"{prefix}-{topic}"
        for topic in ("calls", "reports", "store", "inspect", "compile", "fetch")
    }
    right |= {"DYNAMODB_TABLE": f"{prefix}-realtime-jobs", "API_KEYS_TABLE": f"{prefix}-api-keys"}
    right |= {"S3_BUCKET": f"{prefix}-media", "SETTLE_FUNCTION": f"{prefix}-settle"}

    told = templates.environment(name)

    assert {key: told[key] for key in right if key in told} == {key: right[key] for key in right if key in told}


@every_function
def test_database_and_cache_are_known_inside_and_secrets_outside(templates: Templates, name: str) -> None:
    values = templates.environment(name)

    if PROMISES[name].inside:
        assert not [key for key, value in values.items() if value.startswith(("secret:", "ssm:"))]
        assert not {key for key in values if "TOKEN" in key or "SECRET" in key or "URL_KEY" in key}
        role = "owner" if name == "migrate" else "app"
        assert values["DATABASE_URL"] == f"{{{{resolve:ssm:/vsl/{templates.stage}/database-{role}-url}}}}"
    else:
        assert not {"DATABASE_URL", "REDIS_URL"} & set(values)


def test_every_function_has_a_role_of_its_own(templates: Templates) -> None:
    roles = [templates.function(name)["Role"] for name in PROMISES]

    assert len(set(roles)) == len(PROMISES)


@every_function
def test_a_function_logs_to_a_group_of_its_own_that_forgets(templates: Templates, name: str) -> None:
    group = templates.function(name)["LoggingConfig"]["LogGroup"]
    groups = templates.all("AWS::Logs::LogGroup")

    assert groups[group]["LogGroupName"] == f"/aws/lambda/{templates.function_name(name)}"
    assert groups[group]["RetentionInDays"] in (30, 365)


@every_function
def test_in_aws_the_cache_lets_in_those_who_are_told_of_it(dev: Templates, name: str) -> None:
    connects = [resources for actions, resources in dev.statements(name) if actions == {"elasticache:Connect"}]

    (cache,) = dev.all("AWS::ElastiCache::ServerlessCache").values()
    (user,) = dev.all("AWS::ElastiCache::User")
    place = "arn:AWS::Partition:elasticache:AWS::Region:AWS::AccountId:serverlesscache"
    assert connects == (
        [{f"{place}:{cache['ServerlessCacheName']}", f"{user}.Arn"}] if "REDIS_URL" in PROMISES[name].variables else []
    )


def test_encoders_have_ffmpeg_memory_and_room(templates: Templates) -> None:
    for name in ("compile_videos", "inspect_media"):
        function = templates.function(name)

        assert [layer.startswith("ffmpeg") for layer in function["Layers"]] == [False, True]
        assert (function["MemorySize"], function["Timeout"]) == (3008, 600)
        assert function["EphemeralStorage"]["Size"] == STAGES[templates.stage].encoder_storage_mb


@pytest.mark.parametrize("name", ["store_media", "fetch_source"])
def test_what_is_fetched_finds_room(templates: Templates, name: str) -> None:
    assert templates.function(name)["EphemeralStorage"]["Size"] == STAGES[templates.stage].fetched_storage_mb


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_the_largest_files_that_are_accepted_find_room(stage: Stage) -> None:
    """A worker has one at a time; an encoder beside it a copy, or what becomes of it."""
    largest_mb = max(MAX_OUTPUT_BYTES, MAX_SOURCE_BYTES, LARGEST_UPLOAD_BYTES) / 1024**2

    assert stage.fetched_storage_mb >= largest_mb + 256
    assert stage.encoder_storage_mb >= 2 * largest_mb + 256
    # Lambda's limit (Lambda quotas, /tmp directory storage).
    assert stage.encoder_storage_mb <= 10_240


def test_what_callers_name_is_fetched_by_a_function_that_knows_no_secret(templates: Templates) -> None:
    assert not [value for value in templates.environment("fetch_source").values() if value.startswith("secret:")]
    assert not [a for actions, _ in templates.statements("fetch_source") for a in actions if "secrets" in a]


def test_in_aws_sources_come_from_public_https_addresses_alone(dev: Templates) -> None:
    assert {dev.environment(name)["SOURCE_ORIGINS"] for name in ("compile_videos", "fetch_source")} == {""}
