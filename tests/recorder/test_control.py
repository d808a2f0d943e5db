"""Control events become Process frames and counts; what cannot be read of a process is taken from what is known."""

from __future__ import annotations

from capfile.event import Kind
from capfile.frames import Process, Ring
from recorder.control import Control
from tests.recorder.fake import FakeRing


class Host:
    """A fake /proc."""

    def __init__(self, **processes: Process) -> None:
        self.processes = {int(name[1:]): process for name, process in processes.items()}

    def read(self, pid: int, time: int) -> Process | None:
        return self.processes.get(pid)


def fed(control: Control, ring: FakeRing) -> Control:
    control.feed(b"".join(ring.regions(ring.head())))
    ring.release(ring.head())
    return control


def ring() -> FakeRing:
    return FakeRing(1 << 14, Ring.CONTROL)


def test_connections_are_counted_once_and_closed() -> None:
    source, control = ring(), Control(Host().read)
    source.event(Kind.SOCKET, b"\0" * 280, generation=1)
    source.event(Kind.SOCKET, b"\0" * 280, generation=1)  # its addresses are known now
    source.event(Kind.SOCKET, b"\0" * 280, generation=2)
    fed(control, source)
    assert (control.connections, control.open) == (2, 2)
    source.event(Kind.CLOSE, generation=1)
    fed(control, source)
    assert (control.connections, control.open) == (2, 1)


def test_the_process_of_a_new_socket_is_introduced_once() -> None:
    nginx = Process(pid=42, comm="nginx", exe="/usr/sbin/nginx")
    source, control = ring(), Control(Host(p42=nginx).read)
    source.event(Kind.SOCKET, b"", generation=1)
    source.event(Kind.SOCKET, b"", generation=2)
    assert fed(control, source).take() == [nginx]
    assert control.take() == []
    assert control.live == {42}


def test_a_forked_child_that_is_gone_already_is_what_its_parent_is() -> None:
    parent = Process(pid=42, comm="sh", exe="/bin/sh", start_time=5)
    source, control = ring(), Control(Host(p42=parent).read)
    control.learn(42, 0)
    event = source.event(Kind.FORK, ret=43)
    assert fed(control, source).take()[1] == Process(
        pid=43, parent=42, comm="sh", exe="/bin/sh", start_time=0, time=event.time
    )


def test_a_forked_child_inherits_an_executable_that_may_not_be_read() -> None:
    host = Host(p42=Process(pid=42, comm="nginx", exe="/usr/sbin/nginx"), p43=Process(pid=43, comm="nginx"))
    source, control = ring(), Control(host.read)
    control.learn(42, 0)
    source.event(Kind.FORK, ret=43)
    assert fed(control, source).take()[1].exe == "/usr/sbin/nginx"


def test_exec_makes_a_new_program_even_if_the_process_is_gone() -> None:
    source, control = ring(), Control(Host().read)
    source.event(Kind.EXEC, b"curl\0garbage....")
    assert [p.comm for p in fed(control, source).take()] == ["curl"]


def test_an_unreadable_executable_of_the_command_is_the_file_that_was_started() -> None:
    source, control = ring(), Control(Host(p42=Process(pid=42, comm="curl"), p43=Process(pid=43, comm="sh")).read)
    control.expected = {42: "/usr/bin/curl", 43: "/usr/bin/env"}
    source.event(Kind.EXEC, b"curl".ljust(16, b"\0"))
    source.event(Kind.EXEC, b"sh".ljust(16, b"\0"), tgid=43)
    assert [p.exe for p in fed(control, source).take()] == ["/usr/bin/curl", ""]


def test_an_executable_read_while_root_serves_the_same_process_only() -> None:
    host = Host(p42=Process(pid=42, start_time=5), p43=Process(pid=43, start_time=9))
    control = Control(host.read)
    control.executables = {(42, 5): "/usr/sbin/nginx", (43, 5): "/bin/another-life-of-this-number"}
    control.learn(42, 0)
    control.learn(43, 0)
    assert [p.exe for p in control.take()] == ["/usr/sbin/nginx", ""]


def test_exit_and_death_take_a_process_from_the_living() -> None:
    source, control = ring(), Control(Host().read)
    control.live = {42, 50, 51}
    source.event(Kind.EXIT)
    fed(control, source)
    control.forget_dead(lambda pid: pid == 51)
    assert control.live == {51}


def test_marks_are_counted_by_name() -> None:
    source, control = ring(), Control(Host().read)
    source.event(Kind.MARK, ret=1)
    source.event(Kind.MARK, ret=1)
    source.event(Kind.MARK, ret=99)
    assert fed(control, source).marks == {"io-uring": 2, "mark-99": 1}


def test_a_new_segment_introduces_the_dead_once_more_and_then_no_more() -> None:
    host = Host(p1=Process(pid=1), p2=Process(pid=2))
    control = Control(host.read)
    control.live = {1}
    control.learn(1, 0)
    control.learn(2, 0)
    assert [p.pid for p in control.known()] == [1, 2]
    assert [p.pid for p in control.known()] == [1]


def test_lost_records_and_short_samples_are_passed_over() -> None:
    source, control = ring(), Control(Host().read)
    source.lose(3)
    source.event(Kind.SOCKET, b"", generation=1)
    assert fed(control, source).connections == 1
