"""Webhook URLs of callers lead to the public internet, as far as their text tells."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from functions.compile_videos.handler import CompileBody
from functions.generate_media.handler import GenerateBody
from shared import wire
from shared.domain.errors import InvalidRequest

NOT_CALLED = (
    "http://example.com/hook",
    "https://",
    "https://[broken",
    "ftp://example.com",
    "https://127.0.0.1/hook",
    "https://127.1/hook",
    "https://2130706433/hook",
    "https://0x7f000001/hook",
    "https://[::1]/hook",
    "https://[::ffff:127.0.0.1]/hook",
    "https://localhost/hook",
    "https://LOCALHOST:8443/hook",
    "https://a.localhost/hook",
    "https://169.254.169.254/latest/meta-data",
    "https://[fd00:ec2::254]/latest/meta-data",
    "https://metadata.google.internal/computeMetadata/v1",
    "https://metadata/hook",
    "https://10.0.0.1/hook",
    "https://192.168.1.1/hook",
    "https://printer.local/hook",
    "https://router.home.arpa/hook",
    "https://user@example.com/hook",
    "https://user:password@example.com/hook",
    "https://example.com@127.0.0.1/hook",
    "https://example.com\\@127.0.0.1/hook",
    "https://example.com/a b",
    "https://example.com/" + "a" * 1981,
)
BODIES = (
    (GenerateBody, {"userId": "u", "mediaType": "text", "modelId": "m", "parameters": {}}),
    (CompileBody, {"scriptId": 1}),
)


@pytest.mark.parametrize("url", NOT_CALLED)
@pytest.mark.parametrize(("model", "body"), BODIES)
def test_a_webhook_url_that_leads_elsewhere_is_refused_by_its_field(
    model: type[BaseModel], body: dict[str, object], url: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        wire.validated(model, {**body, "webhookUrl": url})

    assert [mistake.path for mistake in refused.value.details] == ["webhookUrl"]


@pytest.mark.parametrize(
    "url", ["https://example.com/hook?a=b", "https://hooks.example.co.uk:8443/", "https://[2606:4700::1]/hook"]
)
@pytest.mark.parametrize(("model", "body"), BODIES)
def test_a_public_webhook_url_is_taken_as_it_is(model: type[BaseModel], body: dict[str, object], url: str) -> None:
    found = wire.validated(model, {**body, "webhookUrl": url})

    assert found.model_dump()["webhook_url"] == url
