"""Photo folders: what is read, what is left out, what is drawn."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from stylepress.errors import FrameError
from stylepress.picture import read_picture
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


def test_several_threads_draw_what_one_draws(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylepress.train.photos.KEPT_BYTES", 20_000)  # decoded again and again
    (folder / "1.png").write_bytes(b"not a picture")
    alone = Photos.below(folder, Silent())
    expected = [alone.crop(torch.Generator().manual_seed(seed), 32) for seed in range(60)]
    listener = Listener()
    shared = Photos.below(folder, listener)
    with ThreadPoolExecutor(6) as threads:
        crops = threads.map(
            lambda seed: shared.crop(torch.Generator().manual_seed(seed), 32), range(60)
        )
    assert all(map(torch.equal, expected, crops))
    assert len(listener.warnings) == 1


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


def test_photos_are_read_as_run_reads_them(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 80 * 80).reshape(80, 80).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    clear = np.zeros((80, 80, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "b.png")
    Image.new("RGB", (80, 80), (9, 99, 199)).save(tmp_path / "c.avif", quality=99)
    Image.new("RGB", (80, 80), (9, 99, 199)).save(tmp_path / "d.jfif", "JPEG", quality=99)
    photos = Photos.below(tmp_path, Silent())
    assert [path.name for path in photos.paths] == ["a.png", "b.png", "c.avif", "d.jfif"]
    for index, path in enumerate(photos.paths):
        assert np.array_equal(np.asarray(photos.at(index)), read_picture(path).on_white())
    assert abs(np.asarray(photos.at(0)).mean() - 127.5) < 1
    assert np.asarray(photos.at(1)).min() == 255


def test_a_style_of_16_bits_a_profile_or_transparency_is_what_a_viewer_shows(
    tmp_path: Path,
) -> None:
    deep = np.linspace(0, 65535, 80 * 80).reshape(80, 80).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    style = read_style(tmp_path / "deep.png")
    assert float(style.min()) == 0
    assert abs(float(style.mean()) - 0.5) < 0.01
    Image.new("RGBA", (80, 80), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert float(read_style(tmp_path / "clear.png").min()) == 1
    linear = ImageCms.createProfile("LAB")
    Image.new("LAB", (80, 80), (255, 128, 128)).save(
        tmp_path / "lab.tif", icc_profile=ImageCms.ImageCmsProfile(linear).tobytes()
    )
    assert float(read_style(tmp_path / "lab.tif").min()) > 0.98
    (tmp_path / "plot.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n")
    with pytest.raises(FrameError, match=r"plot\.eps is no picture"):
        read_style(tmp_path / "plot.eps")


def test_what_is_remarked_is_said_once_for_all_photos(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGBA", (80, 80), (0, 0, 0, 9)).save(tmp_path / name)
    listener = Listener()
    photos = Photos.below(tmp_path, listener)
    for index in (0, 1, 2, 0):
        photos.at(index)
    (warning,) = listener.warnings
    assert "transparent parts are taken as white" in warning


def test_linked_folders_of_photos_are_read(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    Image.new("RGB", (80, 80)).save(tmp_path / "far" / "a.png")
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far")
    assert len(Photos.below(tmp_path / "near", Silent())) == 1
