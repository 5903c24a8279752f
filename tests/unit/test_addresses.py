"""What may be called: forms of private addresses, spellings parsers disagree on, names that resolve to both."""

from __future__ import annotations

import random
from ipaddress import ip_address

import pytest

from shared.adapters.addresses import addresses_of
from shared.domain.addresses import (
    AddressRefused,
    is_public,
    parse_origin,
    parse_redirect,
    parse_url,
    source_problem,
)
from shared.domain.errors import DependencyDown

# Of section 5.4, whose base is http://a/b/c/d;p?q: a reference and the path it resolves to.
REFERENCES = """
g /b/c/g | ./g /b/c/g | g/ /b/c/g/ | /g /g | ?y /b/c/d;p?y | g?y /b/c/g?y | #s /b/c/d;p?q | g#s /b/c/g |
g?y#s /b/c/g?y | ;x /b/c/;x | g;x=1?y#s /b/c/g;x=1?y | . /b/c/ | ./ /b/c/ | .. /b/ | ../ /b/ | ../g /b/g |
../.. / | ../../ / | ../../g /g | ../../../g /g | ../../../../g /g | /./g /g | /../g /g | g. /b/c/g. |
.g /b/c/.g | g.. /b/c/g.. | ..g /b/c/..g | ./../g /b/g | ./g/. /b/c/g/ | g/./h /b/c/g/h | g/../h /b/c/h |
g;x=1/./y /b/c/g;x=1/y | g;x=1/../y /b/c/y | g?y/./x /b/c/g?y/./x | g?y/../x /b/c/g?y/../x | g#s/../x /b/c/g
"""
PRIVATE_FORMS = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "017700000001",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "2852039166",
    "0xA9FEA9FE",
    "224.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "192.0.2.1",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
)
PRIVATE_ADDRESSES = (
    "0.1.2.3",
    "100.127.255.255",
    "127.255.255.254",
    "172.31.255.255",
    "192.0.0.8",
    "192.88.99.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "239.255.255.250",
    "240.0.0.1",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
)
SPELLINGS = (
    "https://replicate.delivery\\@127.0.0.1/a",
    "https://replicate.delivery@127.0.0.1/a",
    "https://user:word@replicate.delivery/a",
    "https://replicate\u3002delivery/a",
    "https://replicate.delivery\t/a",
    "https://replicate.delivery/a\r\nHost: 127.0.0.1",
    " https://replicate.delivery/a",
    "https://replicate.delivery:99999/a",
    "https:///replicate.delivery/a",
    "https:replicate.delivery/a",
    "https://[::1%25eth0]/a",
    "https://replicate.delivery:0443/a",
    "https://replicate.delivery:/a",
    "https://replicate..delivery/a",
    "https://replicate.delivery./a",
    "https://-a.delivery/a",
    "https://1.2.3.256/a",
    "https://replicate.delivery/%zz",
    "https://replicate.delivery/a b",
    "https://replicate.delivery/\x00",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://\u212aeplicate.delivery/",
    "https://replicate%2edelivery/",
    "ftp://replicate.delivery/a",
    "file:///etc/passwd",
    "gopher://replicate.delivery/",
    "//replicate.delivery/a",
    "https://[::1",
    "https://[1.2.3.4]/",
    "https://a.0x7f/",
    "",
    "https://",
    "https://replicate.delivery/" + "a" * 9000,
)


@pytest.mark.parametrize("form", PRIVATE_FORMS)
def test_no_form_of_a_private_address_is_public(form: str) -> None:
    assert len(PRIVATE_FORMS) == 29
    try:
        target = parse_url(f"https://{form}/")
    except AddressRefused:
        return

    assert target.literal is not None
    assert not is_public(target.literal)


@pytest.mark.parametrize("text", PRIVATE_ADDRESSES)
def test_special_purpose_addresses_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "104.16.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00::1"])
def test_ordinary_addresses_are_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("url", SPELLINGS)
def test_spellings_that_parsers_read_differently_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(AddressRefused) as refusal:
        parse_url(url)

    assert "replicate" not in refusal.value.sentence


def test_a_url_is_taken_apart_and_its_fragment_dropped() -> None:
    target = parse_url("HTTPS://PBXT.Replicate.Delivery:443/a/b%20c.mp4?x=1&y=?/#t=3")

    assert target.origin == "https://pbxt.replicate.delivery"
    assert target.request_target == "/a/b%20c.mp4?x=1&y=?/"
    assert target.literal is None


def test_ports_and_ipv6_stay_in_the_origin() -> None:
    assert parse_url("https://[2606:4700:0::1]:8443").origin == "https://[2606:4700::1]:8443"
    assert parse_url("http://127.0.0.1:80/").origin == "http://127.0.0.1"


@pytest.mark.parametrize(
    "text",
    [
        "http://replicate.delivery",
        "https://replicate.delivery/a",
        "https://a.b?x",
        "https://*.replicate.delivery",
        "*",
        "http://localhost:1",
        "http://10.0.0.1",
    ],
)
def test_an_allow_list_holds_encrypted_origins_or_literal_loopback_only(text: str) -> None:
    with pytest.raises(ValueError, match=r"origin|encrypted"):
        parse_origin(text)


