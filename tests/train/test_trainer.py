"""Training can be stopped at any time and goes on as if nothing had happened."""

import dataclasses
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stylepress.errors import CheckpointError, OutputError, RecipeError, TrainingError
from stylepress.train.trainer.device import Device, resolve_device
from stylepress.train.trainer.feed import sample_draws, shared_draw
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.plan import Session
from stylepress.train.trainer.state import STATE
from stylepress.train.trainer.team import Team

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Numbers:
    """A step's numbers."""

    steps: int = 12
    batch: int = 2
    seed: int = 7
    save_every: int = 4
    sample_every: int = 100


class CutOffError(Exception):
    """What the tests raise in the middle of a run."""


def point(draw: torch.Generator) -> tuple[Tensor]:
    return (torch.rand(1, generator=draw),)


def square(now: Iteration) -> dict[str, Tensor]:
    """Fit y = 2x + 1 on points that only the step decides."""
    (x,) = now.batch
    return {"square": (now.net("line")(x) - (2 * x + 1)).square().mean()}


def line(
    terms: Callable[[Iteration], dict[str, Tensor]] = square,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] = lambda net: adam(net, 0.05),
    **more: object,
) -> tuple[nn.Linear, Training]:
    torch.manual_seed(0)
    net = nn.Linear(1, 1)
    part = Part("line", net, optimizer(net), warm_linear(12))
    objectives = [Objective(terms, ("line",))]
    return net, Training([part], objectives, point, **more)  # type: ignore[arg-type]


def cut_at(step: int) -> Callable[[int], None]:
    def fail(number: int) -> None:
        if number == step:
            raise CutOffError

    return fail


OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "adam": lambda net: adam(net, 0.05),
    "sgd": lambda net: torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda net: torch.optim.RMSprop(net.parameters(), lr=0.05, centered=True),
    "adamw": lambda net: torch.optim.AdamW(
        [{"params": [p], "lr": 0.01 + p.ndim / 50} for p in net.parameters()], lr=0.05, amsgrad=True
    ),
    "adafactor": lambda net: torch.optim.Adafactor(net.parameters(), lr=0.05),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_run_that_was_cut_off_ends_where_the_undisturbed_one_ends(
    tmp_path: Path, kind: str
) -> None:
    whole, training = line(optimizer=OPTIMIZERS[kind])
    calm = fit(training, Numbers(), Session(tmp_path / "whole"), title="whole")
    _, training = line(optimizer=OPTIMIZERS[kind], before_step=cut_at(7))
    with pytest.raises(CutOffError):
        fit(training, Numbers(), Session(tmp_path / "cut"), title="cut")
    resumed, training = line(optimizer=OPTIMIZERS[kind])
    again = fit(training, Numbers(), Session(tmp_path / "cut", resume=True), title="resumed")
    assert torch.equal(whole.weight, resumed.weight)
    assert torch.equal(whole.bias, resumed.bias)
    assert again.loss == calm.loss > 0


