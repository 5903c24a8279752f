"""What the providers say of their models, as `provider_catalog` has left it in the bucket."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from shared.domain.errors import MOST_MISTAKES, DependencyDown, Mistake, NotFound
from shared.domain.storage_keys import MODEL_SCHEMAS_KEY
from shared.observability import logger
from shared.ports import Clock, MediaStore

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

READ_AGAIN_AFTER = timedelta(minutes=1)
LONGEST_MESSAGE = 300


class StoredSchemas:
    """Implements `ModelSchemas`. Without a stored catalogue, or while S3 is down, nothing is known."""

    def __init__(self, media: MediaStore, clock: Clock) -> None:
        self._media, self._clock = media, clock
        self._models: Mapping[str, Mapping[str, Any]] = {}
        self._text = "{}"
        self._read_at: datetime | None = None

    def called_as(self, version: str) -> str:
        return str(self._known().get(version, {}).get("calledAs", version))

    def check(self, version: str, parameters: Mapping[str, Any]) -> Sequence[Mistake]:
        components = self._known().get(version, {}).get("components")
        return () if components is None else _mistakes(version, json.dumps(components), parameters)

    def _known(self) -> Mapping[str, Mapping[str, Any]]:
        now = self._clock.now()
        if self._read_at is None or now - self._read_at >= READ_AGAIN_AFTER:
            self._read_at = now
            self._read()
        return self._models

    def _read(self) -> None:
        try:
            text = self._media.read_text(MODEL_SCHEMAS_KEY)
        except NotFound:
            text = "{}"
        except DependencyDown as error:
            logger.warning("model_schemas_not_read", extra={"reason": error.code})
            return
        if text != self._text:
            self._text, self._models = text, json.loads(text).get("models", {})


def _mistakes(version: str, components: str, parameters: Mapping[str, Any]) -> Sequence[Mistake]:
    """A schema that is broken itself refuses nothing: the provider has the last word."""
    import jsonschema.exceptions
    import referencing.exceptions

    try:
        errors = islice(_validator(components).iter_errors(parameters), MOST_MISTAKES)
        told = [mistake for error in errors for mistake in _told(error)]
    except (
        jsonschema.exceptions.UnknownType,
        referencing.exceptions.Unresolvable,
        re.error,
        AttributeError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        logger.warning("model_schema_broken", extra={"version": version, "reason": type(error).__name__})
        return ()
    return list(dict.fromkeys(told))


@lru_cache(maxsize=64)
def _validator(components: str) -> Validator:
    # Half of a hundred milliseconds to import: only who checks pays.
    from jsonschema import Draft202012Validator
    from referencing import Registry

    document = {"$ref": "#/components/schemas/Input", "components": json.loads(components)}
    # An empty registry: without it the validator would fetch what a schema's `$ref` names.
    return Draft202012Validator(document, registry=Registry())


def _told(error: Any) -> Sequence[Mistake]:
    path = ["parameters", *map(str, error.absolute_path)]
    if error.validator == "required" and isinstance(error.instance, Mapping):
        missing = [name for name in error.validator_value if name not in error.instance]
        return [Mistake(".".join([*path, name]), "is required by the model") for name in missing]
    return [Mistake(".".join(path), f"the model refuses this: {error.message[:LONGEST_MESSAGE]}")]
