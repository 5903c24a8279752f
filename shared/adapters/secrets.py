"""Settings that are addresses of secrets and parameters; nothing is read before it is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.domain.errors import MODEL_UNAVAILABLE, DependencyDown, ProviderRefused
from shared.domain.rotation import CACHED_SECONDS, RotatedSecret

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import GetSecretValueResponseTypeDef

    from shared.ports import Clock

_TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)


def value_of(address: str) -> str:
    """A setting that may be a `secret:` or `ssm:` address; cached a minute, as secrets are rotated."""
    from aws_lambda_powertools.utilities import parameters

    if address.startswith("secret:"):
        return str(parameters.get_secret(address.removeprefix("secret:"), max_age=CACHED_SECONDS))
    if address.startswith("ssm:"):
        return str(parameters.get_parameter(address.removeprefix("ssm:"), max_age=CACHED_SECONDS))
    return address


@dataclass(slots=True, repr=False)
class SecretVersions:
    """A secret that functions go on accepting while it is rotated; a setting that is no address is its value.

    `AWSPREVIOUS` is the version that `AWSCURRENT` was before (Secrets Manager API, PutSecretValue): a rotation is one
    call, and a function that may read the one version may read the other. A version's age is told by the time of day:
    the monotonic clock may stand still while an execution environment is frozen.
    """

    address: str
    client: Callable[[], SecretsManagerClient]
    clock: Clock
    _kept: RotatedSecret | None = field(default=None, init=False)
    _stale_at: datetime | None = field(default=None, init=False)

    def read(self) -> RotatedSecret:
        """The versions that hold now, or did a minute ago; while they cannot be read, those that were read last.

        Raises DependencyDown without any.
        """
        if not self.address.startswith("secret:"):
            return RotatedSecret(self.address)
        now = self.clock.now()
        if self._kept is None or self._stale_at is None or now > self._stale_at:
            # A caller must not wait for an outage more than once a minute either.
            self._kept = self._read() if self._kept is None else self._read_again(self._kept)
            self._stale_at = now + timedelta(seconds=CACHED_SECONDS)
        return self._kept

    def _read_again(self, kept: RotatedSecret) -> RotatedSecret:
        try:
            return self._read()
        except DependencyDown:
            return kept

    def _read(self) -> RotatedSecret:
        # The current version first: a rotation in between then shows one value twice, and none is missing.
        current = self._version("AWSCURRENT")
        if current is None:
            raise DependencyDown(f"This stage has no secret {self._name}: an operator must put it there.")
        previous = self._version("AWSPREVIOUS")
        replaced = None if previous is None else previous["SecretString"]
        return RotatedSecret(current["SecretString"], replaced, current["CreatedDate"])

    def _version(self, stage: str) -> GetSecretValueResponseTypeDef | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self.client().get_secret_value(SecretId=self._name, VersionStage=stage)
        except ClientError as error:
            if error.response["Error"].get("Code") == "ResourceNotFoundException":
                return None
            raise self._unreadable() from error
        except BotoCoreError as error:
            raise self._unreadable() from error

    def _unreadable(self) -> DependencyDown:
        return DependencyDown(f"The secret {self._name} cannot be read; try again.", retry_after_seconds=5)

    @property
    def _name(self) -> str:
        return self.address.removeprefix("secret:")


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
