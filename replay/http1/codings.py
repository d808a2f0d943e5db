"""Content and transfer codings undone (RFC 9110 §8.4.1, RFC 9112 §7.2): bytes in, bytes or a reason out.

A peer's wrong label is never an exception. Output is bounded in every layer, before it is made. Every layer is a
function (data, limit) -> (bytes, remark); the table CODINGS names them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

import brotli
from backports import zstd

from replay.http1.limits import MAX_CODINGS, MAX_DECODED_BYTES

Decoder = Callable[[bytes, int], tuple[bytes, str]]

_TOO_EARLY: Final = "it ends too early"

# How much a brotli decoder may be fed before its output is looked at: bounds one step's memory.
_BROTLI_STEP: Final = 64 * 1024


class CodingError(Exception):
    """The bytes are not what their label says. Never leaves this module."""


def decode(data: bytes, codings: tuple[str, ...], limit: int = MAX_DECODED_BYTES) -> tuple[bytes | None, str]:
    """Undo `codings`, which stand in the order in which they were applied.

    Returns the decoded bytes and a remark: "" if all went well; with None, why nothing could be decoded; with bytes,
    that they are only the beginning.
    """
    if len(codings) > MAX_CODINGS:
        return None, f"{len(codings)} layers of coding"
    remark = ""
    for coding in reversed(codings):
        decoder = CODINGS.get(coding)
        if decoder is None:
            return None, f"unknown coding {coding[:40]!r}"
        try:
            data, cut = decoder(data, limit)
        except CodingError as error:
            return None, remark or f"not {coding}: {error}"
        remark = remark or (cut and f"{coding}: {cut}")
    return data, remark


def _zlib(window_bits: int) -> Decoder:
    def decoder(data: bytes, limit: int) -> tuple[bytes, str]:
        parts: list[bytes] = []
        room = limit
        while data:
            inflate = zlib.decompressobj(window_bits)
            try:
                part = inflate.decompress(data, room) if room else b""
            except zlib.error as error:
                if parts:  # bytes after the last member: gzip(1) ignores them as well
                    break
                raise CodingError(str(error)) from None
            parts.append(part)
            room -= len(part)
            if not inflate.eof:
                return b"".join(parts), _TOO_EARLY if room > 0 else _cut(limit)
            data = inflate.unused_data
            if window_bits != _GZIP:
                break
        return b"".join(parts), ""

    return decoder


def _cut(limit: int) -> str:
    return f"output cut at {limit} bytes"


_GZIP: Final = 16 + zlib.MAX_WBITS
_gzip: Final = _zlib(_GZIP)
_zlib_format: Final = _zlib(zlib.MAX_WBITS)
_raw_deflate: Final = _zlib(-zlib.MAX_WBITS)


def _deflate(data: bytes, limit: int) -> tuple[bytes, str]:
    """RFC 9110 §8.4.1.2: the zlib format; its note: some send deflate data without the zlib wrapper."""
    try:
        return _zlib_format(data, limit)
    except CodingError as error:
        try:
            return _raw_deflate(data, limit)
        except CodingError:
            raise error from None


def _brotli(data: bytes, limit: int) -> tuple[bytes, str]:
    decompressor = brotli.Decompressor()
    parts: list[bytes] = []
    room = limit
    try:
        for start in range(0, len(data), _BROTLI_STEP):
            piece = data[start : start + _BROTLI_STEP]
            while True:
                part = decompressor.process(piece, output_buffer_limit=max(room, 1))
                parts.append(part)
                room -= len(part)
                if room <= 0:
                    return b"".join(parts)[:limit], _cut(limit)
                if decompressor.can_accept_more_data() or decompressor.is_finished():
                    break
                piece = b""
            if decompressor.is_finished():
                break
    except brotli.error as error:
        raise CodingError(str(error)) from None
    return b"".join(parts), "" if decompressor.is_finished() else _TOO_EARLY


def _zstd(data: bytes, limit: int) -> tuple[bytes, str]:
    parts: list[bytes] = []
    room = limit
    while data:
        decompressor = zstd.ZstdDecompressor()
        try:
            part = decompressor.decompress(data, max_length=max(room, 1))
        except zstd.ZstdError as error:
            raise CodingError(str(error)) from None
        parts.append(part)
        room -= len(part)
        if not decompressor.eof:
            return b"".join(parts)[:limit], _TOO_EARLY if room > 0 else _cut(limit)
        data = decompressor.unused_data
    return b"".join(parts), ""


CODINGS: Final[dict[str, Decoder]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
