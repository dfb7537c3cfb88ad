"""How people lay out pictures to train on: seven layouts, told apart by names alone."""

from __future__ import annotations

import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from stylepress.errors import FrameError
from stylepress.folder import files_below
from stylepress.picture import PHOTO_SUFFIXES

LayoutName = Literal["flat", "classes", "domains", "pairs", "captions", "repeats", "shards"]
TITLES: Mapping[LayoutName, str] = {
    "flat": "pictures in one folder",
    "classes": "a folder a class (ImageFolder of torchvision)",
    "domains": "trainA, trainB, testA, testB (CycleGAN, CUT)",
    "pairs": "train, val, test of pairs side by side (pix2pix)",
    "captions": "metadata.jsonl beside pictures (imagefolder of Hugging Face)",
    "repeats": "folders named 10_name, with .txt beside pictures (kohya)",
    "shards": "tar shards (WebDataset)",
}
HINTS: Mapping[LayoutName, str] = {
    "flat": "`photos: {folder}`",
    "classes": "`photos: {folder}`; classes are not looked at",
    "domains": "`translate` with `photos: {folder}/trainA` and `paintings: {folder}/trainB`",
    "pairs": "`translate` with `photos: {folder}/train`",
    "captions": "`photos: {folder}`; texts are not looked at",
    "repeats": "`photos: {folder}`; texts and repeats are not looked at",
    "shards": "unpack it first: `stylepress data filter {folder} OUT`",
}
METADATA = "metadata.jsonl"
METADATA_LIMIT_BYTES = 256 << 20
DOMAINS = ("trainA", "trainB", "testA", "testB")
SPLITS = ("train", "val", "test")
REPEATS = re.compile(r"\d+_.+")
MEMBER_LIMIT_BYTES = 1 << 30
MOST_MEMBERS = 5_000_000


