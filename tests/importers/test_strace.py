"""Logs of strace become sockets and bytes: every style of line, who shares descriptors, what was cut."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capfile.event import Flag, Reason, SocketFacts
from replay.importers.errors import InputError
from replay.importers.strace import read_strace
from replay.importers.strace_calls import CALLS
from replay.importers.strace_values import Items, Structure, Text, Word, arguments, unescape
from tests.importers.reading import Capture, Seen, imported

CUT = Reason.SNAPLEN
PEER = '{sa_family=AF_INET, sin_port=htons(4000), sin_addr=inet_addr("10.0.0.1")}, [16]'
ACCEPT = f"accept4(3, {PEER}, SOCK_CLOEXEC) = 7"
LISTEN = """\
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3
bind(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("10.0.0.2")}, 16) = 0
listen(3, 5) = 0
"""


def capture(log: str) -> Capture:
    return imported(read_strace, log.encode("latin-1"))


def only(log: str) -> Seen:
    (seen,) = capture(log).sockets
    return seen


def served(calls: str) -> Seen:
    """One accepted connection on descriptor 7, and what is done with it."""
    return only(LISTEN + ACCEPT + "\n" + calls)


# A report's own snippet, as it was pasted: no times, cut strings, other calls between, comments.
SNIPPET = r"""
... ...
143384 futex(0xc00003f148, FUTEX_WAKE_PRIVATE, 1) = 1
143384 accept4(3, 0xc00029fa58, [112], SOCK_CLOEXEC|SOCK_NONBLOCK) = -1 EAGAIN (Resource temporarily unavailable)
143384 read(7, "GET /ebpf/ HTTP/1.1\r\nHost: 192.1"..., 4096) = 404
143389 <... futex resumed>)             = 0
143385 nanosleep({tv_sec=0, tv_nsec=20000},  <unfinished ...>
... ...
143384 write(1, "[GIN] 2022/12/17 - 12:54:29 |\33[9"..., 113) = 113
143385 nanosleep({tv_sec=0, tv_nsec=20000},  <unfinished ...>
143384 write(7, "HTTP/1.1 200 OK\r\nContent-Type: t"..., 141) = 141
143384 read(7, 0xc0003c6000, 4096)      = -1 EAGAIN (Resource temporarily unavailable)
143384 epoll_pwait(4,  <unfinished ...>
... ...
143606 <... unlinkat resumed>)          = 0
143606 close(7 <unfinished ...>
143607 <... nanosleep resumed>NULL)     = 0
143606 <... close resumed>)             = 0
"""


def test_the_worked_examples_snippet_is_one_exchange_with_gaps_where_strace_cut() -> None:
    result = capture(SNIPPET)
    (seen,) = result.sockets
    assert seen.received == [b"GET /ebpf/ HTTP/1.1\r\nHost: 192.1", (404 - 32, CUT)]
    assert seen.sent == [b"HTTP/1.1 200 OK\r\nContent-Type: t", (141 - 32, CUT)]
    assert seen.flags == Flag.JOINED
    assert [mark.code for mark in result.marks] == ["presumed-socket", "threads-presumed", "lines-skipped"]
    assert {each.tgid for each in seen.events if each.tgid} == {143384}


def test_an_accepted_connection_has_both_addresses_its_process_and_its_descriptor() -> None:
    seen = served('read(7, "abc", 100) = 3\nwrite(7, "de", 2) = 2\nread(7, "", 100) = 0\nclose(7) = 0\n')
    assert (seen.received, seen.sent, seen.ends) == ([b"abc"], [b"de"], ["eof", "close"])
    assert seen.flags == Flag.ACCEPTED
    assert (seen.facts.local_port, seen.facts.remote_port) == (8080, 4000)
    assert seen.facts.local_address[:4] == socket.inet_aton("10.0.0.2")
    assert [(each.fd, each.syscall) for each in seen.events[1:3]] == [(7, 0), (7, 1)]


@pytest.mark.parametrize(
    "address",
    [
        '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}',
        r'{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("\x31\x32\x37\x2e\x30\x2e\x30\x2e\x31")}',
        '{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), '
        "sin6_scope_id=0}",
    ],
)
def test_a_connected_socket_has_its_peers_address_even_when_the_connect_is_under_way(address: str) -> None:
    family = "AF_INET6" if "INET6" in address else "AF_INET"
    for end in ("0", "-1 EINPROGRESS (Operation now in progress)"):
        seen = only(f'socket({family}, SOCK_STREAM, 0) = 5\nconnect(5, {address}, 28) = {end}\nwrite(5, "x", 1) = 1\n')
        assert seen.flags == Flag.CONNECTED
        assert seen.facts.remote_port == 80
        assert seen.facts.remote_address.rstrip(b"\0")[-1] == 1


def test_the_own_address_may_become_known_later() -> None:
    log = "socket(AF_INET, SOCK_STREAM, 0) = 5\n"
    log += 'connect(5, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.9")}, 16) = 0\n'
    log += 'getsockname(5, {sa_family=AF_INET, sin_port=htons(555), sin_addr=inet_addr("10.0.0.8")}, [128 => 16]) = 0\n'
    told = [SocketFacts.unpack(each.payload) for each in only(log).events]
    assert [(facts.local_port, facts.remote_port) for facts in told] == [(0, 80), (555, 80)]


def test_unix_sockets_and_pairs_are_streams_and_datagrams_are_not() -> None:
    log = """\
socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 5
connect(5, {sa_family=AF_UNIX, sun_path=@"abstract"}, 20) = 0
write(5, "one", 3) = 3
socketpair(AF_UNIX, SOCK_STREAM, 0, [8, 9]) = 0
write(8, "two", 3) = 3
read(9, "two", 10) = 3
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 10
sendto(10, "GET / HTTP/1.1\\r\\n\\r\\n", 18, 0, NULL, 0) = 18
socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) = 11
write(11, "GET / HTTP/1.1\\r\\n\\r\\n", 18) = 18
"""
    one, left, right = capture(log).sockets
    assert (one.sent, one.facts.remote_path.rstrip(b"\0")) == ([b"one"], b"\0abstract")
    assert (left.sent, right.received) == ([b"two"], [b"two"])
    assert left.flags == right.flags == Flag.PAIR


def test_what_is_no_socket_is_not_recorded() -> None:
    log = """\
