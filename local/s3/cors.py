"""Cross-origin requests, by the bucket's own rules: the first rule that fits decides.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from xml.etree.ElementTree import Element

from local.s3.documents import parse, text, texts
from local.s3.errors import Refused

_METHODS = {"GET", "PUT", "POST", "DELETE", "HEAD"}
_MOST_RULES = 100
_VARY = {"Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"}


@dataclass(frozen=True)
class CorsRule:
    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    max_age_seconds: str | None

    def fits(self, origin: str, method: str, headers: Iterable[str]) -> bool:
        allowed = [pattern.lower() for pattern in self.headers]
        return (
            method in self.methods
            and any(_matches(pattern, origin) for pattern in self.origins)
            and all(any(_matches(pattern, header) for pattern in allowed) for header in headers)
        )


@lru_cache(maxsize=64)
def read_rules(document: str) -> tuple[CorsRule, ...]:
    """Rules of a CORSConfiguration. Raises MalformedXML, InvalidRequest for a method S3 has not."""
    rules = tuple(_rule(element) for element in parse(document.encode(), "CORSConfiguration").findall("CORSRule"))
    if not 0 < len(rules) <= _MOST_RULES:
        raise Refused("MalformedXML")
    return rules


def answer_headers(document: str | None, headers: Mapping[str, str], method: str) -> dict[str, str]:
    """What to add to the answer of a request with an Origin; nothing where no rule fits."""
    origin = headers.get("Origin")
    rule = _fitting(document, origin, method, ()) if origin else None
    return _allow(rule, origin) if rule and origin else {}


def preflight(document: str | None, headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of the answer to OPTIONS. Raises BadRequest, AccessForbidden."""
    origin, method = headers.get("Origin"), headers.get("Access-Control-Request-Method")
    if not origin or not method:
        raise Refused("BadRequest", "Insufficient information. Origin request header needed.")
    asked = [name.strip().lower() for name in headers.get("Access-Control-Request-Headers", "").split(",")]
    asked = [name for name in asked if name]
    rule = _fitting(document, origin, method, asked)
    if rule is None:
        raise Refused("AccessForbidden", Method=method, ResourceType="OBJECT")
    return _allow(rule, origin) | ({"Access-Control-Allow-Headers": ", ".join(asked)} if asked else {})


def _fitting(document: str | None, origin: str, method: str, headers: Iterable[str]) -> CorsRule | None:
    rules = read_rules(document) if document else ()
    return next((rule for rule in rules if rule.fits(origin, method, headers)), None)


def _allow(rule: CorsRule, origin: str) -> dict[str, str]:
    anyone = "*" in rule.origins
    found = {
        "Access-Control-Allow-Origin": "*" if anyone else origin,
        "Access-Control-Allow-Methods": ", ".join(rule.methods),
        **_VARY,
    }
    if not anyone:
        found["Access-Control-Allow-Credentials"] = "true"
    if rule.exposed:
        found["Access-Control-Expose-Headers"] = ", ".join(rule.exposed)
    if rule.max_age_seconds:
        found["Access-Control-Max-Age"] = rule.max_age_seconds
    return found


def _rule(element: Element) -> CorsRule:
    methods, origins = texts(element, "AllowedMethod"), texts(element, "AllowedOrigin")
    if unknown := set(methods) - _METHODS:
        raise Refused(
            "InvalidRequest",
            f"Found unsupported HTTP method in CORS config. Unsupported method is {', '.join(sorted(unknown))}",
        )
    if not methods or not origins:
        raise Refused("MalformedXML")
    return CorsRule(
        tuple(origins),
        tuple(methods),
        tuple(texts(element, "AllowedHeader")),
        tuple(texts(element, "ExposeHeader")),
        text(element, "MaxAgeSeconds"),
    )


def _matches(pattern: str, value: str) -> bool:
    """A pattern holds one `*` at most."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), value) is not None
