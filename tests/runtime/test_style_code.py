"""Styles as users name them: any picture through a bundle's encoder, or names of a library."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import pytest
from PIL import Image

from stylepress.artifact import Artifact
from stylepress.errors import RecipeError
from stylepress.picture import read_picture
from stylepress.ports import Graph, Port
from stylepress.progress import Silent
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.serve.config import Style
from stylepress.runtime.serve.engines import Engines, read_look
from stylepress.runtime.style_code import chosen_style
from stylepress.runtime.stylize import StylizeOptions, stylize

PAINT = """
<ir_version: 8, opset_import: ["": 17]>
paint (uint8[batch,height,width,3] frame, float[batch,3] style)
    => (uint8[batch,height,width,3] frame_out)
<float zero = {0.0}, int64[4] sides = {-1, 1, 1, 3}>
{
    levels = Cast <to=1> (frame)
    none = Mul(levels, zero)
    colour = Reshape(style, sides)
    flat = Add(none, colour)
    frame_out = Cast <to=2> (flat)
}
"""
CODE = """
<ir_version: 8, opset_import: ["": 17]>
encode (uint8[batch,height,width,3] picture) => (float[batch,3] style)
{
    levels = Cast <to=1> (picture)
    style = ReduceMean <axes=[1,2], keepdims=0> (levels)
}
"""
SHAPE = ("batch", "height", "width", 3)
FRAME = Port(name="frame", shape=SHAPE, dtype="uint8", low=0, high=255)
OUT = FRAME.model_copy(update={"name": "frame_out"})


def bundle(folder: Path, style: Port, *, encoder: bool) -> Path:
    """Write a bundle that paints every frame in the colour of its style."""
    graphs = {"frame": Graph(kind="frame", file="p.onnx", inputs=(FRAME, style), outputs=(OUT,))}
    texts = {"p": PAINT}
    if encoder:
        picture = FRAME.model_copy(update={"name": "picture"})
        graphs["encode_style"] = Graph(
            kind="encoder", file="c.onnx", inputs=(picture,), outputs=(style,)
        )
        texts["c"] = CODE

    def fill(beside: Path) -> None:
        for name, text in texts.items():
            onnx.save(onnx.parser.parse_model(text), beside / f"{name}.onnx")

    Artifact.create(folder, fill, kind="bundle", name="any", graphs=graphs, made_by={})
    return folder


@pytest.fixture
def any_style(tmp_path: Path) -> Path:
    style = Port(name="style", shape=("batch", 3), dtype="float32")
    return bundle(tmp_path / "any", style, encoder=True)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    style = Port(
        name="style", shape=("batch", 3), dtype="float32", low=0, high=1, default=1 / 3,
        labels=("red", "green", "blue"),
    )  # fmt: skip
    return bundle(tmp_path / "library", style, encoder=False)


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (20, 30)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def test_any_picture_is_a_style_at_run_time(any_style: Path, tmp_path: Path) -> None:
    style = picture(tmp_path / "style.png", (10, 200, 30))
    photo = picture(tmp_path / "photo.png", (90, 90, 90), (9, 7))
    options = StylizeOptions(style=str(style), backend="onnxruntime")
    stylize(read_bundle(any_style), photo, tmp_path / "o.png", options=options, progress=Silent())
    drawn = read_picture(tmp_path / "o.png").pixels
    assert drawn.shape == (7, 9, 3)
    assert (drawn == (10, 200, 30)).all()


def test_a_bundle_of_any_style_asks_for_one(any_style: Path) -> None:
    with pytest.raises(RecipeError, match=r"none was named\. Name one with `--style PICTURE`"):
        chosen_style(read_bundle(any_style), None)


def test_styles_of_a_library_are_weighed_by_name(library: Path) -> None:
    opened = read_bundle(library)
    assert chosen_style(opened, None) == {}
    (row,) = chosen_style(opened, "red=3, blue=1")["style"]
    assert row.tolist() == [0.75, 0, 0.25]
    for wrong, why in (("pink", "red, green, blue"), ("red=x", "red=0.7"), ("red=0", "above 0")):
        with pytest.raises(RecipeError, match=why):
            chosen_style(opened, wrong)


def test_labels_of_a_port_stand_in_the_manifest_and_only_where_there_are_some(
    library: Path, any_style: Path
) -> None:
    assert read_bundle(library).graph().input("style").labels == ("red", "green", "blue")
    assert "labels" not in (any_style / "manifest.json").read_text()


def test_the_daemon_makes_codes_of_pictures_and_names(
    library: Path, any_style: Path, tmp_path: Path
) -> None:
    painted = picture(tmp_path / "style.png", (10, 200, 30))
    named = read_look("a", Style(bundle=library, code="green"))
    taken = read_look("b", Style(bundle=any_style, take=painted))
    assert named.code is not None
    assert taken.code is not None
    assert (named.code.tolist(), taken.code.tolist()) == ([0, 1, 0], [10, 200, 30])
    assert named.code_port == library_port(named.bundle.graph())
    styles = {"a": Style(bundle=library, code="green")}
    assert Engines(styles, cache=None, most=1, progress=Silent()).looks["a"].code is not None


def library_port(graph: Graph) -> Port:
    return graph.input("style")
