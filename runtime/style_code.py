"""A style as what a bundle takes for it: made of any picture by its encoder, or mixed of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from stylepress.errors import RecipeError
from stylepress.picture import read_picture
from stylepress.ports import Graph, Port
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array

MOST_SIDE = 512
"""A style picture is looked at in this size at most: its strokes are learnt at that of training."""
BACKEND = "onnxruntime"
"""An encoder runs once a style, so the engine that is always there will do."""


def encoder_of(bundle: Bundle) -> tuple[str, Port] | None:
    """Return the graph that makes codes for the main graph, and the input they feed."""
    wanted = {port.name: port for port in bundle.graph().inputs}
    for name, graph in bundle.artifact.graphs.items():
        if graph.kind == "encoder" and graph.picture and graph.outputs[0].name in wanted:
            return name, wanted[graph.outputs[0].name]
    return None


def style_of_picture(bundle: Bundle, path: Path) -> dict[str, Array]:
    """Return what feeds the main graph with the style of a picture: one row by port name.

    Raises:
        RecipeError: the bundle has no encoder of styles.
        FrameError: the picture cannot be read.
    """
    found = encoder_of(bundle)
    if found is None:
        raise RecipeError(
            f"{bundle.artifact.folder} draws one style, and takes no picture for another.",
            "Leave out `--style`, or build an AdaIN bundle (docs/models.md).",
        )
    name, port = found
    graph = bundle.graph(name)
    assert graph.picture is not None
    image = Image.fromarray(read_picture(path).on_white())
    image.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, np.uint8)
    engine = open_engine(bundle, BACKEND, options=EngineOptions(), graph=name)
    with closing(engine):
        code = engine.run({graph.picture.name: pixels[np.newaxis]})[graph.outputs[0].name]
    return {port.name: code}


def style_of_names(bundle: Bundle, text: str) -> dict[str, Array]:
    """Return the weights of a library's styles: ``glass``, or ``glass=0.7,starry=0.3``.

    Raises:
        RecipeError: no library, a name that is not in it, or no weight above 0.
    """
    port = labelled(bundle.graph())
    if port is None:
        raise RecipeError(
            f"{bundle.artifact.folder} holds no library of styles.", "Leave out `--style`."
        )
    weights = np.zeros((1, len(port.labels)), np.float32)
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            weights[0, port.labels.index(name.strip())] = float(share or 1)
        except ValueError:
            raise RecipeError(
                f"{part.strip()!r} is no style of {bundle.artifact.folder}.",
                f"Name some of {', '.join(port.labels)}, as in `{port.labels[0]}=0.7`.",
            ) from None
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.sum() <= 0:
        raise RecipeError(f"The styles {text!r} have no weight.", "Give numbers above 0.")
    return {port.name: weights / weights.sum()}


def labelled(graph: Graph) -> Port | None:
    """Return the input whose numbers are weights of named styles."""
    return next((port for port in graph.inputs if port.labels), None)


def chosen_style(bundle: Bundle, style: str | None) -> Mapping[str, Array]:
    """Return the feeds of a style as a user names it: a picture's file, or names of a library.

    Raises:
        RecipeError: the bundle must be told a style and is not, or cannot be told one.
        FrameError: the picture cannot be read.
    """
    if style is not None:
        if labelled(bundle.graph()) is not None:
            return style_of_names(bundle, style)
        return style_of_picture(bundle, Path(style))
    unfed = [p.name for p in bundle.graph().inputs if p.default is None and not p.is_picture]
    if unfed and bundle.graph().picture is not None:
        raise RecipeError(
            f"{bundle.artifact.folder} draws in the style of any picture, and none was named.",
            "Name one with `--style PICTURE`.",
        )
    return {}
