"""Parts learn in turn: two networks against each other, averages, adapters, pools."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.train.trainer.device import Device, Precision
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam
from stylepress.train.trainer.plan import Session
from tests.train.test_trainer import CutOffError, Numbers, cut_at

MEAN, DEVIATION = 3.0, 0.5


def real(draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """A number of the distribution to be learnt, and the noise to make one of."""
    value, noise = torch.randn(2, 1, generator=draw)
    return value * DEVIATION + MEAN, noise


def critics(now: Iteration) -> dict[str, Tensor]:
    value, noise = now.batch
    judge, fake = now.net("discriminator"), now.net("generator")(noise)
    value = value.requires_grad_()
    scores = judge(value)
    (slope,) = torch.autograd.grad(scores.sum(), value, create_graph=True)
    return {
        "real": F.softplus(-scores).mean(),
        "fake": F.softplus(judge(fake)).mean(),
        "slope": 0.1 * slope.square().mean(),
    }


def forger(now: Iteration) -> dict[str, Tensor]:
    fake = now.net("generator")(now.batch[1])
    return {"fooled": F.softplus(-now.net("discriminator")(fake)).mean()}


def gan() -> Training:
    torch.manual_seed(0)
    generator = nn.Linear(1, 1)
    judge = nn.Sequential(nn.Linear(1, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    judge_adam = torch.optim.Adam(judge.parameters(), lr=0.02, betas=(0.5, 0.99))
    return Training(
        parts=[
            Part("generator", generator, adam(generator, 0.02), ema=0.95),
            Part("discriminator", judge, judge_adam, clip_norm=None),
        ],
        objectives=[
            Objective(critics, trains=("discriminator",)),
            Objective(forger, trains=("generator",)),
        ],
        sample=real,
    )


def test_a_gan_learns_a_distribution_with_two_parts_in_turn(tmp_path: Path) -> None:
    training = gan()
    summary = fit(
        training, Numbers(steps=400, batch=32, save_every=999), Session(tmp_path), title=""
    )
    average = training.parts[0].average
    assert average is not None
    with torch.no_grad():
        samples = average(torch.randn(2000, 1, generator=torch.Generator().manual_seed(1)))
    assert float(samples.mean()) == pytest.approx(MEAN, abs=0.5)
    assert set(summary.terms) == {"real", "fake", "slope", "fooled"}


def test_an_objective_moves_only_the_parts_that_it_trains(tmp_path: Path) -> None:
    training = gan()
    generator, judge = (part.module for part in training.parts)
    before = [value.clone() for value in generator.state_dict().values()]
    alone = Training(training.parts, training.objectives[:1], real)
    fit(alone, Numbers(steps=3), Session(tmp_path), title="")
    assert all(map(torch.equal, before, generator.state_dict().values()))
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(
        parameter.requires_grad for parameter in [*generator.parameters(), *judge.parameters()]
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_gan_that_was_cut_off_ends_where_the_undisturbed_one_ends(
    tmp_path: Path, precision: Precision
) -> None:
    device = Device(precision=precision)  # fp16: two optimizers share one gradient scaler
    numbers = Numbers(steps=10, batch=4, save_every=4)
    whole = gan()
    fit(whole, numbers, Session(tmp_path / "whole", device=device), title="")
    cut = gan()
    broken = Training(cut.parts, cut.objectives, real, before_step=cut_at(9))
    with pytest.raises(CutOffError):
        fit(broken, numbers, Session(tmp_path / "cut", device=device), title="")
    resumed = gan()
    fit(resumed, numbers, Session(tmp_path / "cut", resume=True, device=device), title="")
    for first, second in zip(whole.parts, resumed.parts, strict=True):
        for mine, theirs in ((first.module, second.module), (first.average, second.average)):
            if mine is not None and theirs is not None:
                for key, value in mine.state_dict().items():
                    assert torch.equal(value, theirs.state_dict()[key])


def test_a_part_without_optimizer_is_carried_along_in_the_state(tmp_path: Path) -> None:
    class Count(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

    def counting(now: Iteration) -> dict[str, Tensor]:
        now.net("count").get_buffer("seen").add_(1)
        return {"loss": now.net("line")(now.batch[0]).square().mean()}

    def training() -> tuple[Count, Training]:
        torch.manual_seed(0)
        net, count = nn.Linear(1, 1), Count()
        parts = [Part("line", net, adam(net, 0.1)), Part("count", count)]
        return count, Training(parts, [Objective(counting, ("line",))], real)

    _, first = training()
    fit(first, Numbers(steps=5), Session(tmp_path), title="")
    count, again = training()
    fit(again, Numbers(steps=5), Session(tmp_path, resume=True), title="")
    assert count.get_buffer("seen").item() == 5


def test_an_objective_that_is_due_every_third_step_counts_its_steps(tmp_path: Path) -> None:
    numbers: list[int] = []

    def penalty(now: Iteration) -> dict[str, Tensor]:
        numbers.append(now.number)
        return {"penalty": now.net("generator")(now.batch[1]).square().mean()}

    parts = gan().parts[:1]
    fit(
        Training(parts, [Objective(penalty, ("generator",), every=3)], real),
        Numbers(steps=8),
        Session(tmp_path),
        title="",
    )
    assert numbers == [0, 3, 6]


def test_the_average_begins_at_the_weights_and_follows_slowly(tmp_path: Path) -> None:
    training = gan()
    part = training.parts[0]
    weights: list[float] = []
    watched = Training(
        training.parts,
        training.objectives,
        real,
        before_step=lambda _: weights.append(part.module.get_parameter("weight").item()),
    )
    fit(watched, Numbers(steps=3, save_every=9), Session(tmp_path), title="")
    expected = weights[0]
    for number, weight in enumerate([*weights[1:], part.module.get_parameter("weight").item()]):
        decay = min(0.95, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * weight
    assert part.average is not None
    assert part.average.get_parameter("weight").item() == pytest.approx(expected, rel=1e-5)


def test_weights_come_back_in_the_usual_layout_whatever_the_training_used(tmp_path: Path) -> None:
    def moved(now: Iteration) -> dict[str, Tensor]:
        net = now.net("net")
        assert net.get_parameter("weight").is_contiguous(memory_format=torch.channels_last)
        return {"loss": net(now.batch[0]).square().mean()}

    net = nn.Conv2d(3, 4, 3)
    part = Part("net", net, adam(net, 0.1), ema=0.9, channels_last=True)
    pictures = Training(
        [part], [Objective(moved, ("net",))], lambda draw: (torch.rand(3, 8, 8, generator=draw),)
    )
    fit(pictures, Numbers(steps=2), Session(tmp_path), title="")
    assert net.weight.is_contiguous()
    assert part.average is not None
    assert part.average.get_parameter("weight").is_contiguous()
