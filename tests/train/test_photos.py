"""Photo folders: what is read, what is left out, what is drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylepress.errors import FrameError
from stylepress.progress import Silent
from stylepress.train.photos import Photos, read_style


class Listener(Silent):
    """Remembers the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        """Note it."""
        self.warnings.append(message)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index, size in enumerate([(80, 60), (64, 100), (200, 120)]):
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    return tmp_path


def test_a_bad_file_is_warned_about_once_counted_and_skipped(folder: Path) -> None:
    (folder / "1.png").write_bytes(b"not a picture")
    listener = Listener()
    photos = Photos.below(folder, listener)
    sizes = {photos.at(index).size for index in (0, 1, 2, 1, 1)}
    assert sizes == {(80, 60), (200, 120)}
    assert len(photos.bad) == 1
    assert len(listener.warnings) == 1
    assert "1.png" in listener.warnings[0]


def test_a_seed_is_a_crop(folder: Path) -> None:
    photos = Photos.below(folder, Silent())
    one, two = (photos.crop(torch.Generator().manual_seed(5), 32) for _ in range(2))
    assert one.shape == (3, 32, 32)
    assert torch.equal(one, two)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1


def test_the_kept_photos_have_a_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylepress.train.photos.KEPT_BYTES", 3 * 80 * 60)
    photos = Photos.below(folder, Silent())
    for index in range(6):
        photos.at(index)
    assert len(photos._kept) == 1


def test_frames_keep_their_shape_under_the_limit(folder: Path) -> None:
    shapes = [frame.shape for frame in Photos.below(folder, Silent()).frames(9, most_side=100)]
    assert shapes == [(1, 60, 80, 3), (1, 100, 64, 3), (1, 60, 100, 3)]


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert Photos.below(tmp_path, Silent()).at(0).size == (20, 40)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="holds no photos"):
        Photos.below(tmp_path, Silent())


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no folder of photos"):
        Photos.below(tmp_path / "none", Silent())


def test_a_folder_of_nothing_but_damage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.jpg").write_bytes(b"xx")
    photos = Photos.below(tmp_path, Silent())
    with pytest.raises(FrameError, match="None of the 2 photos"):
        photos.at(0)


def test_a_huge_photo_is_left_out_before_it_is_decoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylepress.train.photos.LIMIT_PIXELS", 100 * 100)
    listener = Listener()
    photos = Photos.below(folder, listener)
    photos.at(2)
    assert "the limit is" in listener.warnings[0]


def test_a_style_picture_smaller_than_the_patches_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (63, 200)).save(tmp_path / "s.png")
    with pytest.raises(FrameError, match="63x200"):
        read_style(tmp_path / "s.png")
