"""Removes the obstacles that a stage's failed first deployment leaves to the second.

CloudFormation ends a creation that it rolls back in ROLLBACK_COMPLETE or, where something could not be deleted, in
ROLLBACK_FAILED: states that only a stack has which was never complete. The CDK's command line begins the next try by
deleting such a stack, which termination protection refuses, set as it was before the first try; it sets it again.

A cluster that is protected cannot be deleted by the rollback either. CloudFormation would leave it alone when the
stack is deleted (RetainExceptOnCreate retains then), and the next try would find its name taken. Its protection is
taken off here, and only the cluster's that this very stack has made; to delete a database is left to a person.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from infra.stages import Stage

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

STACKS = ("network", "data", "media", "service", "observability")
NEVER_COMPLETE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
# CloudFormation puts it on what a stack makes; nobody else may set a tag that begins with `aws:`.
MADE_BY = "aws:cloudformation:stack-id"


class InTheWay(Exception):
    """The next try could not succeed before somebody does what the message says."""


@dataclass(frozen=True)
class FailedCreation:
    """A stage's stacks that were never complete. `rds` is boto3's client of that name."""

    stage: Stage
    formation: CloudFormationClient
    rds: Any

    def clear(self) -> list[str]:
        """Makes them deletable and answers their names. Raises InTheWay."""
        failed = list(self._failed())
        for stack in failed:
            if stack["StackName"] == self._name("data") and stack["StackStatus"] == "ROLLBACK_FAILED":
                self._release_cluster(stack["StackId"])
        for stack in failed:
            self.formation.update_termination_protection(
                StackName=stack["StackName"], EnableTerminationProtection=False
            )
        return [stack["StackName"] for stack in failed]

    def _name(self, part: str) -> str:
        return f"vsl-{self.stage.name}-{part}"

    def _failed(self) -> Iterator[StackTypeDef]:
        described = (stack for part in STACKS for stack in self._described(self._name(part)))
        for stack in described:
            if stack["StackStatus"] in NEVER_COMPLETE and self._is_ours(stack["StackId"]):
                yield stack

    def _described(self, name: str) -> Sequence[StackTypeDef]:
        try:
            return self.formation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as refused:
            if "does not exist" in refused.response["Error"]["Message"]:
                return ()
            raise

    def _is_ours(self, stack_id: str) -> bool:
        """Whether the credentials lead to the stage's own account; the CDK may take a role of another."""
        return self.stage.account in ("", stack_id.split(":")[4])

    def _release_cluster(self, stack_id: str) -> None:
        name = self.stage.cluster_name
        cluster = self._cluster(name)
        if cluster is None:
            return
        tags = {tag["Key"]: tag["Value"] for tag in cluster.get("TagList", ())}
        if tags.get(MADE_BY) != stack_id:
            raise InTheWay(
                f"The name of the database cluster {name} is taken by one that the stack {self._name('data')} has not "
                f"made: nothing was changed. Find out whose it is before you deploy again."
            )
        if cluster.get("DeletionProtection"):
            self.rds.modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
        raise InTheWay(
            f"The creation of {self._name('data')} was rolled back but for its database cluster, which held no data of "
            f"a stage yet and is protected no longer. Delete it, wait until it is gone, and deploy again:\n"
            f"  aws rds delete-db-cluster --db-cluster-identifier {name} --skip-final-snapshot\n"
            f"  aws rds wait db-cluster-deleted --db-cluster-identifier {name}"
        )

    def _cluster(self, name: str) -> Any:
        try:
            return self.rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
        except ClientError as refused:
            if refused.response["Error"]["Code"] == "DBClusterNotFoundFault":
                return None
            raise


def connect(stage: Stage, profile: str | None) -> FailedCreation:
    """With the credentials and the region that the CDK's command line takes."""
    # The CDK reads AWS_REGION, boto3 does not.
    region = stage.region or os.environ.get("AWS_REGION") or None
    session = boto3.Session(profile_name=profile, region_name=region)
    return FailedCreation(stage, session.client("cloudformation"), session.client("rds"))
