"""What is logged and how: plain text on a terminal, JSON lines everywhere else, never a password."""

from __future__ import annotations

import json
import logging
import time
from typing import TextIO

from stylepress.runtime.serve.address import redacted

REPEAT_S = 10.0
MOST_REMEMBERED = 1000


class _Lines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry = {
            "timestamp": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if stream := getattr(record, "stream", ""):
            entry["stream"] = stream
        if record.exc_info:
            entry["trace"] = redacted(self.formatException(record.exc_info))
        return json.dumps(entry)


class _Text(logging.Formatter):
    """Time, level, stream and message for a person."""

    def format(self, record: logging.LogRecord) -> str:
        stream = getattr(record, "stream", "")
        where = f" [{stream}]" if stream else ""
        level = "" if record.levelno == logging.INFO else f" {record.levelname.lower()}:"
        text = f"{self.formatTime(record, '%H:%M:%S')}{level}{where} {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return redacted(text)


class _Seldom(logging.Filter):
    """Passes the same message once in a while; what a stranger causes must not fill a disk."""

    def __init__(self) -> None:
        super().__init__()
        self._last_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key, now = f"{getattr(record, 'stream', '')} {record.getMessage()}", time.monotonic()
        if now - self._last_s.get(key, -REPEAT_S) < REPEAT_S:
            return False
        if len(self._last_s) > MOST_REMEMBERED:
            self._last_s.clear()
        self._last_s[key] = now
        return True


def start_logging(out: TextIO, level: str = "info") -> None:
    """Log what the daemon says to ``out``, from ``level`` on."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(_Text() if out.isatty() else _Lines())
    handler.addFilter(_Seldom())
    # Of a request that is no HTTP aiohttp writes a whole trace, however many there are.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logger = logging.getLogger("stylepress.serve")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
