"""docs/testing.md: every transcript on it is what the program prints, every file on it is read."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from replay.cli import main
from replay.tester.rules import load
from tests.answers.test_pytest_plugin import run
from tests.build import Capture

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"(?:<!-- record: ([\d.]+) -->\n)?```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def checkout(path, price, pid=50):
    """What a recording of docs/examples/checkout.py holds (tests/live records it for real)."""
    capture = Capture()
    connection = capture.process(pid, comm="python3").accept(f"127.0.0.1:{8000 + pid}", f"127.0.0.1:{40_000 + pid}")
    declined = f'{{"error": "declined", "asked": {price}}}'
    paid = ("200 OK", f'{{"paid": {price}}}') if price <= 13 else ("402 Payment Required", declined)
    for request, (status, body) in (
        ("GET /cart", ("200 OK", f'{{"items": [{{"id": 7, "price": {price}}}]}}')),
        ("POST /pay", paid),
        ("GET /health", ("200 OK", '{"healthy": true}')),
    ):
        connection.receive(f"{request} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode())
        head = f"HTTP/1.1 {status}\r\nDate: {pid}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        connection.send(f"{head}\r\n\r\n{body}".encode())
    connection.close()
    return capture.write(path)


def test_every_transcript_is_what_the_program_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("tests").mkdir()
    played, status = 0, None
    for number, (price, language, text) in enumerate(BLOCKS):
        if price:
            checkout(Path("tests/checkout.cap"), float(price), pid=number + 1)
        if language != "console":
            continue
        for command, output in re.findall(r"\$ (.*)\n((?:(?!\$ ).*\n)*)", text):
            played += 1
            if command == "echo $?":
                assert output == f"{status}\n"
                continue
            words = command.split()
            assert words[0] == "ebpf-replay"
            status = main(words[1:])
            assert capsys.readouterr().out == output
    assert played == 4


def test_the_rules_on_the_page_are_read(tmp_path):
    (found,) = [text for _, language, text in BLOCKS if language == "toml"]
    path = tmp_path / "replay.toml"
    path.write_text(found)
    assert len(load(path).ignored_json) == 2


def test_the_tests_on_the_page_pass(tmp_path):
    (found,) = [text for _, language, text in BLOCKS if language == "python"]
    checkout(tmp_path / "checkout.cap", 12.5)
    (tmp_path / "test_checkout.py").write_text(found)
    status, out = run(tmp_path, "--record=never")
    assert status == 0, out
    assert "2 passed" in out


def test_every_option_of_the_command_is_on_the_page(capsys):
    with pytest.raises(SystemExit):
        main(["test", "--help"])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
    assert options == {option for option in options if option in PAGE}


def test_the_example_runs_by_itself():
    example = Path(__file__).resolve().parents[2] / "docs" / "examples" / "checkout.py"
    subprocess.run([sys.executable, str(example)], check=True, timeout=30)
