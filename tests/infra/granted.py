"""What the roles of a template allow, in the words of `needs.py`; and templates with other roles."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from tests.infra.needs import Right
from tests.infra.templates import Properties, Templates, listed

TOPICS = ("calls", "reports", "store", "fetch", "inspect", "compile", "uploads")


def granted(templates: Templates, name: str) -> frozenset[Right]:
    allowed = [one for one in statements_of(templates, name) if one["Effect"] == "Allow"]
    return frozenset(right for statement in allowed for right in _rights_of(templates, name, statement))


def role_rights(templates: Templates, role: str) -> frozenset[Right]:
    """What a role may do that is no function's of ours, as the template has it."""
    managed = templates.all("AWS::IAM::Role")[role].get("ManagedPolicyArns", ())
    rights = {("managed policy", arn.partition(":policy/")[2]) for arn in managed}
    for statement in _statements_of_role(templates, role):
        rights |= {(action, on) for action in listed(statement["Action"]) for on in listed(statement["Resource"])}
    return frozenset(rights)


def statements_of(templates: Templates, name: str) -> list[Properties]:
    """The statements of a function's role."""
    return _statements_of_role(templates, templates.function(name)["Role"].removesuffix(".Arn"))


def _statements_of_role(templates: Templates, role: str) -> list[Properties]:
    policies = [p for p in templates.all("AWS::IAM::Policy").values() if role in p["Roles"]]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def _rights_of(templates: Templates, name: str, statement: Properties) -> Iterator[Right]:
    """A condition on the prefix says below what may be listed; any other is part of the thing's name, as it is new."""
    things = {_thing(templates, name, resource) for resource in listed(statement["Resource"])}
    condition = statement.get("Condition")
    if condition and list(condition) == ["StringLike"] and list(condition["StringLike"]) == ["s3:prefix"]:
        prefixes = listed(condition["StringLike"]["s3:prefix"])
        things = {f"{thing}/{prefix}" for thing in things for prefix in prefixes}
    elif condition:
        things = {f"{thing} if {json.dumps(condition)}" for thing in things}
    yield from ((action, thing) for action in listed(statement["Action"]) for thing in things)


def _thing(templates: Templates, name: str, resource: str) -> str:
    """What an ARN names, in the words of `needs.py`; the ARN where that has no word for it."""
    stage = templates.stage
    logs = templates.function(name)["LoggingConfig"]["LogGroup"]
    words = {
        rf"vsl-{stage}-media\.Arn(/.+)?": r"media\1",
        rf"vsl-{stage}-realtime-jobs\.Arn": "table jobs",
        rf"vsl-{stage}-api-keys\.Arn": "table keys",
        rf"vsl-{stage}-({'|'.join(TOPICS)})\.Arn": r"queue \1",
        rf"vsl-{stage}-settle\.Arn": "function settle",
        rf"arn:[\w:]+:secret:/vsl/{stage}/([\w-]+)-\?{{6}}": r"secret \1",
        rf"arn:[\w:]+:parameter/vsl/{stage}/([\w-]+)": r"parameter \1",
        r"arn:[\w:-]+:dbuser:\w+\.DBClusterResourceId/(\w+)": r"database user \1",
        r"arn:[\w:]+:cluster:database\w+": "database cluster",
        r"databaseSecretAttachment\w+|databaseSecret\w+": "database secret",
        rf"arn:[\w:]+:serverlesscache:vsl-{stage}-\d-zones": "cache",
        r"cacheuser\w+\.Arn": "cache user",
        rf"{logs}\.Arn": "own log group",
    }
    matching = ((re.fullmatch(pattern, resource), word) for pattern, word in words.items())
    return next((found.expand(word) for found, word in matching if found), resource)


def with_rights(templates: Templates, name: str, rights: Iterable[Right]) -> Templates:
    """The same templates, but the role of this function has one statement for each of these rights."""
    known = {_thing(templates, name, arn): arn for arn in _resources(templates)}
    denied = [one for one in statements_of(templates, name) if one["Effect"] == "Deny"]
    statements = [_statement(action, thing, known) for action, thing in sorted(rights)]
    changed = deepcopy(dict(templates.by_stack))
    (policy,) = _policies(changed, templates.function(name)["Role"].removesuffix(".Arn"))
    policy["PolicyDocument"]["Statement"] = denied + statements
    return Templates(templates.stage, changed)


def _policies(by_stack: Mapping[str, Mapping[str, Any]], role: str) -> list[Properties]:
    resources = [resource for template in by_stack.values() for resource in template["Resources"].values()]
    policies = [one["Properties"] for one in resources if one["Type"] == "AWS::IAM::Policy"]
    return [policy for policy in policies if policy["Roles"] == [{"Ref": role}]]


def _statement(action: str, thing: str, known: Mapping[str, str]) -> Properties:
    if action == "s3:ListBucket" and thing.startswith("media/"):
        below = {"StringLike": {"s3:prefix": [thing.removeprefix("media/")]}}
        return {"Effect": "Allow", "Action": action, "Resource": known["media"], "Condition": below}
    own = f"{known['media']}{thing.removeprefix('media')}" if thing.startswith("media") else known.get(thing, thing)
    return {"Effect": "Allow", "Action": action, "Resource": own}


def _resources(templates: Templates) -> set[str]:
    policies = templates.all("AWS::IAM::Policy").values()
    statements = [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]
    return {resource for statement in statements for resource in listed(statement["Resource"])}
