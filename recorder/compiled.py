"""The kernel program as bcc compiles and loads it. The only module that imports bcc.

Turns what bcc raises and its libraries print into the `RecorderError` that says so with its mend.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from recorder import bpf_call, headers
from recorder.errors import CompileFailed, Memlock, NoBcc, NotRoot, RecorderError
from recorder.host import Kind, compile_error, refused, verifier_reason

# Where distributions put the package `bcc` for the system's own Python; never sys.path, where PyPI's may sit.
BCC_PACKAGES: Final = (
    Path("/usr/lib/python3/dist-packages/bcc/__init__.py"),  # Debian, Ubuntu
    *sorted(Path("/usr/lib").glob("python3.*/site-packages/bcc/__init__.py"), reverse=True),  # Fedora, Arch
)
# bcc has debug information made, a fifth of the compiler's time; nothing but the verifier's listing shows it.
NO_DEBUG_INFORMATION: Final = "-g0"


def load_bcc() -> Any:
    """bcc as the distribution packages it, for a Python that may be another; `NoBcc` with the mend."""
    for package in BCC_PACKAGES:
        if package.is_file():
            return _import_from(package)
    raise NoBcc("bcc is not installed", "apt-get install python3-bpfcc (PyPI's `bcc` is an unrelated package)")


def _import_from(package: Path) -> Any:
    """Load one package file under its own name and leave sys.path as it was."""
    spec = importlib.util.spec_from_file_location("bcc", package, submodule_search_locations=[str(package.parent)])
    if spec is None or spec.loader is None:
        raise NoBcc(f"{package} cannot be loaded", "apt-get install --reinstall python3-bpfcc")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError, SyntaxError) as error:
        del sys.modules["bcc"]
        raise NoBcc(f"{package} does not load ({error})", "apt-get install --reinstall python3-bpfcc") from error
    if not hasattr(module, "BPF"):
        raise NoBcc(f"{package} is not the BPF Compiler Collection", "apt-get install python3-bpfcc")
    return module


@contextmanager
def _stderr_captured() -> Iterator[list[str]]:
    """What C++ code writes to descriptor 2 meanwhile, as lines, filled in at the end."""
    lines: list[str] = []
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()


class Compiled:
    """One program text with its maps, made by `compiled`."""

    def __init__(self, module: Any, debug: bool) -> None:
        self._module = module
        self._debug = debug

    def load(self, function: str, kind: Kind) -> int:
        """The descriptor of a function that the verifier has accepted; `LoadRefused` with its sentence."""
        with _stderr_captured() as lines:
            try:
                descriptor: int = self._module.load_func(function.encode(), bpf_call.PROGRAM_TYPES[kind]).fd
                return descriptor
            except Exception as error:  # bcc raises bare Exception
                failure, code = error, ctypes.get_errno()
        if self._debug:
            print("\n".join(lines), file=sys.stderr)
        if "super-user" in str(failure):
            raise NotRoot("the kernel refused to load a program (EPERM)", "run it as root, outside a container")
        if "memory" in str(failure).lower():
            raise Memlock("no memory for BPF", "ulimit -l unlimited")
        raise refused(function, verifier_reason(lines, code), f"{failure}, errno {code}")

    def map(self, name: str) -> int:
        """The descriptor of a map."""
        descriptor: int = self._module[name.encode()].map_fd
        return descriptor

    def instructions(self, function: str) -> bytes:
        """A loaded function as the kernel was given it, with this process's descriptors of its maps."""
        code: bytes = self._module.dump_func(function.encode())
        return code

    def close(self) -> None:
        """Free every map and program."""
        self._module.cleanup()


def compiled(text: str, flags: Sequence[str], debug: bool) -> Compiled:
    """Compile a program text; `debug`: warnings stay visible, and the verifier lists the text's lines."""
    bcc = load_bcc()
    headers.check()
    flags = flags if debug else [*flags, NO_DEBUG_INFORMATION]
    with headers.provided(), _stderr_captured() as lines:
        try:
            return Compiled(bcc.BPF(text=text.encode(), cflags=list(flags)), debug)
        except Exception as error:  # bcc raises bare Exception
            failure = error
    if debug:
        print("\n".join(lines), file=sys.stderr)
    if isinstance(failure, RecorderError):
        raise failure
    raise CompileFailed(f"the kernel program does not compile: {compile_error(lines)}")
