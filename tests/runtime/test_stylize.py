"""A picture, a folder or a video in; the same kind out, and never a loss on the way."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylepress.errors import BackendError, FrameError, OutputError, RecipeError
from stylepress.picture import Pixels, read_picture
from stylepress.progress import Silent
from stylepress.runtime.backends import Engine, EngineOptions, open_engine
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.stylize import StylizeOptions, Summary, stylize
from tests.runtime.clips import Heard, Plain, fifty_frames, levels, play

# The modules that need PyAV.
MEDIA_OF_VIDEOS = (
    *("animation", "clock", "colour", "decoder", "encoder", "sound", "streams", "upright", "video"),
)
ORT = StylizeOptions(backend="onnxruntime", lanes=2)


@pytest.fixture
def bundle(toy_bundle: Path) -> Bundle:
    """A style that tints a little."""
    return read_bundle(toy_bundle)


def run(
    bundle: Bundle, source: Path, target: Path, options: StylizeOptions = ORT
) -> tuple[Summary, list[str]]:
    """Stylize, and return what was said too."""
    heard = Heard()
    return stylize(bundle, source, target, options=options, progress=heard), heard.warnings


def photo(path: Path, size: tuple[int, int] = (40, 30), seed: int = 0) -> Pixels:
    """Write noise of (width, height) and return its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def styled(bundle: Bundle, pixels: Pixels, strength: float = 1.0) -> Pixels:
    """What the engine makes of a picture."""
    engine = open_engine(bundle, "onnxruntime", options=EngineOptions())
    result = engine.run({"frame": pixels[None], "strength": strength})
    return np.asarray(result["frame_out"][0], np.uint8)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_a_picture_is_what_the_engine_makes_of_it(
    strength: float, bundle: Bundle, tmp_path: Path
) -> None:
    pixels = photo(tmp_path / "in.png")
    options = StylizeOptions(backend="onnxruntime", strength=strength)
    summary, _ = run(bundle, tmp_path / "in.png", tmp_path / "deep" / "out.png", options)
    assert (summary.kind, summary.written) == ("picture", 1)
    made = read_picture(tmp_path / "deep" / "out.png").pixels
    assert np.array_equal(made, styled(bundle, pixels, strength))
    assert strength or np.array_equal(made, pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_a_picture_smaller_than_the_engine_takes_works(
    size: tuple[int, int], conv_bundle: Path, tmp_path: Path
) -> None:
    photo(tmp_path / "in.png", size)
    run(read_bundle(conv_bundle), tmp_path / "in.png", tmp_path / "out.png")
    assert read_picture(tmp_path / "out.png").pixels.shape == (size[1], size[0], 3)


def test_the_fastest_backend_is_found_when_none_is_named(bundle: Bundle, tmp_path: Path) -> None:
    pixels = photo(tmp_path / "in.png")
    options = StylizeOptions(cache=tmp_path / "cache")
    run(bundle, tmp_path / "in.png", tmp_path / "out.png", options)
    made = read_picture(tmp_path / "out.png").pixels.astype(int)
    assert np.abs(made - styled(bundle, pixels)).max() <= 1
    assert list((tmp_path / "cache").glob("records/*/*.json"))


def test_alpha_and_gray_are_taken_and_alpha_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 256, (9, 8, 2), np.uint8)
    Image.fromarray(values, "LA").save(tmp_path / "in.png")
    run(bundle, tmp_path / "in.png", tmp_path / "out.png")
    made = read_picture(tmp_path / "out.png")
    assert made.alpha is not None
    assert np.array_equal(made.alpha, values[..., 1])
    assert np.array_equal(made.pixels, styled(bundle, values[..., :1].repeat(3, 2)))


def test_a_folder_keeps_names_and_sub_folders_and_skips_what_is_broken(
    bundle: Bundle, tmp_path: Path
) -> None:
    source, target = tmp_path / "photos", tmp_path / "out"
    names = ["b.png", "a.jpg", "trip/c.webp", "trip/day 2/d.bmp", "looks.like", "e.gif"]
    for seed, name in enumerate(names):
        photo(source / name.replace(".like", ".png"), (20 + seed, 30), seed)
    (source / "looks.png").rename(source / "looks.like")
    (source / "broken.jpg").write_bytes((source / "a.jpg").read_bytes()[:300])
    (source / "empty.png").write_bytes(b"")
    (source / "notes.txt").write_text("not a photo")
    (source / ".hidden.png").write_bytes(b"")
    (source / "clip.mp4").write_bytes(b"no picture either")
    summary, told = run(bundle, source, target)
    assert (summary.kind, summary.written, summary.skipped) == ("folder", 6, 2)
    assert summary.passed_over == 2
    assert any("2 files in it are no pictures" in line for line in told)
    seen = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert seen == {"b.png", "a.jpg", "trip/c.webp", "trip/day 2/d.bmp", "looks.png", "e.png"}
    assert read_picture(target / "trip/day 2/d.bmp").pixels.shape == (30, 23, 3)
    skipped = [line for line in told if "skipped" in line]
    assert len(skipped) == 2
    assert any(line.startswith("broken.jpg: skipped.") for line in skipped)


