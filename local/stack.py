"""The parts of the stack, the order they come up in, and the addresses they end up at."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.deploy import Services, connect_services
from local.layout import Layout, read_json, write_json
from local.media_provider import chosen_provider, provider_setting, public_base_url, stand_in
from local.ministack import ACCESS_KEY_ID, REGION, Ministack, bucket_names, function_names
from local.models_setting import models_setting
from local.ports import Ports, choose_ports
from local.postgres import Postgres, prepare_postgres
from local.redis import Cache, prepare_redis
from local.seed import ensure_accounts
from local.storage import Storage
from local.supervisor import ANSWER_SECONDS, Part, StackFailed, Supervisor
from local.synth import Assembly, begin_synthesis
from operate.accounts import connect
from shared.adapters.postgres.roles import APP, OWNER

STAGE = "local"
PUBLIC_PORTS = (80, 443)
# For what must be done once, as opposed to questions that are asked again.
PATIENCE_SECONDS = 120
FAULTS_VARIABLE = "VSL_FAULT_PROXY"
FAULTY = ("postgres", "redis", "ministack", "s3", "provider")


@dataclass(frozen=True)
class Stack:
    """What all steps of bringing the stack up share."""

    layout: Layout
    ports: Ports
    secrets: Mapping[str, str]
    supervisor: Supervisor

    @property
    def ministack(self) -> Ministack:
        return Ministack(port=self.ports.ministack, secret_access_key=self.secrets["awsSecretAccessKey"])

    @property
    def storage(self) -> Storage:
        ports, secret = self.ports, self.secrets["awsSecretAccessKey"]
        return Storage(self.layout, ports.s3, ports.s3_control, secret, self.ministack.url)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.gateway}/{STAGE}"

    @property
    def provider_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.provider}"

    @property
    def runner_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.runner}"

    @property
    def environment(self) -> dict[str, str]:
        """What every part written in Python gets of the user's environment, and the programs it may run."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ}
        programs = f"{self.layout.programs}{os.pathsep}{kept.get('PATH', os.defpath)}"
        return {**kept, "PATH": programs, "PYTHONUNBUFFERED": "1"}

    def provider_part(self) -> Part:
        state = self.layout.state / "provider"
        ports = ["--port", str(self.ports.provider), "--public-port", str(self.seen.provider)]
        return Part(
            name="provider",
            command=[sys.executable, "-m", "local.provider", *ports, "--state", str(state)],
            is_ready=lambda: bool(stand_in(self.ports.provider).webhook_secret()),
            environment=self.environment,
            directory=self.layout.root,
        )

    @property
    def with_faults(self) -> bool:
        """Whether the fault proxy stands between the functions and what they use."""
        return bool(os.environ.get(FAULTS_VARIABLE))

    @property
    def seen(self) -> Ports:
        """The ports as the functions see them."""
        return self.ports.behind_faults() if self.with_faults else self.ports

    def faults_part(self) -> Part:
        ports, seen = self.ports, self.ports.behind_faults()
        routes = {name: [getattr(seen, name), getattr(ports, name)] for name in FAULTY}
        return Part(
            name="faults",
            command=[sys.executable, "-m", "local.faults", str(ports.fault_control), json.dumps(routes)],
            is_ready=lambda: bool(_fetch(urllib.request.Request(f"http://127.0.0.1:{ports.fault_control}/"))),
            environment=self.environment,
            directory=self.layout.root,
        )

    def lambda_part(self) -> Part:
        return Part(
            name="lambda",
            command=[sys.executable, "-m", "local.runtime", "--config", str(self.layout.runtime_file)],
            is_ready=lambda: bool(_fetch(urllib.request.Request(f"{self.runner_url}/health"))),
            environment=self.environment,
            directory=self.layout.root,
        )

    def runtime_health(self) -> dict[str, Any]:
        """The runner's own account of itself, `worldEnforcement` among it."""
        return _fetch(urllib.request.Request(f"{self.runner_url}/health"), PATIENCE_SECONDS)

    def reload_runtime(self) -> None:
        _fetch(urllib.request.Request(f"{self.runner_url}/reload", data=b"{}", method="POST"), PATIENCE_SECONDS)


