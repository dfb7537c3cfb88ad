"""Training can be stopped at any time and goes on as if nothing had happened."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stylepress.errors import CheckpointError, TrainingError
from stylepress.progress import Silent
from stylepress.train.loop import STATE, LoopOptions, Run, Step, Team, fit

OPTIONS = LoopOptions(steps=12, batch=2, learning_rate=0.05, seed=7, save_every=4)
REPOSITORY = Path(__file__).parents[2]


class CutOffError(Exception):
    """What the tests raise in the middle of a run."""


def line(module: nn.Module, step: Step) -> dict[str, Tensor]:
    """Fit y = 2x + 1 on points that only the step decides."""
    x = torch.stack([torch.rand(1, generator=draw) for draw in step.samples()])
    return {"square": (module(x) - (2 * x + 1)).square().mean()}


def new() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(1, 1)


def test_a_run_that_was_cut_off_ends_where_the_undisturbed_one_ends(tmp_path: Path) -> None:
    whole, cut, resumed = new(), new(), new()
    fit(whole, line, OPTIONS, Run(tmp_path / "whole", Silent()), title="whole")

    def fail(number: int, _: nn.Module) -> None:
        if number == 7:
            raise CutOffError

    with pytest.raises(CutOffError):
        fit(cut, line, OPTIONS, Run(tmp_path / "cut", Silent(), at_step=fail), title="cut")
    again = Run(tmp_path / "cut", Silent(), resume=True)
    fit(resumed, line, OPTIONS, again, title="resumed")
    assert torch.equal(whole.weight, resumed.weight)
    assert torch.equal(whole.bias, resumed.bias)


SCRIPT = """
    import sys, time, torch
    from pathlib import Path
    from stylepress.progress import Silent
    from stylepress.train.loop import LoopOptions, Run, fit
    torch.manual_seed(0)
    net = torch.nn.Linear(1, 1)
    def losses(module, step):
        if "--slow" in sys.argv:
            time.sleep(0.05)
        x = torch.stack([torch.rand(1, generator=d) for d in step.samples()])
        return {"square": (module(x) - (2 * x + 1)).square().mean()}
    run = Run(Path(sys.argv[1]), Silent(), resume="--resume" in sys.argv)
    try:
        fit(net, losses, LoopOptions(60, 2, 0.05, 7, save_every=5), run, title="line")
    except KeyboardInterrupt:
        sys.exit(130)
    print(net.weight.item().hex(), net.bias.item().hex())
"""


def script(tmp_path: Path) -> list[str]:
    path = tmp_path / "line.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return [sys.executable, str(path)]


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_resume_after_a_blow_gives_the_weights_of_the_undisturbed_run(
    tmp_path: Path, blow: signal.Signals
) -> None:
    command = script(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    calm = subprocess.run(
        [*command, str(tmp_path / "calm")], env=environment, capture_output=True, check=True
    )
    folder = tmp_path / "hit"
    with subprocess.Popen([*command, str(folder), "--slow"], env=environment) as victim:
        deadline = time.monotonic() + 60
        while not (folder / STATE).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        victim.send_signal(blow)
        assert victim.wait(60) == (130 if blow == signal.SIGINT else -signal.SIGKILL)
    resumed = subprocess.run(
        [*command, str(folder), "--resume"], env=environment, capture_output=True, check=True
    )
    assert resumed.stdout == calm.stdout
    assert calm.stdout.strip()


def test_two_processes_learn_what_one_learns_with_the_whole_batch(tmp_path: Path) -> None:
    one = new()
    fit(one, line, OPTIONS, Run(tmp_path / "one", Silent()), title="one")
    program = tmp_path / "two.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import torch
            from pathlib import Path
            from stylepress.progress import Silent
            from stylepress.train.loop import LoopOptions, Run, fit, joined_team
            torch.manual_seed(0)
            net = torch.nn.Linear(1, 1)
            def losses(module, step):
                x = torch.stack([torch.rand(1, generator=d) for d in step.samples()])
                return {{"square": (module(x) - (2 * x + 1)).square().mean()}}
            import os
            with joined_team(os.environ) as team:
                run = Run(Path({str(tmp_path / "two")!r}), Silent(), team=team)
                fit(net, losses, LoopOptions(12, 2, 0.05, 7, save_every=4), run, title="two")
                if team.rank == 0:
                    print(net.weight.item(), net.bias.item())
            """
        )
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    ran = subprocess.run(
        [*torchrun, "--nproc-per-node=2", str(program)],
        check=False,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    weight, bias = (float(word) for word in ran.stdout.split())
    assert weight == pytest.approx(one.weight.item(), abs=1e-6)
    assert bias == pytest.approx(one.bias.item(), abs=1e-6)


def test_a_loss_that_is_not_finite_stops_and_names_the_step_and_the_mend(tmp_path: Path) -> None:
    def broken(module: nn.Module, step: Step) -> dict[str, Tensor]:
        loss = line(module, step)["square"]
        return {"square": loss * (float("nan") if step.number == 6 else 1)}

    with pytest.raises(TrainingError, match=r"(?s)step 6 .* `learning_rate`"):
        fit(new(), broken, OPTIONS, Run(tmp_path, Silent()), title="broken")
    assert (tmp_path / STATE).exists()


def test_a_state_of_other_options_is_not_resumed(tmp_path: Path) -> None:
    fit(new(), line, OPTIONS, Run(tmp_path, Silent()), title="first")
    other = LoopOptions(steps=20, batch=2, learning_rate=0.05, seed=7)
    with pytest.raises(CheckpointError, match="other options"):
        fit(new(), line, other, Run(tmp_path, Silent(), resume=True), title="second")


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"\0" * 40)
    with pytest.raises(CheckpointError, match="cannot be read"):
        fit(new(), line, OPTIONS, Run(tmp_path, Silent(), resume=True), title="damaged")


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path, Silent(), team=Team(rank=0, size=3))
    with pytest.raises(TrainingError, match="multiple of 3"):
        fit(new(), line, OPTIONS, run, title="three")


def test_every_sample_of_a_run_has_its_own_seed() -> None:
    seeds = {
        draw.initial_seed()
        for number in range(50)
        for rank in (0, 1)
        for draw in (
            *Step(number, OPTIONS, Team(rank, 2)).samples(),
            Step(number, OPTIONS, Team(rank, 2)).shared(),
        )
    }
    assert len(seeds) == 50 * (2 + 1)
