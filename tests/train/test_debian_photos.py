"""Photos out of Debian packages, with a stand-in for apt that has packed some itself."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from PIL import Image

from stylepress.errors import FrameError
from stylepress.progress import Silent
from stylepress.train.debian_photos import PACKAGES, fetch

APT = """#!/bin/sh
[ "$1" = download ] || exit 1
: > "$2_1.0_all.deb"
"""
DPKG = """#!/bin/sh
name=$(basename "$2" | cut -d_ -f1)
mkdir -p "$3" && cp -r "$STORE/$name/." "$3"
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with one wanted photo a package, a small one, and one that is held out."""
    store, tools = tmp_path / "store", tmp_path / "tools"
    for name, package in PACKAGES.items():
        place = package.names[0].replace("*", "photo").replace("?", "1")
        path = store / name / package.folder / place
        path = path if path.suffix == ".jpg" else path.with_suffix(".jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2048, 1500), "teal").save(path)
    data = store / "opencv-doc" / PACKAGES["opencv-doc"].folder / "data"
    Image.new("RGB", (100, 100)).save(data / "icon.jpg")
    Image.new("RGB", (400, 400)).save(data / "starry_night.jpg")
    (data / "vtest.avi").write_bytes(b"a film")
    tools.mkdir()
    for name, script in {"apt-get": APT, "dpkg-deb": DPKG}.items():
        (tools / name).write_text(script)
        (tools / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STORE", str(store))
    return store


def test_photos_are_kept_smaller_with_their_licences_and_what_is_held_out_is_not(
    store: Path, tmp_path: Path
) -> None:
    done = fetch(tmp_path / "photos", Silent())
    photos = sorted((tmp_path / "photos").glob("*.jpg"))
    assert len(photos) == done.count == len(PACKAGES)
    assert not done.reused
    assert {min(Image.open(photo).convert("L").size) for photo in photos} == {1024}
    licences = (tmp_path / "photos/LICENSES.md").read_text()
    assert all(name in licences and package.terms in licences for name, package in PACKAGES.items())
    assert (tmp_path / "photos/opencv-doc-vtest.avi").read_bytes() == b"a film"
    assert "`opencv-doc`: 1 pictures and a film" in licences
    assert not [photo for photo in photos if "starry" in photo.name or "icon" in photo.name]


def test_a_folder_that_is_full_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert fetch(tmp_path, Silent()).reused


def test_a_package_that_cannot_be_fetched_is_told_with_what_apt_said(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "apt-get").write_text("#!/bin/sh\necho 'E: Unable to locate' >&2; exit 100\n")
    (broken / "apt-get").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{broken}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(FrameError, match=r"cannot fetch opencv-doc.*Unable to locate"):
        fetch(tmp_path / "photos", Silent())
    assert not (tmp_path / "photos").exists()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(FrameError, match="apt-get is not here"):
        fetch(tmp_path / "photos", Silent())
