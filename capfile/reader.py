"""Bytes of a capture file in, frames out; what is damaged is skipped to the next sync marker and reported.

Yields what it can read and notes the rest in `report`. Raises only `CapfileError`s, and only where nothing can follow:
`NotACapture` at the start, `UnsupportedVersion` and `DamagedFrame` (an impossible event layout) at a Header.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, Self

from capfile.codec import compressed as compressed
from capfile.codec import decompressed as decompressed
from capfile.damage import Damage as Damage
from capfile.damage import DamageKind, Report
from capfile.errors import CapfileError, DamagedFrame, LimitExceeded, NotACapture, UnsupportedVersion
from capfile.frames import FRAME_TYPES, Chunk, End, Frame, FrameKind, Header
from capfile.layout import EventLayout
from capfile.limits import MAX_FRAMES, MAX_LEAD
from capfile.order import Order
from capfile.payload import CHUNK_PREFIX, decode, decode_chunk_map
from capfile.scan import CutFrame, RawFrame, Scanner
from capfile.source import Region, source_of
from capfile.wire import START, FrameHead

if TYPE_CHECKING:
    from pathlib import Path  # which loads the parsers of URLs and addresses: 5 ms of every start

State = Literal["complete", "cut", "damaged"]
Wanted = Callable[[int, Chunk], bool]

_KINDS: Final = frozenset(FrameKind)


class Reader:
    """Iterate the frames of one file or pipe. Afterwards `state`, `report`, `header` and `end` tell how it went.

    While iterating, `offset` is where the frame last yielded starts; `header` and `layout` belong to its segment.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        follow: bool = False,
        lazy: bool = False,
        wanted: Wanted | None = None,
        sound: int = 0,
        until: int | None = None,
    ) -> None:
        """`file` is read from its present position.

        `follow`: the file is still being written. Iteration ends at its present end, an unfinished frame there is no
        damage, and iterating again goes on from there; set `follow` to False before the last time. `lazy`: chunk data
        stay in the file (`Chunk.data` is a `Region`), so that listing needs no memory for them.
        `wanted(offset, chunk without data)`: other chunks are passed over unread and unverified; `offset` counts from
        the segment's first byte.
        `sound`: up to where an earlier reader of the same bytes found nothing wrong. Checksums of lazy chunks before it
        are not compared again. `until`: what a regular file has from this offset on is not read.
        """
        self._file = file
        self._wanted = wanted
        self._source = source_of(file, until)
        self._scanner = Scanner(self._source, lazy, sound)
        self._position = 0
        self._searched = 0  # while following: up to where damage was searched for a whole frame
        self._tag: int | None = None
        self._order = Order()
        self._closed = False  # the last frame was an End
        self.follow = follow and self._source.seekable  # the end of a pipe is final
        self.segment_offset = 0
        self.offset = 0
        self.header: Header | None = None
        self.layout: EventLayout | None = None
        self.end: End | None = None
        self.counts: Counter[FrameKind] = Counter()
        self.passed_over = 0  # chunks that were not wanted
        self.sound = 0  # nothing is wrong before this offset, and everything there was read
        self.report = Report()

    @classmethod
    def open(cls, path: str | Path, *, follow: bool = False, lazy: bool = False, wanted: Wanted | None = None) -> Self:
        """Open `path`; OSError as `open` raises it."""
        # Unbuffered: the source has its own read-ahead, and a pipe's bytes are wanted as soon as they come
        return cls(open(path, "rb", buffering=0), follow=follow, lazy=lazy, wanted=wanted)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def damage(self) -> list[Damage]:
        """What could not be read, in file order (at most MAX_DAMAGE entries)."""
        return self.report.entries

    @property
    def state(self) -> State:
        """Of what was read so far: all there and closed in order, ended early, or with something wrong in it."""
        if any(each.kind != "cut" for each in self.damage):
            return "damaged"
        return "complete" if self._closed and not self.damage else "cut"

    def __iter__(self) -> Iterator[Frame]:
        while (raw := self._next()) is not None:
            self._position = raw.end
            frame = self._accept(raw)
            if not self.passed_over and not self.report.entries:
                self.sound = raw.end
            self._source.release(raw.end)
            if frame is not None:
                self.offset = raw.offset
                yield frame
        if not self.follow and self._tag is None:
            raise NotACapture("not a capture file: " + ("no frame of it is whole" if self._position else "empty"), 0)

    # -- finding the next whole frame ----------------------------------------------------------------------------------

    def _next(self) -> RawFrame | None:
        """The next whole frame; what lies before it is reported. None at the end of the input."""
        try:
            return self._scanner.examine(self._position, self._skip if self._wanted else None)
        except CutFrame as error:
            return None if self.follow else self._resume(error)
        except (DamagedFrame, LimitExceeded) as error:
            return self._resume(error)

    def _resume(self, error: DamagedFrame | LimitExceeded) -> RawFrame | None:
        """Go to the next whole frame of this recording, or to the end if there is none, and report what was skipped."""
        start = self._position
        known = self._tag is not None or self._source.read(start, len(START)) == START
        gave_up: LimitExceeded | None = None
        raw = None
        try:
            raw = self._scanner.search(max(start + 1, self._searched), self._ours, None if known else MAX_LEAD)
        except LimitExceeded as limit:
            gave_up = limit
        if raw is None and not known:
            raise NotACapture("not a capture file: it does not start with a frame", 0)
        if raw is None and self.follow and gave_up is None:
            self._searched = max(start + 1, self._scanner.searched - len(START))
            return None
        end = raw.offset if raw is not None else self._source.end(start)
        self.report.add(start, end - start, self._kind(error, raw, gave_up), str(gave_up or error))
        self._position = end
        return raw

    def _kind(self, error: CapfileError, raw: RawFrame | None, gave_up: LimitExceeded | None) -> DamageKind:
        """What to call a stretch without frames. Blocks of zeros at the end are what a power cut leaves."""
        if gave_up is not None or isinstance(error, LimitExceeded):
            return "limit"
        return "cut" if raw is None and (isinstance(error, CutFrame) or self._scanner.only_zeros) else "damaged"

    def _ours(self, raw: RawFrame) -> bool:
        """Whether a frame found by its marker is one of this recording, not of a capture that was recorded in it."""
        if self._tag is None or raw.head.tag == self._tag:
            return True
        if raw.head.kind != FrameKind.HEADER or raw.head.sequence or self.header is None:
            return False
        with contextlib.suppress(CapfileError):
            header = decode(Header, raw.prefix(raw.head.length)).frame
            return isinstance(header, Header) and "" != header.recording_id == self.header.recording_id
        return False

    def _skip(self, prefix: bytes, head: FrameHead) -> bool:
        """Whether the chunk whose payload begins with `prefix` is not wanted."""
        if self._wanted is None or head.tag != self._tag:
            return False
        try:
            chunk = decode_chunk_map(prefix, head.length).chunk
        except CapfileError:
            return False  # the checksum will tell
        return not self._wanted(self._position - self.segment_offset, chunk)

    # -- accepting it --------------------------------------------------------------------------------------------------

    def _accept(self, raw: RawFrame) -> Frame | None:
        """What a raw frame says, if it belongs here, was not seen before and its payload is as its kind demands."""
        if not (self._belongs(raw) and self._in_order(raw)):
            return None
        number = raw.head.kind
        self._closed = number == FrameKind.END
        if number not in _KINDS:
            self.report.skipped(f"frame kind {number}")
            return None
        kind = FrameKind(number)
        self.counts[kind] += 1
        most = MAX_FRAMES[kind.name]
        if self.counts[kind] > most:
            self._reject(raw, LimitExceeded(f"more than {most} frames of kind {kind.name}"))
            return None
        try:
            return self._chunk(raw) if kind is FrameKind.CHUNK else self._plain(kind, raw)
        except (DamagedFrame, LimitExceeded) as error:
            self._reject(raw, error)
            return None
        except UnsupportedVersion as error:
            raise UnsupportedVersion(str(error), raw.offset) from None

    def _reject(self, raw: RawFrame, error: DamagedFrame | LimitExceeded) -> None:
        kind: DamageKind = "limit" if isinstance(error, LimitExceeded) else "damaged"
        self.report.add(raw.offset, raw.end - raw.offset, kind, str(error))

    def _belongs(self, raw: RawFrame) -> bool:
        """Take the tag of the first frame; another tag begins another segment, or is out of place."""
        head = raw.head
        if head.tag == self._tag:
            return True
        if self._tag is not None:
            if head.kind != FrameKind.HEADER or head.sequence:
                self._reject(raw, DamagedFrame("a frame of another recording"))
                return False
            if not self._closed:
                self.report.add(raw.offset, 0, "cut", "the segment before has no End frame")
        self._tag, self._order, self.segment_offset = head.tag, Order(), raw.offset
        self.header = self.layout = self.end = None
        return True

    def _in_order(self, raw: RawFrame) -> bool:
        """Compare its number with those before; a frame that was already there is not read twice."""
        verdict = self._order.place(raw.head.sequence)
        if verdict.first < verdict.end:
            detail = f"{verdict.end - verdict.first} frames missing, numbers {verdict.first} to {verdict.end - 1}"
            self.report.add(raw.offset, 0, "missing", detail)
        elif verdict.kind != "next":
            kind: DamageKind = "reordered" if verdict.kind == "late" else "duplicate"
            detail = f"frame number {raw.head.sequence} " + ("came late" if kind == "reordered" else "was there before")
            self.report.add(raw.offset, raw.end - raw.offset, kind, detail)
        return verdict.kind != "duplicate"

    def _chunk(self, raw: RawFrame) -> Chunk | None:
        chunk, start, unknown = decode_chunk_map(raw.prefix(CHUNK_PREFIX), raw.head.length)
        if not raw.checked:
            self.passed_over += 1
            return None
        self._note_unknown("Chunk", unknown)
        if isinstance(raw.payload, Region):
            return replace(chunk, data=raw.payload.part(start))
        return replace(chunk, data=memoryview(raw.payload)[start:])

    def _plain(self, kind: FrameKind, raw: RawFrame) -> Frame:
        frame, unknown = decode(FRAME_TYPES[kind], raw.prefix(raw.head.length))
        self._note_unknown(type(frame).__name__, unknown)
        if isinstance(frame, Header):
            self.layout = EventLayout(frame.layout, frame.event_size)
            self.header = frame
            self._note_unknown("event", self.layout.unknown)
        elif isinstance(frame, End):
            self.end = frame
        return frame

    def _note_unknown(self, where: str, names: tuple[str, ...]) -> None:
        for name in names:
            self.report.skipped(f"{where}.{name}")
