"""Train networks that draw small pictures from noise: DCGAN, and a DDPM of diffusers' layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.model_steps import SampleStep
from stylepress.train.families.dcgan import DcganDiscriminator, DcganGenerator
from stylepress.train.families.norms import drawn_weights
from stylepress.train.families.unet2d import USUAL, UNet2D
from stylepress.train.photos import Photos
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, warm_linear
from stylepress.train.trainer.plan import Session, TrainingSummary

BETAS = (0.5, 0.999)
SHOWN = 4
ZOOM = (1.0, 4.0)
"""Short side of a photo, in crops: a small picture shows much of it."""
Config = Mapping[str, Any]


def train_dcgan(
    photos: Photos, step: SampleStep, session: Session
) -> tuple[DcganGenerator, Config, TrainingSummary]:
    """Train a DCGAN (Radford et al. 2016); return the generator and its config.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one photo can be read.
    """
    torch.manual_seed(step.seed or 0)
    ups = step.side_px.bit_length() - 3
    config = {"noise": step.noise, "width": step.width, "ups": ups}
    drawing, judging = DcganGenerator(**config), DcganDiscriminator(step.width, ups)
    drawn_weights(drawing)
    parts = []
    for name, net in (("drawing", drawing), ("judging", judging)):
        descent = torch.optim.Adam(net.parameters(), lr=step.learning_rate, betas=BETAS)
        parts.append(Part(name, net, descent, clip_norm=None))

    def noise_of(now: Iteration) -> Tensor:
        return now.share(torch.randn(step.batch, step.noise, generator=now.draw))

    def judged(now: Iteration) -> dict[str, Tensor]:
        (real,) = now.batch
        with now.autocast():
            with torch.no_grad():
                false = now.net("drawing")(noise_of(now)).float()
            # Each batch is normalised by itself, as in the paper.
            found = [now.net("judging")(one).float() for one in (real, false)]
        now.watch("judged_real", found[0].sigmoid())
        now.watch("judged_drawn", found[1].sigmoid())
        return {
            "real": F.binary_cross_entropy_with_logits(found[0], torch.ones_like(found[0])),
            "false": F.binary_cross_entropy_with_logits(found[1], torch.zeros_like(found[1])),
        }

    def fooled(now: Iteration) -> dict[str, Tensor]:
        with now.autocast():
            found = now.net("judging")(now.net("drawing")(noise_of(now))).float()
        return {"fooled": F.binary_cross_entropy_with_logits(found, torch.ones_like(found))}

    seen = torch.randn(SHOWN, step.noise, generator=torch.Generator().manual_seed(0))
    training = Training(
        parts=parts,
        objectives=[
            Objective(judged, trains=("judging",)),
            Objective(fooled, trains=("drawing",)),
        ],
        sample=lambda draw: (small_crop(photos, draw, step.side_px),),
        preview=lambda: drawn_row(drawing, seen.to(session.device.place)),
    )
    summary = fit(training, step, session, title="Training DCGAN")
    return drawing.eval(), config, summary


def train_ddpm(
    photos: Photos, step: SampleStep, session: Session
) -> tuple[UNet2D, Config, TrainingSummary]:
    """Train a small diffusion model (Ho et al. 2020); return its average.

    It predicts the noise, whose loss is 1 for a network that predicts nothing, or the velocity.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one photo can be read.
    """
    torch.manual_seed(step.seed or 0)
    width = step.width
    config = {
        **USUAL,
        "channels": f"{width},{2 * width},{2 * width}",
        "attends_down": "001",
        "attends_up": "100",
        "layers": 1,
        "size": step.side_px,
        "head": 0,
        "groups": 4,
        "schedule": step.schedule,
        "predicts": step.predicts,
        "sampling": step.sampling,
        "padding": 1,
    }
    net = UNet2D(**config)
    descent = torch.optim.Adam(net.parameters(), lr=step.learning_rate)
    part = Part("net", net, descent, warm_linear(step.steps), ema=step.average)

    def terms(now: Iteration) -> dict[str, Tensor]:
        (clean,) = now.batch
        whole = torch.randn((step.batch, *clean.shape[1:]), generator=now.draw)
        times = torch.randint(net.noise.times, (step.batch,), generator=now.draw)
        noise, time = now.share(whole), now.share(times)
        noisy = net.noise.added(clean, noise, time)
        velocity = step.predicts == "v_prediction"
        asked = net.noise.velocity(clean, noise, time) if velocity else noise
        with now.autocast():
            predicted = _predicted(now.net("net"), noisy, time.float())
        return {"noise": F.mse_loss(predicted.float(), asked)}

    seen = torch.randn(SHOWN, 3, step.side_px, step.side_px,
                       generator=torch.Generator().manual_seed(0))  # fmt: skip
    training = Training(
        parts=[part],
        objectives=[Objective(terms, trains=("net",))],
        sample=lambda draw: (small_crop(photos, draw, step.side_px),),
        preview=lambda: drawn_row(net, seen.to(session.device.place)),
    )
    summary = fit(training, step, session, title="Training the diffusion model")
    average = part.average
    assert isinstance(average, UNet2D)
    return average.eval(), config, summary


def _predicted(net: nn.Module, noisy: Tensor, time: Tensor) -> Tensor:
    """Call the network through its ``forward``, which a team's wrapper needs."""
    drawn: Tensor = net(noisy, time)
    return drawn


def small_crop(photos: Photos, draw: torch.Generator, side: int) -> Tensor:
    """Cut what samplers learn from out of a photo: (3, side, side) float32 in [-1, 1]."""
    return 2 * photos.crop(draw, side, zoom=ZOOM, strange=False) - 1


def drawn_row(net: nn.Module, noise: Tensor) -> Tensor:
    """Draw the pictures of some noise side by side: (3, H, W) in [0, 1]."""
    training = net.training
    with torch.no_grad():
        drawn = net.eval()(noise).float()
    net.train(training)
    return torch.cat([*drawn], 2) / 2 + 0.5
