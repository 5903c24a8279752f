"""A request for media becomes a job: row, attempt, reservation and announcement in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.domain.catalog import Catalog, Model
from shared.domain.errors import InvalidRequest, Mistake
from shared.domain.jobs import Attempt, Caller, Job
from shared.domain.messages import ProviderCall, body_of
from shared.domain.prices import Price
from shared.domain.row_limits import METADATA_BYTES, PARAMETERS_BYTES, json_bytes
from shared.domain.scripts import RETAKEN, Script, SectionVideo
from shared.domain.sources import FIRST_FRAME
from shared.observability import JOBS_STARTED, count, job_fields, logger
from shared.ports import Clock, MediaStore, ModelSchemas, Records, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.clips import refuse_superseded, unknown_script
from shared.usecases.idempotency import earlier_job, hash_of
from shared.usecases.locate_images import locate_images
from shared.usecases.pace import check_account

ROUTE = "POST /generate-media"
RETRY_ROUTE = "POST /jobs/{jobId}/retry"
# A stored picture in the eyes of a model's schema: an address, known when the call is made.
SIGNED_LATER = "https://signed.when.called"


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """What a caller asks for. `parameters` as given, before the registry has checked them.

    `replaces` is the section video of which another take is made; of a retry, it is found by the job.
    """

    user_id: str
    media_type: str
    model_id: str
    parameters: Mapping[str, Any]
    script_id: int | None = None
    section_id: int | None = None
    replaces: int | None = None
    webhook_url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    retry_of: UUID | None = None
    fallback: bool = False


def generate_media(
    request: GenerateRequest,
    caller: Caller,
    *,
    records: Records,
    catalog: Catalog,
    schemas: ModelSchemas,
    media: MediaStore,
    clock: Clock,
    aftermath: Aftermath,
    also: Callable[[Transaction, Job], object] = lambda _tx, _job: None,
) -> Job:
    """The job, new or the one its idempotency key made before. `also` is done in the transaction of a new one, last.

    Raises InvalidRequest, NotFound (script, picture), Conflict (key used for another body, job without a picture, clip
    that was made again), OutputGone (erased picture), OverBudget, RateLimited, DependencyDown.
    """
    # A repeat is answered before its model, script or image is looked for: they may be gone by now.
    request_hash = _hash_as_asked(request, media)
    earlier = _earlier(request, request_hash, caller, records)
    if earlier is not None:
        return earlier
    model = catalog.model(request.media_type, request.model_id)
    fields = model.image_fields | _fallback(request, model, catalog).image_fields
    job_id = uuid4()
    located = locate_images(request.parameters, fields, job_id, request.user_id, caller, records=records, media=media)
    request = replace(request, parameters=located.parameters)
    plans = plans_of(request, catalog, schemas)
    _refuse_large(request)
    located.keep(media)
    job = _new_job(request, job_id, request_hash, model, plans, caller, clock)
    with records.transaction() as tx:
        written = _write(tx, job, request, caller)
        if written is not None:
            also(tx, written)
        else:
            # Its key is taken, or it would have been written.
            earlier = earlier_job(tx, job.account_id, job.route, job.idempotency_key, job.request_hash)
            assert earlier is not None
            return earlier
    count(JOBS_STARTED, kind=written.kind)
    logger.info("generation_requested", extra={**job_fields(written), "action": "generation_requested"})
    return aftermath.of(written)


def _refuse_large(request: GenerateRequest) -> None:
    """Raises InvalidRequest naming what is too large for the job's row."""
    limits = (("parameters", request.parameters, PARAMETERS_BYTES), ("metadata", request.metadata, METADATA_BYTES))
    mistakes = [
        Mistake(name, f"has {size} bytes as JSON, and may have {most}: shorten it")
        for name, value, most in limits
        if (size := json_bytes(value)) > most
    ]
    if mistakes:
        raise InvalidRequest(f"{mistakes[0].path} {mistakes[0].message}.", details=mistakes)


def _write(tx: Transaction, job: Job, request: GenerateRequest, caller: Caller) -> Job | None:
    """The job with all that belongs to it; None when its idempotency key is taken."""
    script = _script(tx, caller, request)
    written = tx.insert_job(job)
    if written is None:
        return None
    attempt = new_attempt(job, 1, job.request["plan"])
    tx.reserve(job, attempt.reserved_usd)
    check_account(tx, job)
    tx.insert_attempt(attempt)
    tx.add_estimate(written, attempt, attempt.reserved_usd)
    if job.media_type == "video" and (script is not None or request.section_id is not None):
        section_id = request.section_id or (script.section_id if script else 0)
        take_of = _earlier_take(tx, caller, request)
        tx.insert_video(written, section_id=section_id, script_id=request.script_id, take_of=take_of)
    tx.announce(written, "calls", body_of(ProviderCall(str(job.id), str(attempt.id), provider=attempt.provider)))
    tx.add_event(written, "job.created")
    return written


def _earlier_take(tx: Transaction, caller: Caller, request: GenerateRequest) -> SectionVideo | None:
    """The clip that the new one takes the place of, locked. Raises Conflict when another one has taken it."""
    if request.replaces is not None:
        replaced = tx.lock_video(caller.account_id, request.replaces)
        if replaced is not None:
            refuse_superseded(tx, replaced)
        return replaced
    found = tx.videos_of_jobs(caller.account_id, [request.retry_of]) if request.retry_of else ()
    earlier = tx.lock_video(caller.account_id, found[0].id) if found else None
    return earlier if earlier and earlier.status in RETAKEN and earlier.superseded_by is None else None


