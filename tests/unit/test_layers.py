"""Layers are built of packages whose bytes are known by their hashes."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from layers import build, certificates
from layers.certificates import ROOT, common_name
from layers.lock import lock_text

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
SOURCES = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[\w+\])?==(\S+)", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    return {name.lower().replace("_", "-"): version for name, version in PINNED.findall(text)}


def test_every_pin_of_the_functions_is_locked_for_the_layers() -> None:
    locked = build.DEPENDENCY_REQUIREMENTS.read_text("utf8")

    assert pins(locked) == pins(build.REQUIREMENTS.read_text("utf8")), "run python -m layers.lock"
    assert len(re.findall(r"^ +--hash=sha256:[0-9a-f]{64}", locked, re.MULTILINE)) >= len(pins(locked))


@pytest.mark.parametrize("name", build.LAYERS)
def test_a_layer_takes_nothing_without_its_hash(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def pip(*arguments: str) -> None:
        asked.append((*arguments, Path(arguments[-1]).read_text("utf8")))
        raise build.LayerFailed

    monkeypatch.setattr(build, "pip", pip)
    with pytest.raises(build.LayerFailed):
        build.build_layer(name, "arm64", tmp_path)

    ((*options, text),) = asked
    assert "--require-hashes" in options
    assert pins(text)
    assert all(f"{pin} \\\n    --hash" in text for pin in re.findall(r"^\S+==\S+", text, re.MULTILINE))


def test_a_lock_has_the_hashes_of_both_architectures() -> None:
    reports = [
        {"install": [{"metadata": {"name": "A", "version": "1"}, "download_info": {"archive_info": {"hashes": one}}}]}
        for one in ({"sha256": "b" * 64}, {"sha256": "a" * 64})
    ]

    assert lock_text(reports).splitlines()[1:] == [
        "a==1 \\",
        f"    --hash=sha256:{'a' * 64} \\",
        f"    --hash=sha256:{'b' * 64}",
    ]


@pytest.mark.parametrize("name", [build.DEPENDENCIES, build.SLIM])
def test_a_layer_brings_whom_the_databases_certificate_is_checked_against(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "pip", lambda *_: (tmp_path / "python").mkdir())

    build.build_layer(name, "arm64", tmp_path)

    assert (tmp_path / "rds-ca.pem").read_text() == build.CERTIFICATES.read_text()


def test_every_region_has_its_three_roots_and_they_hold_for_years() -> None:
    text = build.CERTIFICATES.read_text("utf8")
    roots = {common_name(pem): pem for pem in PEM.findall(text)}
    regions = {found.group(1) for name in roots if (found := ROOT.fullmatch(name))}
    loaded = [x509.load_pem_x509_certificate(pem.encode()) for pem in roots.values()]

    assert len(roots) == 3 * len(regions) == len(PEM.findall(text))
    assert certificates.regions() == regions
    assert {"us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "sa-east-1", "ap-southeast-2"} < regions
    assert min(root.not_valid_after_utc.year for root in loaded) > 2060
    assert all(root.subject == root.issuer for root in loaded)
    for root in loaded:
        root.verify_directly_issued_by(root)
    ssl.create_default_context(cadata=text)


def test_a_package_of_other_bytes_is_no_source_of_roots(tmp_path: Path) -> None:
    package = tmp_path / "package.tgz"
    package.write_bytes(b"another")

    with pytest.raises(build.LayerFailed, match="look at it"):
        certificates.main([str(package)])


def test_the_sdk_of_the_layers_knows_every_service_that_functions_call() -> None:
    sources = [
        file.read_text("utf8") for folder in ("shared", "functions") for file in (SOURCES / folder).rglob("*.py")
    ]
    called = {service for text in sources for service in re.findall(r'\b(?:aws|client)\("([a-z0-9-]+)"', text)}

    assert {"s3", "dynamodb", "sqs", "lambda"} <= called
    assert called <= set(build.SERVICES)


def test_a_layer_has_the_sdk_without_the_services_that_nothing_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(*arguments: str) -> None:
        data = Path(arguments[arguments.index("--target") + 1]) / "botocore" / "data"
        for service in ("s3", "ec2"):
            (data / service).mkdir(parents=True)
        (data / "endpoints.json").write_text("{}")

    monkeypatch.setattr(build, "pip", pip)
    build.build_layer(build.SLIM, "arm64", tmp_path)

    left = {entry.name for entry in (tmp_path / "python" / "botocore" / "data").iterdir()}
    assert left == {"s3", "endpoints.json"}


@pytest.mark.parametrize(
    "package", ["boto3", "botocore", "s3transfer", "python-dateutil", "six", "urllib3", "jmespath"]
)
def test_every_layer_of_packages_brings_the_sdk_that_was_tested(package: str) -> None:
    """The runtime's own changes when AWS likes."""
    slim = {name.replace("_", "-") for name in build.SLIM_PACKAGES}

    assert package in slim
    assert package in pins(build.DEPENDENCY_REQUIREMENTS.read_text("utf8"))
