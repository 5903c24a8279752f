"""Builds Lambda layers with pip alone: no Docker, and for either architecture on any machine.

`python -m layers.build arm64 FOLDER` leaves `FOLDER/<layer>` and prints what each weighs. A deployment calls
`build_layer` itself (infra/constructs/bundle.py).

Wheels are those of Lambda's Python 3.13 on Amazon Linux 2023 (glibc 2.34). Packages are compiled where a
Python 3.13 is at hand: files in a layer carry the year 1980, so only unchecked .pyc files are taken.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE.parent / "requirements.txt"
DEPENDENCY_REQUIREMENTS = HERE / "requirements-dependencies.txt"
FFMPEG_REQUIREMENTS = HERE / "requirements-ffmpeg.txt"
# Whose signature under the database's certificate is taken (see certificates.py).
CERTIFICATES = HERE / "rds-ca.pem"
DEPENDENCIES, SLIM, FFMPEG = "dependencies", "dependencies-slim", "ffmpeg"
LAYERS = (DEPENDENCIES, SLIM, FFMPEG)
# Packages of functions with FFmpeg, and what these need: beside its binary there is no room for everything.
SLIM_PACKAGES = frozenset(
    {"aws_lambda_powertools", "jmespath", "psycopg", "psycopg-binary", "pydantic", "annotated-types", "pydantic_core"}
    | {"redis", "typing-inspection", "typing_extensions"}
    | {"boto3", "botocore", "python-dateutil", "s3transfer", "six", "urllib3"}
)
# The AWS services that functions call: boto3's descriptions of all four hundred weigh 27 MB.
SERVICES = ("dynamodb", "lambda", "rds", "rds-data", "s3", "secretsmanager", "sqs", "ssm", "sts")
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
PYTHON = "3.13"
NOT_COMPILED = (
    f"No Python {PYTHON} is on PATH, so neither packages nor functions are compiled and cold starts take more than "
    f"twice as long: install it, or name it to your version manager, and deploy again."
)
# A function with all its layers, unpacked (AWS Lambda quotas); code takes less than one megabyte of it.
LAMBDA_LIMIT_BYTES = 262_144_000
RESERVED_FOR_CODE_BYTES = 5_000_000


class LayerFailed(Exception):
    """A layer could not be built; the sentence says why."""


def build_layer(name: str, architecture: str, folder: Path) -> None:
    """Fills `folder` with a layer's content. Raises LayerFailed; downloads from the package index."""
    if name == FFMPEG:
        _ffmpeg(architecture, folder)
    else:
        _packages(architecture, folder / "python", all_of_them=name == DEPENDENCIES)
        # Lambda mounts it as /opt/rds-ca.pem, where the database's URL names it.
        shutil.copy(CERTIFICATES, folder / CERTIFICATES.name)


def recipe_hash(name: str, architecture: str) -> str:
    """Changes whenever the layer could."""
    files = (Path(__file__), DEPENDENCY_REQUIREMENTS, FFMPEG_REQUIREMENTS, CERTIFICATES)
    content = b"\0".join(file.read_bytes() for file in files)
    return hashlib.sha256(f"{name} {architecture} {bool(compiler())} ".encode() + content).hexdigest()


def compile_folder(folder: Path) -> None:
    """Adds bytecode that Lambda's Python takes without looking at the sources' dates; nothing without a compiler.

    The same sources make the same bytes wherever the folder lies, so that an upload can be told from the last one's.
    """
    python = compiler()
    if python is None:
        return
    options = ("-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(folder))
    subprocess.run(
        [python, "-m", "compileall", *options, str(folder)],
        # The caller's settings might lay bytecode elsewhere, or order it in another way.
        env={**os.environ, "PYTHONPYCACHEPREFIX": "", "PYTHONHASHSEED": "0"},
        check=True,
    )


def size_bytes(folder: Path) -> int:
    """What a folder's files weigh once unpacked."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _packages(architecture: str, folder: Path, *, all_of_them: bool) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text(_locked(None if all_of_them else SLIM_PACKAGES), "utf8")
        options = ("--target", str(folder), "--no-compile", "--require-hashes", *platform_options(architecture))
        pip("install", *options, "-r", str(wanted))
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for description in (folder / "botocore" / "data").glob("*/"):
        if description.name not in SERVICES:
            shutil.rmtree(description)
    compile_folder(folder)


def _ffmpeg(architecture: str, folder: Path) -> None:
    """`bin/ffmpeg`, which Lambda mounts as /opt/bin/ffmpeg and has on its PATH."""
    with tempfile.TemporaryDirectory() as scratch:
        pip(
            "download",
            "--dest",
            scratch,
            "--no-deps",
            "--require-hashes",
            *platform_options(architecture),
            "-r",
            str(FFMPEG_REQUIREMENTS),
        )
        (wheel,) = Path(scratch).glob("*.whl")
        program = folder / "bin" / "ffmpeg"
        program.parent.mkdir(parents=True)
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (entry for entry in archive.namelist() if "/binaries/ffmpeg-linux-" in entry)
            with archive.open(name) as source, program.open("wb") as target:
                shutil.copyfileobj(source, target)
    program.chmod(0o755)


def _locked(packages: Collection[str] | None) -> str:
    """The pins of these packages with their hashes, or all of them. pip refuses what a package needs beyond them."""
    wanted = None if packages is None else {name.replace("_", "-") for name in packages}
    pins = re.findall(r"^\S+==.*(?:\n +--hash.*)+", DEPENDENCY_REQUIREMENTS.read_text("utf8"), re.MULTILINE)
    return "\n".join(pin for pin in pins if wanted is None or pin.partition("==")[0].replace("_", "-") in wanted)


def platform_options(architecture: str) -> list[str]:
    """pip's options for wheels that Lambda can load."""
    machine = MACHINES[architecture]
    return [
        "--platform",
        f"manylinux2014_{machine}",
        "--platform",
        f"manylinux_2_28_{machine}",
        "--implementation",
        "cp",
        "--python-version",
        PYTHON,
        "--only-binary=:all:",
    ]


def pip(command: str, *arguments: str) -> None:
    """Runs pip. Raises LayerFailed with the end of what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", "--no-input", *arguments],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise LayerFailed(f"pip {command} failed:\n{done.stderr.strip()[-2000:]}")


@cache
def compiler() -> str | None:
    """A Python of the runtime's version: bytecode of another one is of no use."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == PYTHON:
        return sys.executable
    found = shutil.which(f"python{PYTHON}")
    # A name on PATH may be a shim whose version is not installed.
    works = found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0
    return found if works else None


def main(arguments: Sequence[str]) -> int:
    """Builds all layers of an architecture and refuses what Lambda would."""
    if len(arguments) != 2 or arguments[0] not in MACHINES:
        print("usage: python -m layers.build arm64|x86_64 FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[1])
    sizes = {}
    for name in LAYERS:
        shutil.rmtree(folder / name, ignore_errors=True)
        build_layer(name, arguments[0], folder / name)
        sizes[name] = size_bytes(folder / name)
        print(f"{name:20} {sizes[name] / 1e6:6.1f} MB")
    if compiler() is None:
        print(NOT_COMPILED)
    room = LAMBDA_LIMIT_BYTES - RESERVED_FOR_CODE_BYTES
    for what, names in (("a function", (DEPENDENCIES,)), ("a function with FFmpeg", (SLIM, FFMPEG))):
        total = sum(sizes[name] for name in names)
        print(f"layers of {what}: {total / 1e6:.1f} MB of {room / 1e6:.1f} MB")
        if total > room:
            raise LayerFailed(f"The layers of {what} are too large for Lambda.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
