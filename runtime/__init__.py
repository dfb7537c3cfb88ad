"""From a bundle to frames on this device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from stylepress.runtime.model import Model

__all__ = ["open_bundle"]


def open_bundle(folder: str | PathLike[str], **options: Any) -> Model:
    """Open a bundle in the fastest engine of this machine: ``open_bundle("candy/bundle")``.

    The choice is measured once and kept in the user's cache. ``options`` are those of
    ``stylepress.runtime.model.open_model``: ``backend``, ``size``, ``lanes``, ``cache`` (None
    keeps nothing), ``progress``. Nothing of an engine is imported before this is called.

    Raises:
        ArtifactError: it is no bundle, or was altered.
        BackendError: no engine can run it here.
    """
    from stylepress.runtime.model import open_model

    return open_model(folder, **options)