openat(AT_FDCWD, "/x.http", O_RDONLY) = 5
read(5, "GET / HTTP/1.1\\r\\n\\r\\n", 100) = 18
pipe2([6, 7], O_CLOEXEC) = 0
write(7, "HTTP/1.1 200 OK\\r\\n\\r\\n", 19) = 19
write(1, "GET / HTTP/1.1\\r\\n\\r\\n", 18) = 18
eventfd2(0, EFD_CLOEXEC) = 8
write(8, "\\1\\0\\0\\0\\0\\0\\0\\0", 8) = 8
read(99, "\\1\\0\\0\\0\\0\\0\\0\\0", 8) = 8
"""
    assert capture(log).sockets == []


@pytest.mark.parametrize(
    ("printed", "data"),
    [
        (r"a\r\n\t\"\\\0\33[9\377", b'a\r\n\t"\\\0\x1b[9\xff'),
        (r"\x47\x45\x54\x00\xff", b"GET\0\xff"),
        (r"\0001\1a\v\f", b"\x001\x01a\v\f"),
        (r"\e[1m\q\'\\N\\u0041\\", b"\x1b[1mq'\\N\\u0041\\"),
        (r"\u0041\N{DIGIT ONE}\x4", b"u0041N{DIGIT ONE}x4"),
        ("", b""),
    ],
)
def test_escapes_of_both_styles(printed: str, data: bytes) -> None:
    assert unescape(printed) == data


def test_an_escape_over_255_is_no_byte() -> None:
    with pytest.raises(ValueError, match="ordinal"):
        unescape(r"a\777")


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_printed_in_either_style_come_back(data: bytes, hexadecimal: bool) -> None:
    """As util.c of strace prints them: octal escapes are as short as what follows allows."""
    named = {9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 34: r"\"", 92: "\\\\"}
    printed = ""
    for byte, following in zip(data, [*data[1:], 0], strict=False):
        if hexadecimal:
            printed += f"\\x{byte:02x}"
        elif 32 <= byte < 127 or byte in named:
            printed += named.get(byte, chr(byte))
        else:
            printed += f"\\{byte:03o}" if chr(following).isdecimal() else f"\\{byte:o}"
    assert unescape(printed) == data


def test_arguments_are_parsed_in_all_their_shapes() -> None:
    text = r'7<TCP:[[::1]:8080->[::1]:5]>, [{iov_base="a,)\"", iov_len=5}, ...], {fd=3, ...}, '
    text += '[128 => 16], A|B, f(-1, "x"))'
    values, at = arguments(text, 0)
    assert at == len(text)
    assert values == [
        Word("7", "TCP:[[::1]:8080->[::1]:5]"),
        Items((Structure({"iov_base": Text(b'a,)"'), "iov_len": Word("5")}),), cut=True),
        Structure({"fd": Word("3")}),
        Items((Word("16"),)),
        Word("A|B"),
        Word("f", "", (Word("-1"), Text(b"x"))),
    ]


@pytest.mark.parametrize("text", ["7", '"open', "[1, 2)", "{a=", "(" * 100 + ")", "[" * 5000, "\\"])
def test_arguments_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        arguments(text, 0)


TIMES = {
    "none": ("", "", ""),
    "-t": ("12:00:01 ", "12:00:02 ", "12:00:02 "),
    "-tt": ("12:00:01.000001 ", "12:00:01.000002 ", "12:00:01.000003 "),
    "-ttt": ("1600000001.000001 ", "1600000001.000002 ", "1600000001.000003 "),
    "-r": ("     0.000000 ", "     0.000002 ", "     0.000001 "),
    "-r -tt": ("12:00:01.1 (+     0.0) ", "12:00:01.2 (+     0.1) ", "12:00:01.3 (+     0.1) "),
    "-r -ttt": ("1600000001.1 (+     0.0) ", "1600000001.2 (+     0.1) ", "1600000001.3 (+     0.1) "),
}
BETWEEN = {"nothing": "", "-i": "[00007f1f2b6a5a9a] ", "-n": "[  45] ", "-n -i": "[   0] [????????????????] "}
PIDS = {"none": "", "-f -o": "4711 ", "-f": "[pid  4711] ", "-Y": "4711<server> ", "-f -Y": "[pid  4711<server>] "}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("pids", PIDS)
def test_every_form_of_a_line_gives_the_same_bytes(times: str, pids: str) -> None:
    calls = (ACCEPT, 'read(7, "abc", 100) = 3', 'write(7, "de", 2) = 2')
    seen = only("".join(f"{PIDS[pids]}{time}{call}\n" for time, call in zip(TIMES[times], calls, strict=True)))
    assert (seen.received, seen.sent) == ([b"abc"], [b"de"])
    assert {each.tgid for each in seen.events} == ({4711} if pids != "none" else {0})


@pytest.mark.parametrize("between", BETWEEN)
def test_numbers_and_instruction_pointers_before_a_call_are_passed_over(between: str) -> None:
    calls = (ACCEPT, 'read(7, "abc", 100) = 3', 'write(7, "de", 2) = 2')
    seen = only("".join(f"12 12:00:01.5 {BETWEEN[between]}{call}\n" for call in calls))
    assert (seen.received, seen.sent) == ([b"abc"], [b"de"])


def test_stacks_dumps_and_signals_are_straces_own_lines() -> None:
    log = f"""\
