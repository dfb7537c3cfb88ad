"""Photos to train on, out of packages that Debian distributes freely; fetched by apt, cached."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from PIL import Image, ImageOps

from stylepress.errors import FrameError
from stylepress.progress import Progress
from stylepress.replace import replacing_folder

SIDE = 1024
"""Shorter side of what is kept, in pixels; the packages hold up to 5640."""
LEAST_SIDE = 200
QUALITY = 92
PATIENCE_S = 600
LIMIT_PIXELS = 60_000_000


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package: where its pictures lie, which of them are photos, and on what terms.

    ``names`` are patterns of paths below ``folder``, ``without`` those left out: test charts,
    drawings, second views of one scene, and every picture that is held out for judging. ``film`` is
    real footage, for judging motion: no training reads it.
    """

    folder: str
    names: tuple[str, ...]
    terms: str
    without: tuple[str, ...] = ()
    film: str = ""


PACKAGES: Mapping[str, Package] = {
    "opencv-doc": Package(
        "usr/share/doc/opencv-doc/examples",
        ("data/*.jpg", "data/*.png", "text/scenetext0?.jpg", "hfs/data/*.jpg"),
        "Apache-2.0 and BSD-3-Clause",
        (
            *("data/left*", "data/right*", "data/*GT*", "data/aloeR*", "data/basketball2*"),
            *("data/cards*", "data/chess*", "data/detect_blob*", "data/digits*", "data/ela_mod*"),
            *("data/ellipses*", "data/gradient*", "data/graf3*", "data/imageTextR*", "data/pca*"),
            *("data/pic?.png", "data/rubberwhale2*", "data/text_motion*", "data/*ogo*"),
            *("data/Blender_Suzanne1*", "data/ml.png", "data/mask*", "data/tmpl*", "data/templ*"),
            *("data/starry_night*", "data/home*", "data/leuven*"),
            *("text/scenetext01*", "text/scenetext06*"),
        ),
        film="data/vtest.avi",
    ),
    "lomiri-wallpapers-16.04": Package(
        "usr/share/backgrounds",
        ("*.jpg",),
        "CC-BY-4.0, CC-BY-SA-4.0 or CC0-1.0, each by the author in its name",
        ("picosdeeuropa*",),
    ),
    "mate-backgrounds": Package(
        "usr/share/backgrounds/mate", ("nature/*.jpg", "abstract/Elephants.jpg"), "GPL-2+"
    ),
    "plasma-workspace-wallpapers": Package(
        "usr/share/wallpapers",
        ("*/contents/images/1920x1080.*", "*/contents/images/[35]*.*"),
        "GPL-2+",
        ("Kay/*", "MilkyWay/*", "Opal/*", "Flow/*"),
    ),
}


@dataclass(frozen=True, slots=True)
class Collected:
    """A folder of photos: how many lie in it, and whether they had been fetched before."""

    folder: Path
    count: int
    reused: bool


def fetch(folder: Path, progress: Progress) -> Collected:
    """Fill ``folder`` with some ninety photos, a film and a LICENSES.md; one that is there stays.

    250 MB are downloaded, 40 MB are kept. The packages come through apt, which checks their
    signatures; nothing is installed and no root is needed.

    Raises:
        FrameError: no apt here, or it cannot fetch a package; the message says what apt said.
        OutputError: the folder cannot be written.
    """
    if folder.is_dir() and (there := sorted(folder.glob("*.jpg"))):
        return Collected(folder, len(there), reused=True)
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FrameError(
                f"{tool} is not here, so photos cannot be fetched from Debian's packages.",
                "Name a folder of your own photos instead; a dozen varied ones are enough.",
            )
    progress.start("Fetching photos", len(PACKAGES))
    lines = ["# Photos from Debian packages", ""]
    count = 0
    try:
        with replacing_folder(folder) as beside:
            for name, package in PACKAGES.items():
                with tempfile.TemporaryDirectory() as scratch:
                    root = _unpacked(name, Path(scratch))
                    taken = [_kept(path, name, beside) for path in _chosen(root, package)]
                    film = root / package.folder / package.film
                    if filmed := film.is_file():
                        shutil.copyfile(film, beside / f"{name}-{film.name}")
                kept = sum(taken)
                count += kept
                lines.append(
                    f"- `{name}`: {kept} pictures{' and a film' * filmed}, {package.terms}; "
                    f"see /usr/share/doc/{name}/copyright of the package"
                )
                progress.advance(note=f"{count} photos")
            (beside / "LICENSES.md").write_text("\n".join(lines) + "\n", "utf-8")
    finally:
        progress.finish()
    return Collected(folder, count, reused=False)


def _unpacked(name: str, scratch: Path) -> Path:
    """Download a package into ``scratch`` and unpack it there."""
    _called(["apt-get", "download", name], scratch, name)
    files = list(scratch.glob("*.deb"))
    if not files:
        raise FrameError(
            f"apt fetched nothing for {name}.", "Run `apt-get update`, then try again."
        )
    root = scratch / "root"
    _called(["dpkg-deb", "--extract", str(files[0]), str(root)], scratch, name)
    return root


def _called(command: list[str], folder: Path, name: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FrameError(
            f"{command[0]} did not fetch {name} ({error}).",
            "Try again, or name a folder of photos.",
        ) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise FrameError(
            f"{command[0]} cannot fetch {name} ({said}).",
            "Run `apt-get update`, or name a folder of photos.",
        )


def _chosen(root: Path, package: Package) -> Iterator[Path]:
    """Yield the pictures of a package that are wanted, in name order."""
    base = root / package.folder
    for path in sorted(base.rglob("*")):
        place = path.relative_to(base).as_posix()
        wanted = any(fnmatch(place, pattern) for pattern in package.names)
        if wanted and path.is_file() and not any(fnmatch(place, no) for no in package.without):
            yield path


def _kept(path: Path, package: str, folder: Path) -> bool:
    """Save one picture, made smaller, under a name that tells its package; False if it is none."""
    with Image.open(path) as file:
        if min(file.size) < LEAST_SIDE or file.width * file.height > LIMIT_PIXELS:
            return False
        image = ImageOps.exif_transpose(file).convert("RGB")
    scale = SIDE / min(image.size)
    if scale < 1:
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    parts = [part for part in path.parts[-4:] if part not in ("contents", "images", "data")]
    stem = "-".join(parts[-2:]).rsplit(".", 1)[0]
    image.save(folder / f"{package}-{stem}.jpg", quality=QUALITY)
    return True
