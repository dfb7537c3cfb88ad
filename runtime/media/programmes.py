"""The programmes of a transport stream: which streams belong together (ISO 13818-1, 2.4.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PACKET, SYNC = 188, 0x47
HEAD_BYTES = 4 << 20
PAT_PID, PAT_TABLE, PMT_TABLE = 0, 0, 2


def programmes(path: Path) -> list[frozenset[int]]:
    """Return the packet identifiers of the streams of every programme that the file begins with."""
    with path.open("rb") as file:
        data = file.read(HEAD_BYTES)
    tables: dict[int, dict[int, frozenset[int]]] = {}
    maps: set[int] = set()
    for pid, section in _sections(data, maps):
        if pid == PAT_PID and section[0] == PAT_TABLE:
            for at in range(8, len(section) - 7, 4):
                if section[at : at + 2] != b"\0\0":  # programme 0 is the network's own
                    maps.add(_pid(section, at + 2))
        elif pid in maps and section[0] == PMT_TABLE:
            number = int.from_bytes(section[3:5], "big")
            tables.setdefault(pid, {}).setdefault(number, frozenset(_streams(section)))
    return [streams for table in tables.values() for streams in table.values()]


def _streams(section: bytes) -> Iterator[int]:
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while at + 5 <= len(section) - 4:
        yield _pid(section, at + 1)
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)


def _sections(data: bytes, maps: set[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the whole sections of the tables on the identifiers of interest, in order."""
    waiting: dict[int, bytes] = {}
    for packet in _packets(data):
        pid = _pid(packet, 1)
        if pid != PAT_PID and pid not in maps:
            continue
        at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        payload = packet[at:] if packet[3] & 0x10 else b""
        if packet[1] & 0x40 and payload:  # a section begins here, behind a pointer to it
            waiting[pid] = payload[1 + payload[0] :]
        elif pid in waiting:
            waiting[pid] += payload
        section = waiting.get(pid, b"")
        while len(section) >= 3 and section[0] != 0xFF:
            length = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF)
            if length < 12 or len(section) < length:
                break
            yield pid, section[:length]
            section = section[length:]
        waiting[pid] = section


def _packets(data: bytes) -> Iterator[bytes]:
    """Cut into packets of 188 bytes; camcorders put 4 bytes before each, some senders 16 behind."""
    for stride in (PACKET, PACKET + 4, PACKET + 16):
        for start in range(stride):
            if data[start : start + 5 * stride : stride] == bytes([SYNC]) * len(
                data[start : start + 5 * stride : stride]
            ):
                ends = range(start, len(data) - PACKET + 1, stride)
                yield from (data[at : at + PACKET] for at in ends if data[at] == SYNC)
                return


def _pid(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big") & 0x1FFF