strace: Process 4711 attached
{ACCEPT}
 > /usr/lib/libc.so.6(__libc_accept+0x1a) [0xfdb8a]
read(7, "abc", 9) = 3
 | 00000  61 62 63                                          abc |
--- SIGCHLD {{si_signo=SIGCHLD, si_code=CLD_EXITED}} ---
+++ exited with 0 +++
"""
    result = capture(log)
    assert result.sockets[0].received == [b"abc"]
    assert result.marks == []


def test_the_names_that_strace_gives_processes_are_kept() -> None:
    assert [each.comm for each in capture(f"4711<server> {ACCEPT}\n").processes] == ["server"]


def test_times_are_those_of_the_return() -> None:
    log = f'4 23:59:59.500000 {ACCEPT} <0.250000>\n4 00:00:01.000000 read(7, "abc", 9) = 3\n'
    seen = only(log)
    day = 24 * 3600 * 10**9
    assert [each.time for each in seen.events] == [day - 250_000_000, day + 10**9], "the log goes on after midnight"


def test_interrupted_calls_are_put_together() -> None:
    log = f"""\
1 {ACCEPT}
1 read(7,  <unfinished ...>
2 write(2, "noise <unfinished ...>", 22) = 22
1 <... read resumed>"abc", 100) = 3
1 write(7, "de", 2 <unfinished ...>
2 write(2, "noise", 5) = 5
1 <... write resumed>) = 2
1 read(7,  <unfinished ...>
2 futex(0x1, FUTEX_WAKE, 1) = 0
1 <... read resumed> "old", 100) = 3
"""
    seen = only(log)
    assert (seen.joined("received"), seen.sent) == ([b"abcold"], [b"de"])


def test_a_call_that_began_before_a_close_moves_the_bytes_of_the_socket_it_began_with() -> None:
    log = f"""\
