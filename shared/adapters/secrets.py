"""Settings that are addresses of secrets and parameters; nothing is read before it is needed."""

from __future__ import annotations

from shared.domain.errors import ProviderRefused


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
        raise ProviderRefused(sentence, code="model_unavailable") from None
