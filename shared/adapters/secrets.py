"""Settings that are addresses of secrets and parameters; nothing is read before it is needed."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from shared.domain.errors import MODEL_UNAVAILABLE, ProviderRefused

_TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)


def value_of(address: str) -> str:
    """A setting that may be a `secret:` or `ssm:` address; cached a minute, as secrets are rotated."""
    from aws_lambda_powertools.utilities import parameters

    if address.startswith("secret:"):
        return str(parameters.get_secret(address.removeprefix("secret:"), max_age=60))
    if address.startswith("ssm:"):
        return str(parameters.get_parameter(address.removeprefix("ssm:"), max_age=60))
    return address


def provider_token(address: str) -> str:
    """A provider's token. Raises ProviderRefused where the stage has none: that fails this provider's jobs alone."""
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

    try:
        return value_of(address)
    except GetParameterError:
        sentence = f"This stage has no secret {address.removeprefix('secret:')}: an operator must put it there."
        raise ProviderRefused(sentence, code=MODEL_UNAVAILABLE) from None


def checked_token(token: str) -> str:
    """The token alone. Raises ProviderRefused for one no header can hold: it would end up in an error's text."""
    alone = token.strip()
    if not _TOKEN.fullmatch(alone):
        raise ProviderRefused("The provider's token is empty or malformed; set it again.")
    return alone


def check_base_url(base_url: str) -> None:
    """Raises ValueError where a token sent there could be read on the way: neither https nor loopback."""
    if urlsplit(base_url).scheme != "https" and not is_loopback(base_url):
        raise ValueError("The provider's base URL must be https: the token goes there.")


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine itself."""
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