1 {ACCEPT}
2 read(7,  <unfinished ...>
1 close(7 <unfinished ...>
1 <... close resumed>) = 0
1 {ACCEPT}
2 <... read resumed>"first", 100) = 5
2 read(7, "second", 100) = 6
"""
    one, two = capture(log).sockets
    assert (one.received, two.received) == ([b"first"], [b"second"])


def test_a_number_given_out_before_its_close_has_returned_is_the_new_socket() -> None:
    log = f"""\
1 {ACCEPT}
2 read(7, "first", 100) = 5
2 close(7 <unfinished ...>
1 {ACCEPT}
2 <... close resumed>) = 0
2 read(7, "second", 100) = 6
"""
    one, two = capture(log).sockets
    assert (one.received, two.received) == ([b"first"], [b"second"])


def test_abbreviated_strings_are_sized_gaps_in_every_call() -> None:
    seen = served(
        'recvfrom(7, "GET /"..., 4096, 0, NULL, NULL) = 50\n'
        'readv(7, [{iov_base="ab"..., iov_len=10}, {iov_base="cd"..., iov_len=10}], 2) = 15\n'
        'recvmsg(7, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="xy"..., iov_len=100}], msg_iovlen=1, '
        "msg_controllen=0, msg_flags=0}, 0) = 30\n"
    )
    assert seen.joined("received") == [b"GET /", (45, CUT), b"ab", (8, CUT), b"cd", (3, CUT), b"xy", (28, CUT)]


def test_short_writes_and_failed_calls_move_what_they_returned() -> None:
    seen = served(
        'write(7, "abcdef", 6) = 2\nwrite(7, "cdef", 4) = -1 EAGAIN (Resource temporarily unavailable)\n'
        'sendto(7, "cdef", 4, MSG_NOSIGNAL, NULL, 0) = 4\nread(7, 0x7ffc, 10) = -1 ECONNRESET (Connection reset)\n'
        'writev(7, [{iov_base="gh", iov_len=2}, {iov_base="", iov_len=0}, {iov_base="ijk", iov_len=3}], 3) = 4\n'
        'read(7, "x", 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)\n'
    )
    assert seen.joined("sent") == [b"abcdefghij"]
    assert seen.received == []


def test_peeks_move_nothing_and_discarded_bytes_are_a_gap() -> None:
    seen = served(
        'recvfrom(7, "abc", 3, MSG_PEEK, NULL, NULL) = 3\nrecvfrom(7, "abc", 3, 0, NULL, NULL) = 3\n'
        'recvfrom(7, "stale", 5, MSG_TRUNC, NULL, NULL) = 5\nrecvfrom(7, "!", 1, MSG_OOB, NULL, NULL) = 1\n'
        'recvmsg(7, {msg_name=NULL, msg_iov=[{iov_base="q", iov_len=1}], msg_iovlen=1, msg_flags=0}, MSG_PEEK) = 1\n'
    )
    assert seen.received == [b"abc", (5, Reason.MSG_TRUNC)]


def test_of_urgent_bytes_the_last_is_none_of_the_stream() -> None:
    """tcp(7): the receiver gets it by MSG_OOB alone."""
    seen = served('sendto(7, "abcdefghi!", 10, MSG_OOB, NULL, 0) = 10\nwrite(7, "j", 1) = 1\n')
    assert seen.joined("sent") == [b"abcdefghij"]


def test_reads_and_writes_at_no_position_move_bytes() -> None:
    seen = served(
        'preadv2(7, [{iov_base="a", iov_len=1}, {iov_base="bcd", iov_len=3}], 2, -1, 0) = 4\n'
        'pwritev2(7, [{iov_base="xyz", iov_len=3}], 1, -1, RWF_NOWAIT) = 2\n'
    )
    assert (seen.joined("received"), seen.joined("sent")) == ([b"abcd"], [b"xy"])


def test_a_file_without_a_name_is_sent_like_any_other() -> None:
    seen = served("sendfile(7<socket:[11]>, 4</memfd:body>(deleted), NULL, 3000) = 3000\n")
    assert seen.sent == [(3000, Reason.SENDFILE)]
    log = 'openat(AT_FDCWD, "/x", O_RDONLY) = 9</x>(deleted)\nread(9</x>(deleted), "GET / HTTP/1.1", 14) = 14\n'
    assert capture(log).sockets == []


RIGHTS = "msg_control=[{{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[{}]}}], msg_controllen=24"
CARRIES = '{{msg_name=NULL, msg_namelen=0, msg_iov=[{{iov_base="x", iov_len=1}}], msg_iovlen=1, {}, msg_flags=0}}'


def carried(number: int) -> str:
    return CARRIES.format(RIGHTS.format(number))


@pytest.mark.parametrize("many", [False, True])
def test_a_descriptor_sent_through_a_pair_is_the_same_socket_where_it_comes_out(many: bool) -> None:
    send, receive = f"sendmsg(8, {carried(7)}, 0) = 1", f"recvmsg(9, {carried(5)}, 0) = 1"
    if many:
        send = f"sendmmsg(8, [{{msg_hdr={carried(7)}, msg_len=1}}], 1, 0) = 1"
        receive = f"recvmmsg(9, [{{msg_hdr={carried(5)}, msg_len=1}}], 1, 0, NULL) = 1"
    log = f"""\
