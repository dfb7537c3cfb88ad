"""Progressive distillation: one step of the student does what two of its teacher do, and again."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.nn import functional as F

from stylepress.compress.sampler.ladder import Aim, Noisy, Phase, frozen, rebuilt, stepped, taught
from stylepress.model_steps import ShortenStep
from stylepress.train.families.diffusion import Ladder, Predict
from stylepress.train.families.unet2d import UNet2D
from stylepress.train.photos import Photos
from stylepress.train.trainer.plan import Session


def halved(
    net: UNet2D, photos: Photos, step: ShortenStep, session: Session, steps: int
) -> Iterator[UNet2D]:
    """Yield a student for each halving, the last of ``step.sampling`` steps.

    Salimans and Ho 2022 (arXiv 2202.00512), algorithm 2. ``net`` predicts velocity; ``steps`` are
    shared by the halvings, the last learns twice as long.
    """
    rungs = step.teacher_sampling
    halvings = (rungs // step.sampling).bit_length() - 1
    for number in range(halvings):
        rungs //= 2
        share = 2 if number + 1 == halvings else 1
        own = max(1, round(steps * share / (halvings + 1)))
        phase = Phase(f"Halving to {rungs} steps", f"to-{rungs}", own, rungs)
        student = rebuilt(net, sampling=rungs)
        net = taught(student, halving(net, rungs, session), photos, step, session, phase)
        yield net


def halving(teacher: UNet2D, rungs: int, session: Session) -> Aim:
    """Return the aim of a student of ``rungs`` steps: where two steps of the teacher end."""
    predict = frozen(teacher, session)
    fine, coarse = (Ladder.of(teacher.noise, count) for count in (2 * rungs, rungs))

    def aim(student_predicts: Predict, noisy: Noisy) -> dict[str, Tensor]:
        x = noisy.x
        for more in (0, 1):
            x, _ = stepped(predict, x, 2 * noisy.rung + more, fine, "v_prediction")
        later = coarse.left.to(x.device)[noisy.rung + 1].view(-1, 1, 1, 1)
        wanted = velocity_between(noisy.x, x, noisy.left, later)
        # The mean square of velocities is that of pictures weighed by signal to noise plus 1.
        return {"velocity": F.mse_loss(student_predicts(noisy.x, noisy.time), wanted)}

    return aim


def velocity_between(x: Tensor, end: Tensor, left: Tensor, later: Tensor) -> Tensor:
    """Return the velocity by which one step of DDIM goes from ``x`` to ``end``.

    With left = cos(a)^2 and later = cos(b)^2 a step is a turn by a - b:
    end = cos(a - b) x - sin(a - b) v (appendix D there).
    """
    signal, noise = left.sqrt(), (1 - left).sqrt()
    signal_later, noise_later = later.sqrt(), (1 - later).sqrt()
    cosine = signal * signal_later + noise * noise_later
    sine = noise * signal_later - signal * noise_later
    return (cosine * x - end) / sine
