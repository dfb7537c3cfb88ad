"""State dicts in files that somebody hands over, read without running anything in them."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from stylepress.errors import CheckpointError
from stylepress.train.weights.family import some

LIMIT_BYTES = 4 << 30
LIMIT_TENSORS = 100_000
HEADER_LIMIT_BYTES = 16 << 20
SCAN_BYTES = 1 << 20
ONNX_IR_LIMIT = 30

WRAPPERS = (
    *("params_ema", "model_ema", "g_ema", "G_ema", "state_dict", "model_state_dict", "model"),
    *("params", "generator", "netG", "G", "net", "network", "module", "weights"),
)
"""Keys under which training scripts keep the weights, the averaged ones first."""
PARALLEL = "module."
"""What DataParallel, DDP and AveragedModel put before every key."""
COMPILED = re.compile(r"(?<![^.])_orig_mod\.")
"""What torch.compile puts before the keys of each module it compiled."""
HARMLESS = re.compile(r"collections OrderedDict|torch\._utils _rebuild_\w+|torch \w+Storage")
"""Names that the pickle of a plain state_dict may hold."""
NUMBERS = {
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
}
SAVE_PLAIN = (
    "Where you trust the file, load it with the program that wrote it and save "
    "`model.state_dict()` alone, with torch.save or safetensors"
)


def read_state(
    path: Path, *, limit_bytes: int = LIMIT_BYTES, limit_tensors: int = LIMIT_TENSORS
) -> dict[str, Tensor]:
    """Read the weights in a torch or safetensors file, told apart by content, never by name.

    Nothing in the file is executed. Wrapper dicts, ``module.`` and ``_orig_mod.`` prefixes
    are taken off; every floating tensor comes back as float32 on the CPU.
    ``limit_bytes`` bounds the file and the float32 weights.

    Raises:
        CheckpointError: missing, empty, damaged, too large, not weights, holding code, or with
            values that are not finite.
    """
    try:
        with _opened(path, limit_bytes) as file:
            safetensors = file.read(9)[8:] == b"{"
            loaded = {} if safetensors else _torch(file, path, limit_bytes)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror or error}).",
            "Check the name, and that this user may read it.",
        ) from error
    tensors = _bare(read_safetensors(path) if safetensors else loaded, path)
    if len(tensors) > limit_tensors:
        raise CheckpointError(
            f"{path} holds {len(tensors)} tensors, more than the {limit_tensors} that are read.",
            "Save the one network that is wanted into a file of its own.",
        )
    whole_bytes = sum(4 * tensor.numel() for tensor in tensors.values())
    if whole_bytes > limit_bytes:
        raise CheckpointError(*_too_large(path, whole_bytes, limit_bytes))
    state = {key: plain(key, tensor, path) for key, tensor in tensors.items()}
    refuse_not_finite(state, path)
    return state


def is_onnx(path: Path) -> bool:
    """Say whether a file begins as an ONNX model does: field 1 of its message, the IR version."""
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except OSError:
        return False  # whoever reads it next says why
    return len(head) == 2 and head[0] == 0x08 and 1 <= head[1] <= ONNX_IR_LIMIT


def refuse_not_finite(state: Mapping[str, Tensor], source: object) -> None:
    """Raise a CheckpointError that names the first layer with NaN or infinity, and how many.

    Raises:
        CheckpointError: some value of ``state`` is not finite.
    """
    layers = [key for key, tensor in state.items() if not _finite(tensor)]
    if layers:
        first = state[layers[0]]
        raise CheckpointError(
            f"{source} holds {int(first.numel() - first.isfinite().sum())} NaN or infinite values "
            f"in layer {some(layers[:1])} ({len(layers)} of {len(state)} layers have some).",
            "Take an earlier snapshot, or train again with a lower learning rate.",
        )


def _finite(tensor: Tensor) -> bool:
    # Both ends say it in one pass, without the copies that isfinite makes.
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return all(math.isfinite(end.item()) for end in tensor.aminmax())


def _opened(path: Path, limit_bytes: int) -> IO[bytes]:
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise CheckpointError(
            f"{path} is not a file.", "Name one .pth, .pt, .model or .safetensors file."
        )
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise CheckpointError(f"{path} is empty (0 bytes).", "Download or save it again.")
    if size_bytes > limit_bytes:
        raise CheckpointError(*_too_large(path, size_bytes, limit_bytes))
    return path.open("rb")


def _too_large(path: Path, size_bytes: int, limit_bytes: int) -> tuple[str, str]:
    return (
        f"{path} holds {size_bytes} bytes of weights, more than the {limit_bytes} that are read.",
        "Save only the network itself, without optimizer state.",
    )


def _torch(file: IO[bytes], path: Path, limit_bytes: int) -> object:
    """Unpickle with PyTorch's weights-only reader, or say why that cannot be done."""
    file.seek(0)
    try:
        if file.read(4) == b"PK\x03\x04":
            _check_archive(file, path, limit_bytes)
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded: object = torch.load(file, "cpu", weights_only=True, mmap=False)
    except CheckpointError:
        raise
    except Exception as error:  # a hostile file makes PyTorch raise nearly anything
        raise CheckpointError(*_why_not(file, path, error)) from error
    return loaded


