"""The memory of a search: every trial in a database that outlives the process (Optuna)."""

from __future__ import annotations

import math
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from stylepress.errors import OutputError
from stylepress.export.fit.candidate import KEEPS, Candidate, Precision, suggested

HOST, PROCESS = "host", "process"
LATENCY, DRIFT, NOTE = "latency_ms", "drift", "note"


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of the search: its time, its drift after a short training, or why it has none.

    ``drift`` is None where nothing was trained, because ``note`` says why not.
    """

    candidate: Candidate
    latency_ms: float
    drift: float | None
    note: str = ""


class Study:
    """Candidates asked for one after the other; what became of each is told back and kept.

    Trials minimise (latency, drift) by the multi-objective TPE (Ozaki et al. 2022). Several
    processes, on several machines, may work on one storage.
    """

    def __init__(
        self,
        storage: str,
        name: str,
        *,
        seed: int,
        precisions: tuple[Precision, ...],
        keeps: tuple[float, ...] = (1.0,),
        limit_ms: float = math.inf,
    ) -> None:
        """Open or begin the study ``name`` in ``storage``: a database's URL, or a journal's path.

        Candidates above ``limit_ms`` teach the sampler to choose faster ones.

        Raises:
            OutputError: the storage cannot be reached; nothing of it is lost.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.storage, self.precisions, self.keeps = storage, precisions, keeps
        with self._reached():
            self._study = optuna.create_study(
                storage=_storage(storage),
                study_name=name,
                directions=["minimize", "minimize"],
                load_if_exists=True,
            )
            done = len(self._study.trials)
            # A sampler begins anew with each process: the same seed again would repeat itself.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # constraints are "experimental" since 2021
                self._study.sampler = optuna.samplers.TPESampler(
                    seed=seed + done,
                    multivariate=False,
                    constraints_func=lambda trial: (trial.user_attrs[LATENCY] - limit_ms,),
                )

    def next(self, candidate: Candidate) -> None:
        """Ask for this one next, behind what waits already."""
        with self._reached():
            self._study.enqueue_trial(_values(candidate, whole=len(self.keeps) > 1))

    def take_up(self) -> int:
        """Give up what a process that is gone had begun on this machine, and ask for it again."""
        count = 0
        with self._reached():
            for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
                mine = trial.user_attrs.get(HOST) == socket.gethostname()
                if mine and not _alive(int(trial.user_attrs.get(PROCESS, 0))):
                    self._study.tell(trial.number, state=TrialState.FAIL)
                    self._study.enqueue_trial(trial.params)
                    count += 1
        return count

    def ask(self) -> tuple[int, Candidate]:
        """Return the number of a new trial, and what to try."""
        with self._reached():
            trial = self._study.ask()
            trial.set_user_attr(HOST, socket.gethostname())
            trial.set_user_attr(PROCESS, os.getpid())
            return trial.number, suggested(trial, self.precisions, self.keeps)

    def tell(self, number: int, tried: Trial) -> None:
        """Keep what became of a trial; one without a drift counts as pruned."""
        with self._reached():
            trial = self._study.trials[number]
            attributes = {LATENCY: tried.latency_ms, NOTE: tried.note}
            for key, value in attributes.items():
                self._study._storage.set_trial_user_attr(trial._trial_id, key, value)
            if tried.drift is None:
                self._study.tell(number, state=TrialState.PRUNED)
            else:
                self._study.tell(number, [tried.latency_ms, tried.drift])

    def fail(self, number: int) -> None:
        """Keep that a trial could not be done."""
        with self._reached():
            self._study.tell(number, state=TrialState.FAIL)

    def tried(self) -> list[Trial]:
        """Return every trial that is done, each candidate once."""
        with self._reached():
            trials = self._study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
        latest = {trial.candidate.key: trial for trial in map(_trial_of, trials)}
        return list(latest.values())

    @contextmanager
    def _reached(self) -> Iterator[None]:
        # Optuna and the driver of the database each have their own errors for a storage that is
        # not there, not ours, or broken.
        try:
            yield
        except (OSError, ImportError, ValueError, RuntimeError) as error:
            raise self._unreachable(error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("optuna", "sqlalchemy", "alembic"):
                raise
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> OutputError:
        reason = str(error).partition("\n")[0][:200]
        return OutputError(
            f"The search storage {self.storage} cannot be used ({reason}).",
            "Name another with `--storage`; what was found before stays in this one.",
        )


def _storage(place: str) -> BaseStorage:
    if "://" in place:
        return RDBStorage(place)
    return JournalStorage(JournalFileBackend(str(Path(place))))


def _values(candidate: Candidate, *, whole: bool) -> dict[str, Any]:
    """Return what a trial is asked with; ``whole`` says that a share of 1 is a choice, too."""
    values = {**({"keep": 1.0} if whole else {}), **candidate.values()}
    return {key: value for key, value in values.items() if key != "deep_blocks" or value}


def _trial_of(trial: FrozenTrial) -> Trial:
    keeps = KEEPS if "keep" in trial.params else (1.0,)
    candidate = suggested(_Remembered(trial.params), (), keeps)
    latency = float(trial.user_attrs.get(LATENCY, trial.values[0] if trial.values else 0.0))
    drift = float(trial.values[1]) if trial.values else None
    return Trial(candidate, latency, drift, str(trial.user_attrs.get(NOTE, "")))


class _Remembered:
    """A chooser that chooses what was chosen before."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._params[name]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process > 0
