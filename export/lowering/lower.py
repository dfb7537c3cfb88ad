"""Lowering: the passes that one target needs, each held against the graph it was given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import onnx

from stylepress.errors import ExportError, VerificationError
from stylepress.export.lowering.dimensions import fixed
from stylepress.export.lowering.dla import folded_norms, zero_padded
from stylepress.export.lowering.fp16 import LARGEST, to_fp16
from stylepress.export.lowering.lints import Finding, lint
from stylepress.export.lowering.norms import constant_affine, needs_fp32, prescaled, without_groups
from stylepress.export.lowering.opset import to_opset
from stylepress.export.lowering.placement import for_onnxruntime, unplaced
from stylepress.export.lowering.ranges import largest, limits, moments
from stylepress.export.lowering.rewrite import opset_of
from stylepress.export.lowering.sevenbit import seven_bit
from stylepress.export.onnx_file import serialized
from stylepress.export.verify import Agreement, compare, fitted
from stylepress.picture import Pixels
from stylepress.steps import LowerStep
from stylepress.targets.jetpack import version
from stylepress.targets.target import GROUPS_SINCE, Target

AFFINE_SINCE = "8.6"
SATURATED_DB = 30.0
"""Weights of 7 bits may be so far from those of 8: sums that saturate are further, and unseen here."""
MARGIN = 4.0
"""A tensor is kept out of FP16 when photos bring it within this factor of the largest number."""
LEFT_IN_FLOAT = 3
"""The most convolutions at the end, where an error meets the picture, that may stay in float."""
ROUNDED_LEVELS = 1
"""Levels by which a pass that only sums in another order may move a picture."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one rewrite did to the pictures, against the graph before it."""

    name: str
    agreement: Agreement


@dataclass
class Lowering:
    """A graph on its way to a target, with the passes it went through and what is still wrong.

    ``pictures`` are (1, H, W, 3) uint8; each pass is compared on all of them in ONNX Runtime.
    """

    model: onnx.ModelProto
    target: Target
    pictures: Sequence[Pixels]
    passes: list[Pass] = field(default_factory=list)

    def apply(
        self,
        name: str,
        rewrite: Callable[[onnx.ModelProto], onnx.ModelProto],
        *,
        levels: int = 0,
        least_db: float | None = None,
    ) -> None:
        """Rewrite the graph, unless nothing changes, and check that it draws what it drew.

        ``levels`` may differ; or, where values are rounded on purpose, at least ``least_db``.

        Raises:
            VerificationError: the pictures differ by more.
        """
        after = rewrite(self.model)
        if serialized(after) == serialized(self.model):
            return
        onnx.checker.check_model(after, full_check=True)
        agreement = compare(serialized(self.model), serialized(after), self.pictures)
        wrong = (
            agreement.worst_levels > levels if least_db is None else agreement.psnr_db < least_db
        )
        if wrong:
            allowed = f"{levels} levels" if least_db is None else f"{least_db:g} dB"
            raise VerificationError(
                f"Lowering to {self.target.full_name}: after `{name}` the pictures differ by "
                f"{agreement.worst_levels} levels ({agreement.psnr_db:.1f} dB), where {allowed} may "
                f"be.",
                "Lower `min_psnr_db` of the step `lower`, or choose another precision.",
            )
        self.model = after
        self.passes.append(Pass(name, agreement))

    def findings(self, least: int) -> list[Finding]:
        """Return what the target would stumble over.

        Raises:
            ExportError: some of it is fatal.
        """
        found = lint(self.model, self.target, least=least)
        fatal = [one for one in found if one.fatal]
        if fatal:
            raise ExportError(f"{self.target.full_name} cannot take this graph. {fatal[0]}")
        return found


