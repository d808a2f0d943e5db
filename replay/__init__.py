"""Captures in, HTTP exchanges out: a pipeline of pure stages (replay/pipeline.py is the map of the house).

    import replay
    for exchange in replay.open("checkout.cap").where("status >= 500"):
        print(exchange.request.method, exchange.request.target, exchange.response.status)

The names below are the whole Python interface (docs/api.md). They are loaded when first used: `import replay` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from capfile.errors import CapfileError as CapfileError
    from replay.api import Capture as Capture
    from replay.api import Exchanges as Exchanges
    from replay.api import body_json as body_json
    from replay.api import body_text as body_text
    from replay.api import header as header
    from replay.api import open as open
    from replay.errors import UsageError as UsageError
    from replay.exchange import Exchange as Exchange
    from replay.exchange import OpaqueConnection as OpaqueConnection

_HOME: Final = {
    "CapfileError": "capfile.errors",
    "Capture": "replay.api",
    "Exchange": "replay.exchange",
    "Exchanges": "replay.api",
    "OpaqueConnection": "replay.exchange",
    "UsageError": "replay.errors",
    "body_json": "replay.api",
    "body_text": "replay.api",
    "header": "replay.api",
    "open": "replay.api",
}
__all__ = [
    "CapfileError",
    "Capture",
    "Exchange",
    "Exchanges",
    "OpaqueConnection",
    "UsageError",
    "body_json",
    "body_text",
    "header",
    "open",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
