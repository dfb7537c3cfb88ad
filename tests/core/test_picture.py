"""Any picture in, upright 8-bit sRGB out, with its alpha and its tags."""

from __future__ import annotations

import struct
import sys
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from stylepress.errors import FrameError
from stylepress.picture import Picture, PictureKind, animation, is_heif, picture_kind, read_picture
from stylepress.runtime.media.images import write_picture

ORIENTATION = 0x0112
ARTIST = 0x013B
# How a viewer shows the stored pixels, by EXIF orientation (Exif 2.3, table of tag 274).
SHOWN = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored),
}


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    """An asymmetric picture, (5, 7, 3)."""
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def loaded(path: Path) -> Image.Image:
    """A picture, decoded, with its file closed."""
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.parametrize("orientation", SHOWN)
def test_a_photo_is_turned_as_its_exif_says_and_says_so_no_more(
    orientation: int, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[ARTIST] = orientation, "Ada"
    Image.fromarray(pixels).save(tmp_path / "in.png", exif=exif)
    picture = read_picture(tmp_path / "in.png")
    assert np.array_equal(picture.pixels, SHOWN[orientation](pixels))
    write_picture(tmp_path / "out.png", picture)
    written = loaded(tmp_path / "out.png")
    assert ORIENTATION not in written.getexif()
    assert written.getexif()[ARTIST] == "Ada"
    assert np.array_equal(np.asarray(written), picture.pixels)


def test_camera_settings_and_place_survive_but_the_old_size_does_not(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0x829A: 0.02, 0xA002: 4000}
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    Image.new("RGB", (8, 6)).save(tmp_path / "in.jpg", exif=exif)
    write_picture(tmp_path / "out.jpg", read_picture(tmp_path / "in.jpg"))
    kept = loaded(tmp_path / "out.jpg").getexif()
    assert kept.get_ifd(0x8769) == {0x829A: 0.02}
    assert kept.get_ifd(0x8825) == {1: "N", 2: (52.0, 30.0, 0.0)}


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_comes_back_exactly(mode: str, suffix: str, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 256, (9, 8, len(mode)), np.uint8)
    Image.fromarray(values, mode).save(tmp_path / "in.png")
    picture = read_picture(tmp_path / "in.png")
    assert np.array_equal(picture.pixels, np.broadcast_to(values[..., :-1], (9, 8, 3)))
    assert write_picture(tmp_path / f"out{suffix}", picture) == ()
    alpha = loaded(tmp_path / f"out{suffix}").getchannel("A")
    assert np.array_equal(np.asarray(alpha), values[..., -1])


def test_a_transparent_palette_colour_becomes_alpha(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.save(tmp_path / "in.png", transparency=1)
    picture = read_picture(tmp_path / "in.png")
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]
    assert picture.pixels.tolist() == [[[255, 0, 0], [0, 0, 255]]]


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=32))
def test_deep_gray_is_scaled_by_1_in_257_and_rounded(values: list[int]) -> None:
    deep = np.array([values], np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("in.png", "in.tif"):
            Image.fromarray(deep).save(Path(folder, name))
            seen = read_picture(Path(folder, name)).pixels
            assert np.array_equal(seen[..., 0], np.rint(deep / 257).astype(np.uint8))
            assert np.array_equal(seen[..., 0], seen[..., 2])


def test_deep_colour_keeps_its_full_range(tmp_path: Path) -> None:
    rows = np.array([[0, 0x0100, 0x8000, 0xFF00, 0xFFFF, 0x1234]], ">u2").reshape(1, 2, 3)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    file = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
    (tmp_path / "deep.png").write_bytes(file)
    seen = read_picture(tmp_path / "deep.png").pixels
    assert np.abs(seen.astype(int) - rows.astype(int) / 257).max() <= 1


def test_floats_from_0_to_1_are_levels_and_others_are_spread_and_told(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(tmp_path / "unit.tif")
    Image.fromarray(np.array([[-3.0, 0.0, 3.0]], np.float32)).save(tmp_path / "wide.tif")
    unit, wide = read_picture(tmp_path / "unit.tif"), read_picture(tmp_path / "wide.tif")
    assert unit.pixels[0, :, 0].tolist() == wide.pixels[0, :, 0].tolist() == [0, 128, 255]
    assert not unit.warnings
    assert "-3..3" in wide.warnings[0]


@pytest.mark.parametrize("mode", ["CMYK", "P", "1", "L"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (255, 0, 0)).convert(mode)
    image.save(tmp_path / "in.tif")
    seen = read_picture(tmp_path / "in.tif").pixels
    assert seen.shape == (4, 4, 3)
    assert np.abs(seen.astype(int) - np.asarray(image.convert("RGB"))).max() <= 1


def test_an_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    lab = Image.new("LAB", (4, 4), (128, 128 + 40, 128))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    lab.save(tmp_path / "in.tif", icc_profile=profile)
    red, green, blue = read_picture(tmp_path / "in.tif").pixels[0, 0].astype(int)
    assert red > green + 40
    assert red > blue
    Image.new("RGB", (4, 4), (9, 8, 7)).save(tmp_path / "bad.png", icc_profile=b"no profile")
    told = read_picture(tmp_path / "bad.png")
    assert told.pixels[0, 0].tolist() == [9, 8, 7]
    assert "colour profile" in told.warnings[0]


def test_of_an_animation_the_first_picture_is_taken_and_told(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "in.gif")
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]
    assert "first" in picture.warnings[0]
    assert picture_kind(tmp_path / "in.gif") == PictureKind("GIF", animated=True)


def test_a_huge_picture_is_refused_by_its_header_alone(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"not zlib")
    (tmp_path / "huge.png").write_bytes(file)
    with pytest.raises(FrameError, match=r"20000x20000.*--limit-megapixels 400"):
        read_picture(tmp_path / "huge.png")
    with pytest.raises(FrameError, match="damaged"):
        read_picture(tmp_path / "huge.png", limit_pixels=400_000_000)


def test_the_limit_is_ours_and_pillows_is_left_as_it_was(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    Image.new("L", (30, 20)).save(tmp_path / "in.png")
    read_picture(tmp_path / "in.png", limit_pixels=600)
    with pytest.raises(FrameError, match=r"the limit is 0\.000599"):
        read_picture(tmp_path / "in.png", limit_pixels=599)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.98])
@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "webp", "tif", "bmp"])
def test_a_cut_off_picture_is_a_frame_error(kind: str, keep: float, tmp_path: Path) -> None:
    whole, cut = tmp_path / f"whole.{kind}", tmp_path / f"cut.{kind}"
    noise = np.random.default_rng(2).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    cut.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(FrameError, match=rf"cut\.{kind} .*\. \w.*\.$"):
        read_picture(cut)


