"""A packet capture in, a capture file out: packets, link, network, TCP, one stage after the other.

Remarks: what was skipped and why, and where the file broke off. Both stand in the imported file as marks too.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from capfile.words import counted
from replay.importers.link import LINK_TYPES, network
from replay.importers.network import NetworkLayer
from replay.importers.packets import PacketFile
from replay.importers.recording import Recording
from replay.importers.source import Source
from replay.importers.tcp import Flows

# Skipped in every ordinary capture (ARP, DNS, …): counted in the file; the user is told where there is nothing else.
ORDINARY: Final = frozenset(("no IP packet", "not TCP"))


def read_pcap(source: Source, recording: Recording) -> list[str]:
    """Import all packets. Returns what the user should know; `InputError` when it is no packet capture."""
    packets, layer, flows = PacketFile(source), NetworkLayer(), Flows(recording)
    unknown: Counter[int] = Counter()
    time = 0
    for packet in packets:
        time = packet.time
        if packet.link not in LINK_TYPES:
            unknown[packet.link] += 1
            continue
        segment = layer.segment(network(packet), packet.time)
        if segment is not None:
            flows.take(segment)
    flows.finish()
    layer.finish()
    skipped = layer.skipped + flows.skipped
    skipped.update({f"unknown link type {link}": count for link, count in unknown.items()})
    for why, count in sorted(skipped.items()):
        recording.mark("packets-skipped", time, f"{count}: {why}")
    if packets.damage:
        recording.mark("input-cut", time, packets.damage)
    recording.finish("input-cut" if packets.damage else "imported")
    remarks = [
        f"{counted(count, 'packet')} skipped: {why}"
        for why, count in sorted(skipped.items())
        if why not in ORDINARY or not recording.sockets
    ]
    if differing := recording.marks["tcp-overlap"]:
        what = "in which a retransmission says something else than what was seen first; the first was kept"
        remarks.append(counted(differing, "connection", what))
    return [*remarks, packets.damage] if packets.damage else remarks
