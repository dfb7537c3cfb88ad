"""The file that a user writes for the daemon: styles, streams, and who may do what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from stylepress.document import Document, read_document
from stylepress.errors import RecipeError
from stylepress.runtime.serve.address import parse_input, parse_output
from stylepress.section import Section

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
SIZE = r"^[1-9]\d{0,4}x[1-9]\d{0,4}$"
Name = Annotated[str, Field(pattern=NAME)]
Share = Annotated[float, Field(ge=0, le=1)]
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Style(Section):
    """One style that stays loaded: a bundle, and where it holds several, the code of this one."""

    bundle: Path = Field(description="folder that `stylepress build` wrote")
    backend: str | None = Field(default=None, description="engine; default: the fastest here")
    code: tuple[float, ...] | str | None = Field(
        default=None, description="values of its style port, or names: glass=0.7,starry=0.3"
    )
    take: Path | None = Field(
        default=None, description="picture whose style is taken, by a bundle that takes any"
    )
    picture: Path | None = Field(default=None, description="thumbnail of the style on the page")
    remote: str | None = Field(default=None, description="v2 server that runs it: host:port/model")


class Settings(Section):
    """What of a stream can be changed while it runs."""

    style: Name | Mapping[Name, Annotated[float, Field(ge=0)]] | None = None
    strength: Share = 1.0
    smoothing: Annotated[float, Field(ge=0, le=0.98)] = 0.0
    enabled: bool = True
    controls: Mapping[str, float] = Field(default_factory=dict)


class Defaults(Settings):
    """What every stream has that says nothing else."""

    outputs: tuple[str, ...] = ()
    size: Annotated[str, Field(pattern=SIZE)] | None = None
    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    loop: bool = True
    transport: Literal["tcp", "udp"] = "tcp"
    decoder: Literal["ffmpeg", "gstreamer"] = "ffmpeg"
    timeout_s: Annotated[float, Field(ge=0.5, le=60)] = 5.0
    stale_ms: Annotated[float, Field(ge=10, le=60_000)] = 1000.0
    slate: bool = True
    segment_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    keep_gb: Annotated[float, Field(gt=0)] = 10.0
    quality: Annotated[int, Field(ge=30, le=95)] = 80
    crf: Annotated[int, Field(ge=1, le=51)] = 23


class StreamEntry(Defaults):
    """One stream: where its frames come from, and where they go."""

    input: str

    @field_validator("input")
    @classmethod
    def _an_input(cls, text: str) -> str:
        try:
            parse_input(text)
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return text

    @field_validator("outputs")
    @classmethod
    def _all_outputs(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for text in texts:
                parse_output(text)
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return texts


class Tokens(Section):
    """Who may look, who may also steer, who may read the metrics; an empty token is none."""

    control: str = ""
    read: str = ""
    metrics: str = ""


class Batching(Section):
    """How many frames go through an engine at once, and how long requests may wait for it."""

    most: Annotated[int, Field(ge=1, le=64)] | None = None
    max_queue_size: Annotated[int, Field(ge=1, le=4096)] = 64
    delay_ms: Annotated[float, Field(ge=0, le=1000)] = 0.0
    timeout_ms: Annotated[float, Field(ge=1, le=600_000)] = 5000.0


class ServeLimits(Section):
    """What a stranger can make the daemon hold."""

    body_mb: Annotated[float, Field(gt=0, le=1024)] = 64.0
    pixels: Annotated[int, Field(ge=64, le=100_000_000)] = 3840 * 2160
    viewers: Annotated[int, Field(ge=1, le=10_000)] = 32
    cameras: Annotated[int, Field(ge=0, le=64)] = 2
    connections: Annotated[int, Field(ge=8, le=65_536)] = 256
    source_memory_mb: Annotated[int, Field(ge=256)] = 4096


class Configuration(Section):
    """Everything the daemon is told when it starts."""

    listen: str = "127.0.0.1:8000"
    hosts: tuple[str, ...] = Field(default=(), description="names that browsers may call it by")
    tokens: Tokens = Tokens()
    without_token: bool = Field(
        default=False, description="listen beyond this machine although no token is set"
    )
    styles: Mapping[Name, Style]
    defaults: Defaults = Defaults()
    streams: Mapping[Name, StreamEntry] = Field(default_factory=dict)
    infer_sizes: tuple[Annotated[str, Field(pattern=SIZE)], ...] = ()
    batching: Batching = Batching()
    limits: ServeLimits = ServeLimits()

    @field_validator("styles", mode="before")
    @classmethod
    def _short(cls, styles: Any) -> Any:
        if not isinstance(styles, Mapping):
            return styles
        return {k: {"bundle": v} if isinstance(v, str) else v for k, v in styles.items()}

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, text: str) -> str:
        if not re.fullmatch(r"[\w.:\[\]-]*:\d{1,5}", text) or int(text.rpartition(":")[2]) > 65535:
            raise ValueError(f"{text!r} is no place to listen on. Write 127.0.0.1:8000.")
        return text

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.styles:
            raise ValueError("`styles` is empty. Name at least one bundle.")
        for name, stream in self.streams.items():
            if parse_input(stream.input).kind == "browser":
                raise ValueError(
                    f"The stream {name} is a browser's camera, which begins on the page."
                )
            wanted = stream.style
            names = [wanted] if isinstance(wanted, str) else list(wanted or ())
            for style in names:
                if style not in self.styles:
                    known = ", ".join(self.styles)
                    raise ValueError(f"The stream {name} has the style {style!r}. Known: {known}.")
            if isinstance(wanted, Mapping) and sum(wanted.values()) <= 0:
                raise ValueError(f"The mix of styles of the stream {name} weighs nothing.")
        if self.host not in LOOPBACK and not self.tokens.control and not self.without_token:
            raise ValueError(
                f"It would listen on {self.listen} for everybody. Set `tokens.control`, or write "
                f"`without_token: true` if that is what you want."
            )
        return self

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen.rpartition(":")[0].strip("[]") or "0.0.0.0"

    @property
    def port(self) -> int:
        """The TCP port to listen on; 0 for any that is free."""
        return int(self.listen.rpartition(":")[2])


def load_configuration(path: Path, environ: Mapping[str, str]) -> Configuration:
    """Read a configuration: variables filled in, defaults laid under every stream, paths made whole.

    ``${NAME:default}`` is looked up in ``$CREDENTIALS_DIRECTORY``, then in ``environ``.

    Raises:
        RecipeError: it cannot be read, or something in it is wrong; the line is named.
    """
    document = read_document(path)
    values = _filled(document.values, environ, str(path))
    defaults = values.get("defaults")
    streams = values.get("streams")
    if isinstance(defaults, dict) and isinstance(streams, dict):
        Document(
            document.source, {"styles": {"x": "x"}, "defaults": defaults}, document.lines
        ).parse(Configuration)
        values["streams"] = {
            name: {**defaults, **stream} if isinstance(stream, dict) else stream
            for name, stream in streams.items()
        }
    parsed = Document(document.source, values, document.lines).parse(Configuration)
    return _anchored(parsed, path.resolve().parent)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Return (height, width) of ``640x360``."""
    if text is None:
        return None
    width, _, height = text.partition("x")
    return int(height), int(width)