@pytest.mark.parametrize("name", ["missing.png", "folder", "notes.png", "plot.eps"])
def test_what_is_no_picture_is_a_frame_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.png").write_text("buy milk")
    (tmp_path / "plot.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(FrameError, match=name):
        read_picture(tmp_path / name)
    assert picture_kind(tmp_path / name) is None


@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    for magic in (b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"\xff\xd8\xff", b"qoif"):
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(magic + data)
            with suppress(FrameError):
                read_picture(Path(file.name), limit_pixels=10_000)


CASES = Path(__file__).parents[1] / "runtime" / "cases"


def test_what_is_transparent_is_white_on_white() -> None:
    black = np.zeros((2, 2, 3), np.uint8)
    alpha = np.array([[0, 255], [51, 128]], np.uint8)
    picture = Picture(black, alpha)
    assert picture.on_white()[..., 0].tolist() == [[255, 0], [204, 127]]
    assert picture.see_through
    assert not Picture(black, np.full((2, 2), 255, np.uint8)).see_through


def test_moving_pictures_are_told_from_pages_and_shots(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "lime", "blue")]
    for name in ("a.gif", "a.png", "a.webp", "a.avif", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    kinds = {name: picture_kind(tmp_path / name) for name in ("a.gif", "a.png", "a.webp", "a.avif")}
    assert all(kind is not None and kind.animated for kind in kinds.values())
    assert picture_kind(tmp_path / "a.tif") == PictureKind("TIFF", animated=False)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif"])
def test_an_animation_gives_every_frame_and_its_time(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 12), (level,) * 3) for level in (20, 120, 220)]
    times = [100, 250, 40]
    frames[0].save(
        tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], duration=times, quality=99
    )
    with animation(tmp_path / f"a{suffix}") as moving:
        seen = [(picture.on_white().mean(), lasts) for picture, lasts in moving.frames()]
    assert [lasts for _, lasts in seen] == times
    assert np.allclose([mean for mean, _ in seen], [20, 120, 220], atol=4)
    with (
        pytest.raises(FrameError, match="limit"),
        animation(tmp_path / f"a{suffix}", limit_pixels=9),
    ):
        pass


def test_a_still_before_an_animated_png_is_not_shown(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 12), (level,) * 3) for level in (20, 120, 220)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], default_image=True)
    with animation(tmp_path / "a.png") as moving:
        assert [picture.pixels.mean() for picture, _ in moving.frames()] == [120, 220]


def test_a_frame_without_a_time_lasts_as_long_as_in_a_browser(tmp_path: Path) -> None:
    frames = [Image.new("L", (16, 12), level) for level in (20, 220)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=0)
    with animation(tmp_path / "a.gif") as moving:
        assert [lasts for _, lasts in moving.frames()] == [100, 100]


def write_heic(path: Path, **more: Any) -> NDArray[np.uint8]:
    """Write a smooth picture as a phone does."""
    heif = pytest.importorskip("pillow_heif")
    ramp = np.linspace(30, 220, 64)[None, :, None] * np.ones((48, 1, 3))
    pixels = ramp.astype(np.uint8)
    heif.from_pillow(Image.fromarray(pixels)).save(path, quality=95, **more)
    return pixels


def test_a_heic_is_read_as_any_picture(tmp_path: Path) -> None:
    pixels = write_heic(tmp_path / "in.jpg")
    assert picture_kind(tmp_path / "in.jpg") == PictureKind("HEIF", animated=False)
    seen = read_picture(tmp_path / "in.jpg").pixels
    assert np.abs(seen.astype(int) - pixels).mean() < 2


def test_without_the_package_a_heic_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_heic(tmp_path / "in.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(sys.modules, "stylepress.heif", raising=False)
    monkeypatch.delattr("stylepress.heif", raising=False)
    assert picture_kind(tmp_path / "in.heic") == PictureKind("HEIF", animated=False)
    with pytest.raises(FrameError, match=r"pip install 'stylepress\[heif\]'"):
        read_picture(tmp_path / "in.heic")


def test_an_avif_is_no_heif(tmp_path: Path) -> None:
    Image.new("RGB", (16, 12)).save(tmp_path / "a.avif")
    assert not is_heif(tmp_path / "a.avif")


def test_the_case_of_16_bits_is_not_all_white() -> None:
    pixels = read_picture(CASES / "gray16.png").pixels
    with Image.open(CASES / "gray16.png") as image:
        deep = np.asarray(image).astype(np.int64)
    assert np.array_equal(pixels[..., 0], (deep + 128) // 257)
    assert pixels.std() > 20