def _check_archive(file: IO[bytes], path: Path, limit_bytes: int) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise CheckpointError(
            f"{path} is a TorchScript archive: it holds code, which is not run.",
            f"{SAVE_PLAIN}.",
        )
    unpacked_bytes = sum(entry.file_size for entry in entries)
    if unpacked_bytes > limit_bytes:
        raise CheckpointError(*_too_large(path, unpacked_bytes, limit_bytes))


def _why_not(file: IO[bytes], path: Path, error: Exception) -> tuple[str, str]:
    file.seek(0)
    head = file.read(16)
    foreign = [name for name in _pickled_names(file) if not HARMLESS.fullmatch(name)]
    if foreign:
        return (
            (
                f"{path} holds code or objects, not only weights: it asks for "
                f"{some([foreign[0].replace(' ', '.')])}, which was refused and not run."
            ),
            f"{SAVE_PLAIN}.",
        )
    if not head.startswith((b"PK", b"\x80")):
        return (
            f"{path} is neither a torch nor a safetensors file: it begins with {head!r}.",
            "Download it again (a web page or a pointer may have been saved instead).",
        )
    cause = type(error).__name__
    if str(error) and not isinstance(error, pickle.UnpicklingError):  # whose advice is to run it
        cause += f": {some(str(error).splitlines()[:1])}"
    return (
        f"{path} cannot be read to its end as weights ({cause}).",
        "It may be cut short: download or save it again.",
    )


def _pickled_names(file: IO[bytes]) -> list[str]:
    """List the "module name" pairs that the pickles of a file ask for, without running them."""
    names: list[str] = []
    with suppress(Exception):  # the file is refused already, this only finds a better word why
        stream = io.BytesIO(_first_pickle(file))
        words: list[str] = []
        while True:  # an old torch file is five pickles, then raw numbers
            for op, value, _ in pickletools.genops(stream):
                if op.name in ("GLOBAL", "INST"):
                    names.append(str(value))
                elif op.name == "STACK_GLOBAL":
                    names.append(" ".join(words[-2:]))
                elif isinstance(value, str):
                    words.append(value)
    return names


def _first_pickle(file: IO[bytes]) -> bytes:
    file.seek(0)
    if not zipfile.is_zipfile(file):
        file.seek(0)
        return file.read(SCAN_BYTES)
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        return archive.open(name).read(SCAN_BYTES)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file as they are, in the order of their names.

    Raises:
        CheckpointError: a header out of bounds, or a file that is not whole.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
    claimed = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    if claimed > min(HEADER_LIMIT_BYTES, size_bytes - 8):
        raise CheckpointError(
            f"{path} claims a safetensors header of {claimed} bytes in a file of {size_bytes} "
            f"(at most {HEADER_LIMIT_BYTES} are read).",
            "Download or save it again.",
        )
    try:
        # Copied, because load_file maps the file, and the file may change.
        return {key: tensor.clone() for key, tensor in sorted(load_file(path).items())}
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({some([error])}).",
            "It may be cut short: download or save it again.",
        ) from error


def _bare(loaded: object, path: Path) -> dict[str, Tensor]:
    """Find the tensors; take wrappers and prefixes off."""
    tensors = _unwrapped(loaded)
    state = {COMPILED.sub("", key): tensor for key, tensor in tensors.items()}
    if len(state) < len(tensors):
        raise CheckpointError(
            f"{path} holds the same weights with and without `_orig_mod.`: {some(tensors)}.",
            "Save the one state_dict that is wanted.",
        )
    while state and all(key.startswith(PARALLEL) for key in state):
        state = {key.removeprefix(PARALLEL): tensor for key, tensor in state.items()}
    if not state:
        content = some(loaded) if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"
        raise CheckpointError(
            f"{path} holds no weights by name, only {content}.",
            f"Save a state_dict, alone or under one of the keys {some(WRAPPERS, len(WRAPPERS))}.",
        )
    return state


def _unwrapped(loaded: object, depth: int = 4) -> dict[str, Tensor]:
    """Return the tensors under the first wrapper key that leads to some."""
    if not isinstance(loaded, Mapping):
        return {}
    for key in WRAPPERS if depth else ():
        if inner := _unwrapped(loaded.get(key), depth - 1):
            return inner
    return {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}


def plain(key: str, tensor: Tensor, source: object) -> Tensor:
    """Return a tensor on the CPU, contiguous, float32 when it is floating; a view where it can.

    Raises:
        CheckpointError: a tensor that is quantized, sparse, complex, or has no values.
    """
    if tensor.dtype not in NUMBERS or tensor.layout != torch.strided or tensor.is_meta:
        raise CheckpointError(
            f"{source} holds layer {some([key])} in a form that is not read ({tensor.dtype}, "
            f"{tensor.layout}, {tensor.device}).",
            "Save the weights as dense float32.",
        )
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous()