def _earlier(request: GenerateRequest, request_hash: str, caller: Caller, records: Records) -> Job | None:
    if request.idempotency_key is None:
        return None
    with records.transaction() as tx:
        return earlier_job(tx, caller.account_id, _route(request), request.idempotency_key, request_hash)


def new_attempt(job: Job, number: int, plan: Mapping[str, Any]) -> Attempt:
    """An attempt as it is written before its call; `plan` is one of those in the job's request."""
    price, parameters = Price.of(plan["price"]), plan["input"]
    return Attempt(
        id=uuid4(),
        account_id=job.account_id,
        job_id=job.id,
        number=number,
        provider=plan["provider"],
        request={name: plan[name] for name in ("version", "input", "price", "stored")},
        reserved_usd=price.estimate_usd(parameters),
    )


def plans_of(request: GenerateRequest, catalog: Catalog, schemas: ModelSchemas) -> dict[str, Any]:
    """The request's call, and the one of its fallback model or None, as a job's row keeps them.

    Both are resolved now, so that nothing is paid for what cannot be called. Raises InvalidRequest.
    """
    model = catalog.model(request.media_type, request.model_id)
    plan = _plan(model, model.resolve(request.parameters), schemas)
    return {"plan": plan, "fallbackPlan": _fallback_plan(request, model, catalog, schemas)}


def _plan(model: Model, parameters: Mapping[str, Any], schemas: ModelSchemas) -> dict[str, Any]:
    """A call: what is sent where, which of it are pictures stored here, its price, and how long it may take."""
    stored = sorted(name for name in model.image_fields if isinstance(parameters.get(name), Mapping))
    mistakes = schemas.check(model.version, {**parameters, **dict.fromkeys(stored, SIGNED_LATER)})
    if mistakes:
        raise InvalidRequest(
            f"{model.model_id} does not take these parameters: mend what `details` names.", details=mistakes
        )
    return {
        "modelId": model.model_id,
        "provider": model.provider,
        "version": schemas.called_as(model.version),
        "input": dict(parameters),
        "stored": stored,
        "price": model.price(parameters).kept(),
        "estimatedSeconds": float(model.estimated_seconds),
        "patienceSeconds": model.patience_seconds,
    }


def _fallback(request: GenerateRequest, model: Model, catalog: Catalog) -> Model:
    """The model to fall back on: the model itself when none is asked for. Raises InvalidRequest."""
    if not request.fallback:
        return model
    if model.fallback is None:
        raise _no_fallback(f"{model.model_id} has no fallback model in the registry: leave it out")
    return catalog.model(model.media_type, model.fallback)


def _fallback_plan(
    request: GenerateRequest, model: Model, catalog: Catalog, schemas: ModelSchemas
) -> dict[str, Any] | None:
    other = _fallback(request, model, catalog)
    if other is model:
        return None
    if {FIRST_FRAME, model.first_frame_param} & request.parameters.keys() and other.first_frame_param is None:
        raise _no_fallback(f"{other.model_id}, the fallback of {model.model_id}, cannot start from a picture")
    return _plan(other, other.resolve_for(model, request.parameters), schemas)


def _no_fallback(problem: str) -> InvalidRequest:
    sentence = f"{problem}, or choose another model"
    return InvalidRequest(f"{sentence}.", details=[Mistake("fallback", sentence)])


def _body(request: GenerateRequest) -> dict[str, Any]:
    """What was asked for, as a job's row keeps it."""
    return {
        "userId": request.user_id,
        "mediaType": request.media_type,
        "modelId": request.model_id,
        "parameters": dict(request.parameters),
        "scriptId": request.script_id,
        "sectionId": request.section_id,
        # No request names one any more: kept for the hash of a repeat and for the release before.
        "position": None,
        "webhookUrl": request.webhook_url,
        "metadata": dict(request.metadata),
        "fallback": request.fallback,
    }


def _route(request: GenerateRequest) -> str:
    return ROUTE if request.retry_of is None else RETRY_ROUTE


def _hash_as_asked(request: GenerateRequest, media: MediaStore) -> str:
    """The hash of the body alone; of an object of ours by its key, as the signature of its URL differs each time."""
    keys = {name: media.key_of(given) for name, given in request.parameters.items() if isinstance(given, str)}
    named = {name: {"s3Key": key} for name, key in keys.items() if key}
    return hash_of({**_body(request), "parameters": {**request.parameters, **named}}, request.retry_of)


def _new_job(
    request: GenerateRequest,
    job_id: UUID,
    request_hash: str,
    model: Model,
    plans: Mapping[str, Any],
    caller: Caller,
    clock: Clock,
) -> Job:
    now = clock.now()
    return Job(
        id=job_id,
        account_id=caller.account_id,
        user_id=request.user_id,
        kind="generate",
        route=_route(request),
        idempotency_key=request.idempotency_key,
        request={**_body(request), **plans},
        request_hash=request_hash,
        media_type=model.media_type,
        model_id=model.model_id,
        script_id=request.script_id,
        section_id=request.section_id,
        estimated_seconds=model.estimated_seconds,
        estimated_cost_usd=Price.of(plans["plan"]["price"]).estimate_usd(plans["plan"]["input"]),
        retry_of=request.retry_of,
        webhook_url=request.webhook_url,
        metadata=request.metadata,
        client_ip=caller.client_ip,
        user_agent=caller.user_agent,
        created_at=now,
        deadline_at=now + timedelta(seconds=model.patience_seconds),
    )


def _script(tx: Transaction, caller: Caller, request: GenerateRequest) -> Script | None:
    if request.script_id is None:
        return None
    # Only a clip changes its script.
    read = tx.lock_script if request.media_type == "video" else tx.script
    script = read(caller.account_id, request.script_id)
    if script is None:
        raise unknown_script(request.script_id)
    return script
