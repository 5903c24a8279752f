"""The cluster, who logs in to it as whom, and what a deploy does to it before any function is replaced."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.migrations import migrations_digest, roles_digest
from infra.stages import STAGES
from local.layout import find_layout
from local.synth import synthesize
from shared.adapters.postgres.migrations import MOST_SECONDS
from shared.adapters.postgres.roles import APP, OWNER
from shared.bootstrap import LAST_SECONDS
from shared.config import SETTINGS, load
from tests.infra.templates import Properties, Templates

SHARED = Path(__file__).resolve().parents[2] / "shared"
CUSTOM = "AWS::CloudFormation::CustomResource"
INSIDE = [name for name, settings in SETTINGS.items() if "database_url" in settings.__dataclass_fields__]  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def prod() -> Templates:
    return Templates.read("prod", synthesize(find_layout(), "prod").directory)


@pytest.mark.parametrize("name", INSIDE)
def test_a_function_may_log_in_as_one_role_alone(dev: Templates, name: str) -> None:
    logins = [resources for actions, resources in dev.statements(name) if "rds-db:connect" in actions]

    ((login,),) = logins
    role = OWNER if name == "migrate" else APP
    assert login.startswith("arn:AWS::Partition:rds-db:AWS::Region:AWS::AccountId:dbuser:database")
    assert login.endswith(f".DBClusterResourceId/{role}")


def test_nobody_else_may_log_in(dev: Templates) -> None:
    policies = json.dumps(list(dev.all("AWS::IAM::Policy").values()))

    assert policies.count("rds-db:connect") == len(INSIDE)
    assert policies.count("rds-data:ExecuteStatement") == 1


@pytest.mark.parametrize(("parameter", "role"), [("database-app-url", APP), ("database-owner-url", OWNER)])
def test_an_address_names_its_role_and_asks_for_a_certificate_that_amazon_signed(
    dev: Templates, parameter: str, role: str
) -> None:
    (url,) = [p["Value"] for p in dev.all("AWS::SSM::Parameter").values() if p["Name"] == f"/vsl/dev/{parameter}"]

    assert url.startswith(f"postgresql://{role}@database")
    assert url.endswith("Endpoint.Address:5432/vsl?sslmode=verify-full&sslrootcert=/opt/rds-ca.pem")


def test_the_master_is_the_business_of_one_function_that_uses_the_data_api(dev: Templates) -> None:
    (cluster,) = dev.all("AWS::RDS::DBCluster").values()
    function = dev.function("database_roles")
    settings = load(SETTINGS["database_roles"], function["Environment"]["Variables"])
    used = [(sorted(a), r) for a, r in dev.statements("database_roles") if not any("logs:" in one for one in a)]

    assert (cluster["EnableHttpEndpoint"], "VpcConfig" in function) == (True, False)
    assert [(actions, len(resources)) for actions, resources in used if resources != {"*"}] == [
        (
            [
                "rds-data:BeginTransaction",
                "rds-data:CommitTransaction",
                "rds-data:ExecuteStatement",
                "rds-data:RollbackTransaction",
            ],
            1,
        ),
        (["secretsmanager:GetSecretValue"], 1),
    ]
    assert {settings.database_cluster, settings.database_secret} == {r for _, rs in used for r in rs if rs != {"*"}}
    assert settings.database_name == cluster["DatabaseName"]


def test_the_engine_is_the_newest_of_its_major_version_that_the_cdk_knows_and_aws_still_offers(dev: Templates) -> None:
    from aws_cdk import aws_rds

    (cluster,) = dev.all("AWS::RDS::DBCluster").values()
    # By version, what the CDK's documentation says of it: Amazon withdraws minor versions after a year or two.
    described = dict(re.findall(r"""def VER_17_(\d+)\(.*?\n +\'\'\'(.*?)\'\'\'""", _source(aws_rds), re.DOTALL))
    offered = [int(minor) for minor, text in described.items() if "deprecated" not in text]

    assert len(offered) < len(described)
    assert cluster["EngineVersion"] == f"17.{max(offered)}"


def _source(aws_rds: Any) -> str:
    return inspect.getsource(aws_rds.AuroraPostgresEngineVersion)


def test_prod_survives_a_zone_and_a_mistake_of_last_month(prod: Templates) -> None:
    (cluster,) = prod.all("AWS::RDS::DBCluster").values()
    instances = prod.all("AWS::RDS::DBInstance").values()

    assert (cluster["BackupRetentionPeriod"], cluster["DeletionProtection"]) == (35, True)
    # A reader of tier 0 or 1 has the writer's size at any moment, so that it can take over.
    assert [instance["PromotionTier"] for instance in instances] == [0, 1]
    assert all(stage.database_backup_days >= 7 for stage in STAGES.values())


def test_what_is_kept_keeps_its_password_and_is_not_in_the_way_of_a_second_try(prod: Templates) -> None:
    resources = prod.by_stack["vsl-prod-data"]["Resources"].items()
    kept = {name: r for name, r in resources if r.get("DeletionPolicy", "Delete") != "Delete"}

    assert sorted(r["Type"] for name, r in kept.items() if "atabase" in name) == [
        "AWS::EC2::SecurityGroup",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::RDS::DBInstance",
        "AWS::RDS::DBSubnetGroup",
        "AWS::SecretsManager::Secret",
    ]
    assert {(r["DeletionPolicy"], r["UpdateReplacePolicy"]) for r in kept.values()} == {
        ("RetainExceptOnCreate", "Retain")
    }


def test_a_deploy_runs_the_migrations_of_this_checkout(templates: Templates) -> None:
    resources = templates.all(CUSTOM).values()

    found = {_function_behind(templates, one): one["digest"] for one in resources}

    expected = {templates.function_name("migrate"): migrations_digest(SHARED / "migrations")}
    if templates.stage != "local":
        roles = SHARED / "adapters" / "postgres" / "roles.py"
        expected[templates.function_name("database_roles")] = roles_digest(roles)
    assert found == expected


def test_in_aws_the_framework_answers_cloudformation_and_is_not_waited_for_without_end(dev: Templates) -> None:
    for resource in dev.all(CUSTOM).values():
        function = dev.all("AWS::Lambda::Function")[resource["ServiceToken"].removesuffix(".Arn")]
        assert function["Handler"] == "framework.onEvent"
        assert resource["ServiceTimeout"] == "300"


def test_what_a_deploy_runs_ends_before_who_waits_for_it(templates: Templates) -> None:
    timeout = templates.function("migrate")["Timeout"]

    assert timeout - LAST_SECONDS > MOST_SECONDS
    assert timeout < STAGES[templates.stage].custom_resource_seconds <= 300


def test_a_stage_is_taken_down_without_asking_a_function(templates: Templates) -> None:
    policies = [r["DeletionPolicy"] for t in templates.by_stack.values() for r in _of_type(t, CUSTOM).values()]

    assert set(policies) == {"Retain"}


def test_roles_are_made_then_migrations_run_then_functions_are_replaced(templates: Templates) -> None:
    (service,) = [t for t in templates.by_stack.values() if _of_type(t, CUSTOM)]
    custom = _of_type(service, CUSTOM)
    functions = {
        resource["Properties"].get("FunctionName"): resource.get("DependsOn", [])
        for resource in _of_type(service, "AWS::Lambda::Function").values()
    }
    last = next(name for name in custom if name.startswith("schemarunmigrate"))

    makers = {None, templates.function_name("migrate"), templates.function_name("database_roles")}
    at_once = {name for name, waits in functions.items() if last not in waits}

    assert at_once <= makers
    assert len(functions) > 10
    assert custom[last].get("DependsOn", []) == [name for name in custom if name != last]


def test_what_is_changed_or_added_or_renamed_runs_the_next_deploys_migrations(tmp_path: Path) -> None:
    first = tmp_path / "0001_first.sql"
    first.write_text("SELECT 1;")
    digests = [migrations_digest(tmp_path), roles_digest(first)]

    first.write_text("SELECT 2;")
    digests += [migrations_digest(tmp_path), roles_digest(first)]
    (tmp_path / "0002_second.sql").write_text("")
    digests.append(migrations_digest(tmp_path))
    first.rename(tmp_path / "0003_third.sql")
    digests.append(migrations_digest(tmp_path))

    # Of one file both are the same.
    assert len(set(digests)) == len(digests) - 2


def _function_behind(templates: Templates, resource: Properties) -> str:
    """The function that a custom resource has run, directly or by the framework."""
    name = str(resource["ServiceToken"]).removesuffix(".Arn")
    asked = templates.all("AWS::Lambda::Function")[name].get("Environment", {}).get("Variables", {})
    return str(asked.get("USER_ON_EVENT_FUNCTION_ARN", name)).removesuffix(".Arn")


def _of_type(template: Mapping[str, Any], resource_type: str) -> dict[str, Any]:
    return {name: one for name, one in template["Resources"].items() if one["Type"] == resource_type}