def bring_up(layout: Layout, supervisor: Supervisor) -> Stack:
    """Starts and deploys everything, then writes the stack file. Raises StackFailed."""
    stack = Stack(layout, choose_ports(layout), _keep_secrets(layout), supervisor)
    _link_ffmpeg(layout.programs)
    with begin_synthesis(layout, STAGE) as synthesis:
        with _step(supervisor, "starting PostgreSQL, Redis, S3 and the provider"):
            postgres = prepare_postgres(layout, stack.ports.postgres, stack.secrets["databasePassword"])
            redis = prepare_redis(layout, stack.ports.redis, stack.seen.redis, stack.secrets)
            storage = stack.storage.part(sys.executable, stack.environment)
            supervisor.start(postgres.part(), redis.part(stack.environment), storage, stack.provider_part())
            if stack.with_faults:
                supervisor.start(stack.faults_part())
        with _step(supervisor, "synthesizing the template"):
            # Asking is also what joins the Redis node to its cluster, which then takes two seconds.
            while not synthesis.is_done():
                supervisor.ask()
                time.sleep(0.05)
            assembly = synthesis.result()
    with _step(supervisor, "starting the AWS services and the functions' runner"):
        write_json(layout.runtime_file, runtime_configuration(stack, assembly))
        invoke_urls = {name: _invoke_url(stack, name) for name in function_names(assembly.templates())}
        supervisor.start(stack.ministack.part(layout, stack.environment, invoke_urls), stack.lambda_part())
        services = connect_services(stack.ministack)
        # Redis takes two seconds to trust its cluster, which no function needs before the end.
        supervisor.wait_ready(besides=["redis"])
        postgres.make_roles()
    with _step(supervisor, "deploying the template"):
        _deploy(stack, services, assembly, postgres, redis)
    with _step(supervisor, "making accounts"):
        keys = ensure_accounts(layout, connect(STAGE, services.session, services.endpoint_url))
    supervisor.wait_ready()
    with _step(supervisor, "reading the provider's models"):
        services.invoke(f"vsl-{STAGE}-provider-catalog")
        addresses = describe(stack, postgres, redis, keys)
    write_json(layout.stack_file, addresses)
    return stack


def _deploy(stack: Stack, services: Services, assembly: Assembly, postgres: Postgres, redis: Cache) -> None:
    prefix = f"/vsl/{STAGE}"
    provider = chosen_provider(stack.ports.provider, os.environ)
    through = (f":{stack.ports.provider}", f":{stack.seen.provider}")
    database = (f":{stack.ports.postgres}/", f":{stack.seen.postgres}/")
    services.put_parameters(
        {
            f"{prefix}/redis-url": redis.functions_url.replace(f":{stack.ports.redis}/", f":{stack.seen.redis}/"),
            f"{prefix}/database-app-url": postgres.url_of(APP).replace(*database),
            f"{prefix}/database-owner-url": postgres.url_of(OWNER).replace(*database),
            f"{prefix}/public-base-url": public_base_url(os.environ, stack.base_url),
            f"{prefix}/replicate-base-url": provider.base_url.replace(*through),
            f"{prefix}/runway-base-url": f"http://127.0.0.1:{stack.seen.provider}/runway",
            f"{prefix}/provider-output-origins": provider.output_origins.replace(*through),
            f"{prefix}/source-origins": f"{stack.ports.sources_url},{stack.provider_url}",
            f"{prefix}/models-config": models_setting(os.environ, stack.layout.root),
        }
    )
    services.put_secrets(
        {
            f"{prefix}/replicate-token": provider.token,
            f"{prefix}/runway-token": stand_in(stack.ports.provider).token,
            f"{prefix}/replicate-webhook-secret": provider.webhook_secret(),
            f"{prefix}/webhook-url-key": stack.secrets["webhookUrlKey"],
        }
    )
    services.deploy(assembly)
    stack.storage.take_buckets(services.session, bucket_names(assembly.templates()))
    stack.reload_runtime()


