"""A stage's whole template in MiniStack: created, updated, rolled back from a failing update, and deleted.

`make rehearsal` does it for the stages below and writes into docs/emulators.md what MiniStack could not
take: whatever it refuses is left out, noted, and what refers to it gets a word in its place. Functions do not run.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.deploy import TEMPLATE_BUCKET, _ensure_bucket, _upload_assets
from local.layout import find_layout
from local.ministack import mended
from local.processes import wait_until
from local.synth import Assembly, synthesize
from tests.infra.emulator import PROXY_VARIABLE, REFUSING_FUNCTION, Emulator, emulator

Template = dict[str, Any]
STAGES = ("local", "dev", "prod")
DEPLOY_SECONDS = 300
# A template that needs more than this many resources left out is not rehearsed but rewritten.
MOST_ROUNDS = 40
ABSENT = "not-in-the-emulator"
MORE_MEMORY_MB = 64
PAGE = Path(__file__).resolve().parents[2] / "docs" / "emulators.md"
UNKNOWN, NOT_KEPT = "a type that it does not know", "taken without a word, and not kept"
MENDED = "left out by `mended` in `local/ministack.py`"
# What the Lambda API answers elsewhere, or under another name.
NOT_OF_THE_ANSWER = {"Code", "Tags", "RecursiveLoop"}
MARKS = ("<!-- what MiniStack could not take: make rehearsal -->\n", "<!-- end -->\n")


@dataclass(frozen=True, order=True)
class NotTaken:
    """A kind of resource of a stage that MiniStack could not take, and how it said so."""

    stage: str
    type: str
    why: str

    def row(self) -> str:
        return f"| {self.stage} | `{self.type}` | {self.why} |"


class Failed(Exception):
    """An operation on a stack did not end as it should; `resource` has failed first, if one has."""

    def __init__(self, sentence: str, resource: str = "", why: str = "") -> None:
        super().__init__(sentence)
        self.resource, self.why = resource, why


@dataclass
class Rehearsal:
    """One stage's stacks in an emulator of its own."""

    stage: str
    emulator: Emulator
    assembly: Assembly
    not_taken: set[NotTaken] = field(default_factory=set)
    templates: dict[str, Template] = field(default_factory=dict)

    def create(self) -> None:
        """Deploys all stacks, from the start again for each resource that MiniStack could not take. Raises Failed."""
        self.templates = {stack: self._prepared(stack) for stack in self.assembly.stacks}
        for _ in range(MOST_ROUNDS):
            if self._created():
                self._note_what_is_not_kept()
                return
        raise Failed(f"MiniStack takes too little of {self.stage}: {sorted(self.not_taken)}")

    def update(self) -> None:
        """Gives each function more memory and each stack one more parameter. Raises Failed."""
        for stack in self.templates:
            self.templates[stack] = changed(self.templates[stack], stack, "updated")
            self._run("update_stack", stack, self.templates[stack], "UPDATE_COMPLETE")

    def fail_to_update(self) -> list[str]:
        """The same once more, and last of all what cannot be made: the stacks whose update was rolled back."""
        rolled_back = []
        for stack, template in self.templates.items():
            failing = changed(template, stack, "never-seen")
            waits = [*template["Resources"], "Rehearsedneverseen"]
            token = {"Fn::Sub": f"arn:aws:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{REFUSING_FUNCTION}"}
            refused = {"Type": "Custom::Refused", "Properties": {"ServiceToken": token}, "DependsOn": waits}
            failing["Resources"]["Refused"] = refused
            self._run("update_stack", stack, failing, "UPDATE_ROLLBACK_COMPLETE")
            rolled_back.append(stack)
        return rolled_back

    def destroy(self) -> set[str]:
        """Deletes all stacks, last first, and answers those that stay since something that is kept needs them."""
        staying = set()
        for stack in reversed(self.templates):
            (found,) = self._formation.describe_stacks(StackName=stack)["Stacks"]
            self._formation.delete_stack(StackName=stack)
            self._await_end(found["StackId"])
            if self._status(found["StackId"]) != "DELETE_COMPLETE":
                staying.add(stack)
        return staying

    def stacks_of_what_is_kept(self) -> set[str]:
        """Stacks with a network in which something lies that is kept: on AWS, too, it cannot be deleted before that."""
        kept = {resource["Type"] for resource in self._resources() if _is_kept(resource)}
        networks = {stack for stack in self.templates if _has_vpc(self.templates[stack])}
        return networks if kept & {"AWS::RDS::DBCluster", "AWS::EC2::SecurityGroup"} else set()

    def memory(self) -> dict[str, int]:
        """By function, its memory in MB as the Lambda API has it."""
        pages = self.emulator.client("lambda").get_paginator("list_functions").paginate()
        found = {one["FunctionName"]: one["MemorySize"] for page in pages for one in page["Functions"]}
        return {name: size for name, size in found.items() if name != REFUSING_FUNCTION}

    def parameters(self) -> set[str]:
        """Names of the parameters that updates have added."""
        pages = self.emulator.client("ssm").get_paginator("describe_parameters").paginate()
        return {one["Name"] for page in pages for one in page["Parameters"] if one["Name"].startswith("/rehearsal/")}

    def resources(self) -> set[str]:
        """Names of the functions, queues and tables that exist."""
        queues = self.emulator.client("sqs").list_queues().get("QueueUrls", [])
        tables = set(self.emulator.client("dynamodb").list_tables()["TableNames"])
        return {*self.memory(), *(url.rpartition("/")[2] for url in queues), *tables}

    def retained(self) -> set[str]:
        """Names of the functions, queues and tables that the templates keep when their stack is deleted."""
        names = [
            resource.get("Properties", {}).get(name)
            for resource in self._resources()
            for name in ("FunctionName", "QueueName", "TableName")
            if _is_kept(resource)
        ]
        return {name for name in names if isinstance(name, str)}

    @cached_property
    def _formation(self) -> Any:
        return self.emulator.client("cloudformation")

    def _resources(self) -> list[dict[str, Any]]:
        return [resource for template in self.templates.values() for resource in template["Resources"].values()]

    def _created(self) -> bool:
        """False where one more resource was left out, and all is to begin anew."""
        self.emulator.reset()
        _put_what_is_there_before(self.emulator, self.templates, self.stage)
        for stack, template in self.templates.items():
            _upload_assets(self.emulator.client("s3"), self.assembly.zip_assets(stack))
            try:
                self._run("create_stack", stack, template, "CREATE_COMPLETE")
            except (Failed, ClientError) as refusal:
                self._leave_out(stack, refusal)
                return False
        return True

    def _note_what_is_not_kept(self) -> None:
        """Properties of functions that MiniStack takes without a word and does not have afterwards."""
        functions = self.emulator.client("lambda")
        declared = [
            r["Properties"] for t in self.templates.values() for r in t["Resources"].values() if _is_function(r)
        ]
        for properties in declared:
            if isinstance(name := properties.get("FunctionName"), str):
                kept = functions.get_function(FunctionName=name)
                there = {**kept["Configuration"], **kept, **kept.get("Concurrency", {})}
                lost = properties.keys() - there.keys() - NOT_OF_THE_ANSWER
                self.not_taken |= {NotTaken(self.stage, f"AWS::Lambda::Function {key}", NOT_KEPT) for key in lost}

    def _leave_out(self, stack: str, refusal: Exception) -> None:
        resources = self.templates[stack]["Resources"]
        if isinstance(refusal, Failed) and self._leave_out_property(resources.get(refusal.resource), refusal.why):
            return
        if isinstance(refusal, Failed) and refusal.resource in resources:
            dropped = {refusal.resource: refusal.why}
        else:
            unknown = re.search(r"Unrecognized resource types: \[(.*?)\]", str(refusal))
            types = unknown[1].split(", ") if unknown else []
            dropped = {name: UNKNOWN for name, resource in resources.items() if resource["Type"] in types}
        if not dropped:
            raise refusal
        self.not_taken |= {NotTaken(self.stage, resources[name]["Type"], why) for name, why in dropped.items()}
        self.templates[stack] = without(self.templates[stack], set(dropped))

    def _leave_out_property(self, resource: dict[str, Any] | None, why: str) -> bool:
        """Whether the refusal names one property of the resource, which is then left out alone."""
        named = re.match(r"(AWS::\S+) (\w+) rejected: (.*)", why)
        if resource is None or named is None or named[2] not in resource["Properties"]:
            return False
        del resource["Properties"][named[2]]
        self.not_taken.add(NotTaken(self.stage, f"{named[1]} {named[2]}", named[3]))
        return True

    def _prepared(self, stack: str) -> Template:
        template = json.loads(self.assembly.template_file(stack).read_text())
        taken = mended(template)
        left_out = template["Resources"].keys() - taken["Resources"].keys()
        self.not_taken |= {NotTaken(self.stage, template["Resources"][name]["Type"], MENDED) for name in left_out}
        for resource in taken["Resources"].values():
            if _is_function(resource):
                variables = resource["Properties"].setdefault("Environment", {}).setdefault("Variables", {})
                variables[PROXY_VARIABLE] = self.emulator.functions_url
        return without(taken, set(left_out))

    def _run(self, operation: str, stack: str, template: Template, wanted: str) -> None:
        storage = self.emulator.client("s3")
        _ensure_bucket(storage, TEMPLATE_BUCKET)
        storage.put_object(Bucket=TEMPLATE_BUCKET, Key=stack, Body=json.dumps(template).encode())
        getattr(self._formation, operation)(
            StackName=stack,
            TemplateURL=f"{self.emulator.url}/{TEMPLATE_BUCKET}/{stack}",
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        self._wait(stack, wanted)

    def _await_end(self, stack: str) -> None:
        def ended() -> bool:
            return not str(self._status(stack)).endswith("IN_PROGRESS")

        if not wait_until(ended, DEPLOY_SECONDS, pause_seconds=0.05):
            raise Failed(f"{stack} is {self._status(stack)} after {DEPLOY_SECONDS} s")

    def _wait(self, stack: str, wanted: str) -> None:
        self._await_end(stack)
        if self._status(stack) != wanted:
            resource, why = self._first_failure(stack)
            raise Failed(f"{stack} is {self._status(stack)}, not {wanted}: {resource} {why}", resource, why)

    def _status(self, stack: str) -> str:
        return str(self._formation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])

    def _first_failure(self, stack: str) -> tuple[str, str]:
        events = self._formation.describe_stack_events(StackName=stack)["StackEvents"]
        failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("_FAILED")]
        named = [event for event in failed if event.get("ResourceType") != "AWS::CloudFormation::Stack"]
        first = next(iter(named), {})
        return first.get("LogicalResourceId", ""), _one_line(first.get("ResourceStatusReason", ""))


