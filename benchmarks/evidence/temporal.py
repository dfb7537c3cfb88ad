"""What the temporal term of a distillation buys: one student tuned twice, with it and without.

The student that ships learns on for a few hundred steps. What moves is a camera over a photo, known
exactly (``quality/motion/course.py``); style is judged by features that no training minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from stylepress.benchmarks.evidence.row import Row, mean
from stylepress.benchmarks.evidence.setting import Setting, Shipped
from stylepress.benchmarks.quality.motion.course import views_of, warp_error
from stylepress.benchmarks.timing.baselines import eager
from stylepress.compress.copying import Copying
from stylepress.compress.distil import Teacher, distil_student
from stylepress.compress.steadiness import TEMPORAL
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.picture import Pixels, read_picture
from stylepress.steps import DistilStep
from stylepress.train.features.judges import find_judges
from stylepress.train.features.vgg import load_vgg
from stylepress.train.photos import Photos, read_style
from stylepress.train.student import IMAGE, FoldedStudent
from stylepress.train.trainer.device import Device, resolve_device
from stylepress.train.trainer.plan import Session
from stylepress.train.weights.checkpoint import load_network
from stylepress.train.weights.standard import find_vgg19

WARPING = "warping error, with the temporal term / without"
STYLE = "style distance, with the temporal term / without"
SUBJECT = "starry"
WEIGHT = 6.0
PLAN = DistilStep(
    steps=150, crop_px=144, batch=1, learning_rate=1e-3, pool=12, pool_px=256, margin_px=32,
    pixel_share=0.0, loss="vgg", seed=1,
)  # fmt: skip
FRAMES = 6
Run = Callable[[Pixels], Pixels]


def figures(setting: Setting) -> Iterator[Row]:
    """Tune one student with and without the term, and hold their films and pictures together.

    Nothing is told where VGG-19 or EfficientNet-Lite0 is missing.
    """
    style = next((one for one in setting.styles if one.name == SUBJECT), setting.style)
    judges = find_judges(env=setting.environ, home=setting.home)
    file = find_vgg19(env=setting.environ, home=setting.home)
    if "effnet" not in judges or file is None:
        return
    device = resolve_device()
    vgg = load_vgg(file.path, file.sha256).quick(device.place, bf16=device.precision == "bf16")
    picture = read_picture(style.picture).pixels
    copying = Copying(vgg, PLAN.margin_px or 0, read_style(style.picture).to(device.place))
    views, matrices = views_of(setting.paths("heldout")[0], setting.size, FRAMES)
    frames = setting.frames("heldout")
    runs: dict[str, Run] = {
        "shipped": setting.network(style.student),
        "without": _tuned(style, setting, copying, 0.0, device),
        "with": _tuned(style, setting, copying, WEIGHT, device),
    }
    errors = {
        name: warp_error([np.array(run(view[np.newaxis])[0]) for view in views], matrices)
        for name, run in runs.items()
    }
    judge = judges["effnet"].style
    styles = {
        name: mean(judge(np.array(run(frame)), picture) for frame in frames)
        for name, run in runs.items()
    }
    floor = warp_error(views, matrices)
    tuning = f"{PLAN.steps} steps on from the student that ships, weight {WEIGHT:g}"
    for figure, values, note in (
        (WARPING, errors, f"the photo itself {floor:.2g}; {tuning}"),
        (STYLE, styles, f"{judges['effnet'].label}; {tuning}"),
    ):
        told = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        ratio = values["with"] / values["without"]
        yield Row(
            figure, ratio, "x", style.name, digest=style.student.digest, note=f"{told}; {note}"
        )


def _tuned(
    style: Shipped, setting: Setting, copying: Copying, weight: float, device: Device
) -> Run:
    """Let the student that ships learn on with a weight of the term; return how it draws."""
    loaded, student = load_network(style.teacher.folder), load_network(style.student.folder).module
    if not isinstance(student, FoldedStudent):
        raise TypeError("what ships is a student")
    net, _ = distil_student(
        Teacher(loaded.module, loaded.image, read_style(style.picture)),
        Photos.below(setting.recipes / "photos" / "train", setting.progress),
        student.size,
        PLAN.model_copy(update={"temporal_weight": weight}),
        Session(
            setting.work / f"temporal-{weight:g}",
            progress=setting.progress,
            device=device,
            pictures=setting.work / "temporal-pictures",
        ),
        extra=(TEMPORAL, *copying.terms),
        start=student,
    )
    return eager(FrameGraph(net.eval(), ImageRange.of(IMAGE)), setting.threads)
