"""Versions and input schemas of Replicate's models. https://replicate.com/docs/reference/http#models.get"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from shared.domain.errors import NotFound, ProviderBusy
from shared.ports import ModelVersion

Read = Callable[[str], Mapping[str, Any]]
# owner/name, or owner/name:version as registries write it.
_NAMED = re.compile(r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(?::(?P<version>[\w-]+))?", re.ASCII)


class ReplicateModels:
    """Implements `ModelSource`. `read` answers a GET as a JSON object (see `ReplicateProvider.read`)."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def describe(self, version: str) -> ModelVersion:
        named = _NAMED.fullmatch(version)
        if named is None:
            raise NotFound(f"{version!r} does not name a model as owner/name or owner/name:version.")
        model = f"/v1/models/{named['owner']}/{named['name']}"
        if named["version"]:
            found = self._read(f"{model}/versions/{named['version']}")
            return _version(found, called_as=version)
        body = self._read(model)
        found = body.get("latest_version") or {}
        # Official models are called by name: their versions change without notice.
        called_as = version if body.get("is_official") is True else f"{version}:{found.get('id')}"
        return _version(found, called_as=called_as)


def _version(body: Mapping[str, Any], *, called_as: str) -> ModelVersion:
    version_id, schema = body.get("id"), body.get("openapi_schema")
    if not isinstance(version_id, str) or not isinstance(schema, dict):
        raise ProviderBusy("The provider describes this model in a way that cannot be read.")
    components = schema.get("components")
    return ModelVersion(called_as, version_id, components if isinstance(components, dict) else {})
