"""The JSON document: its schema is current, and every document is valid by it."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.document import schema, schema_text, to_document
from replay.exchange import Headers
from replay.text import text_of
from tests.build import Capture
from tests.replay.test_pipeline import GET, OK, TLS_HELLO, results

SCHEMA = Path(__file__).parents[2] / "docs" / "exchange.schema.json"


def documents(capture: Capture, path: Path) -> list[dict[str, object]]:
    encoded = [msgspec.json.encode(to_document(item)) for item in results(capture, path)]
    return [json.loads(line) for line in encoded]


def test_the_schema_in_docs_is_the_one_of_the_types() -> None:
    assert SCHEMA.read_text() == schema_text(), "run: python -m replay.document > docs/exchange.schema.json"


def test_every_kind_of_result_is_valid_by_the_schema(tmp_path: Path) -> None:
    capture = Capture()
    server = capture.process(100)
    server.accept().receive(GET % b"/").send(b"HTTP/1.1 103 Early\r\n\r\n" + OK % (5, b"hello")).close()
    server.accept().receive(GET % b"/gap").send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").sendfile(
        9, "f"
    ).close()
    server.accept().receive(GET % b"/unanswered")
    server.joined().send(OK % (0, b"")).close()
    server.accept("/run/x").receive(TLS_HELLO).close()
    found = documents(capture, tmp_path)
    assert {document["kind"] for document in found} == {"exchange", "connection"}
    for document in found:
        jsonschema.validate(document, schema())


def test_the_documents_fields_are_those_of_the_contract(tmp_path: Path) -> None:
    capture = Capture()
    capture.process(100, comm="nginx").accept().receive(GET % b"/x").send(OK % (5, b"hello")).close()
    (document,) = documents(capture, tmp_path)
    expected = {"schema", "id", "protocol", "connection", "process", "started_at", "duration_ns", "timing"}
    assert expected | {"request", "response", "complete", "problems"} <= set(document)
    assert document["connection"] == {
        "id": "1",
        "family": "inet",
        "client": "127.0.0.1:40000",
        "server": "127.0.0.1:80",
        "side": "server",
        "tls": False,
    }
    assert document["timing"] == {"request_ns": 0, "wait_ns": 1000, "response_ns": 0}
    assert document["started_at"] == "2026-09-21T14:13:21.000002000Z"
    assert document["evidence"] == {"request": [0, 31], "response": [0, 43]}


@pytest.mark.parametrize(
    ("data", "content_type", "text", "charset"),
    [
        (b"plain", "", "plain", "utf-8"),
        ("grün".encode(), "text/plain; charset=latin-1", "grün", "utf-8"),  # UTF-8 says so itself
        ("grün".encode("latin-1"), "text/plain; charset=ISO-8859-1", "grün", "iso8859-1"),
        ("グリーン".encode("shift_jis"), 'text/html; charset="Shift_JIS"', "グリーン", "shift_jis"),
        ("grün".encode("latin-1"), "text/plain", None, ""),
        (b"\xff\xfe", "text/plain; charset=no-such", None, ""),
        (b"x\x9c\xff", "text/plain; charset=zlib", None, ""),
        (b"\xff\xd8\xff", "image/jpeg", None, ""),
        (b"", "image/jpeg", "", "utf-8"),
    ],
)
def test_bytes_are_text_only_if_they_show_it_or_a_charset_is_declared(
    data: bytes, content_type: str, text: str | None, charset: str
) -> None:
    headers: Headers = (("Content-Type", content_type),) if content_type else ()
    assert text_of(data, headers) == (text, charset)


@given(st.binary(max_size=50), st.text(max_size=60))
def test_no_content_type_and_no_bytes_can_raise(data: bytes, content_type: str) -> None:
    text_of(data, (("content-type", f"text/plain; charset={content_type}"),))
