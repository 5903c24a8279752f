"""The media bucket's versions and its access log, by stage."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from infra.stages import STAGES, stage_named
from local.synth import node_path
from tests.infra.templates import Properties, Templates


@pytest.fixture(scope="module")
def kept_for_a_week(tmp_path_factory: pytest.TempPathFactory) -> Properties:
    """The media bucket of the dev stage, were it to keep versions."""
    folder = tmp_path_factory.mktemp("media")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", node_path(os.environ))
        patch.setenv("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "1")
        # Importing the CDK starts Node.js, which must be on PATH by then.
        from aws_cdk import App

        from infra.stacks.media import MediaStack

        app = App(outdir=str(folder))
        MediaStack(app, "media", replace(stage_named("dev"), media_versions_kept_days=7))
        app.synth()
    return media_bucket(Templates.read("dev", folder))


def media_bucket(templates: Templates) -> Properties:
    return templates.all("AWS::S3::Bucket")[f"vsl-{templates.stage}-media"]


def rule(bucket: Properties, name: str) -> dict[str, Any]:
    (found,) = (one for one in bucket["LifecycleConfiguration"]["Rules"] if one["Id"] == name)
    return dict(found)


def test_stages_that_keep_their_data_can_bring_back_media_that_were_deleted() -> None:
    kept = {stage.name: stage.media_versions_kept_days for stage in STAGES.values()}

    assert all(kept[stage.name] >= 7 for stage in STAGES.values() if stage.keeps_data)
    # The local server has no versions.
    assert kept["local"] == 0


def test_a_bucket_keeps_versions_for_its_days(kept_for_a_week: Properties) -> None:
    versions = rule(kept_for_a_week, "versions")

    assert kept_for_a_week["VersioningConfiguration"] == {"Status": "Enabled"}
    assert versions["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    assert versions["ExpiredObjectDeleteMarker"] is True


@pytest.mark.parametrize("folder", ["incoming", "fetched"])
def test_what_only_passes_through_is_not_kept(kept_for_a_week: Properties, folder: str) -> None:
    passing = rule(kept_for_a_week, folder)

    assert (passing["ExpirationInDays"], passing["NoncurrentVersionExpiration"]) == (1, {"NoncurrentDays": 1})


def test_versions_that_are_left_go_where_none_are_kept_any_more(templates: Templates) -> None:
    bucket = media_bucket(templates)

    assert "VersioningConfiguration" not in bucket
    assert rule(bucket, "versions")["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def test_in_aws_who_asked_for_media_is_logged_and_forgotten_in_time(dev: Templates) -> None:
    logging = media_bucket(dev)["LoggingConfiguration"]
    log = dev.all("AWS::S3::Bucket")[logging["DestinationBucketName"]]

    assert logging["LogFilePrefix"] == "media/"
    assert [one["ExpirationInDays"] for one in log["LifecycleConfiguration"]["Rules"]] == [90]
    assert "BucketName" not in log
    assert set(log["PublicAccessBlockConfiguration"].values()) == {True}


def test_in_aws_nobody_but_s3_writes_the_access_log_and_only_of_the_media(dev: Templates) -> None:
    log = media_bucket(dev)["LoggingConfiguration"]["DestinationBucketName"]
    (policy,) = (p for p in dev.all("AWS::S3::BucketPolicy").values() if p["Bucket"] == log)

    (writes,) = (one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Allow")

    assert (writes["Principal"], writes["Action"]) == ({"Service": "logging.s3.amazonaws.com"}, "s3:PutObject")
    assert writes["Resource"] == f"{log}.Arn/media/*"
    assert writes["Condition"]["ArnLike"] == {"aws:SourceArn": "vsl-dev-media.Arn"}
