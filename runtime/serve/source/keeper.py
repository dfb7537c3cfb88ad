"""Keeps one source alive for ever: starts its process, watches it, and tries again when it is lost."""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from stylepress.runtime.serve.address import Address, parse_input, redacted
from stylepress.runtime.serve.config import ServeLimits, parse_size
from stylepress.runtime.serve.slate import slate
from stylepress.runtime.serve.slots import Sent, SlotMemory, SlotReader, socket_pair
from stylepress.runtime.serve.stream import Frame, Stream

BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
JITTER = 0.2
STEADY_S = 10.0
"""A source that gave frames for so long begins again with the shortest wait."""
PROBE_S, POLL_S = 1.0, 0.2
SLATE_S = 0.5
START_S = 20.0
"""How long a process may take until it runs; a busy small box is slow."""

log = logging.getLogger("stylepress.serve.source")


class Keeper(threading.Thread):
    """The thread of one source."""

    def __init__(self, stream: Stream, limits: ServeLimits) -> None:
        """Take the stream to feed; ``start`` begins."""
        super().__init__(name=f"source {stream.name}", daemon=True)
        self.stream, self.limits = stream, limits
        self.address: Address = parse_input(stream.entry.input)
        self.starts = 0
        self._left = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._frames_since_s = 0.0
        self._slated_s = 0.0

    def run(self) -> None:
        """Open, watch, and open again, until ``stop``."""
        failures = 0
        while not self._left.is_set():
            reason, steady = self._round(failures)
            if self._left.is_set():
                break
            if reason == "ended":
                self.stream.become("ended", "The file is over.")
                return
            failures = 1 if steady else failures + 1
            kind, _, text = reason.partition(":")
            self.stream.ledger.reconnects[kind] += 1
            self.stream.become("lost", text)
            log.warning(
                "%s is lost: %s", self.address.shown, text, extra={"stream": self.stream.name}
            )

    def _round(self, failures: int) -> tuple[str, bool]:
        """Run one process of the source; return why it ended, and whether it ran for a while."""
        reader: SlotReader | None = None
        try:
            # Begun before the wait, so that a camera that is back need not wait for imports.
            reader = self._spawn()
            if failures and not self._wait(failures):
                return "stopped:", True
            return self._watch(reader)
        except Exception as error:
            log.exception("a source cannot be watched", extra={"stream": self.stream.name})
            self._left.wait(BACK_OFF_S[0])
            return f"crash:{type(error).__name__} in the process of the source.", False
        finally:
            self._end(reader)

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the process and the thread."""
        self._left.set()
        process = self._process
        if process is not None:
            process.kill()
        if self.is_alive():
            self.join(timeout_s)

    def _spawn(self) -> SlotReader:
        memory = SlotMemory(self.limits.pixels)
        ours, theirs = socket_pair()
        entry = self.stream.entry
        wish: dict[str, Any] = {
            "kind": self.address.kind,
            "url": self._url(),
            "place": self.address.place,
            "size": parse_size(entry.size),
            "fps": entry.fps,
            "loop": entry.loop,
            "transport": entry.transport,
            "decoder": entry.decoder,
            "timeout_s": entry.timeout_s,
            "options": dict(self.address.options),
            "limit_pixels": self.limits.pixels,
            "memory_mb": self.limits.source_memory_mb,
            "memory": memory.file,
            "line": theirs.fileno(),
            "parent": os.getpid(),
        }
        self.starts += 1
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stylepress.runtime.serve.source.process"],
            stdin=subprocess.PIPE,
            pass_fds=(memory.file, theirs.fileno()),
        )
        assert self._process.stdin is not None
        # By stdin, so that no password stands in the list of processes.
        try:
            self._process.stdin.write(json.dumps(wish).encode())
            self._process.stdin.close()
        except OSError:  # it died at once: the watch finds out
            pass
        theirs.close()
        return SlotReader(memory, ours)

    def _url(self) -> str:
        return self.address.place if self.address.kind == "v4l2" else self.address.url

    def _watch(self, reader: SlotReader) -> tuple[str, bool]:
        """Pass frames on until the source is lost; return why, and whether it ran for a while."""
        stream = self.stream
        if stream.state != "lost":
            stream.become("starting", f"Opening {self.address.shown}.")
        reader.go()
        last = time.monotonic()
        since: float | None = None
        losses = (0, 0)

        def steady() -> bool:
            return since is not None and time.monotonic() - since > STEADY_S

        while not self._left.is_set():
            try:
                message = reader.receive(POLL_S)
            except (EOFError, ValueError):
                return self._gone(), steady()
            now = time.monotonic()
            losses = self._counted(losses, message)
            if isinstance(message, Sent):
                if since is None:
                    since = now
                    stream.source_changed()
                last = now
                self._pass(reader, message)
            elif message is not None and message["event"] == "lost":
                return f"error:{redacted(str(message.get('reason')))}", steady()
            elif message is not None and message["event"] == "ended":
                return "ended", True
            elif message is not None:
                stream.codec = str(message.get("codec", ""))
            if now - last > self._patience(since is None):
                return f"timeout:No picture for {now - last:.0f} s.", steady()
            if now - last > stream.entry.timeout_s:
                self._slate()
        return "stopped:", True

    def _counted(
        self, before: tuple[int, int], message: Sent | dict[str, Any] | None
    ) -> tuple[int, int]:
        """Count what was crowded out and what was corrupt since ``before``; return both counts."""
        if message is None:
            return before
        if isinstance(message, Sent):
            crowded, corrupt = message.crowded, message.corrupt
        else:
            crowded, corrupt = int(message["crowded"]), int(message["corrupt"])
        self.stream.ledger.lose(crowded - before[0], "crowded")
        self.stream.ledger.corrupt += corrupt - before[1]
        return crowded, corrupt

    def _patience(self, opening: bool) -> float:
        """Say after how long without a frame the process is given up; the first start is slow."""
        timeout_s = self.stream.entry.timeout_s
        if not opening:
            return timeout_s + 0.5
        return max(timeout_s + 2.0, START_S if self.starts == 1 else 0.0)

    def _pass(self, reader: SlotReader, sent: Sent) -> None:
        pixels = reader.memory.frame(sent.slot, sent.height, sent.width)
        release = partial(reader.release, sent.slot)
        frame = Frame(sent.number, sent.captured_ns, pixels, release)
        if self.stream.state != "live":
            self.stream.become("live")
            log.info("%s is live", self.address.shown, extra={"stream": self.stream.name})
        self.stream.put(frame)

    def _gone(self) -> str:
        process = self._process
        code = None
        if process is not None:
            try:
                code = process.wait(1.0)
            except subprocess.TimeoutExpired:
                process.kill()
        return f"crash:The process of the source ended with code {code}."

    def _wait(self, failures: int) -> bool:
        """Wait before the next try; a camera that answers again is tried at once."""
        pause = BACK_OFF_S[min(failures, len(BACK_OFF_S)) - 1]
        pause *= 1 + JITTER * (2 * random.random() - 1)
        until, was_there = time.monotonic() + pause, self._is_there()
        probed = time.monotonic()
        while (now := time.monotonic()) < until:
            if self._left.wait(min(0.1, until - now)):
                return False
            self._slate()
            if time.monotonic() - probed >= PROBE_S:
                probed, there = time.monotonic(), self._is_there()
                if there and not was_there:
                    return True
                was_there = there
        return not self._left.is_set()

    def _is_there(self) -> bool:
        """Whether anybody would answer: a port that is open, a device or file that exists."""
        if self.address.host:
            try:
                socket.create_connection((self.address.host, self.address.port), 0.5).close()
            except OSError:
                return False
            return True
        if self.address.kind in ("file", "v4l2"):
            return Path(self.address.place).exists()
        return True

    def _slate(self) -> None:
        stream = self.stream
        now = time.monotonic()
        if now - self._slated_s < SLATE_S or not stream.entry.slate:
            return
        self._slated_s = now
        if stream.state == "live":
            stream.become("lost", "No picture from the camera.")
        size = stream.size or parse_size(stream.entry.size) or (360, 640)
        last = stream.last.pixels if stream.last is not None else None
        if last is not None and last.shape[:2] != size:
            last = None
        stream.publish_slate(slate(stream.name, stream.reason, size, behind=last))

    def _end(self, reader: SlotReader | None) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        if reader is not None:
            reader.close()