def _is_function(resource: Mapping[str, Any]) -> bool:
    return bool(resource["Type"] == "AWS::Lambda::Function")


def _is_kept(resource: Mapping[str, Any]) -> bool:
    return str(resource.get("DeletionPolicy", "Delete")).startswith("Retain")


def _has_vpc(template: Template) -> bool:
    return any(resource["Type"] == "AWS::EC2::VPC" for resource in template["Resources"].values())


def changed(template: Template, stack: str, what: str) -> Template:
    """With more memory for each function, and one more parameter, of this name."""
    made = deepcopy(template)
    for resource in made["Resources"].values():
        if _is_function(resource):
            resource["Properties"]["MemorySize"] = resource["Properties"].get("MemorySize", 128) + MORE_MEMORY_MB
    parameter = {"Name": f"/rehearsal/{stack}/{what}", "Type": "String", "Value": what}
    made["Resources"][f"Rehearsed{what.replace('-', '')}"] = {"Type": "AWS::SSM::Parameter", "Properties": parameter}
    return made


def without(template: Template, names: set[str]) -> Template:
    """The template without these resources; what refers to them gets a word."""
    kept = {name: resource for name, resource in template["Resources"].items() if name not in names}
    rest = {**template, "Resources": kept}
    return {key: _forget(value, names) for key, value in rest.items()}


