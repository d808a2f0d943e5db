"""HAR 1.2: valid for every exchange, exact in sizes, and harmless to look at."""

import base64
import io
import json
import re
from pathlib import Path

import jsonschema
import pytest
import referencing
from hypothesis import given, settings
from msgspec.structs import replace

from replay.output import har
from tests.answers import hostile
from tests.answers.examples import body, exchange, get, opaque, request, response

SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "har-schema" / "lib"


@pytest.fixture(scope="module")
def validator():
    if not SCHEMAS.is_dir():
        pytest.skip("the HAR schema is not in ../shared/corpora/har-schema")
    documents = [json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")]
    resources = [(d["$id"].rstrip("#"), referencing.Resource.from_contents(d)) for d in documents]
    registry = referencing.Registry().with_resources(resources)
    schema = {"$schema": "http://json-schema.org/draft-06/schema#", "$ref": "har.json"}
    return jsonschema.Draft6Validator(schema, registry=registry, format_checker=jsonschema.FormatChecker())


def written(*items):
    out = io.BytesIO()
    har.write(items, out)
    return out.getvalue()


def entries(*items):
    return json.loads(written(*items))["log"]["entries"]


def test_every_kind_of_exchange_is_valid(validator):
    items = [*hostile.ordinary(), *hostile.exchanges()]
    validator.validate(json.loads(written(*items)))
    validator.validate(json.loads(written()))


def test_the_schema_would_notice_a_missing_field(validator):
    document = json.loads(written(get()))
    del document["log"]["entries"][0]["response"]["redirectURL"]
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document)


@settings(deadline=None)
@given(hostile.ANY)
def test_any_exchange_is_valid_and_its_url_is_a_uri(validator, item):
    document = json.loads(written(item))
    validator.validate(document)
    url = document["log"]["entries"][0]["request"]["url"]
    assert not re.search(r"[^!-~]|[<>\"\\^`{|}#]|%(?![0-9A-Fa-f]{2})", url)


def test_an_exchange_without_a_response_has_status_0_and_says_it_was_not_seen():
    found = entries(exchange(request(), None))[0]
    assert (found["response"]["status"], found["response"]["_seen"]) == (0, False)
    assert found["response"]["bodySize"] == -1
    assert found["_completeness"] == "request-only"


def test_content_size_is_the_decoded_size_and_compression_what_was_saved():
    zipped = body(b"12345", decoded=b"x" * 100, decoded_size=100, content_encoding="gzip")
    found = entries(exchange(request(), response(body=zipped)))[0]["response"]
    assert (found["bodySize"], found["content"]["size"], found["content"]["compression"]) == (5, 100, 95)
    assert found["content"]["text"] == "x" * 100


def test_binary_bodies_are_base64_in_both_directions():
    found = entries(exchange(request("POST", data=b"\x00\xff"), response(data=b"\xff\x00")))[0]
    assert base64.b64decode(found["response"]["content"]["text"]) == b"\xff\x00"
    assert found["response"]["content"]["encoding"] == "base64"
    assert base64.b64decode(found["request"]["postData"]["text"]) == b"\x00\xff"
    assert found["request"]["postData"]["_encoding"] == "base64"


def test_gaps_problems_and_process_are_in_underscore_fields():
    *_, gap, _ = list(hostile.ordinary())
    found = entries(gap)[0]
    assert found["response"]["_body"]["gaps"] == [{"offset": 1, "length": 8}]
    assert found["response"]["bodySize"] == 10
    assert found["_problems"] == [{"code": "gap", "side": "response", "offset": 1, "length": 8}]
    assert found["_process"]["comm"] == "gunicorn"


def test_times_add_up_and_the_exact_ns_are_kept():
    found = entries(get(milliseconds=250))[0]
    assert found["startedDateTime"] == "2025-11-22T10:00:01.000000001Z"
    assert found["time"] == pytest.approx(250)
    assert found["timings"] == {"send": 1.0, "wait": 248.0, "receive": 1.0}
    assert found["_timings_ns"] == {"send": 1_000_000, "wait": 248_000_000, "receive": 1_000_000}


def test_a_response_earlier_than_the_request_s_end_has_no_negative_wait():
    early = replace(get(), wait_ns=-5)
    assert entries(early)[0]["timings"]["wait"] == 0


@pytest.mark.parametrize(
    ("header", "expires"),
    [
        (
            "a=b; Path=/x; Domain=d; Secure; HttpOnly; Expires=Wed, 09 Jun 2021 10:18:14 GMT",
            "2021-06-09T10:18:14+00:00",
        ),
        ("a=b; Expires=Wed, 09 Jun 2021 10:18:14 -0000", "2021-06-09T10:18:14+00:00"),
        ("a=b; Expires=never", None),
        ("a=b; Expires=Wed, 99 Jun 99999 99:99:99 GMT", None),
        ("a=b; Expires=", None),
    ],
)
def test_cookies_are_taken_apart_and_a_date_that_is_none_is_left_out(header, expires):
    cookie = entries(exchange(request(), response(headers=(("Set-Cookie", header),))))[0]["response"]["cookies"][0]
    assert (cookie["name"], cookie["value"], cookie.get("expires")) == ("a", "b", expires)


def test_the_request_s_cookies_and_query_are_decoded():
    found = entries(exchange(request(target="/?a=%C3%BC&b=1+2&c&%ff", headers=(("Cookie", "x=1; y=2=3;;"),))))[0]
    assert found["request"]["cookies"] == [{"name": "x", "value": "1"}, {"name": "y", "value": "2=3"}]
    names = [(q["name"], q["value"]) for q in found["request"]["queryString"]]
    assert names == [("a", "ü"), ("b", "1 2"), ("c", ""), ("\N{REPLACEMENT CHARACTER}", "")]


def test_hostile_text_cannot_leave_its_string_nor_steer_a_terminal_or_a_page():
    raw = written(*hostile.exchanges())
    assert not re.search(rb"[^\n -~]", raw)
    assert b"<" not in raw
    found = json.loads(raw)["log"]["entries"]
    assert found[0]["request"]["_target"] == hostile.ESCAPES


def test_a_header_of_10_mb_is_kept_whole(validator):
    document = json.loads(written(hostile.big()))
    validator.validate(document)
    assert len(document["log"]["entries"][0]["request"]["headers"][1]["value"]) == hostile.BIG


def test_connections_without_exchanges_are_counted_beside_the_entries():
    document = json.loads(written(get(), opaque("tls")))
    assert document["log"]["_connections"][0]["protocol"] == "tls"
    assert len(document["log"]["entries"]) == 1


def test_the_same_exchanges_give_the_same_bytes():
    items = [*hostile.ordinary(), *hostile.exchanges()]
    assert written(*items) == written(*items)
