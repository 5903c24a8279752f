"""The private network: how large, who may be reached through its endpoints, and what is written down of it."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

import pytest

from infra.cache_user import access_string
from infra.stages import STAGES, Stage
from shared.config import SETTINGS
from tests.infra.templates import Properties, Templates, listed

ACCOUNT = "AWS::AccountId"
ARN = f"arn:AWS::Partition:{{}}:AWS::Region:{ACCOUNT}:{{}}"
PLENTY = 1000


def test_subnets_leave_room_in_the_network_for_more(templates: Templates) -> None:
    (network,) = (IPv4Network(vpc["CidrBlock"]) for vpc in templates.all("AWS::EC2::VPC").values())
    subnets = [IPv4Network(subnet["CidrBlock"]) for subnet in templates.all("AWS::EC2::Subnet").values()]

    assert all(subnet.subnet_of(network) and subnet.num_addresses > PLENTY for subnet in subnets)
    assert not [pair for pair in combinations(subnets, 2) if pair[0].overlaps(pair[1])]
    assert sum(subnet.num_addresses for subnet in subnets) * 8 <= network.num_addresses


def test_networks_of_two_stages_can_be_joined() -> None:
    deployed = [IPv4Network(stage.vpc_cidr) for stage in STAGES.values() if not stage.is_local]

    assert not [pair for pair in combinations(deployed, 2) if pair[0].overlaps(pair[1])]


def test_through_the_s3_endpoint_nothing_but_the_media_bucket_is_reached(templates: Templates) -> None:
    (statement,) = _policy(templates, "s3")
    name = STAGES[templates.stage].bucket_name("media", "AWS::AccountId", "AWS::Region")
    bucket = f"arn:AWS::Partition:s3:::{name}"

    assert listed(statement["Resource"]) == {bucket, f"{bucket}/*"}
    # A bucket's name says nothing of whose it is.
    assert statement["Condition"]["StringEquals"]["aws:ResourceAccount"] == ACCOUNT


def test_through_the_dynamodb_endpoint_nothing_but_the_tables_is_reached(templates: Templates) -> None:
    (statement,) = _policy(templates, "dynamodb")

    tables = {ARN.format("dynamodb", f"table/{name}") for name in templates.all("AWS::DynamoDB::Table")}

    assert listed(statement["Resource"]) == tables


def test_through_the_sqs_endpoint_nothing_but_the_queues_is_reached(templates: Templates) -> None:
    (statement,) = _policy(templates, "sqs")

    queues = {ARN.format("sqs", name) for name in templates.all("AWS::SQS::Queue") if not name.endswith("-dlq")}

    assert listed(statement["Resource"]) == queues


@pytest.mark.parametrize("service", ["s3", "dynamodb", "sqs"])
def test_the_endpoints_let_through_what_roles_of_inside_functions_name(templates: Templates, service: str) -> None:
    deployed = templates.all("AWS::Lambda::Function")
    names = [name for name in SETTINGS if "VpcConfig" in deployed.get(templates.function_name(name), {})]
    allowed = [
        resources
        for name in names
        for actions, resources in templates.statements(name)
        if any(action.startswith(f"{service}:") for action in actions)
    ]
    named = {resource.partition(".Arn")[0] for resources in allowed for resource in resources}

    through = {_name(arn) for statement in _policy(templates, service) for arn in listed(statement["Resource"])}

    assert named
    assert named <= through


def test_no_endpoint_is_open_to_other_accounts(templates: Templates) -> None:
    endpoints = templates.all("AWS::EC2::VPCEndpoint").values()
    statements = [one for endpoint in endpoints for one in endpoint["PolicyDocument"]["Statement"]]

    assert len(statements) >= len(endpoints)
    assert {one["Effect"] for one in statements} == {"Allow"}
    assert {one["Condition"]["StringEquals"]["aws:PrincipalAccount"] for one in statements} == {ACCOUNT}
    assert not [one for one in statements if "*" in listed(one["Resource"])]


def test_in_aws_all_traffic_of_the_network_is_logged_and_forgotten_in_time(dev: Templates) -> None:
    (flows,) = dev.all("AWS::EC2::FlowLog").values()
    (vpc,) = dev.all("AWS::EC2::VPC")
    group = dev.all("AWS::Logs::LogGroup")[flows["LogGroupName"]]

    assert (flows["ResourceId"], flows["TrafficType"]) == (vpc, "ALL")
    assert group["RetentionInDays"] == 30


@pytest.mark.parametrize("description", ["Interface endpoints", "Cache", "Database"])
def test_in_aws_nothing_goes_out_from_what_only_answers(dev: Templates, description: str) -> None:
    groups = dev.all("AWS::EC2::SecurityGroup").values()
    (group,) = (found for found in groups if found["GroupDescription"] == description)

    # The rule that CloudFormation needs in the place of none: to one address that is nobody's.
    assert [rule["CidrIp"] for rule in group["SecurityGroupEgress"]] == ["255.255.255.255/32"]


def test_in_aws_the_cache_has_one_user_who_logs_in_by_iam_with_the_adapters_rights(dev: Templates) -> None:
    (cache,) = dev.all("AWS::ElastiCache::ServerlessCache").values()
    ((group_name, group),) = dev.all("AWS::ElastiCache::UserGroup").items()
    ((user_name, user),) = dev.all("AWS::ElastiCache::User").items()

    assert (cache["UserGroupId"], group["UserIds"]) == (group_name, [user_name])
    assert user["AuthenticationMode"] == {"Type": "iam"}
    # ElastiCache takes a token only for a user whose name is its id.
    assert (user["UserName"], user["AccessString"]) == (user["UserId"], access_string())


def test_in_aws_the_caches_address_names_the_user_and_the_cache_that_a_token_is_for(dev: Templates) -> None:
    (cache,) = dev.all("AWS::ElastiCache::ServerlessCache").values()
    (user,) = dev.all("AWS::ElastiCache::User").values()
    (address,) = (p["Value"] for p in dev.all("AWS::SSM::Parameter").values() if p["Name"] == "/vsl/dev/redis-url")

    assert address.startswith(f"rediss://{user['UserId']}@")
    assert address.endswith(f":6379?cache={cache['ServerlessCacheName']}")


@pytest.mark.parametrize("stage", [stage for stage in STAGES.values() if not stage.is_local], ids=lambda s: s.name)
def test_a_stages_cache_has_limits_that_elasticache_takes(stage: Stage) -> None:
    assert 1 <= stage.cache_max_gb <= 5_000
    assert 1_000 <= stage.cache_max_ecpu_per_second <= 15_000_000


def test_in_aws_the_cache_costs_no_more_than_its_stage_says(dev: Templates) -> None:
    (cache,) = dev.all("AWS::ElastiCache::ServerlessCache").values()
    stage = STAGES["dev"]

    assert cache["CacheUsageLimits"] == {
        "DataStorage": {"Maximum": stage.cache_max_gb, "Unit": "GB"},
        "ECPUPerSecond": {"Maximum": stage.cache_max_ecpu_per_second},
    }


def _name(arn: str) -> str:
    """A resource's name, of the media bucket without account and region."""
    name = arn.removesuffix("/*").rpartition("/")[2]
    return name.replace(f"-{ACCOUNT}-AWS::Region", "").rpartition(":")[2]


def _policy(templates: Templates, service: str) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = _endpoint(templates, service)["PolicyDocument"]["Statement"]
    return statements


def _endpoint(templates: Templates, service: str) -> Properties:
    endpoints = templates.all("AWS::EC2::VPCEndpoint").values()
    (found,) = (endpoint for endpoint in endpoints if endpoint["ServiceName"].endswith(f".{service}"))
    return found
