"""Parts of the local gateway that need no process: policies, quotas, references in templates."""

import asyncio
import json
from pathlib import Path

import pytest

from local.policies import is_allowed
from local.runtime.api import UsagePlan
from local.runtime.deployed import function_config
from local.runtime.functions import FileSource
from local.runtime.plans import KeyRing
from local.runtime.refusals import Refusal
from local.runtime.template import TemplateMistake, Templates

METHOD = "arn:aws:execute-api:us-east-1:000000000000:abc/local/GET/jobs/1"


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("arn:aws:execute-api:us-east-1:000000000000:abc/local/*", True),
        ("arn:aws:execute-api:*:*:abc/local/GET/jobs/?", True),
        ("*", True),
        ("arn:aws:execute-api:us-east-1:000000000000:abc/local/POST/*", False),
        ("arn:aws:execute-api:us-east-1:000000000000:abc/prod/*", False),
    ],
)
def test_a_policy_allows_what_its_resource_covers(resource: str, allowed: bool) -> None:
    statement = {"Effect": "Allow", "Action": ["execute-api:Invoke"], "Resource": [resource]}
    assert is_allowed([{"Statement": statement}], "execute-api:Invoke", METHOD) is allowed


def test_a_denial_wins_over_an_allowance() -> None:
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "execute-api:*", "Resource": "*/GET/*"}
    assert not is_allowed([{"Statement": [allow, deny]}], "execute-api:Invoke", METHOD)


def test_a_quota_refuses_the_call_after_the_last(tmp_path: Path) -> None:
    file = tmp_path / "functions.json"
    file.write_text(json.dumps({"usagePlans": {"plan": ["key"]}}))
    ring = KeyRing(UsagePlan("plan", rate=None, quota=2, quota_period="DAY"), FileSource(file))
    for _ in range(2):
        asyncio.run(ring.admit("key"))
    with pytest.raises(Refusal, match="QUOTA_EXCEEDED"):
        asyncio.run(ring.admit("key"))


def test_a_function_is_found_through_an_import_and_an_alias() -> None:
    function = {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "worker"}}
    alias = {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "Worker"}}}
    outputs = {"Out": {"Value": {"Ref": "Live"}, "Export": {"Name": "stack:worker"}}}
    templates = Templates([{}, {"Resources": {"Worker": function, "Live": alias}, "Outputs": outputs}])
    uri = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, {"Fn::ImportValue": "stack:worker"}]]}
    assert templates.function_name(0, uri) == "worker"


def test_a_function_is_inside_when_its_template_gives_it_subnets() -> None:
    deployed = {"FunctionName": "w", "FunctionArn": "arn", "Handler": "h", "Role": "r"}
    declared = {"VpcConfig": {"SubnetIds": ["a"]}, "ReservedConcurrentExecutions": 2}
    function = function_config(deployed, declared)
    assert (function.inside, function.reserved_concurrency) == (True, 2)
    assert not function_config(deployed, deployed).inside


def test_a_function_without_a_name_is_a_mistake() -> None:
    templates = Templates([{"Resources": {"Worker": {"Type": "AWS::Lambda::Function", "Properties": {}}}}])
    with pytest.raises(TemplateMistake, match="Worker"):
        templates.function_name(0, {"Fn::GetAtt": ["Worker", "Arn"]})
