"""Every bound of the HTTP/1 reader, each with its reason. What exceeds one is named by a problem; reading goes on."""

from __future__ import annotations

from typing import Final

# Servers refuse heads of 8 KiB (Apache, nginx), 16 KiB (Node.js) or 64 KiB; four times the largest is no head any more.
MAX_HEAD_BYTES: Final = 256 * 1024

# RFC 9112 §3 recommends at least 8,000 octets for a request line; eight times that is tolerated.
MAX_START_LINE_BYTES: Final = 64 * 1024

# A start line sought in unframed bytes: what RFC 9112 §3 recommends and a bit, because each new byte looks at it again.
MAX_SOUGHT_LINE_BYTES: Final = 8 * 1024 + 256

# A chunk-size line with its extensions; llhttp and hyper stop at 16 KiB as well.
MAX_CHUNK_LINE_BYTES: Final = 16 * 1024

# A length is a signed 64-bit file offset everywhere it is used; larger numbers are attacks on that.
MAX_LENGTH: Final = 2**63 - 1

# Body bytes kept for display and export. Counting and hashing go on beyond it.
MAX_BODY_KEPT: Final = 16 * 1024 * 1024

# Output of the content decoders: a page of zeros compresses 1,000 : 1 per layer, so the output is what must be bounded.
MAX_DECODED_BYTES: Final = 16 * 1024 * 1024

# More layers than anybody applies on purpose (RFC 9110 §8.4 sets no bound).
MAX_CODINGS: Final = 4

# Requests that may wait for a response on one connection before the oldest are listed without one; wrk pipelines
# hundreds, a flood a million.
MAX_WAITING: Final = 4096

# How often a client must be seen to wait for its answer before it asks again, until it is believed to do so always:
# eight times, or sixteen if something was lost before, so that it only seems to. A client that sends one to four
# requests at once would have to choose one each time.
ENOUGH_WAITING: Final = 16

# Responses held back after a loss, because later ones may tell whose they are; as many as it takes to believe.
MAX_HELD_RESPONSES: Final = 16

# Requests of which it is not known whether they were answered, kept apart: each further response looks at them.
MAX_DOUBTED: Final = 64

# Candidates for one response whose methods are compared, and not more: the next bytes tell whether it has a body.
MAX_COMPARED: Final = 32

# Interim responses listed for one exchange; the specification sets no bound, and a server may send one each second.
MAX_INFORMATIONAL: Final = 1024

# What a client that pipelines has lost of the responses may be interim ones alone if it is smaller: one is 25 bytes
# ("HTTP/1.1 100 Continue"), with a link or two 100. None of these counts.
MIN_LOST_FINAL_BYTES: Final = 128

# More messages than any loss can hide that is reckoned with; sums of them stay in a machine word.
MAX_HIDDEN: Final = 1 << 32

# The same bound in bytes of heads and bodies.
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024

# Bytes that a field or a problem takes beside its text: a tuple or a Struct and two strings. A head of 256 KiB can have
# 40,000 fields of six bytes, which take 8 MB.
OBJECT_WEIGHT: Final = 192

# Bytes after a CONNECT that wait for its answer (an eager TLS hello is 0.5 to 2 KiB).
MAX_HELD_BYTES: Final = 1024 * 1024

# Reads and gaps that such bytes come in: one of a single byte weighs a hundred.
MAX_HELD_EVENTS: Final = 16 * 1024

# Parsed heads are remembered, because clients and servers repeat themselves. Few and small ones: where nothing repeats,
# each new head pushes out an old one, and a memory that the processor's cache does not hold costs more than it saves
# (with 2,048 heads, replay of varied traffic took a fifth longer than with 256).
HEADS_REMEMBERED: Final = 256
MAX_REMEMBERED_HEAD_BYTES: Final = 2048

# Problems named on one exchange; a head of 256 KiB could hold 80,000.
MAX_PROBLEMS: Final = 64

# Text taken from the wire into a problem's detail.
MAX_DETAIL: Final = 120
