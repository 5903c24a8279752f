"""Files of a test's own, brought into the stack as a client brings them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.e2e.client import Api

TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm", ".mkv": "video/x-matroska"}


def bring(api: Api, path: Path, **changes: Any) -> str:
    """The key of a file that was sent to the form it was given, which may be of a script (`scriptId`)."""
    body, content_type = path.read_bytes(), TYPES.get(path.suffix, "video/mp4")
    file = {"name": path.name, "contentType": content_type, "size": len(body)}
    asked = {"userId": "tester", "kind": "clip", "files": [file], **changes}
    form = api.post("/api/uploads", asked).data(201)["files"][0]
    sent = httpx.post(form["url"], data=form["fields"], files={"file": ("x", body)}, timeout=60)
    assert sent.status_code == 204, sent.text
    return str(form["key"])


def clips_of(api: Api, *paths: Path) -> list[dict[str, str]]:
    """The files as a compile names them."""
    return [{"s3Key": bring(api, path)} for path in paths]
