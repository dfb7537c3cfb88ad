"""Which target a machine is, read from its own files below a root folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stylepress.errors import RecipeError
from stylepress.targets.jetpack import of_release
from stylepress.targets.target import Target, load_target, names, with_jetpack, with_mode

RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")
MODE = re.compile(r"POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)")
STATUS = re.compile(r"pmode:(\d+)")
GENERIC = {"x86_64": "x86-cpu", "amd64": "x86-cpu", "aarch64": "arm64-cpu", "arm64": "arm64-cpu"}
"""The target of a processor, by what ``platform.machine()`` calls it."""
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
LIMIT_BYTES = 1 << 20


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
    tree = _Tree(root)
    if jetson := _jetson(tree):
        return jetson
    for name in (*gpus, *tree.gpus()):
        if card := _card(name):
            return Detected(card)
    return _processor(tree, machine, gpus or tree.gpus())


def fits(target: Target, here: Target) -> bool:
    """Say whether what is measured on ``here`` was measured on that target.

    A target of any processor, or of any with that instruction set, fits each of them. A file of
    the user's own fits where its processor does and nothing narrower is asked for.
    """
    if target.name == here.name:
        return True
    general = target.kind == "cpu" and not target.cpu_features and not target.model_words
    return general and target.arch in ("any", here.arch) and target.name != "jetson-orin-cpu"


class _Tree:
    """The files of a machine that say what it is; a file that is not there is empty."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def text(self, name: str) -> str:
        with suppress(OSError), (self.root / name).open("rb") as file:
            return file.read(LIMIT_BYTES).decode("utf-8", "replace").strip("\0\n ")
        return ""

    def gpus(self) -> list[str]:
        """Return the names of NVIDIA cards as the driver shows them below /proc."""
        names = []
        with suppress(OSError):
            for folder in sorted((self.root / "proc/driver/nvidia/gpus").iterdir()):
                text = self.text(str(folder.relative_to(self.root) / "information"))
                names += re.findall(r"^Model:\s*(.+)$", text, re.MULTILINE)
        return names

    @property
    def memory_gb(self) -> float:
        """Memory in GB; the part that firmware keeps is not in it."""
        match = re.search(r"MemTotal:\s*(\d+) kB", self.text("proc/meminfo"))
        return int(match[1]) / 1e6 if match else 0.0

    @property
    def mode(self) -> str:
        """The power mode by name: its number is another on every module and JetPack."""
        status = STATUS.search(self.text("var/lib/nvpmodel/status"))
        modes = dict(MODE.findall(self.text("etc/nvpmodel.conf")))
        by_number = {int(number): name for number, name in modes.items()}
        return by_number.get(int(status[1]), "") if status else ""


def _every() -> list[Target]:
    return [load_target(name) for name in names()]


def _jetson(tree: _Tree) -> Detected | None:
    compatible = tree.text("proc/device-tree/compatible")
    modules = [target for target in _every() if target.soc and target.soc in compatible]
    if not modules:
        return None
    model = tree.text("proc/device-tree/model").lower()
    words = [one for one in modules if all(word in model for word in one.model_words)]
    # The words of one module may hold those of another; memory tells modules of one name apart.
    most = max((len(one.model_words) for one in words), default=0)
    alike = [one for one in words if len(one.model_words) == most] or modules
    target = min(alike, key=lambda one: abs((one.memory_gb or 0) - tree.memory_gb))
    notes = [] if words else [f"No target is called like {model!r}; {target.name} is the nearest."]
    release = RELEASE.search(tree.text("etc/nv_tegra_release"))
    jetpack = of_release(f"{release[1]}.{release[2]}") if release else None
    try:
        if jetpack is not None:
            target = with_jetpack(target, jetpack.name)
    except RecipeError as error:
        notes.append(str(error))
    if release is None or jetpack is None:
        notes.append("Its JetPack is not known, so the usual one of the module is taken.")
    try:
        if tree.mode:
            target = with_mode(target, tree.mode)
    except RecipeError as error:
        notes.append(f"{error} Nothing is known of the peaks in {tree.mode}.")
    return Detected(target, tuple(notes))


def _card(name: str) -> Target | None:
    """Return the target of a card by its name: the longest of the known names that is in it."""
    known = {alias: target for target in _every() for alias in target.gpu_names}
    others = "(?! ?(?:Ti|SUPER|Laptop|D)\\b)"  # other chips under the same number
    whole = [alias for alias in known if re.search(rf"\b{re.escape(alias)}\b{others}", name)]
    return known[max(whole, key=len)] if whole else None


def _processor(tree: _Tree, machine: str, gpus: Sequence[str]) -> Detected:
    notes = [f"There is no target for {name!r}: its processor is taken." for name in gpus]
    generic = GENERIC.get(machine.lower(), "cpu")
    info = tree.text("proc/cpuinfo")
    model = tree.text("proc/device-tree/model").lower().split()
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
