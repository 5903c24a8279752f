"""The REST API on loopback: routes calls to functions as API Gateway does."""

import asyncio
import base64
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from local.runtime.answers import is_binary, proxy_answer
from local.runtime.api import NoSuchRoute, Preflight, RestApi, Route, RouteTable
from local.runtime.authorizer import Authorizers, Grant
from local.runtime.config import RuntimeConfig
from local.runtime.events import Call, Deployment, api_id, forwarded, proxy_event
from local.runtime.functions import FunctionSource, SourceUnavailable, UnknownFunction
from local.runtime.logs import CappedLog
from local.runtime.plans import Bucket, KeyRing
from local.runtime.refusals import Refusal, render
from local.runtime.routes import rest_api
from local.runtime.runner import Runner, Throttled
from local.runtime.runtime_api import RESPONSE_LIMIT_BYTES, Outcome
from local.runtime.template import Templates

_BODY_LIMIT_BYTES = 10 * 1024 * 1024
_NO_ROUTE = "-"


class Gateway:
    """Answers every HTTP call; a Refusal anywhere on the way becomes a gateway response."""

    def __init__(
        self, api: RestApi, runner: Runner, source: FunctionSource, log: CappedLog, *, region: str, port: int
    ) -> None:
        self._api = api
        self._runner = runner
        self._log = log
        self._region = region
        self._port = port
        self._table = RouteTable(api.routes)
        self._authorizers = Authorizers(runner)
        self._keys = KeyRing(api.plan, source) if api.plan else None
        self._bucket = Bucket(api.rate) if api.rate else None
        self._running: set[asyncio.Task[Outcome]] = set()

    def server(self) -> web.Server:
        return web.Server(self._handle, access_log=None)

    def close(self) -> None:
        self._log.close()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        began = time.monotonic()
        call = self._call(request)
        resource_path = _NO_ROUTE
        try:
            route, parameters = self._find(call)
            resource_path = route.resource_path
            response = await self._answer(request, call, route, parameters)
        except Refusal as refusal:
            status, headers, body = render(refusal, call, self._api.responses)
            response = web.Response(status=status, headers=headers, body=body.encode())
        response.headers["x-amzn-RequestId"] = call.request_id
        response.headers["x-amz-apigw-id"] = call.extended_request_id
        self._log.write_json(
            {
                "method": call.method,
                "resourcePath": resource_path,
                "status": response.status,
                "ms": round((time.monotonic() - began) * 1000, 2),
                "requestId": call.request_id,
            }
        )
        return response

    def _call(self, request: web.BaseRequest) -> Call:
        target = urlsplit(request.raw_path)
        source_ip = request.remote or "127.0.0.1"
        trace_id = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        sent = [(name.decode(), value.decode("utf-8", "replace")) for name, value in request.raw_headers]
        return Call(
            method=request.method,
            full_path=target.path,
            path=target.path.removeprefix(f"/{self._api.stage}") or "/",
            protocol=f"HTTP/{request.version.major}.{request.version.minor}",
            host=request.host,
            headers=forwarded(sent, source_ip=source_ip, port=self._port, trace_id=trace_id),
            query=tuple(parse_qsl(target.query, keep_blank_values=True)),
            source_ip=source_ip,
            request_id=str(uuid.uuid4()),
            extended_request_id=base64.b64encode(secrets.token_bytes(11)).decode(),
            trace_id=trace_id,
            epoch_seconds=time.time(),
        )

    def _find(self, call: Call) -> tuple[Route, dict[str, str]]:
        in_stage = call.full_path == f"/{self._api.stage}" or call.full_path.startswith(f"/{self._api.stage}/")
        if not in_stage:
            raise Refusal("MISSING_AUTHENTICATION_TOKEN")
        try:
            return self._table.find(call.method, call.path)
        except NoSuchRoute as error:
            raise Refusal("MISSING_AUTHENTICATION_TOKEN") from error

    async def _answer(
        self, request: web.BaseRequest, call: Call, route: Route, parameters: Mapping[str, str]
    ) -> web.Response:
        if self._bucket is not None and not self._bucket.take():
            raise Refusal("THROTTLED")
        if route.preflight is not None:
            return _preflight_answer(route.preflight, call)
        function = route.function or ""
        deployment = await self._deployment(function)
        grant = None
        if route.authorizer is not None:
            grant = await self._authorizers.authorize(route.authorizer, call, route, deployment, parameters)
        api_key = await self._api_key(route, call, grant)
        body, is_base64 = await self._body(request, call)
        event = proxy_event(
            call,
            route,
            deployment,
            path_parameters=parameters,
            authorizer=grant.context if grant else None,
            api_key=api_key,
            body=body,
            is_base64=is_base64,
        )
        outcome = await self._invoke(function, event, call, route.timeout_seconds)
        return proxy_answer(outcome.payload, call, self._api.binary_media_types)

    async def _deployment(self, function: str) -> Deployment:
        try:
            account = await self._runner.account_id(function)
        except (UnknownFunction, SourceUnavailable) as error:
            raise Refusal("INTEGRATION_FAILURE", 500) from error
        return Deployment(account, api_id(self._api.name), self._region, self._api.stage)

    async def _api_key(self, route: Route, call: Call, grant: Grant | None) -> dict[str, str]:
        if not route.api_key_required or self._keys is None:
            return {}
        sent = call.header("X-API-Key")
        if self._api.keys_from_authorizer:
            sent = grant.usage_key if grant else None
        key = await self._keys.admit(sent)
        return {"apiKey": key.value, "apiKeyId": key.key_id}

    async def _body(self, request: web.BaseRequest, call: Call) -> tuple[str | None, bool]:
        chunks = bytearray()
        async for chunk in request.content.iter_any():
            chunks += chunk
            if len(chunks) > _BODY_LIMIT_BYTES:
                raise Refusal("REQUEST_TOO_LARGE")
        if not chunks:
            return None, False
        if is_binary(call.header("Content-Type"), self._api.binary_media_types):
            return base64.b64encode(chunks).decode(), True
        return chunks.decode("utf-8", "replace"), False

    async def _invoke(self, function: str, event: Mapping[str, Any], call: Call, timeout_seconds: float) -> Outcome:
        """After the integration's timeout the function goes on, unheard."""
        payload = json.dumps(event).encode()
        if len(payload) > RESPONSE_LIMIT_BYTES:
            raise Refusal("REQUEST_TOO_LARGE")
        # A laptop has ten environments a function where AWS has a thousand for all: callers wait their turn.
        invocation = self._runner.invoke(function, payload, trace_id=call.trace_id, patience_seconds=timeout_seconds)
        task = asyncio.create_task(invocation)
        self._running.add(task)
        task.add_done_callback(self._forget)
        done, _ = await asyncio.wait({task}, timeout=timeout_seconds)
        if not done:
            raise Refusal("INTEGRATION_TIMEOUT")
        try:
            outcome = task.result()
        except (Throttled, SourceUnavailable, UnknownFunction) as error:
            raise Refusal("INTEGRATION_FAILURE", 500) from error
        if outcome.error_type is not None:
            raise Refusal("INTEGRATION_FAILURE")
        return outcome

    def _forget(self, task: "asyncio.Task[Outcome]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that a late failure is not reported as unnoticed


def build_gateway(config: RuntimeConfig, templates: Templates, runner: Runner, source: FunctionSource) -> Gateway:
    """Raises TemplateMistake."""
    api = rest_api(templates, config.stage)
    log = CappedLog(config.logs_dir / "gateway.log", config.log_limit_bytes)
    return Gateway(api, runner, source, log, region=config.region, port=config.gateway_port)


def _preflight_answer(preflight: Preflight, call: Call) -> web.Response:
    headers = dict(preflight.headers)
    origin = call.header("Origin")
    if origin in preflight.origins and origin is not None:
        headers["Access-Control-Allow-Origin"] = origin
    return web.Response(status=preflight.status, headers=headers)
