"""Who may send a webhook. The first vector is the one Replicate and Svix publish."""

from __future__ import annotations

import base64
import hmac
import random
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.errors import Unauthorized
from shared.domain.webhook_signature import url_mac, url_mac_matches, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 24 by.").decode()
BODY = b'{"test": 2432232314}'
SENT_AT = datetime.fromtimestamp(1614265330, UTC)
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": SIGNATURE,
}


def signed(secret: str, body: bytes = BODY) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{HEADERS['webhook-id']}.{HEADERS['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return {**HEADERS, "webhook-signature": f"v1,{signature}"}


def test_the_published_vector_is_authentic() -> None:
    assert verify(HEADERS, BODY, [SECRET], SENT_AT) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_header_names_come_in_any_case() -> None:
    assert verify({name.title(): text for name, text in HEADERS.items()}, BODY, [SECRET], SENT_AT)


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_five_minutes_either_way_are_tolerated(seconds: int) -> None:
    assert verify(HEADERS, BODY, [SECRET], SENT_AT + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-301, 301, 86400])
def test_older_and_newer_timestamps_are_refused(seconds: int) -> None:
    with pytest.raises(Unauthorized, match="timestamp"):
        verify(HEADERS, BODY, [SECRET], SENT_AT + timedelta(seconds=seconds))


@pytest.mark.parametrize("secrets", [[SECRET], [OTHER], [SECRET, OTHER], [OTHER, SECRET], ["whsec_!!", SECRET, OTHER]])
def test_any_secret_of_a_rotation_verifies(secrets: list[str]) -> None:
    for secret in {SECRET, OTHER} & set(secrets):
        assert verify(signed(secret), BODY, secrets, SENT_AT)


@pytest.mark.parametrize("secrets", [[], [OTHER], [""], ["whsec_"], ["whsec_%%%"], ["whsec_\u00e9"]])
def test_without_the_right_secret_nothing_verifies(secrets: list[str]) -> None:
    with pytest.raises(Unauthorized):
        verify(HEADERS, BODY, secrets, SENT_AT)


def test_an_empty_secret_does_not_let_everybody_sign() -> None:
    forged = signed("whsec_")

    with pytest.raises(Unauthorized):
        verify(forged, BODY, ["", "whsec_"], SENT_AT)


def test_one_of_several_signatures_is_enough() -> None:
    assert verify({**HEADERS, "webhook-signature": f"v1a,AAAA v1,AAAA {SIGNATURE}"}, BODY, [SECRET], SENT_AT)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "v1",
        "v1,",
        SIGNATURE[3:],
        "v2" + SIGNATURE[2:],
        "V1" + SIGNATURE[2:],
        "v1a" + SIGNATURE[2:],
        "v1,%%%",
        "v1,\u00e9",
        SIGNATURE.replace(",", ";"),
        "v1," + SIGNATURE,
        SIGNATURE[:-5] + "=",
        ",,, , v1,A",
        "v1,AAA",
        " ".join(["v1,AAAA"] * 16 + [SIGNATURE]),
    ],
)
def test_malformed_or_foreign_signatures_are_refused(signature: str) -> None:
    with pytest.raises(Unauthorized):
        verify({**HEADERS, "webhook-signature": signature}, BODY, [SECRET], SENT_AT)


@pytest.mark.parametrize("name", list(HEADERS))
@pytest.mark.parametrize("value", ["", " ", "x" * 1000, "1.5", "\u0661", "-1", "1e9", "nan", "\ud800", "a.b"])
def test_malformed_headers_are_refused(name: str, value: str) -> None:
    with pytest.raises(Unauthorized):
        verify({**HEADERS, name: value}, BODY, [SECRET], SENT_AT)


@pytest.mark.parametrize("name", list(HEADERS))
def test_missing_headers_are_refused(name: str) -> None:
    with pytest.raises(Unauthorized):
        verify({other: text for other, text in HEADERS.items() if other != name}, BODY, [SECRET], SENT_AT)


def test_the_body_is_checked_as_it_came() -> None:
    raw = b'{"a":\xff}'

    assert verify(signed(SECRET, raw), raw, [SECRET], SENT_AT)
    with pytest.raises(Unauthorized):
        verify(HEADERS, b'{"test":2432232314}', [SECRET], SENT_AT)


def test_no_mutation_of_a_webhook_is_accepted() -> None:
    chance = random.Random(11)
    for _ in range(500):
        headers, body = dict(HEADERS), bytearray(BODY)
        if chance.random() < 0.3:
            body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        else:
            name = chance.choice(list(headers))
            place, put = chance.randrange(len(headers[name])), chr(chance.randrange(1, 0x250))
            headers[name] = headers[name][:place] + put + headers[name][place + 1 :]
        if (headers, bytes(body)) != (HEADERS, BODY):
            with pytest.raises(Unauthorized):
                verify(headers, bytes(body), [SECRET], SENT_AT)


def test_errors_hold_no_secret_and_no_cause() -> None:
    with pytest.raises(Unauthorized) as refusal:
        verify(HEADERS, BODY, ["whsec_canary!"], SENT_AT)

    assert "canary" not in repr(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_url_mac_belongs_to_one_attempt_and_key() -> None:
    mac = url_mac(b"key", "job", "attempt")

    assert len(mac) == 43
    assert url_mac_matches(b"key", "job", "attempt", mac)
    assert not url_mac_matches(b"other", "job", "attempt", mac)
    assert not url_mac_matches(b"key", "jo", "battempt", mac)
    assert not url_mac_matches(b"key", "attempt", "job", mac)


@pytest.mark.parametrize("mac", ["", "A" * 43, "\u00e9", "\ud800"])
def test_made_up_macs_do_not_match(mac: str) -> None:
    assert not url_mac_matches(b"key", "job\ud800", "attempt", mac)


def test_a_mac_needs_a_key() -> None:
    with pytest.raises(ValueError, match="key"):
        url_mac(b"", "job", "attempt")
