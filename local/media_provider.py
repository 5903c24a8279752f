"""Which Replicate the functions talk to: the stand-in, or the real one where PROVIDER=replicate asks for it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

REAL_BASE_URL = "https://api.replicate.com/v1"
REAL_OUTPUT_ORIGINS = "https://replicate.delivery,https://pbxt.replicate.delivery,https://tjzk.replicate.delivery"
TOKEN_VARIABLE = "REPLICATE_API_TOKEN"
ANSWER_SECONDS = 30.0
PUBLIC_URL_VARIABLE = "PUBLIC_BASE_URL"
SETTING, STAND_IN, REPLICATE = "PROVIDER", "stand-in", "replicate"


class BadProviderSetting(Exception):
    """PROVIDER, or the token or address that go with it, is not as it must be; its text names the remedy."""


@dataclass(frozen=True)
class MediaProvider:
    """An address that speaks Replicate's HTTP API, and where its outputs may be fetched from."""

    base_url: str
    token: str
    output_origins: str

    def webhook_secret(self) -> str:
        """What this account's webhooks are signed with (GET /v1/webhooks/default/secret). Raises BadProviderSetting."""
        request = urllib.request.Request(
            f"{self.base_url}/webhooks/default/secret", headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
                return str(json.loads(response.read())["key"])
        except urllib.error.HTTPError as refused:
            if refused.code not in (401, 403):
                raise
            raise BadProviderSetting(
                f"{self.base_url} refuses the token ({refused.code}): export the right one as {TOKEN_VARIABLE}."
            ) from None


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
    if setting == REPLICATE:
        _public_origin(environment)
        if not environment.get(TOKEN_VARIABLE):
            raise BadProviderSetting(f"PROVIDER={REPLICATE} needs a token: export {TOKEN_VARIABLE}=r8_…")
    return setting


def public_base_url(environment: Mapping[str, str], base_url: str) -> str:
    """Where the provider may call the API: a tunnel's address with the path of `base_url`, or `base_url` itself.

    Only the real provider needs a tunnel; the stand-in reaches every address of this machine.
    """
    origin = _public_origin(environment) if environment.get(SETTING) == REPLICATE else ""
    return f"{origin}{urlsplit(base_url).path}" if origin else base_url


def _public_origin(environment: Mapping[str, str]) -> str:
    given = environment.get(PUBLIC_URL_VARIABLE, "").rstrip("/")
    parts = urlsplit(given)
    if given and (parts.scheme != "https" or not parts.hostname or parts.path):
        raise BadProviderSetting(
            f"{PUBLIC_URL_VARIABLE} is '{given}': it must be a tunnel's address like https://name.example.com."
        )
    return given


def chosen_provider(port: int, environment: Mapping[str, str]) -> MediaProvider:
    """As `provider_setting` says.

    The real one's webhooks cannot reach a loopback address: without a tunnel the sweep asks for the outcome instead.
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