1 {ACCEPT}
1 socketpair(AF_UNIX, SOCK_STREAM, 0, [8, 9]) = 0
1 fork() = 2
1 {send}
1 close(7) = 0
1 {ACCEPT}
2 close(7) = 0
2 {receive}
2 read(5, "no request", 99) = 10
1 read(7, "another", 99) = 7
2 write(5, "no answer", 9) = 9
2 close(5) = 0
"""
    result = capture(log)
    first, second = (seen for seen in result.sockets if seen.flags == Flag.ACCEPTED)
    assert (first.received, first.sent, first.ends) == ([b"no request"], [b"no answer"], ["close"])
    assert second.received == [b"another"]
    assert [mark.code for mark in result.marks] == []


def test_a_descriptor_that_came_from_nobody_in_the_log_is_named_and_not_taken_for_an_old_one() -> None:
    result = capture(
        f'{ACCEPT}\nsocket(AF_UNIX, SOCK_STREAM, 0) = 9\nrecvmsg(9, {carried(7)}, 0) = 1\nwrite(7, "x", 1) = 1\n'
    )
    assert all(seen.sent == [] for seen in result.sockets)
    assert [(mark.code, mark.detail) for mark in result.marks] == [
        ("descriptor-received", "1 descriptor from a Unix socket, not known without -yy")
    ]


def test_a_log_of_network_calls_alone_says_that_most_is_not_in_it() -> None:
    """A server may well accept(2) and then read(2) and write(2)."""
    result = capture(LISTEN + ACCEPT + "\n")
    assert [(mark.code, mark.detail) for mark in result.marks] == [
        ("calls-missing", "1 socket but not one read, write or close, which -e trace=network,desc shows")
    ]


def test_messages_that_strace_left_out_are_named() -> None:
    message = '{msg_hdr={msg_name=NULL, msg_iov=[{iov_base="one", iov_len=3}], msg_iovlen=1}, msg_len=3}'
    result = capture(f"{ACCEPT}\nsendmmsg(7, [{message}, ...], 3, 0) = 3\nclose(7) = 0\n")
    assert result.sockets[0].sent == [b"one"]
    assert [(mark.code, mark.detail) for mark in result.marks] == [
        ("messages-missing", "2 messages that strace left out: bytes are missing")
    ]


def test_sendfile_and_splice_are_gaps_with_their_reasons() -> None:
    seen = served(
        "sendfile(7, 9, [0] => [1000], 1000) = 1000\nsplice(7, NULL, 11, NULL, 65536, 0) = 20\n"
        "splice(10, NULL, 7, NULL, 65536, SPLICE_F_MOVE) = 30\n"
    )
    assert seen.sent == [(1000, Reason.SENDFILE), (30, Reason.SPLICE)]
    assert seen.received == [(20, Reason.SPLICE)]


def test_many_messages_in_one_call() -> None:
    message = '{{msg_hdr={{msg_name=NULL, msg_iov=[{{iov_base="{0}", iov_len={1}}}], msg_iovlen=1}}, msg_len={1}}}'
    vector = ", ".join(message.format(text, len(text)) for text in ("one", "two"))
    seen = served(f"sendmmsg(7, [{vector}], 2, MSG_NOSIGNAL) = 2\nrecvmmsg(7, [{vector}], 2, 0, NULL) = 1\n")
    assert (seen.joined("sent"), seen.joined("received")) == ([b"onetwo"], [b"one"])


def test_shutdown_ends_the_directions_it_names() -> None:
    assert served("shutdown(7, SHUT_WR) = 0\nshutdown(7, SHUT_RD) = -1 ENOTCONN (no)\n").ends == ["shutdown send"]
    assert served("shutdown(7, SHUT_RDWR) = 0\n").ends == ["shutdown both"]


def test_duplicates_are_the_same_socket_and_the_last_close_ends_it() -> None:
    seen = served(
        'dup(7) = 8\nfcntl(8, F_DUPFD_CLOEXEC, 10) = 10\ndup2(10, 11) = 11\nclose(7) = 0\nwrite(8, "a", 1) = 1\n'
        'openat(AT_FDCWD, "/", O_RDONLY) = 7\nclose_range(8, 10, 0) = 0\nwrite(11, "b", 1) = 1\n'
        'dup3(7, 11, O_CLOEXEC) = 11\nwrite(11, "GET / HTTP/1.1\\r\\n\\r\\n", 18) = 18\n'
    )
    assert seen.joined("sent") == [b"ab"]


def test_a_reused_number_is_another_socket() -> None:
    one, two = capture(f'{ACCEPT}\nwrite(7, "a", 1) = 1\nclose(7) = 0\n{ACCEPT}\nwrite(7, "b", 1) = 1\n').sockets
    assert (one.sent, one.ends, two.sent) == ([b"a"], ["close"], [b"b"])


@pytest.mark.parametrize("clone", ["clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD)", "fork()"])
def test_threads_and_children_have_their_parents_sockets(clone: str) -> None:
    log = f'1 {ACCEPT}\n1 {clone} = 2\n2 read(7, "abc", 9) = 3\n1 write(7, "de", 2) = 2\n'
    seen = only(log)
    assert (seen.received, seen.sent) == ([b"abc"], [b"de"])
    assert seen.events[1].tid == 2
    assert seen.events[1].tgid == (2 if clone == "fork()" else 1)


def test_a_child_that_is_seen_before_its_parents_call_returns_is_known_by_that_call() -> None:
    log = f"""\
