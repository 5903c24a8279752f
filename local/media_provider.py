"""Which Replicate the functions talk to: the stand-in, or the real one when REPLICATE_API_TOKEN is set."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

REAL_BASE_URL = "https://api.replicate.com/v1"
REAL_OUTPUT_ORIGINS = "https://replicate.delivery,https://pbxt.replicate.delivery,https://tjzk.replicate.delivery"
TOKEN_VARIABLE = "REPLICATE_API_TOKEN"


@dataclass(frozen=True)
class MediaProvider:
    """An address that speaks Replicate's HTTP API, and where its outputs may be fetched from."""

    base_url: str
    token: str
    output_origins: str

    def webhook_secret(self) -> str:
        """What this account's webhooks are signed with (GET /v1/webhooks/default/secret)."""
        request = urllib.request.Request(
            f"{self.base_url}/webhooks/default/secret", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return str(json.loads(response.read())["key"])


def stand_in(port: int) -> MediaProvider:
    """The stand-in on a loopback port; it takes any token."""
    address = f"http://127.0.0.1:{port}"
    return MediaProvider(base_url=f"{address}/v1", token="r8_local-stand-in", output_origins=address)


def chosen_provider(port: int, environment: Mapping[str, str]) -> MediaProvider:
    """The real service costs money, so only the environment variable chooses it.

    Its webhooks cannot reach a loopback address; the sweep asks for the outcome instead, minutes later.
    """
    token = environment.get(TOKEN_VARIABLE)
    if not token:
        return stand_in(port)
    return MediaProvider(base_url=REAL_BASE_URL, token=token, output_origins=REAL_OUTPUT_ORIGINS)
