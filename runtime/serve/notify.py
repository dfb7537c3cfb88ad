"""Tells systemd how the daemon is: the few lines of sd_notify(3) that are needed."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """The datagram socket of systemd, if there is one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Take ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        self._place = environ.get("NOTIFY_SOCKET", "")
        if self._place.startswith("@"):
            self._place = "\0" + self._place[1:]
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "") if mine else ""
        self.watchdog_s = int(usec) / 1e6 if usec.isdigit() and int(usec) else None

    def send(self, *lines: str) -> None:
        """Send e.g. ``READY=1``; without systemd nothing happens."""
        if not self._place:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.sendto("\n".join(lines).encode(), self._place)
        except OSError:  # systemd is restarting itself: the next message reaches it
            pass
