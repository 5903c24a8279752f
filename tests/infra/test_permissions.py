"""Granted is what is needed: no role lacks a right that its function's code uses, none holds another."""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Iterator

import pytest

from shared.config import SETTINGS
from tests.infra.granted import granted, role_rights, statements_of, with_rights
from tests.infra.needs import CONSUMERS, IN_AWS_ALONE, INTERFACES, NEEDS, OPERATIONS, Right, needed
from tests.infra.reach import ADAPTERS, BOOTSTRAP, CLIENTS, PORTS, Program, operations_of, read_sources
from tests.infra.templates import Templates, listed

MUTATIONS = range(10)
# These allow no resource to be named (Service Authorization Reference).
NAMELESS = {*INTERFACES, "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
WRITES_LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
# Roles that are no function's of ours: what AWS documents for each, or what the CDK's framework asks a function with.
OTHER_ROLES = {
    "apirestCloudWatchRole": {("managed policy", "service-role/AmazonAPIGatewayPushToCloudWatchLogs")},
    "vpcflowlogIAMRole": {(action, "flows") for action in (*WRITES_LOGS, "logs:DescribeLogStreams")},
    **{
        f"schema{function.replace('-', '')}asker": {
            *((action, f"schema{function.replace('-', '')}answers") for action in WRITES_LOGS),
            ("lambda:InvokeFunction", function),
            ("lambda:InvokeFunction", f"{function}:*"),
            ("lambda:GetFunction", function),
        }
        for function in ("database-roles", "migrate")
    },
}
PROGRAM = Program(read_sources())
ROLES = [name for name in sorted(NEEDS) if name not in IN_AWS_ALONE]
every_function = pytest.mark.parametrize("name", ROLES)


@pytest.mark.parametrize("name", NEEDS)
def test_a_functions_code_makes_the_calls_that_are_said_to_be_needed_and_no_others(name: str) -> None:
    reached = {call for call, operations in PROGRAM.reach(name).items() if any(OPERATIONS[one] for one in operations)}

    assert {need.call for need in NEEDS[name]} == reached


def test_every_call_of_a_client_is_known_with_what_iam_asks_for_it() -> None:
    ports = {
        operation
        for port, (adapter, _) in PORTS.items()
        for method in PROGRAM.methods[adapter]
        for operation in operations_of(PROGRAM, port, method)
    }
    portless = {call for name in NEEDS for call in PROGRAM.reach(name) if call.partition(".")[0] not in PORTS}

    assert ports | portless == set(OPERATIONS)


def test_clients_are_made_for_the_known_adapters_and_called_by_nobody_else() -> None:
    sdk = {"boto3", "botocore", "aws_lambda_powertools.utilities.parameters"}
    users = {module for module, tree in PROGRAM.modules.items() if sdk & set(_imported(tree))}
    adapters = {adapter.partition(":")[0] for adapter in ADAPTERS}

    # These sign, or call what is known by its name.
    others = {BOOTSTRAP, "shared.adapters.presigned_urls", "shared.adapters.redis_cache", *(one for one, _ in CLIENTS)}
    assert users <= others | adapters
    assert set(PROGRAM.builders.values()) == set(ADAPTERS)
    loose = {"shared.adapters.s3:text_at", "shared.adapters.aws:hide_message", "shared.adapters.data_api:DataApi"}
    assert _given_clients() == {*(ADAPTERS), *loose}


def test_what_holds_a_port_is_named_after_it() -> None:
    protocols = {
        "MediaStore": "media",
        "LiveView": "live",
        "KeyDirectory": "directory",
        "Queue": "queue",
        "Reports": "reports",
        "Inside": "inside",
    }
    wrong = [
        f"{module}: {name} holds a {protocols[protocol]}"
        for module, tree in PROGRAM.modules.items()
        for name, protocol in _annotated(tree)
        if protocol in protocols and name.lstrip("_") != protocols[protocol]
    ]
    renamed = [f"{module}: {line}" for module, tree in PROGRAM.modules.items() for line in _renamed(module, tree)]

    assert not wrong + renamed


def test_a_call_that_is_added_to_a_handler_is_found() -> None:
    changed = ast.parse(
        "from shared import bootstrap\n\ndef handler(event, context):\n    bootstrap.media().delete([])"
    )
    program = Program({**PROGRAM.modules, "functions.status.handler": changed})

    assert program.reach("status") == {"media.delete": frozenset({"s3.delete_objects"})}


@every_function
def test_a_role_holds_what_its_function_needs_and_nothing_else(templates: Templates, name: str) -> None:
    assert _difference(templates, name) == {}


def test_there_are_needs_of_every_function(templates: Templates) -> None:
    absent = IN_AWS_ALONE if templates.stage == "local" else ()

    assert set(templates.functions) == {templates.function_name(name) for name in NEEDS if name not in absent}
    assert set(NEEDS) == set(SETTINGS)


def test_what_makes_the_databases_roles_holds_what_that_needs_and_nothing_else(dev: Templates) -> None:
    assert [_difference(dev, name) for name in IN_AWS_ALONE] == [{}]


def test_roles_that_are_no_functions_hold_what_is_said_of_them(templates: Templates) -> None:
    own = {function["Role"].removesuffix(".Arn") for function in templates.functions.values()}
    others = {name for name in templates.all("AWS::IAM::Role") if name not in own}

    held = {
        _unhashed(name): {(action, _unhashed(on)) for action, on in role_rights(templates, name)} for name in others
    }

    assert held == {name: rights for name, rights in OTHER_ROLES.items() if name in held}


def test_no_role_has_policies_but_the_one_that_is_checked(templates: Templates) -> None:
    own = {function["Role"].removesuffix(".Arn") for function in templates.functions.values()}
    roles = templates.all("AWS::IAM::Role")

    assert not templates.all("AWS::IAM::ManagedPolicy")
    assert not [name for name, role in roles.items() if role.get("Policies")]
    assert not [name for name in own if roles[name].get("ManagedPolicyArns")]


@every_function
def test_only_actions_without_resources_are_allowed_on_everything(templates: Templates, name: str) -> None:
    wide = {action for action, thing in granted(templates, name) if thing == "*"}

    assert wide <= NAMELESS
    assert not [action for action, _ in granted(templates, name) if "*" in action]


@every_function
def test_network_interfaces_are_lambdas_to_make_and_not_the_codes(templates: Templates, name: str) -> None:
    denied = [one for one in statements_of(templates, name) if one["Effect"] == "Deny"]

    if "VpcConfig" not in templates.function(name):
        assert not denied
        return
    (statement,) = denied
    assert listed(statement["Action"]) == set(INTERFACES)
    (source,) = statement["Condition"]["ArnEquals"].values()
    assert source.endswith(f":function:{templates.function_name(name)}")


@pytest.mark.parametrize("seed", MUTATIONS)
def test_a_grant_that_is_removed_is_missed(templates: Templates, seed: int) -> None:
    chance = random.Random(seed)
    name = chance.choice(ROLES)
    removed = chance.choice(sorted(granted(templates, name)))

    changed = with_rights(templates, name, granted(templates, name) - {removed})

    assert _difference(changed, name) == {"missing": [removed]}


@pytest.mark.parametrize("seed", MUTATIONS)
def test_a_grant_that_is_added_is_noticed(templates: Templates, seed: int) -> None:
    chance = random.Random(seed)
    name = chance.choice(ROLES)
    every = {right for function in ROLES for right in granted(templates, function)} | {
        ("s3:*", "media/*"),
        ("s3:GetObject", "media/*"),
        ("dynamodb:UpdateItem", "table jobs"),
        ("iam:PassRole", "*"),
    }
    added = chance.choice(sorted(every - granted(templates, name)))

    changed = with_rights(templates, name, granted(templates, name) | {added})

    assert _difference(changed, name) == {"not needed": [added]}


@every_function
def test_a_role_that_is_written_anew_is_the_same(templates: Templates, name: str) -> None:
    assert _difference(with_rights(templates, name, granted(templates, name)), name) == {}


@every_function
def test_secrets_and_parameters_that_may_be_read_are_those_of_its_settings(templates: Templates, name: str) -> None:
    addresses = [value for value in templates.environment(name).values() if value.startswith(("secret:", "ssm:"))]
    named = {re.sub(r"^(secret|ssm):/vsl/\w+/", r"\1 ", address).replace("ssm ", "parameter ") for address in addresses}

    allowed = {thing for action, thing in granted(templates, name) if action.startswith(("secretsmanager", "ssm"))}

    assert allowed == named


@every_function
def test_queues_that_may_be_sent_to_are_those_it_is_told(templates: Templates, name: str) -> None:
    told = {variable for variable in templates.environment(name) if variable.endswith("_QUEUE_URL")}

    allowed = {thing for action, thing in granted(templates, name) if action == "sqs:SendMessage"}

    assert {f"{thing.removeprefix('queue ').upper()}_QUEUE_URL" for thing in allowed} == told


def test_who_may_consume_a_queue_is_who_lambda_gives_its_messages(templates: Templates) -> None:
    mappings = templates.all("AWS::Lambda::EventSourceMapping").values()
    read = {(one["FunctionName"], one["EventSourceArn"].removesuffix(".Arn")) for one in mappings}

    assert read == {
        (templates.function_name(name), f"vsl-{templates.stage}-{topic}")
        for name, topics in CONSUMERS.items()
        for topic in topics
    }


def test_nothing_is_encrypted_with_a_key_that_functions_would_need_rights_on(templates: Templates) -> None:
    """The alarms' topic has one, which alarms alone use."""
    stores = ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::SecretsManager::Secret")
    own = [resource for kind in stores for resource in templates.all(kind).values()]

    assert not [
        resource for resource in own if re.search(r"KmsKeyId|KmsMasterKeyId|KMSMasterKey", json.dumps(resource))
    ]
    assert "kms" not in json.dumps([NEEDS, OPERATIONS], default=str).lower()


def _difference(templates: Templates, name: str) -> dict[str, list[Right]]:
    is_inside = "VpcConfig" in templates.function(name)
    wanted = needed(PROGRAM, name, is_inside=is_inside, is_local=templates.stage == "local")
    held = granted(templates, name)
    found = {"missing": sorted(wanted - held), "not needed": sorted(held - wanted)}
    return {kind: rights for kind, rights in found.items() if rights}


def _unhashed(name: str) -> str:
    """A logical id without what the CDK adds to it, a function without its stage."""
    return re.sub(r"([0-9A-F]{8})?(\.Arn)?$", "", re.sub(r"^vsl-\w+-([\w-]+)\.Arn", r"\1", name))


def _imported(tree: ast.Module) -> Iterator[str]:
    """Modules that are imported, and `module.name` of names, as a name may be a module; without those for types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _given_clients() -> set[str]:
    """What `bootstrap` calls with a client as its first argument."""
    calls = [node for node in ast.walk(PROGRAM.modules[BOOTSTRAP]) if isinstance(node, ast.Call) and node.args]
    given = [
        call
        for call in calls
        if isinstance(call.args[0], ast.Call)
        and isinstance(call.args[0].func, ast.Name)
        and call.args[0].func.id == "aws"
    ]
    return {str(PROGRAM.named(BOOTSTRAP, call.func)) for call in given}


def _annotated(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Parameters and fields with the last word of their types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            yield node.arg, ast.unparse(node.annotation).rpartition(".")[2]
        elif isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target).rpartition(".")[2], ast.unparse(node.annotation).rpartition(".")[2]


def _renamed(module: str, tree: ast.Module) -> Iterator[str]:
    """Assignments that give what holds a port another name."""
    assignments = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    for name, value in (pair for assignment in assignments for pair in _pairs(assignment)):
        port = PROGRAM.port_of(module, value)
        if port is not None and ast.unparse(name).rpartition(".")[2].lstrip("_") != port:
            yield f"{ast.unparse(name)} = {ast.unparse(value)}"


def _pairs(node: ast.Assign) -> list[tuple[ast.expr, ast.expr]]:
    """Names with their values, where both sides are written out."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]
