"""Addresses of inputs and outputs: which are allowed, and how they are shown without passwords."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote

from stylepress.errors import RecipeError

InputKind = Literal["file", "test", "rtsp", "mjpeg", "v4l2", "csi", "browser"]
OutputKind = Literal["file", "rtsp", "rtsp_server", "v4l2", "null"]
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
INPUT_SCHEMES = {
    "file": "file", "test": "test", "rtsp": "rtsp", "rtsps": "rtsp", "http": "mjpeg",
    "https": "mjpeg", "v4l2": "v4l2", "csi": "csi", "browser": "browser",
}  # fmt: skip
OUTPUT_SCHEMES = {"file": "file", "rtsp": "rtsp", "rtsps": "rtsp", "v4l2": "v4l2", "null": "null"}


@dataclass(frozen=True, slots=True)
class Address:
    """One input or output: what kind, where, and who asks there.

    ``place`` is a path, a device, a pattern or a camera number, or for network kinds everything
    behind the host. The password is in no ``repr``.
    """

    kind: str
    scheme: str
    place: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = ()

    @property
    def shown(self) -> str:
        """The address for logs and pages, without user, password and query."""
        if not self.host:
            return f"{self.scheme}://{self.place}"
        return f"{self.scheme}://{self.authority}{self.place.partition('?')[0]}"

    @property
    def url(self) -> str:
        """The address for FFmpeg, with user and password quoted."""
        who = quote(self.user, safe="") + (
            ":" + quote(self.password, safe="") if self.password else ""
        )
        return f"{self.scheme}://{who + '@' if who else ''}{self.authority}{self.place}"

    @property
    def authority(self) -> str:
        """Host and port, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == PORTS.get(self.scheme)
        return host if usual else f"{host}:{self.port}"


def parse_input(text: str) -> Address:
    """Read the address of an input, in the forms of jetson-utils.

    >>> parse_input("/dev/video0").kind, parse_input("0").kind, parse_input("rtsp://cam/1").port
    ('v4l2', 'csi', 554)
    >>> parse_input("rtsp://me:p@ss:word@cam:8554/1").password
    'p@ss:word'

    Raises:
        RecipeError: the scheme is none of those allowed, or the address is malformed.
    """
    if re.fullmatch(r"\d{1,2}", text):
        return Address("csi", "csi", text)
    if re.fullmatch(r"/dev/video\d{1,3}", text):
        return Address("v4l2", "v4l2", text)
    return _parse(text, INPUT_SCHEMES)


def parse_output(text: str) -> Address:
    """Read the address of an output: a folder, ``rtsp://``, ``v4l2://`` or ``null://``.

    Without a host, RTSP is served here, as in jetson-utils.

    >>> parse_output("rtsp://@:8554/door").kind, parse_output("rtsp://nvr/door").kind
    ('rtsp_server', 'rtsp')

    Raises:
        RecipeError: the scheme is none of those allowed, or the address is malformed.
    """
    if re.fullmatch(r"/dev/video\d{1,3}", text):
        return Address("v4l2", "v4l2", text)
    if served := re.fullmatch(r"rtsp://((?:.*@)?)(:\d{1,5}/[\w./-]*)", text):
        return _remote("rtsp_server", "rtsp", f"{served[1]}localhost{served[2]}")
    return _parse(text, OUTPUT_SCHEMES)


def redacted(text: str) -> str:
    """Take user and password out of every address in a text.

    >>> redacted("cannot open rtsp://me:se@cret@cam/1")
    'cannot open rtsp://cam/1'
    """
    return re.sub(r"(\b[a-z0-9+]+://)[^\s/]*@", r"\1", text, flags=re.IGNORECASE)


def _parse(text: str, schemes: dict[str, str]) -> Address:
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise RecipeError("An address holds a control character.", "Write it in plain letters.")
    scheme, mark, rest = text.partition("://")
    if not mark:
        if not re.search(r"[./]", text):
            raise RecipeError(
                f"{text!r} is no address.",
                f"Write a path with a dot or slash, or one of "
                f"{', '.join(f'{known}://' for known in schemes)}.",
            )
        scheme, rest = "file", text
    if scheme not in schemes:
        raise RecipeError(
            f"The address {redacted(text)!r} has the scheme {scheme!r}.",
            f"Use one of {', '.join(f'{known}://' for known in schemes)}.",
        )
    kind = schemes[scheme]
    if scheme not in PORTS:
        place, _, query = rest.partition("?") if kind == "test" else (rest, "", "")
        return Address(kind, scheme, _local(kind, place), options=tuple(parse_qsl(query)))
    return _remote(kind, scheme, rest)


def _local(kind: str, place: str) -> str:
    wanted = {"v4l2": r"/dev/video\d{1,3}", "csi": r"\d{1,2}", "test": r"[a-z]*"}.get(kind)
    if wanted and not re.fullmatch(wanted, place):
        raise RecipeError(f"{kind}://{place} is malformed.", f"It should match {kind}://{wanted}.")
    if kind == "file" and not place:
        raise RecipeError("A file has no name.", "Write its path behind file://.")
    return str(Path(place).expanduser()) if kind == "file" else place


def _remote(kind: str, scheme: str, rest: str) -> Address:
    authority, slash, path = rest.partition("/")
    who, _, place = authority.rpartition("@")
    user, _, password = who.partition(":")
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+))(?::(\d{1,5}))?", place)
    if match is None or not 0 < int(match[3] or PORTS[scheme]) < 65536:
        raise RecipeError(
            f"The address {redacted(f'{scheme}://{rest}')!r} names no host.",
            f"Write {scheme}://user:password@host:port/path, a slash in a password as %2F.",
        )
    port = int(match[3] or PORTS[scheme])
    host = match[1] or match[2]
    return Address(kind, scheme, slash + path, host, port, unquote(user), unquote(password))
