"""Sets of pictures: which layout, what is in them, and which of them are kept."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from stylepress.cli import run
from stylepress.errors import FrameError, OutputError
from stylepress.progress import Silent
from stylepress.train.data.choice import CHOSEN, Bars, filtered
from stylepress.train.data.layouts import layout_of
from stylepress.train.data.survey import survey
from stylepress.train.patterns import draw

LAYOUTS = {
    "flat": ("a.jpg", "b.png", "notes.md"),
    "classes": ("cats/a.jpg", "dogs/b.jpg"),
    "domains": ("trainA/a.jpg", "trainB/b.jpg", "testA/c.jpg", "testB/d.jpg"),
    "pairs": ("train/a.jpg", "val/b.jpg"),
    "captions": ("metadata.jsonl", "a.jpg", "b.jpg"),
    "repeats": ("10_cat/a.png", "10_cat/a.txt", "3_dog/b.png"),
}
SMALL = Bars(least_px=32)


def picture(seed: int, size: tuple[int, int] = (96, 96)) -> Image.Image:
    """A drawing of that many pixels across and down; another seed draws another."""
    whole = Image.fromarray(draw("strokes", seed=seed, size=96).copy())
    return whole.resize(size, Image.Resampling.LANCZOS)


def write(folder: Path, name: str, image: Image.Image) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture(scope="module")
def drawings() -> list[Image.Image]:
    return [picture(seed) for seed in range(4)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_known_by_its_names(
    name: str, tmp_path: Path, drawings: list[Image.Image]
) -> None:
    images = iter(drawings)
    for file in LAYOUTS[name]:
        place = tmp_path / file
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.suffix == ".jsonl":
            lines = [{"file_name": one, "text": "a drawing"} for one in ("a.jpg", "b.jpg")]
            place.write_text("\n".join(map(json.dumps, lines)))
        elif place.suffix in (".txt", ".md"):
            place.write_text("a drawing")
        else:
            write(tmp_path, file, next(images))
    layout = layout_of(tmp_path)
    assert layout.name == name
    assert len(layout.items) == sum(file.endswith(("jpg", "png")) for file in LAYOUTS[name])
    assert layout.texts == {"captions": 2, "repeats": 1}.get(name, 0)


def test_shards_are_listed_by_their_headers_and_unpacked_with_their_texts(
    tmp_path: Path, drawings: list[Image.Image]
) -> None:
    source = tmp_path / "shards"
    source.mkdir()
    for number in range(2):
        with tarfile.open(source / f"s-{number:06}.tar", "w") as archive:
            data = io.BytesIO()
            drawings[number].save(data, "PNG")
            members = {"../01.png": data.getvalue(), "../01.txt": b"a drawing", "02.png": b"broken"}
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    layout = layout_of(source)
    assert (layout.name, len(layout.items), layout.texts) == ("shards", 4, 2)
    done = filtered(survey(layout, Silent()), SMALL, tmp_path / "out")
    assert (done.kept, done.left_out) == (2, {"cannot be read": 2})
    assert (tmp_path / "out" / "s-000000" / "01.txt").read_bytes() == b"a drawing"
    with Image.open(tmp_path / "out" / "s-000001" / "01.png") as unpacked:
        assert np.array_equal(np.asarray(unpacked), np.asarray(drawings[1]))


def test_bad_small_blurred_flat_and_near_equal_pictures_are_left_out_each_for_its_reason(
    tmp_path: Path, drawings: list[Image.Image]
) -> None:
    source = tmp_path / "photos"
    write(source, "a.png", drawings[0])
    write(source, "again.jpg", drawings[0].resize((190, 190)))
    write(source, "blurred.png", drawings[1].filter(ImageFilter.GaussianBlur(9)))
    write(source, "flat.png", Image.new("RGB", (96, 96), "teal"))
    write(source, "long.png", picture(2, (180, 40)))
    write(source, "small.png", picture(3, (20, 20)))
    (source / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    seen = survey(layout_of(source), Silent())
    assert seen.like == {"again.jpg": "a.png"}
    assert any("few" in doubt for doubt in seen.record()["doubts"])
    done = filtered(seen, SMALL, tmp_path / "out")
    assert done.kept == 1
    reasons = json.loads((tmp_path / "out" / CHOSEN).read_text())["left_out"]
    assert reasons == {
        "again.jpg": "near-duplicate",
        "blurred.png": "blurred",
        "flat.png": "blurred",
        "long.png": "longer than 3 times its width",
        "small.png": "smaller than 32 px",
        "torn.jpg": "cannot be read",
    }
    with pytest.raises(OutputError, match="is there already"):
        filtered(seen, SMALL, tmp_path / "out")
    with pytest.raises(OutputError, match="lies in the set itself"):
        filtered(seen, SMALL, source / "good")
    with pytest.raises(FrameError, match=r"Not one of 7 pictures passes"):
        filtered(seen, Bars(least_px=4000), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_command_says_what_is_in_a_folder_and_what_to_write_in_a_recipe(
    tmp_path: Path, drawings: list[Image.Image], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, drawing in enumerate(drawings):
        write(tmp_path / "set", f"train{'AB'[number % 2]}/{number}.png", drawing)
    assert run(["data", "inspect", str(tmp_path / "set"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["pictures"] == 4
    assert "trainB" in said["to train on it"]
    out = str(tmp_path / "out")
    assert run(["data", "filter", str(tmp_path / "set"), out, "--least-px", "32", "--quiet"]) == 0
    assert "4 kept" in capsys.readouterr().out