def lowered(
    model: onnx.ModelProto, target: Target, pictures: Sequence[Pixels], options: LowerStep
) -> Lowering:
    """Return a graph in the form that the target's first engine takes."""
    lowering = Lowering(model, target, _sized(pictures, options))
    pictures = lowering.pictures
    narrow(lowering, options.min_psnr_db)
    if target.engines[0] == "onnxruntime":
        place(lowering, options.min_psnr_db)
    branch = target.tensorrt_version
    old = branch is not None and version(branch) < version(GROUPS_SINCE)
    if old or target.opset < 21 <= opset_of(model):
        lowering.apply(
            "GroupNormalization as InstanceNormalization", without_groups, levels=ROUNDED_LEVELS
        )
    if branch is not None and version(branch) < version(AFFINE_SINCE):
        lowering.apply("affine of norms as weights", constant_affine, levels=ROUNDED_LEVELS)
    # What keeps every pixel comes first: FP16 lets ONNX Runtime join casts as the opset allows.
    lowering.apply(
        f"opset {opset_of(lowering.model)} to {target.opset}", lambda m: to_opset(m, target.opset)
    )
    _fix(lowering, options)
    if options.variant == "dla":
        lowering.apply("zero padding", zero_padded, least_db=options.min_psnr_db)
        norms = [
            n.input[0] for n in lowering.model.graph.node if n.op_type == "InstanceNormalization"
        ]
        statistics = moments(lowering.model, norms, pictures)
        lowering.apply(
            "norms folded", lambda m: folded_norms(m, statistics), least_db=options.min_psnr_db
        )
    if options.fp16:
        _half(lowering, options.min_psnr_db)
    return lowering


def placed(
    model: onnx.ModelProto, target: Target, pictures: Sequence[Pixels], options: LowerStep
) -> Lowering:
    """Return a quantized graph as ONNX Runtime wants it, beside that of the first engine."""
    lowering = Lowering(model, target, _sized(pictures, options))
    narrow(lowering, options.min_psnr_db)
    place(lowering, options.min_psnr_db)
    _fix(lowering, options)
    return lowering


def narrow(lowering: Lowering, least_db: float) -> None:
    """Give weights 7 bits where the processor's sums of two products would saturate."""
    if lowering.target.saturates:
        lowering.apply("weights of 7 bits", seven_bit, least_db=min(least_db, SATURATED_DB))


def place(lowering: Lowering, least_db: float) -> None:
    """Place Q/DQ for ONNX Runtime, with the ranges that the pictures show.

    Where the pictures lose too much, the last convolutions stay in float, up to ``LEFT_IN_FLOAT``.

    Raises:
        VerificationError: they lose too much all the same.
    """
    if not any(node.op_type == "QuantizeLinear" for node in lowering.model.graph.node):
        return
    tensors = unplaced(lowering.model)
    ranges = limits(lowering.model, tensors, lowering.pictures)
    for left in range(LEFT_IN_FLOAT + 1):
        among = {each.tensor for each in tensors[: len(tensors) - left]}
        kept = {name: most for name, most in ranges.items() if name in among}
        name = "Q/DQ for ONNX Runtime" + (f", the last {left} in float" if left else "")
        try:
            lowering.apply(name, partial(for_onnxruntime, limits=kept), least_db=least_db)
        except VerificationError:
            if left == LEFT_IN_FLOAT:
                raise
        else:
            return


def _half(lowering: Lowering, least_db: float) -> None:
    """Go to FP16, but for what the pictures show to be too large for it."""
    norms = [n.input[0] for n in lowering.model.graph.node if n.op_type == "InstanceNormalization"]
    sizes = largest(lowering.model, norms, lowering.pictures)
    lowering.apply("quieter norms", lambda m: prescaled(m, sizes), levels=ROUNDED_LEVELS)
    tensors = _floats(lowering.model)
    most = largest(lowering.model, tensors, lowering.pictures)
    loud = {name for name, size in most.items() if size * MARGIN > LARGEST}
    islands = set(needs_fp32(lowering.model, most))
    islands |= {
        n.name for n in lowering.model.graph.node if loud.intersection((*n.input, *n.output))
    }
    lowering.apply("typed FP16", lambda m: to_fp16(m, islands=islands), least_db=least_db)


def _fix(lowering: Lowering, options: LowerStep) -> None:
    sizes = {"batch": options.batch} if options.batch else {}
    if options.size:
        sizes |= dict(zip(("height", "width"), options.size, strict=True))
    if sizes:
        lowering.apply("fixed sizes", lambda m: fixed(m, sizes))


def _floats(model: onnx.ModelProto) -> list[str]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    return [
        port.name
        for port in inferred.value_info
        if port.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    ]


def _sized(pictures: Sequence[Pixels], options: LowerStep) -> Sequence[Pixels]:
    """Return the pictures at the size that the graph is fixed to."""
    return [fitted(one, options.size) for one in pictures] if options.size else pictures
