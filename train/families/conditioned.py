"""A diffusion model that sees a picture while it draws: the picture stylized in a few steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stylepress.train.families.diffusion import ddim
from stylepress.train.families.padding import to_multiple
from stylepress.train.families.unet2d import USUAL, UNet2D
from stylepress.train.weights.family import Config, Family, State, picture

GRAIN = 64
"""Side of the noise that a frame is drawn from, repeated over it."""
GROUPS = 4


class ConditionedDiffusion(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [-1, 1] to the same range, sides rounded up.

    The picture stands beside the noisy one in the input of a U-Net (Saharia et al. 2022, arXiv
    2111.05826), and ``sampling`` steps of DDIM are one graph. It attends nowhere, so that any size
    is drawn. The noise is the same for every frame, kept with the weights: pictures of a video
    begin alike. With ``noisy`` and ``time`` it predicts, as it is trained.
    """

    def __init__(
        self,
        width: int = 32,
        levels: int = 3,
        sampling: int = 4,
        schedule: str = "squaredcos_cap_v2",
        predicts: str = "v_prediction",
    ) -> None:
        super().__init__()
        self.sampling, self.predicts, self.multiple = sampling, predicts, 2 ** (levels - 1)
        widths = [width, *[2 * width] * (levels - 1)]
        config = {
            **USUAL,
            "inputs": 6,
            "channels": ",".join(map(str, widths)),
            "attends_down": "0" * levels,
            "attends_up": "0" * levels,
            "attends_mid": 0,
            "layers": 1,
            "groups": GROUPS,
            "schedule": schedule,
            "predicts": predicts,
            "padding": 1,
        }
        self.unet = UNet2D(**config)
        self.grain: Tensor
        drawn = torch.randn(1, 3, GRAIN, GRAIN, generator=torch.Generator().manual_seed(0))
        self.register_buffer("grain", drawn)

    def forward(
        self, image: Tensor, noisy: Tensor | None = None, time: Tensor | None = None
    ) -> Tensor:
        if noisy is not None and time is not None:
            return self.unet.predict(torch.cat([noisy, image], 1), time)
        padded = to_multiple(image, self.multiple)

        def predict(x: Tensor, at: Tensor) -> Tensor:
            return self.unet.predict(torch.cat([x, padded], 1), at)

        return ddim(predict, self._noise(padded), self.unet.noise, self.sampling, self.predicts)

    def _noise(self, image: Tensor) -> Tensor:
        count, _, height, width = image.shape
        rows = torch.arange(height, device=image.device) % GRAIN
        columns = torch.arange(width, device=image.device) % GRAIN
        return self.grain[:, :, rows][:, :, :, columns].expand(count, -1, -1, -1)


def _measure(state: State) -> Config:
    downs = {key.split(".")[2] for key in state if key.startswith("unet.down_blocks.")}
    return {
        "width": int(state["unet.conv_in.weight"].shape[:1].numel()),
        "levels": len(downs),
        "sampling": 4,
        "schedule": "squaredcos_cap_v2",
        "predicts": "v_prediction",
    }


def _remark(config: Mapping[str, Any]) -> str:
    return f"it draws a frame in {config['sampling']} steps of DDIM."


CONDITIONED = Family(
    name="conditioned",
    title="a diffusion model of stylepress that stylizes",
    marks=("unet.conv_in.weight", "unet.mid_block.resnets.0.norm1.weight", "grain"),
    measure=_measure,
    allowed={
        "width": range(GROUPS, 1025, GROUPS),
        "levels": range(2, 6),
        "sampling": range(1, 101),
        "schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
        "predicts": ("epsilon", "v_prediction", "sample"),
    },
    usual={
        "width": 32,
        "levels": 3,
        "sampling": 4,
        "schedule": "squaredcos_cap_v2",
        "predicts": "v_prediction",
    },
    build=ConditionedDiffusion,
    image=picture(-1.0, 1.0, least=8),
    remark=_remark,
)
