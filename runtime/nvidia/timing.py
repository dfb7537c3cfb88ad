"""Timing caches: what a build measured of kernels, kept for the next build on the same device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from stylepress.replace import replacing_file, writing

LIMIT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class TimingCache:
    """One file for one compiler on one device in one power mode.

    A build reads it, and replaces it when it is done. Of two builds at once the later one stays;
    neither ever sees half a file.
    """

    path: Path

    @classmethod
    def of(
        cls, folder: Path, *, package: str, version: str, sm: str, device: str, mode: str | None
    ) -> TimingCache:
        """Return the cache of a compiler's build, SM, device name and power mode in ``folder``.

        >>> TimingCache.of(Path("t"), package="tensorrt", version="10.3.0.30", sm="8.7",
        ...     device="Orin (nvgpu)", mode="15W").path.name
        'tensorrt-10.3.0.30-sm87-orin-nvgpu-15w.timing'
        """
        words = (package, version, f"sm{sm.replace('.', '')}", device, mode or "no-mode")
        name = "-".join(re.sub(r"[^a-z0-9._]+", "-", word.lower()).strip("-") for word in words)
        return cls(folder / f"{name}.timing")

    def read(self) -> bytes:
        """Return what is kept; nothing where there is none, or none that can be read."""
        try:
            if self.path.stat().st_size > LIMIT_BYTES:
                return b""
            return self.path.read_bytes()
        except OSError:
            return b""

    def write(self, data: bytes) -> None:
        """Replace what is kept.

        Raises:
            OutputError: the folder cannot be written to, or the disk is full.
        """
        from filelock import FileLock

        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"), replacing_file(self.path) as beside:
                beside.write_bytes(data)
