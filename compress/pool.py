"""The pool of teacher pictures: drawn once before the training, kept on disk, cut for each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylepress.replace import replacing_file, writing
from stylepress.steps import DistilStep
from stylepress.train.photos import Photos
from stylepress.train.trainer.feed import generator, sample_draws
from stylepress.train.trainer.plan import Session

ZOOM = (1.0, 2.0)


class Pool:
    """Photo crops and what the teacher makes of them, uint8, in one file of which memory holds
    as much as the system can spare.
    """

    def __init__(
        self,
        teacher: Callable[[Tensor], Tensor],
        photos: Photos,
        step: DistilStep,
        session: Session,
    ) -> None:
        self._teacher, self._photos, self._step, self._session = teacher, photos, step, session
        self.path = session.folder / f"pictures-{session.team.rank}.part"
        self._slots: dict[int, int] = {}
        self._pictures: NDArray[np.uint8] | None = None

    def draw(self, first: int) -> None:
        """Draw every picture that the steps from ``first`` on will look at.

        Raises:
            OutputError: the disk is full, or the folder cannot be written to.
        """
        indices, side = sorted(self._asked(first)), self._step.pool_px
        progress = self._session.progress
        progress.start("Drawing the teacher's pictures", len(indices))
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("wb") as file:
                for index in indices:
                    file.write(self._kept(index))
                    progress.advance()
        progress.finish()
        self._slots = {index: slot for slot, index in enumerate(indices)}
        shape = (len(indices), 6, side, side)
        self._pictures = np.memmap(self.path, np.uint8, mode="r", shape=shape)

    def cut(self, draw: torch.Generator) -> tuple[Tensor]:
        """Cut one square: (6, crop, crop) uint8, the photo's three channels, then the teacher's."""
        if self._pictures is None:
            raise RuntimeError("no picture was drawn yet")
        index = self._index(draw)
        picture = self._pictures[self._slots[index]]
        side = self._step.crop_px
        places = torch.randint(self._step.pool_px - side + 1, (2,), generator=draw).tolist()
        top, left = places
        pair = torch.from_numpy(np.array(picture[:, top : top + side, left : left + side]))
        return (pair.flip(2) if float(torch.rand(1, generator=draw)) < 0.5 else pair,)

    def close(self) -> None:
        """Remove the pictures."""
        self._pictures = None
        self.path.unlink(missing_ok=True)

    def _index(self, draw: torch.Generator) -> int:
        return int(torch.randint(self._step.pool, (1,), generator=draw))

    def _asked(self, first: int) -> set[int]:
        """Return the pictures that samples of this process will be cut from."""
        asked: set[int] = set()
        for number in range(first, self._step.steps):
            draws = sample_draws(self._step, number, self._session.team)
            asked.update(self._index(draw) for draw in draws)
            if len(asked) == self._step.pool:
                break
        return asked

    def _kept(self, index: int) -> bytes:
        """Return a picture's bytes: those that another training kept, where one did."""
        if self._session.pictures is None:
            return self._pair(index).numpy().tobytes()
        path = self._session.pictures / f"{index}.part"
        side = self._step.pool_px
        if path.is_file() and path.stat().st_size == 6 * side * side:
            return path.read_bytes()
        data = self._pair(index).numpy().tobytes()
        with replacing_file(path) as beside:
            beside.write_bytes(data)
        return data

    def _pair(self, index: int) -> Tensor:
        """Return photo and teacher picture in one: (6, pool_px, pool_px) uint8.

        One at a time, so that a picture does not depend on which others are drawn.
        """
        draw = generator(self._step.seed or 0, -1 - index)
        # Features tell how photos look; strange crops only make up for patches that do not.
        content = self._photos.crop(
            draw, self._step.pool_px, zoom=ZOOM, strange=self._step.loss != "vgg"
        )
        (held,) = self._session.device.receive((content,))
        with self._session.device.autocast():
            target = self._teacher(held[None])[0]
        return torch.cat([held, target]).mul(255).round().to(torch.uint8).cpu()


@contextmanager
def pool_of(
    teacher: Callable[[Tensor], Tensor], photos: Photos, step: DistilStep, session: Session
) -> Iterator[Pool]:
    """Yield a pool whose file is removed at the end, however it ends."""
    pool = Pool(teacher, photos, step, session)
    try:
        yield pool
    finally:
        pool.close()
