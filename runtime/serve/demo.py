"""The configuration of ``serve --demo``: shipped styles on a test picture, a camera or a file."""

from __future__ import annotations

from pathlib import Path

from stylepress.artifact import MANIFEST
from stylepress.errors import RecipeError
from stylepress.runtime.serve.config import Configuration, StreamEntry, Style

SIZE = "640x360"
PLACES = ("recipes", "runs", "demo")


def demo_configuration(camera: str | None, *, folder: Path = Path()) -> Configuration:
    """Look for bundles below ``folder``, and show them on ``camera`` or a test picture.

    Raises:
        RecipeError: there is no bundle.
    """
    roots = (folder, Path(__file__).resolve().parents[2])
    bundles = {
        place.parent.name: place
        for root in reversed(roots)
        for name in PLACES
        for place in sorted((root / name).glob("*/bundle"))
        if (place / MANIFEST).is_file()
    }
    if not bundles:
        raise RecipeError(
            "No bundle was found in recipes/ or runs/.",
            "Build one with `stylepress build`, or write a configuration that names yours.",
        )
    styles = {
        name: Style(bundle=place, picture=_picture(place, name)) for name, place in bundles.items()
    }
    if camera is not None and camera.isdigit():
        camera = f"/dev/video{camera}"
    entry = StreamEntry(input=camera or "test://", size=SIZE)
    return Configuration(styles=styles, streams={"demo": entry})


def _picture(place: Path, name: str) -> Path | None:
    picture = place.parents[1] / "styles" / f"{name}.png"
    return picture if picture.is_file() else None
