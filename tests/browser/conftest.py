"""A browser for all tests of this folder, and a web server with their films."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from local.layout import find_layout
from tests.browser.devtools import Page, running

PAGE = Path(__file__).with_name("page.html")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Unpacked when it is not there yet."""
    found = subprocess.run([find_layout().root / "local" / "browser.sh"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip(found.stderr)
    return Path(found.stdout.strip())


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose files are served beside the page."""
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="session")
def address(films: Path) -> Iterator[str]:
    """Of a server that answers requests for ranges, as S3 does."""
    site = Flask("films", static_folder=films, static_url_path="/")
    site.add_url_rule("/", view_func=PAGE.read_text)
    server = make_server("127.0.0.1", 0, site, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def page(chromium: Path, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page that looks at films."""
    with running(chromium, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser.open(address)
