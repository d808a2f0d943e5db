"""Exchanges in, a folder of body files out, and an index that says what each file is and what is missing from it.

File names are made here, from the exchange's number and a table of extensions: no recorded byte ever becomes part of a
path. Files are created new, mode 0600, never through a symbolic link and never over something that is there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from replay import urls
from replay.errors import UsageError
from replay.exchange import Body, Exchange, OpaqueConnection, Request, Response
from replay.output.opening import create

INDEX: Final = "index.jsonl"
MAX_NAME: Final = 80  # of an id in a file name: most file systems take 255 bytes for the whole

_EXTENSIONS: Final = {
    "application/json": "json",
    "application/javascript": "js",
    "application/pdf": "pdf",
    "application/x-www-form-urlencoded": "form",
    "application/xml": "xml",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/webp": "webp",
    "text/css": "css",
    "text/csv": "csv",
    "text/html": "html",
    "text/javascript": "js",
    "text/plain": "txt",
    "text/xml": "xml",
}
_CODINGS: Final = {"gzip": "gz", "x-gzip": "gz", "br": "br", "zstd": "zst", "deflate": "deflate"}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9-]+")


def write(items: Iterable[Exchange | OpaqueConnection], out: Path) -> None:
    """Write every body seen into the folder `out`, made if it is not there; UsageError where a file would be in the
    way. A body with content codings is written as it came and, where they could be undone, decoded beside it."""
    if out.is_symlink():
        raise UsageError(f"{out} is a symbolic link; name the folder itself")
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"{out}: bodies go into a folder, and this is none") from None
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror}") from None
    with os.fdopen(_create(out / INDEX), "wb") as index:
        for number, item in enumerate((item for item in items if isinstance(item, Exchange)), 1):
            for row in _exchange(item, number, out):
                index.write(json.dumps(row).encode("ascii") + b"\n")


def _exchange(exchange: Exchange, number: int, folder: Path) -> Iterator[dict[str, Any]]:
    for side, message in (("request", exchange.request), ("response", exchange.response)):
        if message is None or not (message.body.captured or message.body.size):
            continue
        stem = f"{number:06d}-{_safe(exchange.id)}.{side}"
        for name, data, decoded in _files(stem, message):
            with os.fdopen(_create(folder / name), "wb") as file:
                file.write(data)
            yield {"file": name, "decoded": decoded, **_row(exchange, side, message.body)}


def _files(stem: str, message: Request | Response) -> Iterator[tuple[str, bytes, bool]]:
    body = message.body
    kind = (urls.header(message.headers, "content-type") or "").partition(";")[0].strip().lower()
    extension = _EXTENSIONS.get(kind, "bin")
    coding = _CODINGS.get(body.content_encoding.strip().lower(), "coded") if body.content_encoding else ""
    yield f"{stem}.{extension}" + (f".{coding}" if coding else ""), body.data, False
    if coding and body.decoded is not None:
        yield f"{stem}.{extension}", body.decoded, True


def _row(exchange: Exchange, side: str, body: Body) -> dict[str, Any]:
    return {
        "id": exchange.id,
        "side": side,
        "method": exchange.request.method if exchange.request else None,
        "target": exchange.request.target if exchange.request else None,
        "status": exchange.response.status if exchange.response else None,
        "size": body.size,
        "captured": body.captured,
        "kept": len(body.data),
        "gaps": [list(gap) for gap in body.gaps],
        "sha256": body.sha256,
        "content_encoding": body.content_encoding,
    }


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text)[:MAX_NAME]


def _create(path: Path) -> int:
    try:
        return create(path)
    except FileExistsError:
        raise UsageError(f"{path}: is already there; give an empty folder") from None
    except PermissionError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