def test_two_names_that_would_become_one_stay_two(bundle: Bundle, tmp_path: Path) -> None:
    for seed, name in enumerate(("a.gif", "a.png", "b.gif")):
        photo(tmp_path / "photos" / name, seed=seed)
    run(bundle, tmp_path / "photos", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.gif.png", "a.png", "b.png"}
    own = read_picture(tmp_path / "photos" / "a.png").pixels
    assert np.array_equal(read_picture(tmp_path / "out/a.png").pixels, styled(bundle, own))


def test_an_output_folder_inside_the_input_is_not_read(bundle: Bundle, tmp_path: Path) -> None:
    home = tmp_path / "photos"
    photo(home / "a.png")
    again = StylizeOptions(backend="onnxruntime", overwrite=True)
    for _ in range(2):
        summary, _ = run(bundle, home, home / "out", again)
        assert summary.written == 1
    assert [path.name for path in (home / "out").rglob("*")] == ["a.png"]


def test_a_name_that_cannot_be_written_stops_no_other(bundle: Bundle, tmp_path: Path) -> None:
    source, target = tmp_path / "photos", tmp_path / "out"
    long = f"{'x' * 251}.gif"  # as long as a name can be; as .gif.png it is too long
    for name in ("a.png", long, f"{'x' * 251}.png", f"{'y' * 251}.png", "z.png"):
        photo(source / name)
    summary, told = run(bundle, source, target)
    assert (summary.written, summary.skipped) == (4, 1)
    assert len(list(target.iterdir())) == 4
    assert [line for line in told if "skipped" in line and "too long" in line]


def test_a_picture_that_the_engine_refuses_stops_no_other(bundle: Bundle, tmp_path: Path) -> None:
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        photo(tmp_path / "photos" / name, (40 + seed, 30))

    class Picky(Plain):
        def styled(self, frame: Pixels, strength: float) -> Pixels:
            if frame.shape[2] == 41:
                raise BackendError("The engine has no memory for it. Make it smaller.")
            return frame.copy()

    heard = Heard()
    summary = stylize(
        bundle,
        tmp_path / "photos",
        tmp_path / "out",
        options=ORT,
        progress=heard,
        opener=lambda options: Picky(),
    )
    assert (summary.written, summary.skipped) == (2, 1)
    assert heard.warnings == ["b.png: skipped. The engine has no memory for it. Make it smaller."]


def test_linked_folders_are_stylized_and_a_link_as_target_is_kept(
    bundle: Bundle, tmp_path: Path
) -> None:
    pixels = photo(tmp_path / "far" / "a.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "trip").symlink_to(tmp_path / "far")
    (tmp_path / "photos" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    summary, told = run(bundle, tmp_path / "photos", tmp_path / "out")
    assert summary.written == 1
    assert "1 file in it is no picture" in told[0]
    assert np.array_equal(read_picture(tmp_path / "out/trip/a.png").pixels, styled(bundle, pixels))
    (tmp_path / "link.png").symlink_to(tmp_path / "out/trip/a.png")
    again = StylizeOptions(backend="onnxruntime", overwrite=True, strength=0)
    run(bundle, tmp_path / "far" / "a.png", tmp_path / "link.png", again)
    assert (tmp_path / "link.png").is_symlink()
    assert np.array_equal(read_picture(tmp_path / "out/trip/a.png").pixels, pixels)


@pytest.mark.parametrize("suffix", [".webp", ".avif", ".png", ".gif"])
@pytest.mark.parametrize("target", [".mp4", ".webm", ".mkv"])
def test_a_moving_picture_becomes_a_video_of_its_frames_and_times(
    suffix: str, target: str, bundle: Bundle, tmp_path: Path
) -> None:
    frames = [Image.new("RGB", (64, 48), (level,) * 3) for level in (40, 120, 200)]
    frames[0].save(
        tmp_path / f"in{suffix}",
        save_all=True,
        append_images=frames[1:],
        duration=[100, 400, 60],
        quality=99,
    )
    plain = StylizeOptions(backend="onnxruntime", strength=0)
    summary, told = run(bundle, tmp_path / f"in{suffix}", tmp_path / f"out{target}", plain)
    assert (summary.kind, summary.written, told) == ("video", 3, [])
    seen = play(tmp_path / f"out{target}")
    assert np.allclose(seen.levels, [40, 120, 200], atol=3)
    assert np.allclose(seen.times, [0, 0.1, 0.5], atol=1e-3)


def test_the_case_of_an_animated_webp_is_a_video(bundle: Bundle, tmp_path: Path) -> None:
    plain = StylizeOptions(backend="onnxruntime", strength=0)
    case = Path(__file__).parent / "cases" / "anim.webp"
    assert run(bundle, case, tmp_path / "out.mp4", plain)[0].written == 4
    assert np.allclose(play(tmp_path / "out.mp4").times, [0, 0.1, 0.6, 0.62], atol=1e-3)


def test_a_transparent_animation_is_white_behind_or_stays_transparent(
    bundle: Bundle, tmp_path: Path
) -> None:
    frames = [Image.new("RGBA", (64, 48), (level, 0, 0, 0)) for level in (40, 120)]
    frames[0].save(tmp_path / "in.webp", save_all=True, append_images=frames[1:], lossless=True)
    plain = StylizeOptions(backend="onnxruntime", strength=0)
    _, told = run(bundle, tmp_path / "in.webp", tmp_path / "out.mp4", plain)
    assert "laid on white" in told[0]
    assert play(tmp_path / "out.mp4").pictures[0].min() >= 252
    assert not run(bundle, tmp_path / "in.webp", tmp_path / "out.webm", plain)[1]
    assert play(tmp_path / "out.webm", kind="rgba").pictures[0][..., 3].max() <= 3


def test_a_heic_in_a_folder_is_stylized_or_names_what_to_install(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heif = pytest.importorskip("pillow_heif")
    photo(tmp_path / "photos" / "a.png", (64, 48))
    smooth = Image.fromarray(np.full((48, 64, 3), 90, np.uint8))
    heif.from_pillow(smooth).save(tmp_path / "photos" / "b.heic", quality=95)
    assert run(bundle, tmp_path / "photos", tmp_path / "out")[0].written == 2
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(sys.modules, "stylepress.heif", raising=False)
    monkeypatch.delattr("stylepress.heif", raising=False)
    summary, told = run(bundle, tmp_path / "photos", tmp_path / "out2")
    assert (summary.written, summary.skipped) == (1, 1)
    assert any(line.startswith("b.heic: skipped.") and "stylepress[heif]" in line for line in told)
    with pytest.raises(FrameError, match="pillow-heif"):
        run(bundle, tmp_path / "photos" / "b.heic", tmp_path / "b.png")


def test_a_folder_without_pictures_or_with_broken_ones_only_is_an_error(
    bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").write_text("hello")
    with pytest.raises(FrameError, match="holds no picture"):
        run(bundle, tmp_path / "none", tmp_path / "out")
    (tmp_path / "none" / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(FrameError, match=r"None of the 1 pictures .*a\.png"):
        run(bundle, tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_exists_is_replaced_only_when_asked(bundle: Bundle, tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    again = StylizeOptions(backend="onnxruntime", overwrite=True)
    for source, target in (("in", "out"), ("in/a.png", "b.png")):
        run(bundle, tmp_path / source, tmp_path / target)
        with pytest.raises(OutputError, match="--overwrite"):
            run(bundle, tmp_path / source, tmp_path / target)
        run(bundle, tmp_path / source, tmp_path / target, again)


def test_a_folder_as_target_takes_a_file_under_its_name(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name, written in (("a.png", "a.png"), ("b.gif", "b.png")):
        photo(tmp_path / name)
        assert run(bundle, tmp_path / name, tmp_path / "out")[0].target.name == written
    video = fifty_frames(tmp_path)
    assert run(bundle, video, tmp_path / "out")[0].target == tmp_path / "out" / video.name
    with pytest.raises(OutputError, match="--overwrite"):
        run(bundle, tmp_path / "a.png", tmp_path / "out")


def test_the_input_is_never_the_output(bundle: Bundle, tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    again = StylizeOptions(backend="onnxruntime", overwrite=True)
    for name in ("in", "in/a.png"):
        with pytest.raises(OutputError, match="that is read"):
            run(bundle, tmp_path / name, tmp_path / name, again)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Name a folder"):
        run(bundle, tmp_path / "in", tmp_path / "file")


def test_the_content_decides_what_a_source_is(bundle: Bundle, tmp_path: Path) -> None:
    video = fifty_frames(tmp_path).rename(tmp_path / "film.jpg")
    summary, _ = run(bundle, video, tmp_path / "out.mp4")
    assert (summary.kind, summary.written) == ("video", 50)
    with pytest.raises(OutputError, match="video format"):
        run(bundle, video, tmp_path / "out.png")
    photo(tmp_path / "photo.png")
    still = (tmp_path / "photo.png").rename(tmp_path / "photo.mp4")
    assert run(bundle, still, tmp_path / "still.png")[0].kind == "picture"
    with pytest.raises(OutputError, match="picture format"):
        run(bundle, still, tmp_path / "still.mp4")
    (tmp_path / "notes.mp4").write_text("hello")
    with pytest.raises(FrameError, match="neither a picture nor a video"):
        run(bundle, tmp_path / "notes.mp4", tmp_path / "notes.mkv")


def test_a_video_is_what_the_engine_makes_of_every_frame(bundle: Bundle, tmp_path: Path) -> None:
    video = fifty_frames(tmp_path)
    summary, told = run(bundle, video, tmp_path / "out.mkv")
    assert (summary.written, told, summary.stopped) == (50, [], False)
    assert summary.busy is not None
    expected = [
        styled(bundle, np.full((4, 4, 3), level, np.uint8)).reshape(-1, 3).mean(0)
        for level in levels(50)
    ]
    seen = [picture.reshape(-1, 3).mean(0) for picture in play(tmp_path / "out.mkv").pictures]
    assert np.abs(np.array(seen) - expected).max() <= 4


def test_an_animation_is_a_picture_or_a_video_as_the_target_says(
    bundle: Bundle, tmp_path: Path
) -> None:
    frames = [Image.new("RGB", (64, 48), (level, level, level)) for level in (40, 120, 200)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:], duration=100)
    summary, told = run(bundle, tmp_path / "in.gif", tmp_path / "out.png")
    assert summary.kind == "picture"
    assert "first" in told[0]
    assert run(bundle, tmp_path / "in.gif", tmp_path / "out.mp4")[0].written == 3


def test_limits_and_wishes_out_of_range_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    photo(tmp_path / "in.png")
    small = StylizeOptions(backend="onnxruntime", limit_pixels=1199)
    with pytest.raises(FrameError, match="--limit-megapixels"):
        run(bundle, tmp_path / "in.png", tmp_path / "out.png", small)
    for wish in ({"strength": 1.5}, {"lanes": 0}, {"limit_pixels": 0}):
        with pytest.raises(RecipeError):
            StylizeOptions(**wish)
    coarse, video = StylizeOptions(backend="null", crf=99), fifty_frames(tmp_path)
    with pytest.raises(RecipeError, match="crf"):
        run(bundle, video, tmp_path / "out.mp4", coarse)


def test_without_pyav_a_video_names_the_extra_and_pictures_still_work(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = fifty_frames(tmp_path)
    for name in [name for name in sys.modules if name == "av" or name.startswith("av.")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in MEDIA_OF_VIDEOS:
        monkeypatch.delitem(sys.modules, f"stylepress.runtime.media.{name}", raising=False)
    import stylepress.runtime.media

    monkeypatch.delattr(stylepress.runtime.media, "video", raising=False)
    with pytest.raises(BackendError, match=r"pip install 'stylepress\[video\]'"):
        run(bundle, video, tmp_path / "out.mp4")
    photo(tmp_path / "in.png")
    assert run(bundle, tmp_path / "in.png", tmp_path / "out.png")[0].written == 1


def test_an_engine_of_ones_own_may_be_handed_in_and_is_closed(
    bundle: Bundle, tmp_path: Path
) -> None:
    wanted: list[EngineOptions] = []
    closed: list[Engine] = []

    def opener(options: EngineOptions) -> Engine:
        wanted.append(options)
        engine = open_engine(bundle, "null", options=options)
        engine.close = lambda: closed.append(engine)  # type: ignore[method-assign]
        return engine

    options = StylizeOptions(lanes=3)
    photo(tmp_path / "photos" / "a.png", (40, 30))
    jobs = ((fifty_frames(tmp_path), "out.mp4"), (tmp_path / "photos", "out"))
    for source, target in (*jobs, (tmp_path / "photos" / "a.png", "a.png")):
        place = tmp_path / target
        stylize(bundle, source, place, options=options, progress=Silent(), opener=opener)
    assert [want.lanes for want in wanted] == [3, 3, 1]
    assert [want.size for want in wanted] == [(48, 64), None, (30, 40)]
    assert len(closed) == 3
