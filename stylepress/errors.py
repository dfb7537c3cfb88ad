"""Everything stylepress raises on purpose.

StylepressError                 exit 1
├── InputError                  exit 2   something the user handed over cannot be used
│   ├── ArtifactError           a folder on disk is not what its manifest says
│   ├── CheckpointError         weights that are not safe, not finite, or of no known family
│   ├── RecipeError             a recipe, target or option asks for something that cannot be done
│   ├── FrameError              a photo, video or frame cannot be read or does not fit
│   ├── OutputError             the place to write to cannot be written to
│   └── BackendError            a backend that is not installed or cannot run here
├── TrainingError               a training run went wrong (a loss that is not finite)
├── ExportError                 PyTorch, ONNX or a compiler refused the model
└── VerificationError           what was built does not do what it was built from

Each carries two texts: what is ``wrong``, with the values at hand, and the ``mend``.
"""


class StylepressError(Exception):
    """Catch this to catch every failure stylepress foresees: what is wrong, and the mend."""

    exit_code = 1

    def __init__(self, wrong: str, mend: str = "") -> None:
        super().__init__(wrong, mend)
        self.wrong, self.mend = wrong, mend

    def __str__(self) -> str:
        return f"{self.wrong} {self.mend}".rstrip()


class InputError(StylepressError):
    """Something the user handed over cannot be used."""

    exit_code = 2


class ArtifactError(InputError):
    """A folder on disk is not what its manifest says."""


class CheckpointError(InputError):
    """Weights that are not safe to load, not finite, or of no known family."""


class RecipeError(InputError):
    """A recipe, target or option asks for something that cannot be done."""


class FrameError(InputError):
    """A photo, video or frame cannot be read or does not fit."""


class OutputError(InputError):
    """The place to write to cannot be written to."""


class BackendError(InputError):
    """A backend that is not installed or cannot run here."""


class TrainingError(StylepressError):
    """A training run went wrong."""


class ExportError(StylepressError):
    """PyTorch, ONNX or a compiler refused the model."""


class VerificationError(StylepressError):
    """What was built does not do what it was built from."""
