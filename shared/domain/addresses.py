"""Which addresses of the internet may be called: one strict URL parser, our own list of what is not public.

Python's own parsers disagree on backslashes, tabs and full-width dots, and `ipaddress.is_global` is true for
NAT64 and for 6to4 of a link-local address: neither is a guard. What is not plainly
understood is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from shared.domain.errors import BadMedia

Address = IPv4Address | IPv6Address

LONGEST_URL = 8192
DEFAULT_PORTS = {"http": 80, "https": 443}
_CHARACTER = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})"
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    rf"(?P<path>/{_CHARACTER}*)?"
    rf"(?P<query>\?(?:{_CHARACTER}|\?)*)?"
    rf"(?:\#(?:{_CHARACTER}|\?)*)?",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
# RFC 3986 appendix B: the parts of a reference. None is trusted before `parse_url` has read the whole.
_REFERENCE = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?",
    re.ASCII,
)
# Sent as they are by many servers. A backslash is not among them, as browsers read it as a slash.
_SENT_UNENCODED = re.compile(r"""[ "<>\[\]^`{|}\x80-\xff]""")

# IANA special-purpose registries (RFC 6890 and later entries), multicast (RFC 5771), class E.
_NOT_PUBLIC_V4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Nothing but 2000::/3 is routed: outside lie loopback, mapped IPv4, NAT64, ULA, link local and multicast.
_ROUTED_V6 = ip_network("2000::/3")
# Protocol assignments with Teredo, ORCHID and benchmarks; documentation (twice); 6to4; AS112.
_NOT_PUBLIC_V6 = tuple(
    ip_network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16", "2620:4f:8000::/48")
)


# Top-level names that the public DNS does not have (IANA special-use domain names; `internal` by ICANN's resolution
# of 2024-07-29, as cloud metadata services use it; the others by custom).
_NOT_PUBLIC_NAMES = frozenset(
    {"localhost", "local", "internal", "invalid", "test", "example", "onion", "alt", "localdomain", "lan", "home"}
    | {"corp", "intranet", "private"}
)


class AddressRefused(BadMedia):
    """The address is malformed, not on the list, or leads into a private network. Final."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL. `host` is lower case, IPv6 without brackets; `request_target` is path and query."""

    scheme: str
    host: str
    port: int
    request_target: str

    @property
    def origin(self) -> str:
        """`scheme://host[:port]`, the port only when it is not the scheme's own. Safe to log."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def literal(self) -> Address | None:
        """The host as an address, when it is written as one."""
        return None if not _looks_numeric(self.host) else ip_address(self.host)


def parse_url(url: str) -> Target:
    """Parses an http(s) URL. Raises AddressRefused on anything two parsers could read differently."""
    match = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if match is None:
        raise AddressRefused("The address is not a plain http(s) URL.")
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else DEFAULT_PORTS[scheme]
    if port > 65535:
        raise AddressRefused("The address has an impossible port.")
    path = (match["path"] or "/") + (match["query"] or "")
    return Target(scheme, _host(match["host"].lower()), port, path)


def parse_redirect(base: Target, location: str) -> Target:
    """The target of a redirect: its Location, resolved against `base` (RFC 3986 section 5.2), as `parse_url` reads it.

    `location` is the header's bytes read as ISO 8859-1, as `http.client` gives them. Spaces, brackets and bytes beyond
    ASCII are percent-encoded in path and query, as browsers do; a host is taken as it stands. Raises AddressRefused.
    """
    reference = _REFERENCE.fullmatch(location)
    if reference is None or not location:
        raise AddressRefused(f"{base.origin} redirects without a usable Location.")
    try:
        return parse_url(_resolved(base, reference))
    except AddressRefused as refusal:
        raise AddressRefused(f"{base.origin} sends a redirect that cannot be followed. {refusal.sentence}") from None


def _resolved(base: Target, reference: re.Match[str]) -> str:
    """RFC 3986 section 5.2.2, without the fragment."""
    scheme, authority, path, query = reference.group("scheme", "authority", "path", "query")
    if authority is not None:
        root = f"{scheme or base.scheme}://{authority}"
    elif scheme is not None:
        return f"{scheme}:{path}"
    else:
        root = base.origin
        path, query = _merged(base.request_target, path, query)
    return root + _SENT_UNENCODED.sub(_percent_encoded, _without_dot_segments(path) + (query or ""))


def _merged(request_target: str, path: str, query: str | None) -> tuple[str, str | None]:
    """Path and query of a reference that has no authority, over those of its base."""
    base_path, mark, base_query = request_target.partition("?")
    if not path:
        return base_path, mark + base_query if query is None else query
    return (path if path.startswith("/") else f"{base_path.rpartition('/')[0]}/{path}"), query


def _without_dot_segments(path: str) -> str:
    """RFC 3986 section 5.2.4, of a path that is empty or begins with a slash."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    ends_in_folder = path.endswith(("/.", "/.."))
    return "".join(f"/{segment}" for segment in (*kept, *[""] * ends_in_folder))


