"""What is closed: the bucket, the network, the templates themselves."""

from __future__ import annotations

import json
import re

import pytest

from infra.stages import STAGES
from tests.infra.templates import Properties, Templates

# The cache has a second port, for reads that may be a little old.
HTTPS, POSTGRESQL, REDIS = (443, 443), (5432, 5432), (6379, 6380)
SECRET_VALUES = {
    "a Replicate token": r"r8_[A-Za-z0-9]{10,}",
    "a webhook secret": r"whsec_[A-Za-z0-9+/=]{10,}",
    "an AWS key": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "a private key": r"-----BEGIN",
    "a URL with a password": r"[a-z]+://[^/\s\"@:]+:[^/\s\"@]+@",
}


def test_nothing_in_the_bucket_can_be_public(templates: Templates) -> None:
    bucket = templates.all("AWS::S3::Bucket")[f"vsl-{templates.stage}-media"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_media_has_one_bucket_that_a_deleted_stack_leaves_behind(templates: Templates) -> None:
    buckets = [
        r for t in templates.by_stack.values() for r in t["Resources"].values() if r["Type"] == "AWS::S3::Bucket"
    ]

    named = [bucket["DeletionPolicy"] for bucket in buckets if "BucketName" in bucket["Properties"]]
    assert named == ["RetainExceptOnCreate"]


def test_browsers_may_reach_the_bucket_from_our_origins_only(templates: Templates) -> None:
    bucket = templates.all("AWS::S3::Bucket")[f"vsl-{templates.stage}-media"]

    rules = bucket["CorsConfiguration"]["CorsRules"]

    assert [rule["AllowedOrigins"] for rule in rules] == [list(STAGES[templates.stage].cors_origins)] * 2
    assert [rule["ExposedHeaders"] for rule in rules] == [["ETag"]] * 2


def test_browsers_may_post_forms_to_the_bucket_and_read_and_nothing_else(templates: Templates) -> None:
    bucket = templates.all("AWS::S3::Bucket")[f"vsl-{templates.stage}-media"]

    allowed = [(r["AllowedMethods"], r["AllowedHeaders"]) for r in bucket["CorsConfiguration"]["CorsRules"]]

    assert allowed == [(["POST"], ["Content-Type"]), (["GET", "HEAD"], ["Range"])]


def test_no_stage_allows_every_origin() -> None:
    origins = {origin for stage in STAGES.values() for origin in stage.cors_origins}

    assert origins
    assert not [origin for origin in origins if "*" in origin or origin.endswith("/")]


def test_in_aws_buckets_are_reached_by_tls_only(dev: Templates) -> None:
    policies = {policy["Bucket"]: policy for policy in dev.all("AWS::S3::BucketPolicy").values()}
    denials = {
        bucket: [one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Deny"]
        for bucket, policy in policies.items()
    }

    assert set(denials) == set(dev.all("AWS::S3::Bucket"))
    for bucket, (statement,) in denials.items():
        assert (statement["Action"], statement["Resource"]) == ("s3:*", [f"{bucket}.Arn", f"{bucket}.Arn/*"])
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_private_network_has_no_way_to_the_internet(templates: Templates) -> None:
    for kind in ("NatGateway", "InternetGateway", "VPCGatewayAttachment", "EgressOnlyInternetGateway"):
        assert not templates.all(f"AWS::EC2::{kind}")
    assert not templates.all("AWS::EC2::Route")


def test_inside_functions_stand_in_isolated_subnets_and_one_group(templates: Templates) -> None:
    subnets = set(templates.all("AWS::EC2::Subnet"))
    placed = [f["VpcConfig"] for f in templates.all("AWS::Lambda::Function").values() if "VpcConfig" in f]

    assert all(set(place["SubnetIds"]) == subnets for place in placed)
    assert {group for place in placed for group in place["SecurityGroupIds"]} == {_group(templates, "Inside functions")}


@pytest.mark.parametrize("service", ["s3", "dynamodb"])
def test_a_gateway_endpoint_stands_in_the_routes_of_every_subnet(templates: Templates, service: str) -> None:
    endpoint = _endpoint(templates, service)

    assert endpoint["VpcEndpointType"] == "Gateway"
    assert set(endpoint["RouteTableIds"]) == set(templates.all("AWS::EC2::RouteTable"))


def test_sqs_is_reached_by_its_usual_name_in_every_subnet(templates: Templates) -> None:
    endpoint = _endpoint(templates, "sqs")

    assert (endpoint["VpcEndpointType"], endpoint["PrivateDnsEnabled"]) == ("Interface", True)
    assert set(endpoint["SubnetIds"]) == set(templates.all("AWS::EC2::Subnet"))


@pytest.mark.parametrize(
    ("description", "ports"), [("Interface endpoints", HTTPS), ("Database", POSTGRESQL), ("Cache", REDIS)]
)
def test_in_aws_inside_functions_and_only_they_reach_what_they_use(
    dev: Templates, description: str, ports: tuple[int, int]
) -> None:
    inside, target = _group(dev, "Inside functions"), _group(dev, description)

    out = [r for r in dev.all("AWS::EC2::SecurityGroupEgress").values() if r["DestinationSecurityGroupId"] == target]
    into = [r for r in dev.all("AWS::EC2::SecurityGroupIngress").values() if r["GroupId"] == target]

    assert [(rule["GroupId"], rule["FromPort"], rule["ToPort"]) for rule in out] == [(inside, *ports)]
    assert [(rule["SourceSecurityGroupId"], rule["FromPort"], rule["ToPort"]) for rule in into] == [(inside, *ports)]


def test_in_aws_inside_functions_reach_s3_and_dynamodb(dev: Templates) -> None:
    group = dev.all("AWS::EC2::SecurityGroup")[_group(dev, "Inside functions").removesuffix(".GroupId")]

    rules = [(rule["CidrIp"], rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]]

    assert rules == [("0.0.0.0/0", *HTTPS)]
    assert "SecurityGroupIngress" not in group


@pytest.mark.parametrize("pattern", SECRET_VALUES.values(), ids=SECRET_VALUES.keys())
def test_no_template_holds_a_secret_value(templates: Templates, pattern: str) -> None:
    found = [name for name, template in templates.by_stack.items() if re.search(pattern, json.dumps(template))]

    assert not found


def test_secrets_are_generated_by_aws_or_set_by_a_command(templates: Templates) -> None:
    secrets = templates.all("AWS::SecretsManager::Secret").values()

    assert all("SecretString" not in secret and "GenerateSecretString" in secret for secret in secrets)
    assert not [name for p in templates.all("AWS::SSM::Parameter").values() if "token" in (name := p["Name"])]


def test_database_and_cache_of_the_local_stage_are_external(local: Templates) -> None:
    kinds = {resource["Type"] for template in local.by_stack.values() for resource in template["Resources"].values()}

    assert not [kind for kind in kinds if kind.startswith(("AWS::RDS", "AWS::ElastiCache", "AWS::SecretsManager"))]


def _group(templates: Templates, description: str) -> str:
    groups = templates.all("AWS::EC2::SecurityGroup").items()
    (found,) = (name for name, group in groups if group["GroupDescription"] == description)
    return f"{found}.GroupId"


def _endpoint(templates: Templates, service: str) -> Properties:
    endpoints = templates.all("AWS::EC2::VPCEndpoint").values()
    (found,) = (endpoint for endpoint in endpoints if endpoint["ServiceName"].endswith(f".{service}"))
    return found
