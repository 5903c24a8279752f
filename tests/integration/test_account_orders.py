"""Orders about keys that run at once: a key that is revoked stays revoked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shared.usecases.manage_accounts import act, restore_keys
from tests.integration.inside import World
from tests.memory import MemoryKeys


class KeysMeanwhile(MemoryKeys):
    """A directory in which something happens just before the first key is written."""

    def __init__(self, meanwhile: Callable[[], Any]) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Any] | None = meanwhile

    def put(self, key: Mapping[str, Any]) -> bool:
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return super().put(key)


@pytest.fixture
def key(world: World) -> dict[str, Any]:
    order = {"action": "create_key", "accountId": str(world.caller.account_id), "scopes": ["read"]}
    return act(order, records=world.records, directory=MemoryKeys())


@pytest.mark.parametrize("action", ["create_key", "rebuild_keys", "restore"])
def test_an_order_that_read_the_rows_before_brings_no_revoked_key_back(
    world: World, key: dict[str, Any], action: str
) -> None:
    revoke = {"action": "revoke_key", "keyId": key["keyId"]}
    directory = KeysMeanwhile(lambda: act(revoke, records=world.records, directory=directory))

    answer = ordered(world, action, directory)

    (key_hash,) = world.sql("SELECT key_hash FROM vsl.api_keys WHERE id = %s", key["keyId"])[0]
    assert "revokedAt" in directory.keys[key_hash]
    assert action != "rebuild_keys" or answer["keptRevoked"] == 1


def ordered(world: World, action: str, directory: MemoryKeys) -> Any:
    if action == "restore":
        return restore_keys(world.records, directory)
    order = {"action": action, "accountId": str(world.caller.account_id)}
    return act(order, records=world.records, directory=directory)
