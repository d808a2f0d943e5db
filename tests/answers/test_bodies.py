"""Bodies as files: exact bytes, names of our own making, nothing overwritten."""

import json
import os

import pytest

from replay.errors import UsageError
from replay.output import bodies
from tests.answers import hostile
from tests.answers.examples import body, exchange, get, request, response


def index(folder):
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def test_each_body_is_a_file_with_its_bytes_and_a_row_in_the_index(tmp_path):
    item = exchange(
        request("POST", "/pay", (("Content-Type", "application/json; charset=utf-8"),), data=b"{}"),
        response(200, (("Content-Type", "image/png"),), data=b"\x89PNG"),
    )
    bodies.write([item, get()], tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    assert (folder / "000001-c1-1.request.json").read_bytes() == b"{}"
    assert (folder / "000001-c1-1.response.png").read_bytes() == b"\x89PNG"
    assert [(row["file"], row["side"], row["size"]) for row in index(folder)] == [
        ("000001-c1-1.request.json", "request", 2),
        ("000001-c1-1.response.png", "response", 4),
    ]


def test_a_coded_body_is_kept_raw_and_decoded_beside_it(tmp_path):
    zipped = body(b"\x1f\x8bx", decoded=b"hello", decoded_size=5, content_encoding="gzip")
    bodies.write([exchange(request(), response(headers=(("Content-Type", "text/plain"),), body=zipped))], tmp_path)
    assert (tmp_path / "000001-c1-1.response.txt.gz").read_bytes() == b"\x1f\x8bx"
    assert (tmp_path / "000001-c1-1.response.txt").read_bytes() == b"hello"
    assert [row["decoded"] for row in index(tmp_path)] == [False, True]


def test_missing_parts_are_in_the_index(tmp_path):
    half = body(b"ab", size=10, captured=2, gaps=((2, 8),))
    bodies.write([exchange(request(), response(body=half))], tmp_path)
    assert [(row["size"], row["captured"], row["gaps"]) for row in index(tmp_path)] == [(10, 2, [[2, 8]])]


def test_no_recorded_name_leaves_the_folder_or_looks_like_anything_but_ours(tmp_path):
    folder = tmp_path / "a" / "b"
    bodies.write([*hostile.exchanges(), *hostile.ordinary()], folder)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) > 10
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") for name in names)
    assert not any(name.startswith(".") or ".." in name for name in names)
    assert {row["file"] for row in index(folder)} == set(names) - {"index.jsonl"}


def test_files_are_private_and_nothing_is_overwritten_or_followed(tmp_path):
    bodies.write([get(data=b"x")], tmp_path / "one")
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "one").iterdir())
    with pytest.raises(UsageError, match="already there"):
        bodies.write([get(data=b"y")], tmp_path / "one")
    (tmp_path / "two").mkdir()
    os.symlink(tmp_path / "target", tmp_path / "two" / "000001-c1-1.response.bin")
    with pytest.raises(UsageError, match="already there"):
        bodies.write([get(data=b"y")], tmp_path / "two")
    assert not (tmp_path / "target").exists()


def test_a_file_in_the_folder_s_place_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="go into a folder"):
        bodies.write([], tmp_path / "file")
