"""A request with two keys is nobody's, also where the gateway remembers both."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from tests.e2e.client import Api


def test_two_keys_are_401_however_they_are_sent(api: Api, stranger: Api) -> None:
    # So that the gateway remembers both.
    assert [one.get("/models").status for one in (api, stranger)] == [200, 200]

    for second in ("X-API-Key", "x-api-key"):
        for keys in ((api.key, stranger.key), (api.key, "unknown"), ("unknown", api.key)):
            assert status_of(api.base_url, ("X-API-Key", keys[0]), (second, keys[1])) == 401


def status_of(base_url: str, *headers: tuple[str, str | None]) -> int:
    """Of GET /models with these headers as they are, which urllib would make one."""
    address = urlsplit(base_url)
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    connection.putrequest("GET", f"{address.path}/models")
    for name, value in headers:
        connection.putheader(name, str(value))
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status
