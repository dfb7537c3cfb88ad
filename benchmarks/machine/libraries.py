"""CUDA, cuDNN and TensorRT as the system holds them: on a Jetson they are no Python packages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from stylepress.benchmarks.machine.files import Tree

FIELD = re.compile(r"^(Package|Status|Version): (.*)$", re.MULTILINE)
LIBRARIES: Mapping[str, re.Pattern[str]] = {
    "tensorrt": re.compile(r"libnvinfer\d+"),
    "cudnn": re.compile(r"libcudnn\d+(-cuda-\d+)?"),
    "cuda": re.compile(r"cuda-cudart-\d+-\d+"),
}
"""The Debian packages that hold each: JetPack 5 has libnvinfer8, JetPack 6 libnvinfer10."""


def system_libraries(tree: Tree) -> dict[str, str]:
    """Return the versions of what the system holds, each with where it was found.

    CUDA is the toolkit that /usr/local/cuda points to, or the packages where it does not tell.
    """
    packages = debian_packages(tree)
    found: dict[str, str] = {}
    for library, name in LIBRARIES.items():
        held = [f"{packages[one]} ({one})" for one in sorted(packages) if name.fullmatch(one)]
        if held:
            found[library] = ", ".join(held)
    with suppress(OSError, LookupError, TypeError, ValueError):
        toolkit = json.loads(tree.text("usr/local/cuda/version.json"))
        found["cuda"] = f"{toolkit['cuda']['version']} (/usr/local/cuda)"
    return found


def debian_packages(tree: Tree) -> dict[str, str]:
    """Return the versions of the Debian packages that are installed; none on another system."""
    with suppress(OSError):
        return dict(_installed(tree.text("var/lib/dpkg/status")))
    return {}


def _installed(status: str) -> Iterator[tuple[str, str]]:
    """Yield name and version; of a package that was removed its configuration may still be told."""
    for paragraph in status.split("\n\n"):
        fields = dict(FIELD.findall(paragraph))
        if fields.get("Status", "").endswith(" installed") and {"Package", "Version"} <= set(
            fields
        ):
            yield fields["Package"], fields["Version"]
