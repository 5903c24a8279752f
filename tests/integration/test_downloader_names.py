"""Names, addresses and certificates: what was checked is what is called."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from shared.domain.addresses import AddressRefused
from shared.domain.errors import BadMedia, Conflict, DependencyDown
from tests.certificates import certificate
from tests.integration.fetching import PNG, TAG, downloader
from tests.scripted_server import always, in_turn, reply, scripted

PUBLIC = "93.184.215.14"


class Names:
    """A resolver that can change its mind, and a wire that leads the public address to a test server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, port: int, *answers: list[str]) -> None:
        self.answers, self.dialled = list(answers), list[str]()
        dial = socket.create_connection

        def wire(address: tuple[str, int], **options: Any) -> socket.socket:
            self.dialled.append(address[0])
            return dial(("127.0.0.1", port), **options)

        monkeypatch.setattr("shared.adapters.pinned_connection.socket.create_connection", wire)

    def resolve(self, host: str, port: int) -> list[str]:
        return self.answers.pop(0)


def test_a_name_is_resolved_once_and_its_certificate_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, trusted = certificate(tmp_path, "media.example")
    with scripted(in_turn(reply(200, PNG, ETag=TAG)[:-5000], reply(200, PNG)), tls) as server:
        names = Names(monkeypatch, server.port, [PUBLIC], ["127.0.0.1"])
        guarded = downloader(
            "https://media.example",
            resolver=names.resolve,
            tls=lambda: ssl.create_default_context(cafile=str(trusted)),
        )
        fetched = guarded.fetch("https://media.example/a", tmp_path)

    assert fetched.size_bytes == len(PNG)
    assert names.dialled == [PUBLIC, PUBLIC]
    assert {asked.headers["host"] for asked in server.asked} == {"media.example"}


def test_a_name_that_turns_private_is_not_called_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, trusted = certificate(tmp_path, "media.example")
    with scripted(always(reply(302, Location="https://media.example/b")), tls) as server:
        names = Names(monkeypatch, server.port, [PUBLIC], ["127.0.0.1"])
        guarded = downloader(
            "https://media.example",
            resolver=names.resolve,
            tls=lambda: ssl.create_default_context(cafile=str(trusted)),
        )
        with pytest.raises(BadMedia):
            guarded.fetch("https://media.example/a", tmp_path)

    assert names.dialled == [PUBLIC]


@pytest.mark.parametrize("trusting", [True, False])
def test_a_certificate_of_another_name_or_nobody_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusting: bool
) -> None:
    tls, trusted = certificate(tmp_path, "evil.example" if trusting else "media.example")
    with scripted(always(reply(200, PNG)), tls) as server:
        names = Names(monkeypatch, server.port, [PUBLIC])
        guarded = downloader(
            "https://media.example",
            resolver=names.resolve,
            tls=lambda: ssl.create_default_context(cafile=str(trusted) if trusting else None),
        )
        with pytest.raises(DependencyDown):
            guarded.fetch("https://media.example/a", tmp_path)

    assert server.asked == []


@pytest.mark.parametrize("answers", [["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["::ffff:7f00:1"], ["169.254.169.254"]])
def test_a_name_with_a_private_address_is_never_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    with scripted(always(reply(200, PNG))) as trap:
        names = Names(monkeypatch, trap.port, answers)
        with pytest.raises(BadMedia):
            downloader("https://media.example", resolver=names.resolve).fetch("https://media.example/a", tmp_path)

    assert (trap.asked, names.dialled) == ([], [])


def test_where_any_https_is_open_a_public_name_is_fetched_unlisted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certificate(tmp_path, "media.example")
    with scripted(always(reply(200, PNG)), tls) as server:
        names = Names(monkeypatch, server.port, [PUBLIC])
        guarded = downloader(
            any_https=True, resolver=names.resolve, tls=lambda: ssl.create_default_context(cafile=str(trusted))
        )
        fetched = guarded.fetch("https://media.example/a", tmp_path)

    assert (fetched.size_bytes, names.dialled) == (len(PNG), [PUBLIC])


@pytest.mark.parametrize("answer", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["169.254.169.254"], ["::1"], ["fd00::1"]])
def test_where_any_https_is_open_no_name_leads_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: list[str]
) -> None:
    with scripted(always(reply(200, PNG))) as server:
        names = Names(monkeypatch, server.port, answer)
        with pytest.raises(AddressRefused, match="not public"):
            downloader(any_https=True, resolver=names.resolve).fetch("https://media.example/a", tmp_path)

    assert (names.dialled, server.asked) == ([], [])


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:{port}/a", "https://[::1]:{port}/a", "http://127.0.0.1:{port}/a", "http://example.com/a"]
)
def test_where_any_https_is_open_neither_private_addresses_nor_plain_http_are(tmp_path: Path, url: str) -> None:
    with scripted(always(reply(200, PNG))) as server, scripted(always(reply(200, PNG))) as listed:
        unlisted = url.format(port=server.port)
        with pytest.raises(AddressRefused):
            downloader(listed.origin, any_https=True).fetch(unlisted, tmp_path)
        listed.answer = always(reply(302, Location=unlisted))
        with pytest.raises(AddressRefused):
            downloader(listed.origin, any_https=True).fetch(f"{listed.origin}/a", tmp_path)

    assert (server.asked, list(tmp_path.iterdir())) == ([], [])


def test_a_relative_redirect_resolves_its_name_anew_and_refuses_an_address_that_turned_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certificate(tmp_path, "media.example")
    with scripted(in_turn(reply(302, Location="b.mp4"), reply(200, PNG)), tls) as server:
        names = Names(monkeypatch, server.port, [PUBLIC], ["10.0.0.1"])
        guarded = downloader(
            any_https=True, resolver=names.resolve, tls=lambda: ssl.create_default_context(cafile=str(trusted))
        )
        with pytest.raises(AddressRefused, match="not public"):
            guarded.fetch("https://media.example/v/a", tmp_path)

    assert ([asked.path for asked in server.asked], names.dialled) == (["/v/a"], [PUBLIC])


def test_a_fetch_that_nobody_waits_for_any_more_is_broken_off(tmp_path: Path) -> None:
    with scripted(always(reply(200, PNG))) as server, pytest.raises(Conflict):
        downloader(server.origin).fetch(f"{server.origin}/a", tmp_path, lambda: not server.asked)

    assert list(tmp_path.iterdir()) == []
