"""Which target a machine is, read from its own files below a root folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stylepress.errors import RecipeError
from stylepress.targets.files import Tree
from stylepress.targets.jetpack import of_release
from stylepress.targets.jetson import COMPATIBLE, l4t_release, power_mode
from stylepress.targets.target import Target, load_target, names, with_jetpack, with_mode

GENERIC = {"x86_64": "x86-cpu", "amd64": "x86-cpu", "aarch64": "arm64-cpu", "arm64": "arm64-cpu"}
"""The target of a processor, by what ``platform.machine()`` calls it."""
VNNI = frozenset({"avx512_vnni", "avx_vnni"})


@dataclass(frozen=True, slots=True)
class Detected:
    """The target of a machine, and what was seen that does not fit it, a sentence each."""

    target: Target
    notes: tuple[str, ...] = ()


def detect(root: Path, *, machine: str, gpus: Sequence[str] = ()) -> Detected:
    """Return the target of the machine whose files lie below ``root``: ``/`` for this one.

    ``machine`` is what ``platform.machine()`` calls the processor; ``gpus`` the names of NVIDIA
    cards as NVML tells them, for a system whose driver shows none below /proc.
    """
    tree = Tree(root)
    if jetson := _jetson(tree):
        return jetson
    shown = _gpus(tree)
    for name in (*gpus, *shown):
        if card := _card(name):
            return Detected(card)
    return _processor(tree, machine, gpus or shown)


def fits(target: Target, here: Target) -> bool:
    """Say whether what is measured on ``here`` was measured on that target.

    A target of any processor, or of any with that instruction set, fits each of them. A file of
    the user's own fits where its processor does and nothing narrower is asked for.
    """
    if target.name == here.name:
        return True
    general = target.kind == "cpu" and not target.cpu_features and not target.model_words
    return general and target.arch in ("any", here.arch) and target.name != "jetson-orin-cpu"


def _gpus(tree: Tree) -> list[str]:
    """Return the names of NVIDIA cards as the driver shows them below /proc."""
    found = (tree.known(name) for name in tree.names("proc/driver/nvidia/gpus/*/information"))
    return [name for text in found for name in re.findall(r"^Model:\s*(.+)$", text, re.MULTILINE)]


def _memory_gb(tree: Tree) -> float:
    """Return the memory in GB; the part that firmware keeps is not in it."""
    match = re.search(r"MemTotal:\s*(\d+) kB", tree.known("proc/meminfo"))
    return int(match[1]) / 1e6 if match else 0.0


def _every() -> list[Target]:
    return [load_target(name) for name in names()]


def _jetson(tree: Tree) -> Detected | None:
    compatible = tree.known(COMPATIBLE)
    modules = [target for target in _every() if target.soc and target.soc in compatible]
    if not modules:
        return None
    model = tree.known("proc/device-tree/model").lower()
    words = [one for one in modules if all(word in model for word in one.model_words)]
    # The words of one module may hold those of another; memory tells modules of one name apart.
    most = max((len(one.model_words) for one in words), default=0)
    alike = [one for one in words if len(one.model_words) == most] or modules
    target = min(alike, key=lambda one: abs((one.memory_gb or 0) - _memory_gb(tree)))
    notes = [] if words else [f"No target is called like {model!r}; {target.name} is the nearest."]
    release, (_, mode) = l4t_release(tree), power_mode(tree)
    jetpack = of_release(release) if release else None
    try:
        if jetpack is not None:
            target = with_jetpack(target, jetpack.name)
    except RecipeError as error:
        notes.append(str(error))
    if jetpack is None:
        notes.append("Its JetPack is not known, so the usual one of the module is taken.")
    try:
        if mode:
            target = with_mode(target, mode)
    except RecipeError as error:
        notes.append(f"{error} Nothing is known of the peaks in {mode}.")
    return Detected(target, tuple(notes))


def _card(name: str) -> Target | None:
    """Return the target of a card by its name: the longest of the known names that is in it."""
    known = {alias: target for target in _every() for alias in target.gpu_names}
    others = "(?! ?(?:Ti|SUPER|Laptop|D)\\b)"  # other chips under the same number
    whole = [alias for alias in known if re.search(rf"\b{re.escape(alias)}\b{others}", name)]
    return known[max(whole, key=len)] if whole else None


def _processor(tree: Tree, machine: str, gpus: Sequence[str]) -> Detected:
    notes = [f"There is no target for {name!r}: its processor is taken." for name in gpus]
    generic = GENERIC.get(machine.lower(), "cpu")
    info = tree.known("proc/cpuinfo")
    model = tree.known("proc/device-tree/model").lower().split()
    listed = re.search(r"^flags\s*:(.*)$", info, re.MULTILINE)
    flags = set(listed[1].split()) if listed else set()
    if flags & VNNI:
        flags.add("vnni")
    name = generic
    if generic == "x86-cpu":
        ladder = ("x86-avx2", "x86-vnni", "x86-amx")
        fitting = [name for name in ladder if set(load_target(name).cpu_features) <= flags]
        name = fitting[-1] if fitting else generic
    elif generic == "arm64-cpu":
        boards = [one for one in _every() if one.kind == "cpu" and one.model_words]
        name = next((one.name for one in boards if set(one.model_words) <= set(model)), generic)
    return Detected(load_target(name), tuple(notes))
