"""Whatever ran on the stack so far, no secret of it is in any log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.layout import read_json
from tests.faults.observing import Observed


def test_no_log_holds_a_key_a_token_or_a_signed_url(observed: Observed) -> None:
    job = observed.generate("[fail=no] something to log about")
    assert observed.end(job) == ["failed"]
    state = Path(observed.stack["stateDir"])
    secrets: dict[str, Any] = read_json(state / "secrets.json")
    password = urlsplit(observed.stack["databaseUrl"]).password
    keys = {observed.stack[name] for name in ("apiKey", "secondApiKey", "adminApiKey")}
    banned = {text for text in (*keys, *secrets.values(), password) if isinstance(text, str) and len(text) > 8}
    logs = {path: path.read_text(errors="replace") for path in (state / "logs").rglob("*.log")}

    found = {path.name: text[:6] for path, content in logs.items() for text in banned if text in content}
    signed = [path.name for path, content in logs.items() if re.search(r"X-Amz-Signature=|whsec_|[?&]mac=", content)]

    assert len(logs) > 10
    assert found == {}
    assert signed == []
