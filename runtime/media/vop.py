"""Headers of MPEG-4 part 2: whether a packet holds a picture, or says that the last one stays."""

from __future__ import annotations

import re

LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
PLANE = b"\x00\x00\x01\xb6"
LONGEST_BYTES = 64
"""More than the fields of a header need that are read here."""
EXTENDED_ASPECT, GRAY_SHAPE = 15, 3


class _Bits:
    """Numbers of any width, the highest bit first; zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:LONGEST_BYTES].ljust(LONGEST_BYTES, b"\0"), "big")
        self._left = 8 * LONGEST_BYTES

    def take(self, width: int) -> int:
        self._left -= width
        return (self._value >> max(0, self._left)) & ((1 << width) - 1)


class PictureHeaders:
    """Read the headers of one stream in order (ISO/IEC 14496-2, 6.2.3 and 6.2.5)."""

    def __init__(self, extradata: bytes | None) -> None:
        """Take what the container holds of the stream's headers, if it holds any."""
        self._time_bits: int | None = None
        self._note_layer(extradata or b"")

    def picture(self, packet: bytes) -> bool:
        """Return whether the decoder makes a picture of a packet: it has a plane that is coded."""
        at = packet.find(PLANE)
        if at < 0:
            return False
        self._note_layer(packet[:at])
        if self._time_bits is None:
            return True
        bits = _Bits(packet[at + len(PLANE) :])
        bits.take(2)  # vop_coding_type
        for _ in range(8 * LONGEST_BYTES):  # modulo_time_base: a one for each second
            if not bits.take(1):
                break
        bits.take(1 + self._time_bits + 1)  # vop_time_increment between two markers
        return bool(bits.take(1))  # vop_coded

    def _note_layer(self, header: bytes) -> None:
        """Note the width of vop_time_increment, which the header of the layer gives."""
        layer = LAYER.search(header)
        if layer is None:
            return
        bits = _Bits(header[layer.end() :])
        bits.take(1 + 8)  # random_accessible_vol, video_object_type_indication
        version = 1
        if bits.take(1):
            version = bits.take(4)
            bits.take(3)  # video_object_layer_priority
        if bits.take(4) == EXTENDED_ASPECT:
            bits.take(8 + 8)
        if bits.take(1):  # vol_control_parameters
            bits.take(2 + 1)  # chroma_format, low_delay
            if bits.take(1):
                bits.take(79)  # vbv_parameters
        if bits.take(2) == GRAY_SHAPE and version != 1:
            bits.take(4)  # video_object_layer_shape_extension
        bits.take(1)
        self._time_bits = max(1, (bits.take(16) - 1).bit_length())
