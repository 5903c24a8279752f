"""Which Replicate the functions talk to: the stand-in, or the real one where PROVIDER=replicate asks for it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

REAL_BASE_URL = "https://api.replicate.com/v1"
REAL_OUTPUT_ORIGINS = "https://replicate.delivery,https://pbxt.replicate.delivery,https://tjzk.replicate.delivery"
TOKEN_VARIABLE = "REPLICATE_API_TOKEN"
ANSWER_SECONDS = 30.0
SETTING, STAND_IN, REPLICATE = "PROVIDER", "stand-in", "replicate"


class BadProviderSetting(Exception):
    """PROVIDER or the token it needs is not as it must be; its text names the remedy."""


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
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            return str(json.loads(response.read())["key"])


def stand_in(port: int) -> MediaProvider:
    """The stand-in on a loopback port; it takes any token."""
    address = f"http://127.0.0.1:{port}"
    return MediaProvider(base_url=f"{address}/v1", token="r8_local-stand-in", output_origins=address)


def provider_setting(environment: Mapping[str, str]) -> str:
    """`stand-in` or `replicate`. Raises BadProviderSetting.

    A token alone chooses nothing: many shells export one, and the real service costs money.
    """
    setting = environment.get(SETTING) or STAND_IN
    if setting not in (STAND_IN, REPLICATE):
        raise BadProviderSetting(f"PROVIDER is '{setting}': it must be {STAND_IN} or {REPLICATE}.")
    if setting == REPLICATE and not environment.get(TOKEN_VARIABLE):
        raise BadProviderSetting(f"PROVIDER={REPLICATE} needs a token: export {TOKEN_VARIABLE}=r8_…")
    return setting


def chosen_provider(port: int, environment: Mapping[str, str]) -> MediaProvider:
    """As `provider_setting` says.

    The real one's webhooks cannot reach a loopback address; the sweep asks for the outcome instead, minutes later.
    """
    if provider_setting(environment) == STAND_IN:
        return stand_in(port)
    return MediaProvider(base_url=REAL_BASE_URL, token=environment[TOKEN_VARIABLE], output_origins=REAL_OUTPUT_ORIGINS)


def price_list(registry: str) -> list[str]:
    """A line for each model of Replicate's in a registry's JSON: its price in USD and for what."""
    kinds = json.loads(registry)
    models = [(name, model) for kind in kinds.values() for name, model in kind.items()]
    return [
        f"{name:<28} {model['pricing']:>9g} USD per {model.get('pricingUnit', 'run')}"
        for name, model in models
        if model.get("provider", REPLICATE) == REPLICATE
    ]
