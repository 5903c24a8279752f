"""Functions talk to a database whose certificate Amazon signed for its very name, and to no other."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from layers.build import CERTIFICATES
from shared.adapters.postgres.connection import PostgresRecords
from shared.domain.errors import DependencyDown
from tests.integration.inside import World

HOST = ipaddress.ip_address("127.0.0.1")
NOW = datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Signer:
    """A root of our own."""

    key: ec.EllipticCurvePrivateKey
    root: x509.Certificate

    @classmethod
    def new(cls) -> Signer:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(key, _certificate("root", "root", key, key, x509.BasicConstraints(ca=True, path_length=None)))

    def pem(self, folder: Path) -> Path:
        path = folder / "root.pem"
        path.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))
        return path

    def server(self, folder: Path, address: ipaddress.IPv4Address) -> ssl.SSLContext:
        """TLS of a server at the address."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(address)])
        certificate = _certificate("server", "root", key, self.key, names)
        path = folder / "server.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _private(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    day = datetime.timedelta(days=1)
    draft = x509.CertificateBuilder(
        names[1], names[0], key.public_key(), x509.random_serial_number(), NOW - day, NOW + day
    )
    return draft.add_extension(extension, critical=True).sign(signer, hashes.SHA256())


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


@contextlib.contextmanager
def tls_before(database_url: str, context: ssl.SSLContext) -> Iterator[str]:
    """The URL of a server that speaks TLS as PostgreSQL does, in front of one that has none."""
    place = urlsplit(database_url)
    with socket.create_server((str(HOST), 0)) as listener:
        listener.settimeout(10)
        serving = threading.Thread(target=_serve, args=(listener, context, (place.hostname, place.port)))
        serving.start()
        yield database_url.replace(f":{place.port}/", f":{listener.getsockname()[1]}/")
        serving.join()


def _serve(listener: socket.socket, context: ssl.SSLContext, database: tuple[str, int]) -> None:
    """One connection: a request for TLS, a yes, and what is said then, both ways."""
    caller, _ = listener.accept()
    caller.recv(8)
    caller.sendall(b"S")
    # A caller that does not trust the certificate goes away.
    with (
        contextlib.suppress(OSError),
        context.wrap_socket(caller, server_side=True) as told,
        socket.create_connection(database) as server,
    ):
        back = threading.Thread(target=_relay, args=(server, told))
        back.start()
        _relay(told, server)
        back.join()


def _relay(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while said := source.recv(65536):
            target.sendall(said)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _ping(url: str, roots: Path) -> None:
    records = PostgresRecords(f"{url}?sslmode=verify-full&sslrootcert={roots}")
    try:
        records.ping()
    finally:
        records.close()


def test_a_server_whose_certificate_is_signed_for_its_name_is_talked_to(world: World, tmp_path: Path) -> None:
    signer = Signer.new()
    with tls_before(world.url, signer.server(tmp_path, HOST)) as url:
        _ping(url, signer.pem(tmp_path))


def test_a_server_that_another_root_signed_is_told_nothing(world: World, tmp_path: Path) -> None:
    with tls_before(world.url, Signer.new().server(tmp_path, HOST)) as url, pytest.raises(DependencyDown) as refused:
        _ping(url, CERTIFICATES)
    assert "certificate verify failed" in str(refused.value.__cause__)


def test_a_server_of_another_name_is_told_nothing(world: World, tmp_path: Path) -> None:
    signer = Signer.new()
    elsewhere = signer.server(tmp_path, ipaddress.IPv4Address("127.0.0.2"))
    with tls_before(world.url, elsewhere) as url, pytest.raises(DependencyDown) as refused:
        _ping(url, signer.pem(tmp_path))
    assert "does not match host name" in str(refused.value.__cause__)


def test_a_server_without_tls_is_told_nothing(world: World) -> None:
    with pytest.raises(DependencyDown) as refused:
        _ping(world.url, CERTIFICATES)
    assert "does not support SSL" in str(refused.value.__cause__)
