"""The pictures of a folder, each with its place in another folder, and the files that are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stylepress.errors import FrameError, OutputError
from stylepress.folder import files_below
from stylepress.picture import PHOTO_SUFFIXES, picture_kind
from stylepress.runtime.media.images import WRITABLE


def planned(source: Path, target: Path, *, overwrite: bool) -> tuple[dict[Path, Path], list[Path]]:
    """Pair every picture below ``source`` with its place below ``target``, in order of names.

    The other files are returned too.

    Raises:
        FrameError: there is no picture.
        OutputError: the target is a file, the source itself, or holds such files already.
    """
    if target.exists() and not target.is_dir():
        raise OutputError(
            f"{source} is a folder and {target} a file.", "Name a folder to write the pictures to."
        )
    if target.resolve() == source.resolve():
        raise OutputError(
            f"{target} is the folder that is read.", "Name another one, so that no photo is lost."
        )
    pictures: list[Path] = []
    others: list[Path] = []
    for path in files_below(source, leave_out=target):
        (pictures if _is_picture(path) else others).append(path.relative_to(source))
    places = {path: path.with_name(written_name(path.name)) for path in pictures}
    taken = {path for path, place in places.items() if path == place}
    for path, place in places.items():
        if path != place:
            places[path] = path.with_name(f"{path.name}.png") if place in taken else place
            taken.add(places[path])
    plan = {source / path: target / place for path, place in places.items()}
    if not plan:
        raise FrameError(
            f"{source} holds no picture, also not in its sub-folders.",
            "Name a folder with photos, e.g. .jpg or .png files.",
        )
    there = [place for place in plan.values() if _exists(place)]
    if there and not overwrite:
        raise OutputError(
            f"{len(there)} of {len(plan)} pictures exist already, e.g. {there[0]}.",
            "Name another folder, or replace them with `--overwrite`.",
        )
    return plan, others


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long, which writing will tell
        return False


def _is_picture(path: Path) -> bool:
    return path.is_file() and (
        path.suffix.lower() in PHOTO_SUFFIXES or picture_kind(path) is not None
    )


def passed_over(others: Sequence[Path]) -> str:
    """Tell of files that are no pictures, by their suffixes.

    >>> passed_over([Path("a.txt"), Path("b.mp4"), Path("c.TXT")])
    '3 files in it are no pictures and were passed over (2 .txt, 1 .mp4)'
    """
    kinds = Counter(path.suffix.lower() or path.name for path in others).most_common(5)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds)
    them = (
        "file in it is no picture and was"
        if len(others) == 1
        else ("files in it are no pictures and were")
    )
    return f"{len(others)} {them} passed over ({listed})"


def written_name(name: str) -> str:
    """Keep a name that can be written; otherwise the picture becomes a PNG.

    >>> written_name("a.JPG"), written_name("b.gif"), written_name("c")
    ('a.JPG', 'b.png', 'c.png')
    """
    path = Path(name)
    return name if path.suffix.lower() in WRITABLE else path.with_suffix(".png").name
