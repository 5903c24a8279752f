"""Reads the images that predictions start from: uploaded files, data: URIs and links."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from pathlib import Path

import aiohttp

from local.provider.rendering import RenderError

MAX_IMAGE_BYTES = 20 * 1024 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=20)


class Sources:
    """`base_url` is the stand-in's own: links to its uploads are read from disk."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, uploads: Path) -> None:
        self._session = session
        self._uploads_url = f"{base_url}/v1/files/"
        self._uploads = uploads

    async def read(self, link: str) -> bytes:
        """Up to MAX_IMAGE_BYTES. Raises RenderError as a model does that cannot load its input."""
        if link.startswith("data:"):
            return _from_data_uri(link)
        if link.startswith(self._uploads_url):
            return self._uploaded(link.removeprefix(self._uploads_url))
        try:
            return await self._fetched(link)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RenderError(f"Could not download the input image: {type(error).__name__}") from error

    def _uploaded(self, file_id: str) -> bytes:
        path = self._uploads / file_id
        if not file_id.isalnum() or not path.is_file():
            raise RenderError("The uploaded input file does not exist")
        return path.read_bytes()

    async def _fetched(self, link: str) -> bytes:
        async with self._session.get(link, timeout=_TIMEOUT) as answer:
            answer.raise_for_status()
            content = await answer.content.read(MAX_IMAGE_BYTES + 1)
            while len(content) <= MAX_IMAGE_BYTES and (more := await answer.content.read(1 << 20)):
                content += more
        if len(content) > MAX_IMAGE_BYTES:
            raise RenderError("The input image is larger than 20 MB")
        return content


def data_uri(path: Path) -> str:
    """A file as it travels inside of JSON."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _from_data_uri(link: str) -> bytes:
    try:
        return base64.b64decode(link.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise RenderError("The input image is not valid base64") from error