def runtime_configuration(stack: Stack, assembly: Assembly) -> dict[str, Any]:
    """The file the functions' runner and gateway read."""
    layout, ports, seen = stack.layout, stack.ports, stack.seen
    ministack = f"http://127.0.0.1:{seen.ministack}"
    return {
        "gatewayPort": ports.gateway,
        "runnerPort": ports.runner,
        "runtimeApiPort": ports.runtime_api,
        "ministackUrl": stack.ministack.url,
        "templateFiles": [str(file) for file in assembly.template_files],
        "stage": STAGE,
        "region": REGION,
        "projectRoot": str(layout.root),
        "pythonExecutable": sys.executable,
        "logsDir": str(layout.logs),
        "optBinDir": str(layout.programs),
        "worlds": {
            # Behind the fault proxy a custom resource still answers at the address CloudFormation gave it.
            "inside": {
                "ports": [seen.postgres, seen.redis, seen.ministack, seen.s3, ports.ministack, ports.runtime_api]
            },
            # Sources may lie at the provider's own address, also where outputs come through the fault proxy.
            "outside": {
                "ports": [
                    seen.ministack,
                    seen.s3,
                    seen.provider,
                    ports.provider,
                    ports.sources,
                    ports.runtime_api,
                    *PUBLIC_PORTS,
                ]
            },
        },
        "serviceEndpoints": {
            **dict.fromkeys(("DYNAMODB", "SQS", "LAMBDA", "SSM", "SECRETS_MANAGER"), ministack),
            "S3": f"http://127.0.0.1:{seen.s3}",
        },
        "s3ControlUrl": stack.storage.control_url,
        "adminCredentials": {
            "accessKeyId": ACCESS_KEY_ID,
            "secretAccessKey": stack.secrets["awsSecretAccessKey"],
        },
    }


def describe(stack: Stack, postgres: Postgres, redis: Cache, keys: Mapping[str, str]) -> dict[str, Any]:
    """The stack file: every address and key a user or a test needs."""
    return {
        "stage": STAGE,
        "baseUrl": stack.base_url,
        "publicBaseUrl": public_base_url(os.environ, stack.base_url),
        "apiKey": keys["demo"],
        "secondApiKey": keys["other"],
        "adminApiKey": keys["admin"],
        "provider": provider_setting(os.environ),
        "modelsConfig": models_setting(os.environ, stack.layout.root),
        "providerUrl": stack.provider_url,
        "sourcesUrl": stack.ports.sources_url,
        "s3Endpoint": stack.storage.url,
        "s3ControlUrl": stack.storage.control_url,
        "bucket": f"vsl-{STAGE}-media",
        "databaseUrl": postgres.url,
        "redisUrl": redis.url,
        "functionsRedisUrl": redis.functions_url,
        "awsEndpoint": stack.ministack.url,
        "awsAccessKeyId": ACCESS_KEY_ID,
        "awsSecretAccessKey": stack.secrets["awsSecretAccessKey"],
        "region": REGION,
        "runnerUrl": stack.runner_url,
        "faultsUrl": f"http://127.0.0.1:{stack.ports.fault_control}" if stack.with_faults else None,
        "worldEnforcement": stack.runtime_health().get("worldEnforcement", "unknown"),
    }


def _invoke_url(stack: Stack, function: str) -> str:
    return f"{stack.runner_url}/2015-03-31/functions/{function}/invocations"


def _keep_secrets(layout: Layout) -> dict[str, str]:
    """Random once per state directory; the database's data and its password must stay together."""
    names = (
        "databasePassword",
        "awsSecretAccessKey",
        "webhookUrlKey",
        "cacheOperatorPassword",
        "cacheFunctionsPassword",
    )
    kept = read_json(layout.secrets_file)
    made = {name: kept.get(name) or secrets.token_urlsafe(32) for name in names}
    if made != kept:
        write_json(layout.secrets_file, made)
    return made


def _link_ffmpeg(programs: Path) -> None:
    import imageio_ffmpeg

    programs.mkdir(parents=True, exist_ok=True)
    link = programs / "ffmpeg"
    link.unlink(missing_ok=True)
    link.symlink_to(imageio_ffmpeg.get_ffmpeg_exe())


@contextmanager
def _step(supervisor: Supervisor, name: str) -> Iterator[None]:
    """Reports what is being done. A part that has ended is the better explanation of any failure."""
    started = time.monotonic()
    supervisor.report(step=name, stepStartedAt=time.time())
    try:
        yield
        supervisor.check()
    except Exception as failure:
        supervisor.check()
        raise failure if isinstance(failure, StackFailed) else StackFailed(f"{name}: {failure}") from failure
    print(f"{time.monotonic() - started:6.2f} s  {name}", flush=True)


def _fetch(request: urllib.request.Request, timeout_seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
    with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
        content = json.loads(response.read() or b"{}")
    return content if isinstance(content, dict) else {}
