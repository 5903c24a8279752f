"""The S3 server of the media bucket (local/s3) as a part of the stack.

Its buckets are those the template deploys on the AWS services, which stay empty there: their CORS rules and
notifications are taken over at each deployment. Objects survive `kill -9` and a power cut.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.layout import Layout, write_json
from local.ministack import ACCESS_KEY_ID, REGION
from local.s3.config import ServerConfig
from local.supervisor import ANSWER_SECONDS, Part

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Storage:
    """One server with its control port; `services_url` is where it asks for policies and sends events."""

    layout: Layout
    port: int
    control_port: int
    secret_access_key: str
    services_url: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.control_port}/_control"

    def part(self, python: str, environment: dict[str, str]) -> Part:
        config = ServerConfig(
            port=self.port,
            control_port=self.control_port,
            directory=self.layout.state / "s3",
            access_key_id=ACCESS_KEY_ID,
            secret_access_key=self.secret_access_key,
            region=REGION,
            services_url=self.services_url,
        )
        write_json(self.layout.storage_file, json.loads(config.model_dump_json(by_alias=True)))
        return Part(
            name="s3",
            command=[python, "-m", "local.s3", "--config", str(self.layout.storage_file)],
            is_ready=self.answers,
            environment=environment,
            directory=self.layout.root,
        )

    def answers(self) -> bool:
        with urllib.request.urlopen(f"{self.control_url}/health", timeout=ANSWER_SECONDS) as response:
            return bool(response.status == 200)

    def take_buckets(self, session: boto3.Session, names: Iterable[str]) -> None:
        """Makes the buckets with the CORS rules and notifications they have on the AWS services."""
        deployed = session.client("s3", endpoint_url=self.services_url, config=_PATHS)
        own = session.client("s3", endpoint_url=self.url, config=_PATHS)
        for name in names:
            own.create_bucket(Bucket=name)
            _take_cors(deployed, own, name)
            _take_notifications(deployed, own, name)


_PATHS = Config(s3={"addressing_style": "path"})


def _take_cors(deployed: S3Client, own: S3Client, name: str) -> None:
    try:
        rules = deployed.get_bucket_cors(Bucket=name)["CORSRules"]
    except ClientError as error:
        if error.response["Error"].get("Code") != "NoSuchCORSConfiguration":
            raise
        own.delete_bucket_cors(Bucket=name)
    else:
        own.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})


def _take_notifications(deployed: S3Client, own: S3Client, name: str) -> None:
    wanted: Any = deployed.get_bucket_notification_configuration(Bucket=name)
    kept: Any = own.get_bucket_notification_configuration(Bucket=name)
    for answer in (wanted, kept):
        del answer["ResponseMetadata"]
    if wanted != kept:  # each time they are set, S3 sends every queue a test event
        own.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=wanted)
