"""Erasure and deletion by the API; and each minute, what is left of it and what nobody owns."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from shared import bootstrap, config, http, wire
from shared.domain.erasure import Erasure
from shared.domain.errors import NotFound
from shared.observability import logger, observed
from shared.usecases.clips import Seen
from shared.usecases.delete_clips import Deleter
from shared.usecases.erase import Eraser, read_receipt
from shared.usecases.prune import prune

router = Router()  # type: ignore[no-untyped-call]
# Under the gateway's 29 s, and under the function's own two minutes.
CALL_SECONDS = 20.0
SWEEP_SECONDS, PRUNE_SECONDS = 75.0, 10.0


@router.delete("/api/videos/<job_id>")
def delete_video(job_id: str) -> Response[str]:
    caller = http.caller_of(router, "admin")
    return _receipt(
        _eraser().erase_job(http.path_id(job_id, "job"), caller, CALL_SECONDS, http.idempotency_key(router))
    )


@router.delete("/api/users/<user_id>")
def delete_user(user_id: str) -> Response[str]:
    caller = http.caller_of(router, "admin")
    try:
        wire.user_id(user_id)
    except ValueError as error:
        raise NotFound(f"There is no user {user_id[:64]!r}: a user id {error}.") from None
    return _receipt(_eraser().erase_user(user_id, caller, CALL_SECONDS, http.idempotency_key(router)))


@router.delete("/api/section-videos/<video_id>")
def delete_section_video(video_id: str) -> Response[str]:
    caller = http.caller_of(router, "review")
    deleted = _deleter().delete_clip(
        http.path_number(video_id, "section video"),
        caller,
        CALL_SECONDS,
        seen=Seen(http.versions_seen(router)),
        key=http.idempotency_key(router),
    )
    return http.answer(200, {"success": True, "message": "Video deleted", "data": deleted.present()})


@router.delete("/api/scripts/<script_id>")
def delete_script(script_id: str) -> Response[str]:
    caller = http.caller_of(router, "review")
    deleted = _deleter().delete_script(
        http.path_number(script_id, "script"), caller, CALL_SECONDS, key=http.idempotency_key(router)
    )
    return http.answer(200, {"success": True, "message": "Script deleted", "data": deleted.present()})


@router.get("/api/erasures/<erasure_id>")
def get_erasure(erasure_id: str) -> Response[str]:
    caller = http.caller_of(router, "admin")
    wanted = http.path_id(erasure_id, "erasure")
    with bootstrap.records().transaction() as tx:
        found = tx.erasure(caller.account_id, wanted)
    if found is None:
        raise NotFound(f"There is no erasure {erasure_id}: DELETE /api/users/{{userId}} answers with its id.")
    return http.answer(200, _shown(found))


def _receipt(erasure: Erasure) -> Response[str]:
    """202 while there is more to do, or workers that ran at the time may still write."""
    location = {"Location": f"{http.base_url(router)}/api/erasures/{erasure.id}"}
    return http.answer(200 if erasure.completed_at else 202, _shown(erasure), location)


def _shown(erasure: Erasure) -> dict[str, Any]:
    return read_receipt(erasure, records=bootstrap.records(), clock=bootstrap.records().clock)


def _deleter() -> Deleter:
    return Deleter(bootstrap.records(), _eraser())


def _eraser() -> Eraser:
    return Eraser(
        bootstrap.records(),
        bootstrap.media(),
        bootstrap.live_view(),
        bootstrap.status_cache(),
        bootstrap.aftermath(),
        bootstrap.records().clock,
    )


_api = http.api_handler(router, lambda: bootstrap.settings(config.Retention).cors_origins)


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if "requestContext" in event:
        return _api(event, context)
    bootstrap.settings(config.Retention)
    found = {"erasures": _eraser().resume(SWEEP_SECONDS), **bootstrap.orphans().remove()}
    pruned = prune(bootstrap.records(), bootstrap.records().clock, PRUNE_SECONDS)
    logger.info("retained", extra={"action": "retention", **found, **pruned})
    return {**found, **pruned}