1 {ACCEPT}
1 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD <unfinished ...>
2 close(3) = 0
2 read(7, "abc", 9) = 3
1 <... clone resumed>, child_tidptr=0x7f) = 2
1 close(7) = 0
1 accept4(3, {PEER}, SOCK_CLOEXEC) = 7
2 write(7, "de", 2) = 2
1 write(7, "other", 5) = 5
"""
    one, two = capture(log).sockets
    assert (one.received, one.sent, two.sent) == ([b"abc"], [b"de"], [b"other"])


def test_threads_nobody_saw_made_share_descriptors() -> None:
    """`-e trace=network,desc` shows no clone: a server's threads just appear."""
    log = f'{prefixed(1, LISTEN)}1 {ACCEPT}\n2 read(7, "abc", 9) = 3\n3 write(7, "de", 2) = 2\n2 close(7) = 0\n'
    seen = only(log)
    assert (seen.received, seen.sent) == ([b"abc"], [b"de"])
    assert {each.tgid for each in seen.events if each.tgid} == {1}


def prefixed(pid: int, lines: str) -> str:
    return "".join(f"{pid} {line}\n" for line in lines.splitlines())


def test_workers_that_are_given_the_same_number_are_processes_of_their_own() -> None:
    log = prefixed(1, LISTEN)
    log += f'2 {ACCEPT}\n3 {ACCEPT}\n2 read(7, "two", 9) = 3\n3 read(7, "three", 9) = 5\n4 {ACCEPT}\n'
    log += '4 read(7, "four", 9) = 4\n3 write(7, "THREE", 5) = 5\n2 write(7, "TWO", 3) = 3\n2 close(7) = 0\n'
    two, three, four = capture(log).sockets
    assert (two.received, two.sent, two.ends) == ([b"two"], [b"TWO"], ["close"])
    assert (three.received, three.sent) == ([b"three"], [b"THREE"])
    assert four.received == [b"four"]