VICTIM = """
    import sys, time
    from pathlib import Path
    from stylepress.progress import Silent
    from tests.train.test_trainer import Numbers, Session, fit, line

    class Listener(Silent):
        def warn(self, message):
            print(message, flush=True)

        def finish(self):
            print("done", flush=True)

    _, training = line(before_step=lambda _: time.sleep(0.02))
    session = Session(Path(sys.argv[1]), progress=Listener())
    try:
        fit(training, Numbers(steps=300), session, title="victim")
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_resume_after_a_blow_gives_the_weights_of_the_undisturbed_run(
    tmp_path: Path, blow: signal.Signals
) -> None:
    """Ctrl-C says how to go on, and never that the work is done."""
    calm, training = line()
    fit(training, Numbers(steps=300), Session(tmp_path / "calm"), title="calm")
    command = [sys.executable, "-c", textwrap.dedent(VICTIM), str(tmp_path / "hit")]
    state = tmp_path / "hit" / STATE
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as victim:
        deadline = time.monotonic() + 60
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        victim.send_signal(blow)
        messages = victim.communicate(timeout=60)[0].splitlines()
    if blow == signal.SIGKILL:
        assert (victim.returncode, messages) == (-signal.SIGKILL, [])
    else:
        (message,) = messages
        assert victim.returncode == 130
        assert "of 300" in message
        assert "--resume" in message
    resumed, training = line()
    fit(training, Numbers(steps=300), Session(state.parent, resume=True), title="resumed")
    assert torch.equal(resumed.weight, calm.weight)
    assert torch.equal(resumed.bias, calm.bias)


def test_a_finished_training_that_is_resumed_tells_its_true_loss(tmp_path: Path) -> None:
    net, training = line()
    first = fit(training, Numbers(), Session(tmp_path), title="first")
    again_net, training = line()
    again = fit(training, Numbers(), Session(tmp_path, resume=True), title="again")
    assert (again.loss, again.terms) == (first.loss, first.terms)
    assert again.images_per_s is None
    assert torch.equal(again_net.weight, net.weight)


@pytest.mark.parametrize("steps", [1, 2, 9, 10])
def test_any_number_of_steps_has_a_loss(tmp_path: Path, steps: int) -> None:
    _, training = line()
    summary = fit(training, Numbers(steps=steps), Session(tmp_path), title="short")
    assert summary.loss > 0
    assert summary.terms == {"square": summary.loss}
    assert summary.waiting_share is not None
    assert 0 <= summary.waiting_share <= 1


def test_a_loss_that_is_not_finite_stops_and_names_the_step_and_the_mend(tmp_path: Path) -> None:
    def broken(now: Iteration) -> dict[str, Tensor]:
        return {"square": square(now)["square"] * (float("nan") if now.number == 6 else 1)}

    _, training = line(broken)
    with pytest.raises(TrainingError, match=r"(?s)step 6 .* `learning_rate`"):
        fit(training, Numbers(), Session(tmp_path), title="broken")
    assert (tmp_path / STATE).exists()


def test_a_state_that_is_not_finite_is_never_saved(tmp_path: Path) -> None:
    net, training = line()
    with torch.no_grad():
        net.bias.fill_(0)
    spoilt = dataclasses.replace(
        training,
        before_step=lambda n: net.register_buffer("x", torch.tensor([float("inf")] * (n == 5))),
    )
    with pytest.raises(TrainingError, match="Weights stopped being finite"):
        fit(spoilt, Numbers(save_every=6), Session(tmp_path), title="spoilt")
    assert not (tmp_path / STATE).exists()


def test_what_changed_since_the_state_was_saved_is_named(tmp_path: Path) -> None:
    saved = {"step": {"learning_rate": 0.05, "pool": 4}, "photos": "a" * 64, "style": "b" * 64}
    _, training = line()
    fit(training, Numbers(), Session(tmp_path, saved), title="first")
    now = {"step": {"learning_rate": 0.01, "pool": 4}, "photos": "c" * 64, "style": "b" * 64}
    _, training = line()
    with pytest.raises(CheckpointError) as caught:
        fit(training, Numbers(), Session(tmp_path, now, resume=True), title="second")
    assert ": photos changed; step.learning_rate was 0.05 and is 0.01." in str(caught.value)
    assert "pool" not in str(caught.value)


def test_a_state_of_another_network_or_optimizer_is_refused(tmp_path: Path) -> None:
    _, training = line()
    fit(training, Numbers(), Session(tmp_path), title="first")
    for kind, said in (("sgd", "Adam, now SGD"), ("adamw", "Adam, now AdamW")):
        _, other = line(optimizer=OPTIMIZERS[kind])
        with pytest.raises(CheckpointError, match=rf"optimizer of 'line' \({said}\)"):
            fit(other, Numbers(), Session(tmp_path, resume=True), title="second")
    wide = nn.Linear(1, 2)
    wider = dataclasses.replace(other, parts=[Part("line", wide, adam(wide, 0.1))])
    with pytest.raises(CheckpointError, match=r"bias was \[1\] and is \[2\]"):
        fit(wider, Numbers(), Session(tmp_path, resume=True), title="third")


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"\0" * 40)
    _, training = line()
    with pytest.raises(CheckpointError, match="cannot be read"):
        fit(training, Numbers(), Session(tmp_path, resume=True), title="damaged")


def test_a_state_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, training = line(before_step=cut_at(5))
    with pytest.raises(CutOffError):
        fit(training, Numbers(), Session(tmp_path), title="first")
    before = (tmp_path / STATE).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stylepress.train.trainer.state.save_file", full)
    _, training = line()
    with pytest.raises(OutputError, match=r"disk is full .* What stood under that name is whole"):
        fit(training, Numbers(), Session(tmp_path, resume=True), title="second")
    assert (tmp_path / STATE).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {STATE}


def test_a_refusal_of_the_system_in_the_middle_of_a_file_leaves_the_last_state(
    tmp_path: Path,
) -> None:
    _, training = line(before_step=cut_at(5))
    with pytest.raises(CutOffError):
        fit(training, Numbers(), Session(tmp_path), title="first")
    before = (tmp_path / STATE).read_bytes()
    _, training = line()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OutputError, match="File too large"):
            fit(training, Numbers(), Session(tmp_path, resume=True), title="second")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / STATE).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {STATE}


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    _, training = line()
    session = Session(tmp_path, team=Team(rank=0, size=3))
    with pytest.raises(TrainingError, match="multiple of 3"):
        fit(training, Numbers(), session, title="three")


def test_every_sample_of_a_run_has_its_own_seed_and_teams_share_them() -> None:
    plan = Numbers()

    def seeds(number: int, team: Team) -> list[int]:
        return [draw.initial_seed() for draw in sample_draws(plan, number, team)]

    alone = [seed for number in range(50) for seed in seeds(number, Team())]
    shared = [shared_draw(plan, number).initial_seed() for number in range(50)]
    assert len({*alone, *shared}) == 50 * (2 + 1)
    assert alone[:2] == [*seeds(0, Team(0, 2)), *seeds(0, Team(1, 2))]


def test_dropout_drops_the_same_after_a_resume(tmp_path: Path) -> None:
    def dropping(now: Iteration) -> dict[str, Tensor]:
        (x,) = now.batch
        return {"square": (nn.functional.dropout(now.net("line")(x)) - x).square().mean()}

    whole, training = line(dropping)
    fit(training, Numbers(), Session(tmp_path / "whole"), title="whole")
    _, training = line(dropping, before_step=cut_at(6))
    with pytest.raises(CutOffError):
        fit(training, Numbers(), Session(tmp_path / "cut"), title="cut")
    torch.rand(3)  # whatever else the program draws in between
    resumed, training = line(dropping)
    fit(training, Numbers(), Session(tmp_path / "cut", resume=True), title="resumed")
    assert torch.equal(whole.weight, resumed.weight)


def test_previews_are_written_as_pictures_every_few_steps(tmp_path: Path) -> None:
    _, training = line(preview=lambda: torch.linspace(-1, 1, 30).expand(3, 20, 30))
    fit(training, Numbers(sample_every=5), Session(tmp_path), title="shown")
    names = sorted(path.name for path in (tmp_path / "previews").iterdir())
    assert names == [f"{done:07}.png" for done in (1, 5, 10, 12)]
    with Image.open(tmp_path / "previews" / names[0]) as picture:
        assert picture.size == (30, 20)
        assert picture.getpixel((0, 0)) == (0, 0, 0)
        assert picture.getpixel((29, 19)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("wanted", "precision", "said"),
    [
        ("tpu", "auto", r"'tpu' is no device"),
        ("cuda:x", "auto", "is no device"),
        ("cpu:1", "auto", "is no device"),
        ("cpu", "fp16", "no fast float16"),
    ],
)
def test_a_device_that_is_none_is_refused(wanted: str, precision: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        resolve_device(wanted, precision)  # type: ignore[arg-type]


def test_cards_are_shared_out_and_those_that_are_not_there_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from stylepress.train.trainer import device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto", "fp32") == Device(torch.device("cpu"), "fp32")
    with pytest.raises(RecipeError, match="no NVIDIA GPU"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    second = Team(rank=1, size=2, local_rank=1, local_size=2)
    assert device._place("auto", second) == torch.device("cuda", 1)
    assert device._place("cuda:1", Team()) == torch.device("cuda", 1)
    with pytest.raises(RecipeError, match="this machine has 2"):
        resolve_device("cuda:2")
    with pytest.raises(RecipeError, match="a card of its own"):
        resolve_device("cuda:0", team=second)
