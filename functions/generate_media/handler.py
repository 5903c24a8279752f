"""POST /generate-media, the registry, cancel and retry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import AfterValidator, Field

from shared import bootstrap, config, http, wire
from shared.domain.catalog import Model
from shared.domain.errors import Conflict, InvalidRequest, Mistake
from shared.domain.jobs import Caller, Job, snapshot
from shared.observability import observed
from shared.usecases import control, generate_media
from shared.usecases.compile_request import CompileRequest
from shared.usecases.compile_videos import request_compile
from shared.usecases.read_status import present

router = Router()  # type: ignore[no-untyped-call]


class GenerateBody(wire.Wire):
    user_id: Annotated[str, AfterValidator(wire.user_id)]
    media_type: Literal["image", "video", "audio", "text"]
    model_id: str = Field(min_length=1, max_length=200)
    parameters: dict[str, Any]
    script_id: wire.Serial | None = None
    section_id: wire.Serial | None = None
    webhook_url: Annotated[str, AfterValidator(wire.public_https_url)] | None = Field(default=None, max_length=2000)
    metadata: dict[str, Any] = Field(default_factory=dict)
    fallback: bool = False


@router.post("/generate-media")
def post_generate_media() -> Response[str]:
    caller = http.caller_of(router, "generate")
    body = http.body_of(router, GenerateBody, _wrong_parameters)
    request = generate_media.GenerateRequest(
        user_id=body.user_id,
        media_type=body.media_type,
        model_id=body.model_id,
        parameters=body.parameters,
        script_id=body.script_id,
        section_id=body.section_id,
        webhook_url=body.webhook_url,
        metadata=body.metadata,
        idempotency_key=http.idempotency_key(router),
        fallback=body.fallback,
    )
    return _accepted(_generate(request, caller), caller)


def _wrong_parameters(body: Mapping[str, Any]) -> Sequence[Mistake]:
    """So that a body with a wrong field hears of its wrong parameters in the same answer."""
    given = body.get("parameters")
    try:
        model = bootstrap.catalog().model(str(body.get("mediaType")), str(body.get("modelId")))
        model.resolve(given if isinstance(given, dict) else {})
    except InvalidRequest as wrong:
        return wrong.details
    return ()


@router.get("/models")
def get_models() -> Response[str]:
    http.caller_of(router, "read")
    catalog = bootstrap.catalog()
    models = {kind: {name: _shown(m) for name, m in of.items()} for kind, of in catalog.models.items()}
    return http.answer(200, {"models": models})


@router.get("/models/<media_type>/<model_id>")
def get_model(media_type: str, model_id: str) -> Response[str]:
    http.caller_of(router, "read")
    return http.answer(200, _shown(bootstrap.catalog().find(media_type, model_id)))


@router.post("/jobs/<job_id>/cancel")
def post_cancel(job_id: str) -> Response[str]:
    caller = http.caller_of(router, "generate", "compile")
    job, charge = control.cancel_job(
        http.path_id(job_id, "job"),
        caller,
        records=bootstrap.records(),
        clock=bootstrap.records().clock,
        aftermath=bootstrap.aftermath(),
        key=http.idempotency_key(router),
    )
    return http.answer(
        200, {**present(snapshot(job), bootstrap.media(), bootstrap.records().clock.now()), "charge": charge}
    )


@router.post("/jobs/<job_id>/retry")
def post_retry(job_id: str) -> Response[str]:
    caller = http.caller_of(router, "generate", "compile")
    key = http.idempotency_key(router)
    job = control.retry_job(
        http.path_id(job_id, "job"),
        caller,
        records=bootstrap.records(),
        again=lambda old: _again(old, caller, key),
        key=key,
    )
    return _accepted(job, caller)


def _again(old: Job, caller: Caller, key: str | None) -> Job:
    asked = old.request
    if old.kind == "generate":
        request = generate_media.GenerateRequest(
            user_id=old.user_id,
            media_type=asked["mediaType"],
            model_id=asked["modelId"],
            parameters=asked["parameters"],
            script_id=asked["scriptId"],
            section_id=asked["sectionId"],
            webhook_url=asked["webhookUrl"],
            metadata=asked["metadata"],
            idempotency_key=key,
            retry_of=old.id,
            fallback=asked.get("fallback", False),
        )
        return _generate(request, caller)
    if old.kind == "upload":
        raise Conflict(
            "A file is not sent again by us: ask for a new form with POST /api/uploads.", code="not_generated"
        )
    with bootstrap.records().transaction() as tx:
        urls = tx.fetch_urls(old.id)
    return request_compile(
        CompileRequest.of_stored(old, urls, key),
        caller,
        records=bootstrap.records(),
        media=bootstrap.media(),
        clock=bootstrap.records().clock,
        aftermath=bootstrap.aftermath(),
    )


def _generate(request: generate_media.GenerateRequest, caller: Caller) -> Job:
    return generate_media.generate_media(
        request,
        caller,
        records=bootstrap.records(),
        catalog=bootstrap.catalog(),
        schemas=bootstrap.schemas(),
        media=bootstrap.media(),
        clock=bootstrap.records().clock,
        aftermath=bootstrap.aftermath(),
    )


def _accepted(job: Job, caller: Caller) -> Response[str]:
    """202 and the job; 200 and the result when it ended within `Prefer: wait`."""
    of_job = {"statusUrl": f"{http.base_url(router)}/status/{job.id}", **_clip_of(job)}
    wait_seconds = http.wait_seconds(router)
    if wait_seconds:
        view = bootstrap.status_reader().wait(job.id, caller, wait_seconds)
        if view["completedAt"]:
            shown = present(view, bootstrap.media(), bootstrap.records().clock.now())
            return http.answer(200, {**shown, **of_job, **_noted(job)})
    body = {
        "jobId": str(job.id),
        "status": job.status.value,
        "estimatedTime": float(job.estimated_seconds or 0),
        "estimatedCost": float(job.estimated_cost_usd),
        **of_job,
        **_noted(job),
    }
    return http.answer(202, body, {"Location": of_job["statusUrl"]})


def _clip_of(job: Job) -> dict[str, str]:
    """The section video that the job makes, where it makes one that was not deleted since."""
    if job.media_type != "video":
        return {}
    with bootstrap.records().transaction() as tx:
        videos = tx.videos_of_jobs(job.account_id, [job.id])
    return {"videoId": str(videos[0].id)} if videos else {}


def _noted(job: Job) -> dict[str, Any]:
    return {"notes": job.notes} if job.notes else {}


def _shown(model: Model) -> dict[str, Any]:
    return {
        "modelId": model.model_id,
        "mediaType": model.media_type,
        "version": model.version,
        "provider": model.provider,
        "pricing": float(model.price_usd),
        "pricingUnit": model.pricing_unit,
        "pricingBy": _shown_prices(model),
        "pricedUpTo": {name: float(value) for name, value in model.priced_up_to.values.items()}
        if model.priced_up_to
        else None,
        "estimatedTime": float(model.estimated_seconds),
        "supportedParams": list(model.supported),
        "defaults": dict(model.defaults),
        "limits": {name: dict(limit) for name, limit in model.limits.items()},
        "firstFrameParam": model.first_frame_param,
        "deadlineSeconds": model.patience_seconds,
        "fallback": model.fallback,
    }


def _shown_prices(model: Model) -> dict[str, dict[str, float]] | None:
    by = model.priced_by
    return {by.parameter: {value: float(usd) for value, usd in by.unit_usd.items()}} if by else None


handler = observed(http.api_handler(router, lambda: bootstrap.settings(config.GenerateMedia).cors_origins))