def _forget(node: Any, names: set[str]) -> Any:
    if isinstance(node, list):
        return [_forget(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    match node:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]} if name in names:
            return ABSENT
    made = {key: _forget(value, names) for key, value in node.items()}
    if "DependsOn" in made:
        waits = made["DependsOn"]
        made["DependsOn"] = [name for name in ([waits] if isinstance(waits, str) else waits) if name not in names]
    return made


def _put_what_is_there_before(emulator: Emulator, templates: Mapping[str, Template], stage: str) -> None:
    """What CDK's bootstrap makes, the parameters that somebody else makes, and the function that refuses."""
    made = {
        resource["Properties"].get("Name")
        for template in templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::SSM::Parameter"
    }
    for name in _parameters_that_are_read(templates) - made:
        emulator.client("ssm").put_parameter(Name=name, Value="30", Type="String", Overwrite=True)
    emulator.make_refusing_function()


def _parameters_that_are_read(templates: Mapping[str, Template]) -> set[str]:
    """By a reference inside a text, or as the value of a template's parameter: CDK's bootstrap version is one."""
    declared = [one for template in templates.values() for one in template.get("Parameters", {}).values()]
    values = {one["Default"] for one in declared if one["Type"].startswith("AWS::SSM::Parameter::Value")}
    return values | set(re.findall(r"{{resolve:ssm:([^:}]+)", json.dumps(templates)))


