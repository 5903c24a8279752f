"""Where names lead: every address a target has, refused unless all of them are public."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from shared.domain.addresses import Address, AddressRefused, Target, is_loopback, is_public
from shared.domain.errors import DependencyDown

Resolver = Callable[[str, int], Sequence[str]]


def system_resolver(host: str, port: int) -> Sequence[str]:
    """All addresses of a name by the system's resolver. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def addresses_of(target: Target, resolver: Resolver) -> tuple[str, ...]:
    """The addresses to connect to, all of them public. The target's origin must be on the allow-list already.

    A literal loopback address passes, as only naming it on the list can have brought it here. Raises
    AddressRefused when any address is not public, DependencyDown when the name has none.
    """
    if target.literal is not None and is_loopback(target):
        return (str(target.literal),)
    found = (str(target.literal),) if target.literal else _resolve(target, resolver)
    if not all(is_public(address) for address in map(_address, found)):
        raise AddressRefused(f"{target.origin} leads into a network that is not public.")
    return found


def _resolve(target: Target, resolver: Resolver) -> tuple[str, ...]:
    try:
        found = tuple(dict.fromkeys(resolver(target.host, target.port)))
    except (OSError, UnicodeError):
        found = ()
    if not found:
        raise DependencyDown(f"The name of {target.origin} cannot be resolved now.", retry_after_seconds=10)
    return found


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise AddressRefused("A name resolved to something that is no address.") from None
