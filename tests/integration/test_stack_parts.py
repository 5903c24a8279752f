"""What the stack's servers promise: kept ports, data that survive SIGKILL, and redeployment beside kept media."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from redis.cluster import RedisCluster

from local.deploy import Services, connect_services
from local.layout import Layout, find_layout
from local.ministack import Ministack, mended, without_custom_resources
from local.ports import choose_ports
from local.postgres import Postgres, prepare_postgres
from local.redis import prepare_redis
from local.runtime.config import RuntimeConfig
from local.stack import Stack, runtime_configuration
from local.storage import Storage
from local.supervisor import Part, StackFailed, Supervisor
from local.synth import ASSEMBLIES_KEPT, DRAFT_SECONDS, Assembly, begin_synthesis, synthesize

BUCKET = "vsl-local-media"
CORS = {"CorsRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["http://localhost:3000"]}]}
EVENTS = ["s3:ObjectCreated:*"]
NOTIFIED = {"QueueConfigurations": [{"Event": EVENTS[0], "Queue": {"Fn::GetAtt": ["Calls", "Arn"]}}]}
SENDS = {
    "Effect": "Allow",
    "Principal": {"Service": "s3.amazonaws.com"},
    "Action": "sqs:SendMessage",
    "Resource": {"Fn::GetAtt": ["Calls", "Arn"]},
}
QUEUE_POLICY = {"Queues": [{"Ref": "Calls"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [SENDS]}}
MEDIA = {"BucketName": BUCKET, "CorsConfiguration": CORS, "NotificationConfiguration": NOTIFIED}
TEMPLATE = {
    "Resources": {
        "Media": {"Type": "AWS::S3::Bucket", "DependsOn": ["Allowed"], "Properties": MEDIA},
        "Calls": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "vsl-local-calls"}},
        "Allowed": {"Type": "AWS::SQS::QueuePolicy", "Properties": QUEUE_POLICY},
    }
}
TRUST = {"Principal": {"Service": "lambda.amazonaws.com"}, "Effect": "Allow", "Action": "sts:AssumeRole"}
INSIDE = {"SubnetIds": [{"Ref": "Subnet"}], "SecurityGroupIds": [{"Fn::GetAtt": ["Group", "GroupId"]}]}
NETWORK_TEMPLATE = {
    "Resources": {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"},
        },
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "GroupDescription": "functions"},
        },
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [TRUST]}}},
        "Settle": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": "vsl-local-settle",
                "Handler": "index.handler",
                "Runtime": "python3.13",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": "x = 1"},
                "VpcConfig": INSIDE,
            },
        },
    }
}


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout(root=find_layout().root, state=tmp_path)
    yield layout
    shutil.rmtree(layout.outside, ignore_errors=True)


@pytest.fixture
def supervisor(layout: Layout) -> Iterator[Supervisor]:
    supervisor = Supervisor(layout)
    yield supervisor
    supervisor.stop()


def test_ports_are_kept_until_a_stranger_takes_one(layout: Layout) -> None:
    first = choose_ports(layout)
    assert choose_ports(layout) == first

    with socket.create_server(("127.0.0.1", first.gateway)):
        second = choose_ports(layout)

    assert second.gateway != first.gateway
    assert second.postgres == first.postgres


CHOOSING = """
import sys
from pathlib import Path
from local import ports
from local.layout import Layout
ports.LOWEST, ports.HIGHEST = (int(number) for number in sys.argv[2:])
print(*vars(ports.choose_ports(Layout(root=Path(), state=Path(sys.argv[1])))).values(), flush=True)
sys.stdin.read()
"""


def test_stacks_that_start_at_once_choose_no_port_twice(tmp_path: Path) -> None:
    """Nothing listens yet when the others choose, and each needs 16 of the 60 ports."""
    starting = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", CHOOSING, str(tmp_path / name), "31000", "31060"]
        starting.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    chosen = [process.stdout.readline().split() for process in starting if process.stdout]
    for process in starting:
        process.communicate()

    assert [len(ports) for ports in chosen] == [16, 16, 16]
    assert len({port for ports in chosen for port in ports}) == 48


def test_committed_rows_survive_a_kill_of_postgres(layout: Layout, supervisor: Supervisor) -> None:
    server = run_postgres(layout, supervisor)
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE film AS SELECT 'kept' AS state")
    kill(supervisor, "postgres")
    assert (server.data / "postmaster.pid").exists()

    server = run_postgres(layout, supervisor)

    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT state FROM film").fetchone() == ("kept",)


def test_a_database_of_before_the_roles_is_given_them_with_its_rows(layout: Layout, supervisor: Supervisor) -> None:
    server = run_postgres(layout, supervisor)
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE SCHEMA vsl; CREATE TABLE vsl.accounts (name text)")
        connection.execute("INSERT INTO vsl.accounts VALUES ('kept')")
    kill(supervisor, "postgres")
    (server.data / "pg_hba.conf").write_text("host all vsl 127.0.0.1/32 scram-sha-256\n")
    before = (
        "ALTER ROLE vsl NOCREATEROLE",
        "REVOKE rds_iam FROM vsl",
        "DROP ROLE rds_iam",
        "DROP ROLE vsl_owner",
        "DROP ROLE vsl_app",
    )
    (server.data / "postmaster.pid").unlink()
    server._run("postgres", "--single", "-D", str(server.data), "postgres", text="\n".join(before) + "\n")

    server = run_postgres(layout, supervisor)
    server.make_roles()

    with psycopg.connect(server.url_of("vsl_owner")) as connection:
        assert connection.execute("SELECT name FROM vsl.accounts").fetchall() == [("kept",)]
        owner = connection.execute("SELECT tableowner FROM pg_tables WHERE schemaname = 'vsl'").fetchone()
    assert owner == ("vsl_owner",)
    psycopg.connect(server.url_of("vsl_app")).close()


def test_roles_that_had_limits_of_their_own_have_the_databases(layout: Layout, supervisor: Supervisor) -> None:
    server = run_postgres(layout, supervisor)
    server.make_roles()
    kill(supervisor, "postgres")
    (server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    (server.data / "postmaster.pid").unlink()
    before = (
        "ALTER ROLE vsl_app SET statement_timeout = '1s'",
        "ALTER ROLE vsl_owner SET statement_timeout = '1s'",
        "GRANT vsl_owner, vsl_app TO vsl WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
    )
    server._run("postgres", "--single", "-D", str(server.data), "postgres", text="\n".join(before) + "\n")

    server = run_postgres(layout, supervisor)
    server.make_roles()

    for role in ("vsl_owner", "vsl_app"):
        with psycopg.connect(server.url_of(role)) as connection:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("20s",)


def test_redis_is_a_whole_cluster_of_one_node(layout: Layout, supervisor: Supervisor) -> None:
    port = choose_ports(layout).redis
    cache = prepare_redis(layout, port, port, {"cacheOperatorPassword": "one", "cacheFunctionsPassword": "two"})
    supervisor.start(cache.part({"PATH": os.environ["PATH"]}))
    supervisor.wait_ready()

    client: Any = RedisCluster.from_url(cache.url)
    try:
        assert client.set("{film}:state", "ready", ex=60)
        assert client.get("{film}:state") == b"ready"
    finally:
        client.close()


def test_media_survive_a_kill_of_their_server(layout: Layout, supervisor: Supervisor) -> None:
    services = run_ministack(layout, supervisor)
    services.deploy(assembly(layout))
    storage = run_storage(layout, supervisor, services)
    bucket = services.session.resource("s3", endpoint_url=storage.url).Bucket(BUCKET)
    bucket.put_object(Key="a b/é.mp4", Body=b"film", ContentType="video/mp4", Metadata={"job": "j1"})
    kill(supervisor, "s3")

    storage = run_storage(layout, supervisor, services)

    kept = bucket.Object("a b/é.mp4").get()
    assert (kept["Body"].read(), kept["ContentType"], kept["Metadata"]) == (b"film", "video/mp4", {"job": "j1"})


def test_the_template_deploys_anew_after_a_kill_of_the_services(layout: Layout, supervisor: Supervisor) -> None:
    run_ministack(layout, supervisor).deploy(assembly(layout))
    kill(supervisor, "ministack")

    services = run_ministack(layout, supervisor)
    services.deploy(assembly(layout))

    queue = services.session.client("sqs", endpoint_url=services.endpoint_url)
    assert queue.get_queue_url(QueueName="vsl-local-calls")["QueueUrl"].startswith(services.endpoint_url)


def test_buckets_take_over_what_is_deployed(layout: Layout, supervisor: Supervisor) -> None:
    services = run_ministack(layout, supervisor)
    services.deploy(assembly(layout))
    storage = run_storage(layout, supervisor, services)
    own = services.session.client("s3", endpoint_url=storage.url)
    deployed = services.session.client("s3", endpoint_url=services.endpoint_url)

    assert own.get_bucket_cors(Bucket=BUCKET)["CORSRules"][0]["AllowedOrigins"] == ["http://localhost:3000"]
    rules = own.get_bucket_notification_configuration(Bucket=BUCKET)["QueueConfigurations"]
    assert [(rule["QueueArn"].rpartition(":")[2], rule["Events"]) for rule in rules] == [("vsl-local-calls", EVENTS)]

    deployed.delete_bucket_cors(Bucket=BUCKET)
    deployed.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
    storage.take_buckets(services.session, [BUCKET])

    assert "QueueConfigurations" not in own.get_bucket_notification_configuration(Bucket=BUCKET)
    with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
        own.get_bucket_cors(Bucket=BUCKET)


def test_functions_reach_the_bucket_but_not_its_control_port(layout: Layout, supervisor: Supervisor) -> None:
    secrets = {"awsSecretAccessKey": "secret"}
    stack = Stack(layout, choose_ports(layout), secrets, supervisor)

    told = RuntimeConfig.model_validate(runtime_configuration(stack, assembly(layout)))

    for world in (told.worlds.inside, told.worlds.outside):
        assert stack.ports.s3 in world.ports
        assert stack.ports.s3_control not in world.ports
    assert told.service_endpoints["S3"] == f"http://127.0.0.1:{stack.ports.s3}"


def test_a_function_with_a_vpc_in_the_template_has_one_when_deployed(layout: Layout, supervisor: Supervisor) -> None:
    services = run_ministack(layout, supervisor)

    services.deploy(assembly(layout, NETWORK_TEMPLATE))

    functions = services.session.client("lambda", endpoint_url=services.endpoint_url)
    network = functions.get_function_configuration(FunctionName="vsl-local-settle")["VpcConfig"]
    assert network["SubnetIds"][0].startswith("subnet-")
    assert network["SecurityGroupIds"][0].startswith("sg-")


def test_a_failed_deployment_names_the_resource_and_the_reason(layout: Layout, supervisor: Supervisor) -> None:
    services = run_ministack(layout, supervisor)
    orphan = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::ImportValue": "nowhere"}}}

    with pytest.raises(StackFailed, match=r"(?s)media: .*Orphan.*nowhere"):
        services.deploy(assembly(layout, {"Resources": {"Orphan": orphan}}))


def test_custom_resources_wait_for_the_rest_of_their_stack() -> None:
    schema = {"Type": "Custom::Schema", "Properties": {"ServiceToken": "arn"}}
    queue = {"Type": "AWS::SQS::Queue", "DependsOn": ["schema", "Dlq"]}
    resources = {"schema": schema, "Calls": queue, "Dlq": {"Type": "AWS::SQS::Queue"}}

    assert without_custom_resources({"Resources": resources})["Resources"] == {
        "Calls": {"Type": "AWS::SQS::Queue", "DependsOn": ["Dlq"]},
        "Dlq": {"Type": "AWS::SQS::Queue"},
    }


def test_a_vpc_block_is_written_out_for_the_services() -> None:
    vpc = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}
    uses = {"Cidr": {"Fn::GetAtt": ["Vpc", "CidrBlock"]}, "Id": {"Fn::GetAtt": ["Vpc", "VpcId"]}}

    changed = mended({"Resources": {"Vpc": vpc, "Group": {"Type": "Other", "Properties": uses}}})

    assert changed["Resources"]["Group"]["Properties"] == {
        "Cidr": "10.0.0.0/16",
        "Id": {"Fn::GetAtt": ["Vpc", "VpcId"]},
    }


def run_postgres(layout: Layout, supervisor: Supervisor) -> Postgres:
    server = prepare_postgres(layout, choose_ports(layout).postgres, "secret")
    run(supervisor, server.part())
    return server


def run_ministack(layout: Layout, supervisor: Supervisor) -> Services:
    ministack = Ministack(port=choose_ports(layout).ministack, secret_access_key="secret")
    run(supervisor, ministack.part(layout, {"PATH": os.environ["PATH"]}, {}))
    return connect_services(ministack)


def run_storage(layout: Layout, supervisor: Supervisor, services: Services) -> Storage:
    """The S3 server, with the buckets of the template."""
    ports = choose_ports(layout)
    storage = Storage(layout, ports.s3, ports.s3_control, "secret", services.endpoint_url)
    run(supervisor, storage.part(sys.executable, {"PATH": os.environ["PATH"]}))
    storage.take_buckets(services.session, [BUCKET])
    return storage


def run(supervisor: Supervisor, part: Part) -> None:
    supervisor.start(part)
    supervisor.wait_ready()


def kill(supervisor: Supervisor, name: str) -> None:
    process = supervisor.running.pop(name)[1]
    process.send_signal(signal.SIGKILL)
    process.wait()


def assembly(layout: Layout, template: Mapping[str, Any] = TEMPLATE) -> Assembly:
    folder = layout.state / "assembly"
    folder.mkdir(exist_ok=True)
    (folder / "media.template.json").write_text(json.dumps(template))
    return Assembly(directory=folder, stacks=("media",))


def test_the_same_synthesis_at_once_leaves_the_first_ones_assembly(tmp_path: Path) -> None:
    """A stack that was faster reads it already."""
    app = "import os, pathlib\nplace = pathlib.Path(os.environ['CDK_OUTDIR'])\nplace.mkdir()\n"
    (tmp_path / "app.py").write_text(f"{app}(place / 'manifest.json').write_text('{{\"artifacts\": {{}}}}')\n")
    (tmp_path / "cdk.json").write_text("{}")
    layout = Layout(root=tmp_path, state=tmp_path / "state")

    with begin_synthesis(layout, "local") as one, begin_synthesis(layout, "local") as other:
        read = (one.result().directory / "manifest.json").stat()
        kept = (other.result().directory / "manifest.json").stat()

    assert kept.st_ino == read.st_ino
    assert [place.name for place in layout.assemblies.iterdir()] == [one.directory.name]


def test_drafts_of_syntheses_under_way_outlive_those_that_are_done(tmp_path: Path) -> None:
    app = "import os, pathlib\nplace = pathlib.Path(os.environ['CDK_OUTDIR'])\nplace.mkdir()\n"
    (tmp_path / "app.py").write_text(f"{app}(place / 'manifest.json').write_text('{{\"artifacts\": {{}}}}')\n")
    (tmp_path / "cdk.json").write_text("{}")
    layout = Layout(root=tmp_path, state=tmp_path / "state")
    now = time.time()
    old = {f"local-{number}": now - 10 * number for number in range(1, 9)}
    drafts = {f"local-9.{number}.new": now - 100 * number for number in range(1, 4)}
    for name, at in {**old, **drafts, "local-9.killed.new": now - 2 * DRAFT_SECONDS}.items():
        (layout.assemblies / name).mkdir(parents=True)
        os.utime(layout.assemblies / name, (at, at))

    made = synthesize(layout, "local").directory

    left = {place.name for place in layout.assemblies.iterdir()}
    assert left == {made.name, *drafts, *list(old)[: ASSEMBLIES_KEPT - 1]}
