"""Who may import whom: recorder → capfile ← replay, bcc in one module, no cycles, every module alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bpf", "capfile", "recorder", "replay")
# package -> the project's packages that it may import beside itself
MAY_IMPORT = {"bpf": set(), "capfile": set(), "recorder": {"capfile", "bpf"}, "replay": {"capfile"}}
# third party -> the only packages or modules that may import it
ONLY_IN = {
    "bcc": ("recorder.program",),
    "msgspec": ("replay",),
    "rich": ("replay", "recorder"),
    "brotli": ("replay",),
    "msgpack": ("capfile",),
    "orjson": ("replay.output.long_line",),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imported(path: Path) -> Iterator[str]:
    """Every module named by an import statement anywhere in the file, functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)


IMPORTS = {name: set(imported(path)) for name, path in MODULES.items()}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_in_the_allowed_directions(module: str) -> None:
    package = module.partition(".")[0]
    tops = {name.partition(".")[0] for name in IMPORTS[module]} & set(PACKAGES)
    assert tops <= {package} | MAY_IMPORT[package]


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    users = {name for name, names in IMPORTS.items() if library in {n.partition(".")[0] for n in names}}
    allowed = ONLY_IN[library]
    assert not {user for user in users if not any(user == a or user.startswith(a + ".") for a in allowed)}


def test_there_are_no_import_cycles() -> None:
    graph = {name: {n for n in names if n in MODULES and n != name} for name, names in IMPORTS.items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' → '.join(error.args[1])}")


# Each module in a process of its own, forked before anything of the project was imported.
ALONE = """
import importlib, os, sys
for name in sys.argv[1:]:
    if (child := os.fork()) == 0:
        importlib.import_module(name)
        os._exit(3 if "bcc" in sys.modules else 0)
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"{name} cannot be imported alone without bcc: exit status {status}")
"""


def test_every_module_can_be_imported_alone_and_none_brings_in_bcc() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *MODULES], cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr


# What is loaded when a command is done, of what would cost each start several ms.
START = """
import contextlib, io, sys
from replay.cli import main
with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), contextlib.suppress(SystemExit):
    main(sys.argv[1:])
dear = {"capfile.reader", "email", "ipaddress", "msgspec", "pathlib", "re2", "rich", "socket", "tempfile"}
print(*sorted(dear & {*sys.modules}))
"""


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (["--version"], ""),
        (["show", "--format", "jsonl", "fixtures/version-1.cap"], "capfile.reader msgspec"),
    ],
)
def test_a_start_loads_only_what_its_command_uses(words: list[str], loaded: str) -> None:
    done = subprocess.run([sys.executable, "-c", START, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == loaded.split(), done.stderr
