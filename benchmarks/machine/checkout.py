"""The checkout that measures: which commit it is at, and whether its files were changed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import stylepress


def own_checkout() -> Path:
    """Return the checkout of git that this program runs from.

    Raises:
        LookupError: it was installed, so that a checkout around it is another project's.
    """
    folder = Path(stylepress.__file__).parents[1]
    if not (folder / ".git").exists():
        raise LookupError("this program runs from no checkout of git")
    return folder


def commit(checkout: Path, *, apart: Sequence[str] = ()) -> str:
    """Return the commit of a checkout, with a ``+`` when its files differ; empty outside of git.

    The paths in ``apart`` (patterns of git) do not count as changes, nor do files that git does
    not know.
    """
    head = _git(checkout, "rev-parse", "--short=12", "HEAD")
    if not head:
        return ""
    others = [f":(exclude){path}" for path in apart]
    changed = _git(checkout, "status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    return f"{head}+" if changed else head


def own_commit() -> str:
    """Return the commit of the checkout that this program runs from.

    Raises:
        LookupError: there is none.
    """
    found = commit(own_checkout())
    if not found:
        raise LookupError("git does not tell the commit of the checkout")
    return found


def _git(checkout: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
