"""Which registry of models the stack's functions use: `config/models.json`, or the one that MODELS_CONFIG names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shared.domain.catalog import read_catalog
from shared.domain.errors import BrokenRegistry

VARIABLE = "MODELS_CONFIG"
FILE = "config/models.json"


class BadModelsSetting(Exception):
    """MODELS_CONFIG or the registry it names cannot be used; its text names the remedy."""


def models_setting(environment: Mapping[str, str], root: Path) -> str:
    """The setting as the functions get it: a text, an `s3:bucket/key` address, or the file. Raises BadModelsSetting.

    What is no address is checked here, before anything starts; an object, when the stack reads it the first time.
    """
    setting = environment.get(VARIABLE) or FILE
    if setting.startswith("ssm:"):
        raise BadModelsSetting(
            f"{VARIABLE} is {setting}: the local stack begins with no parameters of yours. Name its value, as in "
            f'{VARIABLE}="$(aws ssm get-parameter --name {setting.removeprefix("ssm:")} --query Parameter.Value '
            '--output text)".'
        )
    if not setting.startswith("s3:"):
        _check(registry_text(setting, root), FILE if setting == FILE else VARIABLE)
    return setting


def registry_text(setting: str, root: Path) -> str:
    """The registry's JSON, of a setting that is no address."""
    return (root / FILE).read_text("utf8") if setting == FILE else setting


def _check(text: str, source: str) -> None:
    try:
        read_catalog(text, source)
    except BrokenRegistry as broken:
        raise BadModelsSetting(str(broken)) from None
