"""A compile that ended without a film says so to whoever asks for it again: never "processing"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.client import Api
from tests.e2e.conftest import Rows


@pytest.mark.parametrize("path", ["/compile-videos", "/compile-videos/plan"])
def test_a_cancelled_compile_is_409_and_one_that_timed_out_504(
    api: Api, stack: dict[str, Any], rows: Rows, words: str, path: str
) -> None:
    # Nobody listens there: the fetch is tried for a while, and the job waits for it.
    body = {"clips": [{"url": f"{stack['sourcesUrl']}/{words}"}]}
    cancelled, late = (api.post(path, body, Idempotency_Key=f"{words}{n}").data(202)["jobId"] for n in range(2))
    api.post(f"/jobs/{cancelled}/cancel").data(200)
    rows(
        "UPDATE vsl.jobs SET status = 'timeout', error_code = 'timeout', error_message = 'Too late.', "
        "completed_at = now(), version = version + 100 WHERE id = %s RETURNING id",
        late,
    )

    api.post(path, body, Idempotency_Key=f"{words}0", Prefer="wait=2").refuses(409, "cancelled")
    api.post(path, body, Idempotency_Key=f"{words}1", Prefer="wait=2").refuses(504, "timeout")
