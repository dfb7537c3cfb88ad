"""Feature taps: the student's trunk learns to predict what named teacher layers hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from stylepress.errors import RecipeError
from stylepress.train.student import Student


class Taps(nn.Module):
    """One 1x1 adapter from the last trunk layer of the student to each tapped teacher layer.

    A forward pass gives the guesses for the student's latest one, ``of_teacher`` what was there
    to be guessed (GAN Compression, arXiv 2003.08936, section 3.2).
    """

    def __init__(self, teacher: nn.Module, student: Student, names: tuple[str, ...]) -> None:
        super().__init__()
        known = dict(teacher.named_modules())
        for name in names:
            if name not in known or not name:
                near = ", ".join(sorted(k for k in known if k and "." not in k)[:12])
                raise RecipeError(
                    f"The teacher has no layer {name!r} to tap.", f"Name some of: {near}."
                )
        self._layers = [known[name] for name in names]
        self._trunk = [student.trunk]
        self._trunk_output: list[Tensor] = []
        widths = [_width(layer, name) for layer, name in zip(self._layers, names, strict=True)]
        self.adapters = nn.ModuleList(nn.Conv2d(student.size.width, width, 1) for width in widths)
        student.trunk.register_forward_hook(self._note)

    def forward(self) -> list[Tensor]:
        """Return the guesses made from the student's latest forward pass."""
        return [adapter(self._trunk_output[-1]) for adapter in self.adapters]

    def of_teacher(self, teacher: Callable[[Tensor], Tensor], content: Tensor) -> list[Tensor]:
        """Run the teacher on ``content`` and return what its tapped layers hold."""
        features: list[Tensor] = []
        hooks = [
            layer.register_forward_hook(lambda _m, _i, output: features.append(output.detach()))
            for layer in self._layers
        ]
        try:
            teacher(content)
        finally:
            for hook in hooks:
                hook.remove()
        return features

    def _note(self, _module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
        self._trunk_output = [output]


def _width(layer: nn.Module, name: str) -> int:
    """Output channels of a layer, read from its last parameterised part."""
    for part in reversed(list(layer.modules())):
        weight = getattr(part, "weight", None)
        if isinstance(weight, Tensor):
            return weight.shape[0]
    raise RecipeError(
        f"The teacher's layer {name!r} has no weights, so its width is unknown.",
        "Tap the convolution, norm or block before it.",
    )
