"""Outside: ask the providers which versions and inputs their models have, for the inside to check against."""

from __future__ import annotations

import json
from dataclasses import asdict

from shared.domain.catalog import Catalog
from shared.domain.errors import AnswerLost, NotFound, ProviderBusy, ProviderRefused
from shared.domain.jobs import iso
from shared.domain.storage_keys import MODEL_SCHEMAS_KEY
from shared.observability import logger
from shared.ports import Clock, MediaStore, ModelSource


def refresh_schemas(*, catalog: Catalog, source: ModelSource, media: MediaStore, clock: Clock) -> dict[str, int]:
    """Writes what is known of every model of the provider; one that cannot be read keeps what was known of it.

    Returns how many were read and how many not. Raises DependencyDown when the bucket does not answer.
    """
    kept = _kept(media)
    versions = {m.version for models in catalog.models.values() for m in models.values() if m.provider == "replicate"}
    read = {version: found for version in sorted(versions) if (found := _described(source, version)) is not None}
    known = {version: read.get(version, kept.get(version)) for version in versions}
    body = {"readAt": iso(clock.now()), "models": {version: entry for version, entry in known.items() if entry}}
    media.replace_text(MODEL_SCHEMAS_KEY, json.dumps(body, sort_keys=True))
    return {"read": len(read), "notRead": len(versions) - len(read)}


def _described(source: ModelSource, version: str) -> dict[str, object] | None:
    try:
        found = asdict(source.describe(version))
    except (AnswerLost, NotFound, ProviderBusy, ProviderRefused) as error:
        logger.warning("model_not_described", extra={"version": version, "reason": error.sentence})
        return None
    return {"calledAs": found["called_as"], "versionId": found["version_id"], "components": found["components"]}


def _kept(media: MediaStore) -> dict[str, dict[str, object]]:
    try:
        models: dict[str, dict[str, object]] = json.loads(media.read_text(MODEL_SCHEMAS_KEY)).get("models", {})
    except NotFound:
        return {}
    return models