def _one_line(text: str) -> str:
    """The sentence alone, without the XML that may be around it and the names that follow a colon."""
    sentence = re.sub(r"b'<\?xml.*<Message>(.*)</Message>.*", r"\1", text, flags=re.DOTALL)
    return " ".join(sentence.replace("|", "/").split())[:200]


def attributes_of_custom_resources(assembly: Assembly) -> frozenset[str]:
    """What templates ask of what functions make for CloudFormation."""
    return frozenset(re.findall(r'"Fn::GetAtt": \["\w+", "(\w+)"\]', json.dumps(assembly.templates())))


@contextmanager
def rehearsal(stage: str) -> Iterator[Rehearsal]:
    """A stage's stacks, not deployed yet, and their emulator as long as the block."""
    assembly = synthesize(find_layout(), stage)
    attributes = attributes_of_custom_resources(assembly)
    folder = tempfile.TemporaryDirectory(prefix="vsl-rehearsal-")
    with folder as state, emulator(Path(state), attributes) as running:
        yield Rehearsal(stage, running, assembly)


def rows(not_taken: set[NotTaken]) -> list[str]:
    return [one.row() for one in sorted(not_taken)]


def write_page(lines: list[str]) -> None:
    """Puts the rows between the marks of docs/emulators.md."""
    before, rest = PAGE.read_text().split(MARKS[0])
    _, after = rest.split(MARKS[1])
    head = ["", "| stage | resource | |", "| --- | --- | --- |"]
    PAGE.write_text(before + MARKS[0] + "\n".join([*head, *lines, "", ""]) + MARKS[1] + after)


def main() -> int:
    """Rehearses every stage and writes the page."""
    found: list[str] = []
    for stage in STAGES:
        with rehearsal(stage) as one:
            one.create()
            print(f"{stage}: {len(one.templates)} stacks created, {len(one.resources())} named resources")
            one.update()
            print(f"{stage}: updated, and rolled back {len(one.fail_to_update())} failing updates")
            staying, left = sorted(one.destroy()) or ["none"], sorted(one.resources()) or ["none"]
            print(f"{stage}: deleted; stacks that stay: {', '.join(staying)}; resources left: {', '.join(left)}")
            found += rows(one.not_taken)
    print("\n".join(found))
    write_page(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
