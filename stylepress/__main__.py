"""The command ``stylepress``: answers --version at once, hands everything else to cli.py."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["--version"], ["-V"]):
        from stylepress import __version__

        sys.stdout.write(f"stylepress {__version__}\n")
        return 0
    # Pydantic would look for plugins in every package that is installed: 20 ms of each start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from stylepress.cli import run

    code = run(words)
    # As it ends, Python looks through every object once more: 1.5 s after a network was traced.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
