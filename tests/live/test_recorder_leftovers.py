"""After any end no program, map, probe, mount or temporary file of the recorder is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from capfile.reader import Reader
from tests.live import bench
from tests.live.ends import Isolated

BIG = 32_768
Act = Callable[["Scene"], None]


@dataclass
class Scene:
    """A talker, its recorder, and the folder that both may write to."""

    folder: Path
    talker: subprocess.Popen[str]
    recorder: Isolated

    def send(self, *numbers: int) -> None:
        """Signals that the recorder finds all at once."""
        for number in (signal.SIGSTOP, *numbers, signal.SIGCONT):
            os.kill(self.recorder.process.pid, number)


def waits(_: Scene) -> None:
    """Nothing to do: it ends by itself."""


def says(scene: Scene) -> None:
    bench.say(scene.talker, 101)


def stops_talker(scene: Scene) -> None:
    bench.stop(scene.talker)


# Two signals that are both on their way may be heard in either order: each thread may be interrupted by one of them.
EITHER = (128 + signal.SIGINT, 128 + signal.SIGTERM)


def sends(*numbers: int) -> Act:
    return lambda scene: scene.send(*numbers)


@dataclass(frozen=True)
class End:
    """How a recording is begun and brought to its end, and what says that it was this end.

    `reason` None: the file has no End frame; "": there is no file.
    """

    words: Sequence[str]
    act: Act
    status: int | tuple[int, ...]  # several: one of them
    reason: str | None
    setup: str = "true"
    early: bool = False  # acted upon while the kernel program is being loaded, with its maps made


PID = ("-o", "{folder}/x.cap", "--pid", "{pid}")
ENDS = {
    "duration": End((*PID, "--duration", "1"), waits, 0, "duration"),
    "max-events": End((*PID, "--max-events", "7"), says, 0, "max-events"),
    "max-size": End((*PID, "--no-compress", "--max-size", "1M"), says, 0, "max-size"),
    "the process ends": End(PID, stops_talker, 0, "target-exit"),
    "the command ends": End(("-o", "{folder}/x.cap", "--", *bench.talker(7)), waits, 0, "child-exit"),
    "interrupt": End(PID, sends(signal.SIGINT), 0, "interrupt"),
    "terminated": End(PID, sends(signal.SIGTERM), 0, "terminated"),
    "hangup": End(PID, sends(signal.SIGHUP), 0, "hangup"),
    "a second signal": End(PID, sends(signal.SIGINT, signal.SIGTERM), EITHER, None),
    "SIGKILL": End(PID, sends(signal.SIGKILL), -signal.SIGKILL, None),
    "interrupt before it records": End(PID, sends(signal.SIGINT), 0, "interrupt", early=True),
    "a second signal before it records": End(PID, sends(signal.SIGINT, signal.SIGTERM), EITHER, "", early=True),
    "SIGKILL before it records": End(PID, sends(signal.SIGKILL), -signal.SIGKILL, "", early=True),
    "rotation": End((*PID, "--rotate-seconds", "500ms", "--keep", "2", "--duration", "3"), says, 0, "duration"),
    "the disk is full": End(
        ("-o", "{folder}/disk/x.cap", "--no-compress", "--pid", "{pid}"),
        says,
        1,
        "disk-full",
        "mkdir {folder}/disk && mount -t tmpfs -o size=3M tmpfs {folder}/disk",
    ),
    "the reader of a pipe goes away": End(("-o", "-", "--pid", "{pid}"), says, 0, ""),
    "the command cannot be executed": End(
        ("-o", "{folder}/x.cap", "--", "{folder}/broken"), waits, 126, "command-failed"
    ),
    "no memory for the rings": End((*PID, "--ring-size", "256M"), waits, 4, "", "prlimit --pid $$ --as=800000000"),
}


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Scene, End]]:
    end = ENDS[request.param]
    (tmp_path / "broken").write_text("#!/no/such/interpreter\n")
    (tmp_path / "broken").chmod(0o755)
    talker = bench.started(bench.talker(0, BIG))
    words = [word.replace("{folder}", str(tmp_path)).replace("{pid}", str(talker.pid)) for word in end.words]
    reader, writer = os.pipe()
    recorder = Isolated(tmp_path, words, end.setup.format(folder=tmp_path), stdout=writer)
    os.close(writer)
    with open(reader, "rb") as output:
        if "-" in end.words:
            output.read(100)
            output.close()
        yield Scene(tmp_path, talker, recorder), end
    recorder.close()
    bench.stop(talker)


@pytest.mark.parametrize("scene", ENDS, indirect=True)
def test_nothing_is_left_after(scene: tuple[Scene, End]) -> None:
    at, end = scene
    path = end.words[1].format(folder=at.folder)
    if end.early:
        at.recorder.wait_for_maps()
    elif end.act is not waits and path != "-":
        at.recorder.wait_for(path)
    end.act(at)
    said = at.recorder.process.communicate(timeout=bench.TIMEOUT)[1]
    statuses = end.status if isinstance(end.status, tuple) else (end.status,)
    assert at.recorder.process.returncode in statuses, said
    assert {kind for kind, _ in at.recorder.held} >= ({"map"} if end.early else {"map", "prog"})  # looked at in time
    assert at.recorder.left() == []
    if end.reason == "":
        assert not os.path.exists(path)
        return
    at.recorder.inside("cp", path, f"{at.folder}/copy.cap")
    with Reader.open(at.folder / "copy.cap") as reader:
        assert sum(1 for _ in reader)
        assert (reader.end.reason if reader.end else None) == end.reason