@dataclass(frozen=True, slots=True)
class Item:
    """One picture: its name below the folder, with ``/``, and the file that holds it.

    ``start`` and ``length`` say where in a shard, in bytes; ``text`` is the file beside it, or the
    place of the text in the same shard.
    """

    name: str
    path: Path
    start: int = 0
    length: int | None = None
    text: Path | tuple[int, int] | None = None

    def data(self) -> bytes:
        """Return the picture file's bytes."""
        return self._part(self.start, self.length)

    def caption(self) -> bytes | None:
        """Return the bytes of the text that goes with it."""
        if isinstance(self.text, Path):
            return self.text.read_bytes()
        return None if self.text is None else self._part(*self.text)

    @contextmanager
    def file(self) -> Iterator[Path]:
        """Yield a file with the picture alone: its own, or one unpacked for the while."""
        if self.length is None:
            yield self.path
            return
        suffix = PurePosixPath(self.name).suffix
        with tempfile.TemporaryDirectory() as folder:
            alone = Path(folder) / f"picture{suffix}"
            alone.write_bytes(self.data())
            yield alone

    def _part(self, start: int, length: int | None) -> bytes:
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read() if length is None else file.read(length)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a folder is laid out, its pictures, how many lie in each of its parts, and texts."""

    name: LayoutName
    folder: Path
    items: tuple[Item, ...]
    parts: Mapping[str, int]
    texts: int

    @property
    def title(self) -> str:
        """What it is, and who lays data out so."""
        return TITLES[self.name]

    @property
    def hint(self) -> str:
        """How a recipe names it."""
        return HINTS[self.name].format(folder=self.folder)


def layout_of(folder: Path) -> Layout:
    """Tell how a folder of pictures is laid out; no picture is opened.

    Raises:
        FrameError: no folder, no pictures in it, or a shard or a list that cannot be read.
    """
    if not folder.is_dir():
        raise FrameError(f"{folder} is no folder.", "Name the folder that holds the pictures.")
    files = list(files_below(folder))
    shards = [path for path in files if path.suffix == ".tar" and path.parent == folder]
    pictures = [path for path in files if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()]
    if shards and not pictures:
        return _shards(folder, shards)
    if not pictures:
        raise FrameError(
            f"{folder} holds {len(files)} files and no picture among them.",
            "Put jpg, png, webp, avif, heic or tiff files into it, or tar shards of them.",
        )
    there = {path for path in files if path.suffix.lower() == ".txt"}
    items = [_item(path, folder, there) for path in pictures]
    tops = {PurePosixPath(item.name).parts[0] for item in items if "/" in item.name}
    listed = _listed(folder / METADATA) if (folder / METADATA).is_file() else None
    name: LayoutName
    if listed is not None:
        name = "captions"
    elif {"trainA", "trainB"} <= tops:
        name = "domains"
    elif tops and all(REPEATS.fullmatch(top) for top in tops):
        name = "repeats"
    elif tops and tops <= set(SPLITS):
        name = "pairs"
    else:
        name = "classes" if tops else "flat"
    texts = len(listed) if listed is not None else sum(item.text is not None for item in items)
    return Layout(name, folder, tuple(items), _counted(items), texts)


def _item(path: Path, folder: Path, texts: set[Path]) -> Item:
    text = path.with_suffix(".txt")
    name = path.relative_to(folder).as_posix()
    return Item(name, path, text=text if text in texts else None)


def _counted(items: list[Item]) -> dict[str, int]:
    """Count pictures by the first folder of their names; those in none are not counted."""
    counts: dict[str, int] = {}
    for item in items:
        top, inner, _ = item.name.partition("/")
        if inner:
            counts[top] = counts.get(top, 0) + 1
    return counts


def _listed(path: Path) -> dict[str, dict[str, Any]]:
    """Read a metadata.jsonl: its lines by the name of the picture.

    Raises:
        FrameError: it is too large, or a line is no mapping with a ``file_name``.
    """
    try:
        if path.stat().st_size > METADATA_LIMIT_BYTES:
            raise ValueError(f"larger than {METADATA_LIMIT_BYTES >> 20} MiB")
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        return {str(line["file_name"]): line for line in lines}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise FrameError(
            f"{path} cannot be understood ({type(error).__name__}: {error}).",
            'Give each line a mapping with the key "file_name".',
        ) from error


def _shards(folder: Path, shards: list[Path]) -> Layout:
    """List what shards hold by their headers alone; members of one key belong together."""
    items: list[Item] = []
    for shard in shards:
        pictures: dict[str, tuple[str, int, int]] = {}
        texts: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(shard, "r:") as archive:
                for count, member in enumerate(archive):
                    if count >= MOST_MEMBERS or member.size > MEMBER_LIMIT_BYTES:
                        raise tarfile.TarError(f"{member.name[:80]} is too large or one too many")
                    if not member.isfile():
                        continue
                    # WebDataset: the key ends at the first dot of the base name.
                    place, _, base = member.name.rpartition("/")
                    stem, _, kind = base.partition(".")
                    key, where = f"{place}/{stem}", (member.offset_data, member.size)
                    if f".{kind.lower()}" in PHOTO_SUFFIXES:
                        pictures[key] = (f"{_plain(stem)}.{kind.lower()}", *where)
                    elif kind.lower() == "txt":
                        texts[key] = where
        except (tarfile.TarError, OSError) as error:
            raise FrameError(
                f"The shard {shard} cannot be read ({error}).", "Copy or write it again."
            ) from error
        items += [
            Item(f"{shard.stem}/{name}", shard, start, length, texts.get(key))
            for key, (name, start, length) in pictures.items()
        ]
    if not items:
        raise FrameError(
            f"The {len(shards)} tar files in {folder} hold no pictures.",
            "Write members as KEY.jpg (and KEY.txt).",
        )
    texted = sum(item.text is not None for item in items)
    return Layout("shards", folder, tuple(items), _counted(items), texted)


def _plain(stem: str) -> str:
    """Make of a member's key a file name that can lie in no other folder.

    >>> _plain("..\\\\a b/c")
    '___a_b_c'
    """
    return re.sub(r"[^\w-]", "_", stem)[:100] or "picture"