def _filled(value: Any, environ: Mapping[str, str], source: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(inner, environ, source) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, environ, source) for inner in value]
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: _variable(match, environ, source), value)
    return value


def _variable(match: re.Match[str], environ: Mapping[str, str], source: str) -> str:
    name, default = match[1], match[2]
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and (secret := Path(folder) / name).is_file():
        return secret.read_text(encoding="utf-8").rstrip("\n")
    value = environ.get(name, default)
    if value is None:
        raise RecipeError(
            f"{source} names ${{{name}}}, which is set nowhere.",
            f"Set it in the environment, as a "
            f"credential of systemd, or give a default: ${{{name}:value}}.",
        )
    return value


def _anchored(parsed: Configuration, folder: Path) -> Configuration:
    styles = {
        name: style.model_copy(
            update={
                "bundle": folder / style.bundle,
                "picture": folder / style.picture if style.picture else None,
            }
        )
        for name, style in parsed.styles.items()
    }
    streams = {
        name: stream.model_copy(
            update={
                "input": _anchored_address(stream.input, folder, inputs=True),
                "outputs": tuple(
                    _anchored_address(text, folder, inputs=False) for text in stream.outputs
                ),
            }
        )
        for name, stream in parsed.streams.items()
    }
    return parsed.model_copy(update={"styles": styles, "streams": streams})


def _anchored_address(text: str, folder: Path, *, inputs: bool) -> str:
    address = parse_input(text) if inputs else parse_output(text)
    return f"file://{folder / address.place}" if address.kind == "file" else text
