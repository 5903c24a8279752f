"""HEAD of a route is its GET without a body."""

from __future__ import annotations

from uuid import uuid4

import pytest

from infra.stacks.api import KEYED_ROUTES, PUBLIC_ROUTES
from tests.e2e.client import Api, a_text

READ = [path for method, path, _ in (*KEYED_ROUTES, *PUBLIC_ROUTES) if method == "GET"]


@pytest.mark.parametrize("path", READ)
def test_head_is_answered_as_get(api: Api, path: str) -> None:
    asked = path.replace("{mediaType}", "image").replace("{modelId}", "flux-schnell")
    asked = "/".join(str(uuid4()) if part.startswith("{") else part for part in asked.split("/"))
    got, head = api.get(asked), api.call("HEAD", asked)

    assert (head.status, head.body, head.headers["content-type"]) == (got.status, None, got.headers["content-type"])


def test_head_of_a_job_has_its_etag_and_needs_a_key(api: Api) -> None:
    job_id = api.generate("", **a_text("a head"))
    api.completed(job_id)
    head = api.call("HEAD", f"/status/{job_id}")

    assert (head.status, head.headers["etag"]) == (200, api.get(f"/status/{job_id}").headers["etag"])
    assert Api(api.base_url, None).call("HEAD", f"/status/{job_id}").status == 401


def test_a_byte_order_mark_before_a_body_is_passed_over(api: Api) -> None:
    answer = api.call("POST", "/api/scripts", b'\xef\xbb\xbf{"sectionId": 1}')

    assert answer.status == 201, answer.body
    assert api.call("POST", "/api/scripts", b"\xef\xbb\xbf").refuses(422, "invalid_request")