def test_a_forking_server_closes_its_copy_and_the_child_goes_on() -> None:
    log = f'{prefixed(1, LISTEN)}1 {ACCEPT}\n1 close(7) = 0\n2 read(7, "abc", 9) = 3\n1 {ACCEPT}\n'
    log += '2 write(7, "de", 2) = 2\n2 close(7) = 0\n3 read(7, "next", 9) = 4\n'
    one, two = capture(log).sockets
    assert (one.received, one.sent) == ([b"abc"], [b"de"])
    assert two.received == [b"next"]


def test_notes_of_yy_decide_across_all_threads() -> None:
    note = "TCP:[10.0.0.2:8080->10.0.0.1:4000]"
    log = f'1 read(7<{note}>, "abc", 9) = 3\n2 write(9<{note}>, "de", 2) = 2\n1 write(5</var/log/x>, "no", 2) = 2\n'
    log += "3 close(5<pipe:[12]>) = 0\n"
    seen = only(log)
    assert (seen.received, seen.sent, seen.flags) == ([b"abc"], [b"de"], Flag.JOINED)
    assert (seen.facts.local_port, seen.facts.remote_port) == (8080, 4000)


def test_notes_of_yy_show_that_a_number_was_reused_unseen() -> None:
    notes = ("TCPv6:[[::1]:80->[::1]:1]", "TCPv6:[[::1]:80->[::1]:2]")
    one, two = capture("".join(f'read(7<{note}>, "abc", 9) = 3\n' for note in notes)).sockets
    assert (one.facts.remote_port, two.facts.remote_port) == (1, 2)


def test_inode_notes_identify_sockets_and_change_when_connected() -> None:
    log = """\
1 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5<TCP:[777]>
1 connect(5<TCP:[777]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.9")}, 16) = 0
2 write(5<TCP:[10.0.0.8:555->10.0.0.9:80]>, "abc", 3) = 3
3 recvfrom(8<socket:[888]>, "x", 1, 0, NULL, NULL) = 1
4 sendto(9<socket:[888]>, "y", 1, 0, NULL, 0) = 1
"""
    one, two = capture(log).sockets
    assert one.sent == [b"abc"]
    assert (two.received, two.sent) == ([b"x"], [b"y"])


