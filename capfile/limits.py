"""Every limit of the capture file, named, with its reason. A reader never trusts a number that it read.

FORMAT.md §8 lists the same numbers; a test compares the two.
"""

from __future__ import annotations

from typing import Final

# -- one frame ---------------------------------------------------------------------------------------------------------
MAX_CHUNK: Final = 256 << 20  # ring bytes of one chunk, decompressed: the largest ring, drained at once
MAX_CHUNK_MAP: Final = 4096  # the map before them: eight short fields today
MAX_PAYLOAD: Final = MAX_CHUNK + MAX_CHUNK_MAP + 5  # … and the 5 bytes of the bin header between the two
MAX_METADATA: Final = 1 << 20  # payload of every other frame: 8,192 index rows of six numbers are at most 430 KB
MAX_ITEMS: Final = 8192  # of one array or map: NR_CPUS is at most 8,192 on x86; msgpack allocates what an array claims,
# at each of up to 1,024 open levels, so this number times 8 KiB bounds that memory (64 MiB)
MAX_NESTING: Final = 8  # arrays and maps in each other; ours need three
MAX_RATIO: Final = (
    4096  # decompressed : compressed; a ring of 32 KiB zero payloads with our headers reaches about 2,700
)
RATIO_FREE: Final = 64 << 10  # chunks up to this size may be compressed at any ratio

# -- one event ---------------------------------------------------------------------------------------------------------
MAX_EVENT_SIZE: Final = 4096  # bytes before the payload; 88 today
MAX_LAYOUT_FIELDS: Final = 256

# -- one file ----------------------------------------------------------------------------------------------------------
MAX_FRAMES: Final = {  # by the name of the kind; more of a kind are skipped and counted
    "HEADER": 65_536,  # segments put end to end
    "CHUNK": 1 << 32,  # a drain each 100 ms of 64 CPUs and two rings fills this in 38 days
    "PROCESS": 4_194_304,  # PID_MAX_LIMIT of a 64-bit kernel
    "SOCKET": 4_194_304,
    "COUNTERS": 100_000_000,  # one a second for three years
    "MARK": 1_048_576,
    "INDEX": 1 << 20,
    "END": 65_536,
}
MAX_LEAD: Final = 1 << 20  # bytes before the first frame that are searched before the input is called no capture
MAX_DAMAGE: Final = 10_000  # entries in the report; what comes after is counted
MAX_UNKNOWN_NAMES: Final = 1000  # different unknown fields and kinds that are told apart in the report
MAX_MISSING_RANGES: Final = 10_000  # ranges of missing frames remembered, in case that they come late
MAX_SEGMENTS: Final = 65_536  # files of one set

# After damage each candidate frame is checksummed over the length that it claims. Their sum may exceed the bytes of the
# file by this factor and grace, then the reader stops looking: a hostile file cannot make the search quadratic.
RESYNC_FACTOR: Final = 2
RESYNC_GRACE: Final = 1 << 30

# -- memory ------------------------------------------------------------------------------------------------------------
PIECE: Final = 1 << 20  # bytes read, checksummed and decompressed at a time
LOAD_AT_ONCE: Final = 4 << 20  # chunks of a seekable file above this are read in pieces when they are decoded
READ_AHEAD: Final = 64 << 10  # small reads of a file are answered out of one of this size
