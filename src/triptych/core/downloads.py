"""Download a file with progress, from a server that may not answer."""

from __future__ import annotations

import hashlib
import ssl
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

from triptych.core.files import CHUNK
from triptych.core.progress import Progress

NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
TIMEOUT = 60  # seconds without an answer
MOST_BYTES = 1 << 30


def download_file(address: str, path: Path, algorithm: str) -> str:
    """Write what an address delivers, at most MOST_BYTES, to a file; return its checksum in hexadecimal.

    The checksum is one of `hashlib`, such as `sha256`. Raises one of NETWORK_ERRORS.
    """
    from urllib.request import urlopen

    digest, name = hashlib.new(algorithm, usedforsecurity=False), address.rsplit("/", 1)[1]
    with urlopen(address, timeout=TIMEOUT) as response, path.open("wb") as file:  # noqa: S310 (a published address)
        size = response.headers.get("Content-Length", "")
        progress = Progress("download", int(size) if size.isdecimal() else 0, 0, unit="bytes")
        try:
            while (chunk := response.read(CHUNK)) and file.tell() < MOST_BYTES:
                digest.update(chunk)
                file.write(chunk)
                if progress.due():
                    progress.report(file.tell(), name)
        finally:
            progress.finish()
    return digest.hexdigest()
