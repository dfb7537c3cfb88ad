"""The training loop: objectives in turn, each step from its number alone, saved and watched."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stylepress.errors import TrainingError
from stylepress.interrupt import deferred_interrupt
from stylepress.train.trainer.board import previews, show_preview
from stylepress.train.trainer.device import Device
from stylepress.train.trainer.feed import Feed, Sample, mixed, shared_draw
from stylepress.train.trainer.ledger import Ledger
from stylepress.train.trainer.part import Part
from stylepress.train.trainer.plan import Plan, Session, TrainingSummary
from stylepress.train.trainer.state import (
    STATE,
    Reached,
    finite,
    load_state,
    save_state,
    what_is_left,
)
from stylepress.train.trainer.team import Team, norms_of_the_team

LOOK_EVERY = 10
"""On a GPU the losses are fetched so often: each fetch waits for all that was ordered."""


@dataclass(frozen=True)
class Iteration:
    """One objective at one step: the batch, the nets, and what may be random.

    ``batch`` is this process's share on the device. ``draw``, a CPU generator, is the same on all
    processes. ``net(name)`` is what to call: under a team it shares gradients. ``watched`` are
    numbers that nobody minimises, for the board: what a discriminator thinks.
    """

    number: int
    batch: tuple[Tensor, ...]
    draw: torch.Generator
    team: Team
    device: Device
    nets: Mapping[str, nn.Module]
    watched: dict[str, Tensor] = field(default_factory=dict)

    def share(self, whole: Tensor) -> Tensor:
        """Return this process's rows of a whole batch that was drawn by ``draw``, on the device."""
        count = len(self.batch[0])
        return whole[self.team.rank * count :][:count].to(self.device.place)

    def watch(self, name: str, values: Tensor) -> None:
        """Show the mean of ``values`` on the board, under ``name``."""
        self.watched[name] = values.detach().float().mean()

    def net(self, name: str) -> nn.Module:
        """Return the network of a part; weights of parts that are not trained now stand still."""
        return self.nets[name]

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which networks run; losses stay in float32."""
        return self.device.autocast()


Terms = Callable[[Iteration], dict[str, Tensor]]


@dataclass(frozen=True)
class Objective:
    """Named, weighted scalar terms, and the parts that go downhill along their sum.

    ``every`` leaves out steps, for a penalty that need not be paid at each.
    """

    terms: Terms
    trains: tuple[str, ...]
    every: int = 1


@dataclass(frozen=True)
class Training:
    """What is learnt: parts, what each step minimises in this order, and the samples.

    ``prepare`` is called once with the number of the first step, before any sample
    is drawn. ``before_step`` may switch layers between training and evaluation. ``preview`` draws a
    (3, H, W) picture in [0, 1] of where the networks stand.
    """

    parts: Sequence[Part]
    objectives: Sequence[Objective]
    sample: Sample
    prepare: Callable[[int], None] | None = None
    before_step: Callable[[int], None] | None = None
    preview: Callable[[], Tensor] | None = None


def fit(training: Training, plan: Plan, session: Session, *, title: str) -> TrainingSummary:
    """Train the parts in place, on the session's device; afterwards they are on the CPU.

    The state is saved every ``save_every`` steps, at the end and on Ctrl-C; a resumed training
    ends bit for bit where the undisturbed one ends (on a CPU with as many threads). Under a team
    the result is that of one process with the whole batch, within float error.

    Raises:
        TrainingError: the loss or the weights stopped being finite; the last state stays.
        CheckpointError: the saved state is of another training.
        KeyboardInterrupt: Ctrl-C; the state was saved.
    """
    team = session.team
    if plan.batch % team.size:
        raise TrainingError(
            f"A batch of {plan.batch} cannot be shared by {team.size} processes.",
            f"Set `batch` to a multiple of {team.size}.",
        )
    for part in training.parts:
        part.place(session.device)
    scaler = session.device.scaler()
    reached = _resumed(training.parts, scaler, session)
    ledger = Ledger(plan, reached, team, session.board if team.leads else None)
    first = reached.done
    if training.prepare is not None and first < plan.steps:
        training.prepare(first)
    if training.preview is not None and first < plan.steps:
        session.progress.say(f"Previews, every {plan.sample_every} steps: {previews(session)}")
    session.progress.start(title, plan.steps)
    session.progress.advance(first)
    with ExitStack() as stack:
        stack.enter_context(norms_of_the_team([part.module for part in training.parts], team))
        for part in training.parts:
            part.wrap(team, session.device)
            stack.callback(part.release)
        interrupted = stack.enter_context(deferred_interrupt())
        feed = stack.enter_context(Feed(training.sample, plan, first, team, session.device))
        loop = _Loop(training, plan, session, scaler, ledger)
        began = time.monotonic()
        for number in range(first, plan.steps):
            loop.step(number, feed.take())
            if loop.due(number + 1):
                loop.look(number + 1, stop=team.any(interrupted()))
        elapsed_s = time.monotonic() - began
    session.progress.finish()
    trained = plan.steps - first
    summary = TrainingSummary(
        loss=sum(reached.means().values()),
        terms=reached.means(),
        steps=plan.steps,
        device=str(session.device),
        images_per_s=trained * plan.batch / elapsed_s if trained else None,
        waiting_share=feed.waited_s / elapsed_s if trained else None,
    )
    session.progress.say(summary.line())
    return summary


class _Loop:
    """What happens at a step, and what every few steps."""

    def __init__(
        self,
        training: Training,
        plan: Plan,
        session: Session,
        scaler: torch.amp.GradScaler,
        ledger: Ledger,
    ) -> None:
        self.training, self.plan, self.session = training, plan, session
        self.scaler, self.ledger = scaler, ledger
        self.state = session.folder / STATE
        self.looked, self.began = ledger.reached.done, time.monotonic()
        self.first = self.looked

    def step(self, number: int, batch: tuple[Tensor, ...]) -> None:
        """Go one step of each objective that is due."""
        if self.training.before_step is not None:
            self.training.before_step(number)
        # Dropout draws from torch's own generator: seeded here, a resumed run drops the same.
        torch.manual_seed(mixed((self.plan.seed or 0) + self.session.team.rank, 2 * number + 1))
        terms: dict[str, Tensor] = {}
        watched: dict[str, Tensor] = {}
        for index, objective in enumerate(self.training.objectives):
            if number % objective.every == 0:
                iteration = self._iteration(number, index, objective, batch)
                terms |= self._descend(objective, iteration)
                watched |= iteration.watched
        self.ledger.note(number, terms, watched)

    def due(self, done: int) -> bool:
        """Say whether it is time to look at the losses, save, or show something."""
        every = LOOK_EVERY if self.session.device.cuda else 1
        return done % every == 0 or self._saves(done) or self._shows(done)

    def look(self, done: int, *, stop: bool) -> None:
        """Fetch the losses, tell the progress, save and show what is due; stop when asked to."""
        session = self.session
        total = self.ledger.settle(self.state)
        rate = (done - self.first) * self.plan.batch / (time.monotonic() - self.began)
        session.progress.advance(done - self.looked, f"loss {total:.4f}, {rate:.1f} images/s")
        self.looked = done
        if session.team.leads:
            if self.training.preview is not None and self._shows(done):
                show_preview(self.training.preview(), done, session)
            if stop or self._saves(done):
                self._save(done)
        if stop:
            session.progress.warn(
                f"Stopped after step {done} of {self.plan.steps}; the state is kept in "
                f"{self.state}. Run the same command with `--resume` to go on."
            )
            raise KeyboardInterrupt

    def _iteration(
        self, number: int, index: int, objective: Objective, batch: tuple[Tensor, ...]
    ) -> Iteration:
        nets: dict[str, nn.Module] = {}
        for part in self.training.parts:
            trained = part.name in objective.trains
            part.open(trained=trained)
            # A wrapped module whose gradients nobody computes would wait for them for ever.
            nets[part.name] = part.active if trained else part.module
        return Iteration(
            number,
            batch,
            shared_draw(self.plan, number, index),
            self.session.team,
            self.session.device,
            nets,
        )

    def _descend(self, objective: Objective, iteration: Iteration) -> dict[str, Tensor]:
        trained = [part for part in self.training.parts if part.name in objective.trains]
        for part in trained:
            part.begin(iteration.number)
        terms = objective.terms(iteration)
        total = torch.stack(list(terms.values())).sum()
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        for part in trained:
            part.update(iteration.number, self.scaler)
        self.scaler.update()
        return {name: term.detach() for name, term in terms.items()}

    def _saves(self, done: int) -> bool:
        return done % self.plan.save_every == 0 or done == self.plan.steps

    def _shows(self, done: int) -> bool:
        return done % self.plan.sample_every == 0 or done in (1, self.plan.steps)

    def _save(self, done: int) -> None:
        if not finite(self.training.parts):
            raise TrainingError(
                f"Weights stopped being finite by step {done}. {what_is_left(self.state)}",
                "Train again with a lower `learning_rate`.",
            )
        self.ledger.reached.done = done
        save_state(
            self.state,
            self.training.parts,
            self.scaler,
            self.ledger.reached,
            self.session.identity,
        )


def _resumed(parts: Sequence[Part], scaler: torch.amp.GradScaler, session: Session) -> Reached:
    path = session.folder / STATE
    there = session.resume and path.exists()
    reached = load_state(path, parts, scaler, session.identity) if there else Reached()
    if not session.team.same(reached.done):
        raise TrainingError(
            f"Process {session.team.rank} goes on from step {reached.done}, and others from "
            f"another: they do not read the same {path}.",
            "Share that folder between the machines.",
        )
    return reached
