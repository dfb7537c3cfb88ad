"""How long work tells where it stands, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a stage reports to while it works; the CLI draws it, tests and libraries ignore it."""

    def start(self, title: str, total: int | None) -> None:
        """Begin one piece of work of ``total`` steps (None when nobody knows)."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Tell that ``steps`` more are done; ``note`` is a short figure, e.g. ``loss 0.12``."""

    def finish(self) -> None:
        """End the piece of work begun last."""

    def say(self, message: str) -> None:
        """Tell one line that a user should read."""

    def warn(self, message: str) -> None:
        """Tell one line about something that was skipped or mended on the way."""


class Silent:
    """The Progress that nobody hears."""

    def start(self, title: str, total: int | None) -> None:
        """Ignore it."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Ignore it."""

    def finish(self) -> None:
        """Ignore it."""

    def say(self, message: str) -> None:
        """Ignore it."""

    def warn(self, message: str) -> None:
        """Ignore it."""