def _percent_encoded(character: re.Match[str]) -> str:
    return f"%{ord(character[0]):02X}"


def parse_origin(text: str) -> Target:
    """An origin of the allow-list: https, or http with a literal loopback address. Raises ValueError."""
    try:
        target = parse_url(text)
    except AddressRefused as error:
        raise ValueError(f"{text!r} is no origin; write scheme://host[:port].") from error
    if target.request_target != "/" or "?" in text or "#" in text:
        raise ValueError(f"{text!r} is more than an origin; write scheme://host[:port].")
    if target.scheme == "http" and not is_loopback(target):
        raise ValueError(f"{text!r} is not encrypted; only a literal loopback address may use http.")
    return target


def is_public(address: Address) -> bool:
    """Whether a host on the public internet can have this address."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _ROUTED_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def source_problem(target: Target, allowed_origins: Collection[str]) -> str | None:
    """What forbids fetching from any URL but those of the listed origins, as far as the URL tells; None when nothing.

    A name that leads into a private network is found out where it is resolved.
    """
    if target.origin in allowed_origins:
        return None
    if target.scheme != "https":
        return "must be an https URL"
    if target.literal is not None and not is_public(target.literal):
        return "must not lead into a network that is not public"
    return None


def callback_problem(url: str) -> str | None:
    """What forbids calling a caller's URL from here, as far as its text tells; None when nothing.

    Where a name leads is found out when it is resolved, before each call.
    """
    try:
        target = parse_url(url)
    except AddressRefused:
        return "must be an https URL with a public host and no user part"
    if target.scheme != "https":
        return "must be an https URL"
    public = _is_public_name(target.host) if target.literal is None else is_public(target.literal)
    return None if public else "must be an https URL of a host on the public internet"


def _is_public_name(host: str) -> bool:
    """Whether a name can be one of the public DNS."""
    labels = host.split(".")
    return len(labels) > 1 and labels[-1] not in _NOT_PUBLIC_NAMES and labels[-2:] != ["home", "arpa"]


def _host(text: str) -> str:
    try:
        if text.startswith("["):
            return str(IPv6Address(text[1:-1]))
        return str(IPv4Address(text)) if _looks_numeric(text) else _name(text)
    except ValueError:
        raise AddressRefused("The address has a malformed host.") from None


def _name(text: str) -> str:
    if not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise ValueError(text)
    return text


def _looks_numeric(host: str) -> bool:
    # As browsers do (WHATWG URL, "ends in a number"): such a host is an IPv4 address or it is nothing.
    return ":" in host or _NUMBER.fullmatch(host.rsplit(".", 1)[-1]) is not None


def is_loopback(target: Target) -> bool:
    """Whether the host is written as an address of this machine."""
    return target.literal is not None and target.literal.is_loopback
