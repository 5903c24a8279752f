"""What a failed creation leaves is made deletable before the next try, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from infra.stages import stage_named
from operate import cdk
from operate.failed_creation import MADE_BY, STACKS, FailedCreation, InTheWay

PROD = stage_named("prod")
ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/vsl-prod-{part}/0d1e2f3a"
COMPLETE_OR_UNDER_WAY = (
    "CREATE_COMPLETE",
    "CREATE_IN_PROGRESS",
    "ROLLBACK_IN_PROGRESS",
    "UPDATE_COMPLETE",
    "UPDATE_FAILED",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_FAILED",
    "UPDATE_ROLLBACK_IN_PROGRESS",
    "DELETE_FAILED",
)


@dataclass(frozen=True)
class Amazon:
    """CloudFormation and RDS that answer what is queued here, in this order, and nothing else."""

    formation: Stubber
    rds: Stubber
    tried: FailedCreation

    def has(self, **states: str) -> None:
        """Answers for every stack of the stage; those without a state do not exist."""
        for part in STACKS:
            asked = {"StackName": f"vsl-prod-{part}"}
            if part in states:
                self.formation.add_response("describe_stacks", {"Stacks": [stack(part, states[part])]}, asked)
            else:
                told = f"Stack with id vsl-prod-{part} does not exist"
                self.formation.add_client_error("describe_stacks", "ValidationError", told, expected_params=asked)

    def expects_release_of(self, part: str) -> None:
        asked = {"StackName": f"vsl-prod-{part}", "EnableTerminationProtection": False}
        self.formation.add_response("update_termination_protection", {"StackId": ID.format(part=part)}, asked)

    def has_cluster(self, stack_id: str, protected: bool) -> None:
        tags = [{"Key": "Stage", "Value": "prod"}, {"Key": MADE_BY, "Value": stack_id}]
        found = {"DBClusterIdentifier": "vsl-prod", "DeletionProtection": protected, "TagList": tags}
        self.rds.add_response("describe_db_clusters", {"DBClusters": [found]}, {"DBClusterIdentifier": "vsl-prod"})

    def was_asked_everything(self) -> None:
        self.formation.assert_no_pending_responses()
        self.rds.assert_no_pending_responses()


def stack(part: str, state: str) -> dict[str, Any]:
    return {
        "StackName": f"vsl-prod-{part}",
        "StackId": ID.format(part=part),
        "StackStatus": state,
        "CreationTime": "2026-01-01T00:00:00Z",
        "EnableTerminationProtection": True,
    }


@pytest.fixture
def amazon() -> Iterator[Amazon]:
    session = boto3.Session("none", "none", region_name="eu-west-1")
    formation, rds = session.client("cloudformation"), session.client("rds")
    with Stubber(formation) as one, Stubber(rds) as other:
        yield Amazon(one, other, FailedCreation(PROD, formation, rds))


def test_stacks_that_were_never_complete_can_be_deleted_and_no_others(amazon: Amazon) -> None:
    amazon.has(network="CREATE_COMPLETE", media="ROLLBACK_COMPLETE", service="ROLLBACK_FAILED")
    amazon.expects_release_of("media")
    amazon.expects_release_of("service")

    assert amazon.tried.clear() == ["vsl-prod-media", "vsl-prod-service"]
    amazon.was_asked_everything()


@pytest.mark.parametrize("state", COMPLETE_OR_UNDER_WAY)
def test_a_stack_that_was_complete_or_may_become_so_stays_protected(amazon: Amazon, state: str) -> None:
    amazon.has(**dict.fromkeys(STACKS, state))

    assert amazon.tried.clear() == []
    amazon.was_asked_everything()


def test_a_stage_of_another_account_is_left_alone(amazon: Amazon) -> None:
    elsewhere = replace(amazon.tried, stage=replace(PROD, account="999999999999"))
    amazon.has(data="ROLLBACK_FAILED", media="ROLLBACK_COMPLETE")

    assert elsewhere.clear() == []


@pytest.mark.parametrize("protected", [True, False])
def test_the_cluster_of_a_failed_creation_can_be_deleted_and_a_person_is_asked_to(
    amazon: Amazon, protected: bool
) -> None:
    amazon.has(network="CREATE_COMPLETE", data="ROLLBACK_FAILED")
    amazon.has_cluster(ID.format(part="data"), protected)
    if protected:
        asked = {"DBClusterIdentifier": "vsl-prod", "DeletionProtection": False, "ApplyImmediately": True}
        amazon.rds.add_response("modify_db_cluster", {}, asked)

    with pytest.raises(InTheWay, match="aws rds delete-db-cluster --db-cluster-identifier vsl-prod"):
        amazon.tried.clear()

    amazon.was_asked_everything()


def test_a_cluster_that_another_stack_has_made_is_not_touched(amazon: Amazon) -> None:
    amazon.has(data="ROLLBACK_FAILED")
    amazon.has_cluster(ID.format(part="data").replace("0d1e2f3a", "99999999"), protected=True)

    with pytest.raises(InTheWay, match="nothing was changed"):
        amazon.tried.clear()

    amazon.was_asked_everything()


def test_a_creation_whose_cluster_is_gone_is_tried_again(amazon: Amazon) -> None:
    amazon.has(data="ROLLBACK_FAILED")
    amazon.rds.add_client_error("describe_db_clusters", "DBClusterNotFoundFault", "DBCluster vsl-prod not found.")
    amazon.expects_release_of("data")

    assert amazon.tried.clear() == ["vsl-prod-data"]


@pytest.mark.parametrize("state", ["ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "CREATE_COMPLETE"])
def test_no_other_state_of_the_data_stack_leads_to_the_database(amazon: Amazon, state: str) -> None:
    amazon.has(data=state)
    if state == "ROLLBACK_COMPLETE":
        amazon.expects_release_of("data")

    amazon.tried.clear()  # RDS has nothing queued: any call of it would fail

    amazon.was_asked_everything()


def test_the_command_line_releases_what_failed_before_it_deploys(
    amazon: Amazon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profiles = []
    monkeypatch.setattr(
        cdk.failed_creation, "connect", lambda _stage, profile: profiles.append(profile) or amazon.tried
    )
    amazon.has(media="ROLLBACK_COMPLETE")
    amazon.expects_release_of("media")

    assert cdk._cleared("prod", ["--require-approval", "never", "--profile", "ours"])

    amazon.was_asked_everything()
    assert profiles == ["ours"]
    assert "vsl-prod-media was never complete" in capsys.readouterr().err


def test_what_is_in_the_way_ends_the_deployment_and_what_is_unknown_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(failure: Exception) -> bool:
        def connect(*_: object) -> FailedCreation:
            raise failure

        monkeypatch.setattr(cdk.failed_creation, "connect", connect)
        return cdk._cleared("prod", [])

    assert not refuse(InTheWay("Delete the cluster."))
    assert refuse(EndpointConnectionError(endpoint_url="https://cloudformation"))
    assert capsys.readouterr().err.startswith("Delete the cluster.\nWhether an earlier creation failed could not")
    assert cdk._cleared("dev", [])