def test_an_allow_list_may_name_a_literal_loopback_address() -> None:
    assert parse_origin("http://127.0.0.1:8123/").origin == "http://127.0.0.1:8123"
    assert parse_origin("http://[::1]:8123").origin == "http://[::1]:8123"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b?c", "https://a.b:8443/b?c"),
        ("//c.d/e", "https://c.d/e"),
        ("https://c.d/e", "https://c.d/e"),
        ("//c.d", "https://c.d/"),
        ("?token=1", "https://a.b:8443/x/y?token=1"),
        ("z.mp4", "https://a.b:8443/x/z.mp4"),
        ("#t=3", "https://a.b:8443/x/y?q"),
        ("z.mp4#t=3 \xe9", "https://a.b:8443/x/z.mp4"),
        ("z.mp4?at=10:30", "https://a.b:8443/x/z.mp4?at=10:30"),
        ("https://c.d/e/../f", "https://c.d/f"),
    ],
)
def test_redirects_are_resolved_by_the_same_parser(location: str, expected: str) -> None:
    assert parse_redirect(parse_url("https://a.b:8443/x/y?q"), location) == parse_url(expected)


@pytest.mark.parametrize("example", [example.strip() for example in REFERENCES.split("|")])
def test_references_resolve_as_the_examples_of_rfc_3986_do(example: str) -> None:
    location, path = example.split()

    target = parse_redirect(parse_url("https://a.b/b/c/d;p?q"), location)

    assert (target.origin, target.request_target) == ("https://a.b", path)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/my clip.mp4", "/my%20clip.mp4"),
        ("clip [1].mp4?a=[x|y]", "/v/clip%20%5B1%5D.mp4?a=%5Bx%7Cy%5D"),
        ("/caf\xc3\xa9.mp4", "/caf%C3%A9.mp4"),
        ("/caf\xe9.mp4", "/caf%E9.mp4"),
        ("/caf%C3%A9 1.mp4", "/caf%C3%A9%201.mp4"),
        ('https://a.b/"a" <b>.mp4', "/%22a%22%20%3Cb%3E.mp4"),
    ],
)
def test_a_location_is_encoded_where_its_server_has_not(location: str, path: str) -> None:
    assert parse_redirect(parse_url("https://a.b/v/x"), location).request_target == path


@pytest.mark.parametrize(
    "location",
    [
        "",
        "\\\\c.d",
        "/\\c.d/",
        "..\\c.d",
        "ht\ttps://c.d/",
        "javascript:1",
        "https:video.mp4",
        "https:/video.mp4",
        "file:///etc/passwd",
        "data:text/plain,x",
        "///c.d",
        "//",
        "//u@c.d/",
        "//c.d:x/",
        "//c d/",
        "//caf\xc3\xa9.d/",
        "https://c.d\\@e.f/",
        "a\tb",
        "a\nb",
        "#a\nb",
        "a\x00b",
        "100%.mp4",
        "\u20ac.mp4",
        "/" + "\xe9" * 3000,
    ],
)
def test_redirects_of_other_forms_are_refused(location: str) -> None:
    with pytest.raises(AddressRefused, match=r"https://a\.b (?:sends a redirect|redirects)"):
        parse_redirect(parse_url("https://a.b/x"), location)


@pytest.mark.parametrize("private", PRIVATE_FORMS)
def test_no_redirect_leads_into_a_private_network(private: str) -> None:
    for location in (f"//{private}/a b", f"https://{private}/../x", f"http://{private}"):
        try:
            target = parse_redirect(parse_url("https://a.b/x"), location)
        except AddressRefused:
            continue
        assert source_problem(target, ()) is not None


@pytest.mark.parametrize("private", ["127.0.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:10.0.0.1", "nonsense"])
def test_one_private_address_among_public_ones_refuses_the_name(private: str) -> None:
    with pytest.raises(AddressRefused):
        addresses_of(parse_url("https://a.b/x"), lambda host, port: ["1.1.1.1", private])


def test_a_name_resolves_once_to_all_its_addresses() -> None:
    found = addresses_of(parse_url("https://a.b:444/"), lambda host, port: ["1.1.1.1", "1.1.1.1", "2606:4700::1"])

    assert found == ("1.1.1.1", "2606:4700::1")


def test_a_name_without_addresses_may_have_some_later() -> None:
    def fails(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(DependencyDown):
        addresses_of(parse_url("https://a.b/secret"), fails)


def test_random_urls_are_refused_or_lead_to_the_host_they_name() -> None:
    chance = random.Random(7)
    alphabet = [*"https://:@.\\[]%#?0x17fa2e-_ \t\r\n\u3002\uff0e\u2025", "replicate.delivery", "127.0.0.1"]
    for _ in range(3000):
        url = "https://" + "".join(chance.choices(alphabet, k=chance.randint(1, 8)))
        try:
            host = parse_url(url).host
        except AddressRefused:
            continue
        assert url.removeprefix("https://").strip("[").startswith(host)


@pytest.mark.parametrize("host", [form for form in PRIVATE_FORMS if form[0] != "["] + ["[::1]", "[fe80::1]"])
def test_a_source_that_is_written_as_a_private_address_is_refused_before_it_is_fetched(host: str) -> None:
    try:
        target = parse_url(f"https://{host}/a.mp4")
    except AddressRefused:
        return
    assert source_problem(target, ()) == "must not lead into a network that is not public"


def test_sources_are_https_or_of_a_listed_origin() -> None:
    assert source_problem(parse_url("https://example.com:8443/a.mp4?b=c"), ()) is None
    assert source_problem(parse_url("https://[2606:4700::1]/a.mp4"), ()) is None
    assert source_problem(parse_url("http://example.com/a.mp4"), ()) == "must be an https URL"
    assert source_problem(parse_url("http://127.0.0.1:9/a.mp4"), ("http://127.0.0.1:8",)) == "must be an https URL"
    assert source_problem(parse_url("http://127.0.0.1:8/a.mp4"), ("http://127.0.0.1:8",)) is None