def test_processes_that_exit_and_programs_that_are_replaced_close_descriptors() -> None:
    log = f"1 {ACCEPT}\n1 +++ exited with 0 +++\n"
    assert only(log).ends == ["close"]
    result = capture('1 execve("/usr/bin/server", ["server", "-x"], 0x7f /* 9 vars */) = 0\n' + f"1 {ACCEPT}\n")
    assert (result.processes[0].exe, result.processes[0].command_line) == ("/usr/bin/server", ["server", "-x"])


def test_io_uring_is_named_as_a_blind_spot() -> None:
    assert capture("io_uring_setup(8, {flags=0}) = 5\n").marks[0].code == "io_uring"


def test_a_log_without_any_call_is_refused_and_bad_lines_are_counted() -> None:
    with pytest.raises(InputError, match="no line of it is a system call"):
        capture("hello\nworld\n")
    result = capture(ACCEPT + '\nread(7, [broken = 3\nread("x", 1) = 1\n')
    assert [mark.detail for mark in result.marks] == ["2 lines with arguments that could not be read, skipped"]


def test_every_call_of_the_table_survives_odd_arguments() -> None:
    odd = [
        "",
        "7",
        "NULL",
        "7, NULL, 5",
        '7, "x"',
        "[]",
        "{}, {}, {}, {}",
        "7, [{iov_base=1}], 1",
        "-1, -1, -1, -1",
        "...",
    ]
    ends = ("0", "-1 EBADF (Bad)", "5", "?", "0x7f")
    for name in CALLS:
        lines = [f"1 {name}({text}) = {end}\n1 {ACCEPT}\n" for text in odd for end in ends]
        assert len(capture("".join(lines)).sockets) >= len(lines)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_any_cutting_and_interleaving_of_calls_gives_the_same_streams(data: st.DataObject) -> None:
    """Several threads, calls interrupted anywhere, strings in either style: the streams are those of the calls."""
    draw = data.draw
    streams: dict[int, list[bytes]] = {7: [b"", b""], 8: [b"", b""]}
    queues: dict[int, list[list[str]]] = {}
    for fd in streams:
        queues[fd] = []
        for _ in range(draw(st.integers(0, 8))):
            payload = draw(st.binary(min_size=1, max_size=20))
            sends = draw(st.booleans())
            printed = "".join(f"\\x{byte:02x}" if draw(st.booleans()) else f"\\{byte:03o}" for byte in payload)
            streams[fd][sends] += payload
            call = (f'write({fd}, "{printed}", {len(payload)}', f") = {len(payload)}")
            if not sends:
                call = (f"read({fd}, ", f'"{printed}", 4096) = {len(payload)}')
            name = "write" if sends else "read"
            whole = draw(st.booleans())
            lines = [call[0] + call[1]] if whole else [f"{call[0]} <unfinished ...>", f"<... {name} resumed>{call[1]}"]
            queues[fd].append(lines)
    log = [f"1 {ACCEPT}", f"1 {ACCEPT[:-1]}8"]
    pending = {fd: [line for lines in queue for line in lines] for fd, queue in queues.items()}
    while any(pending.values()):
        fd = draw(st.sampled_from([fd for fd, lines in pending.items() if lines]))
        log.append(f"{fd} {pending[fd].pop(0)}")
    one, two = capture("\n".join(log) + "\n").sockets
    for seen, fd in ((one, 7), (two, 8)):
        assert b"".join(seen.received) == streams[fd][0]  # type: ignore[arg-type]
        assert b"".join(seen.sent) == streams[fd][1]  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.text(max_size=60), st.sampled_from([ACCEPT, *SNIPPET.splitlines(), 'read(7, "a', "<... "])))
)
def test_garbage_gives_a_capture_or_an_input_error(lines: list[str]) -> None:
    with contextlib.suppress(InputError):
        imported(read_strace, "\n".join(lines).encode())


def test_a_long_hostile_line_takes_linear_time(tmp_path: Path) -> None:
    for text in (
        'read(7, "' + "\\" * 300_000,
        "read(" + "7<" * 200_000,
        "read(7, " + "/*" * 200_000,
        "1" * 300_000 + " x",
    ):
        with contextlib.suppress(InputError):
            capture(text + "\n")
