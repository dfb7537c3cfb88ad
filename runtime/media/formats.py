"""The containers that videos are written in: muxer, encoders, and what they can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stylepress.errors import OutputError


@dataclass(frozen=True, slots=True)
class Format:
    """How a container is written: FFmpeg's muxer, and the encoders it takes.

    ``refuses`` begins the names of codecs that it takes by the letter, but players do not.
    ``layouts`` are those of sound that the encoder takes, None for any.
    ``alpha`` and ``attachments`` say whether it holds transparency (of our encoder) and files.
    """

    muxer: str
    picture: str
    sound: str
    refuses: str | None = None
    layouts: tuple[str, ...] | None = None
    alpha: bool = False
    attachments: bool = False


# Not 5.0 and 6.1: FFmpeg 8's binding of libopus swaps their channels.
OPUS_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.1", "7.1")
FORMATS: Mapping[str, Format] = {
    ".mp4": Format("mp4", "libx264", "aac", refuses="pcm_"),
    ".m4v": Format("mp4", "libx264", "aac", refuses="pcm_"),
    ".mov": Format("mov", "libx264", "aac"),
    ".mkv": Format("matroska", "libx264", "aac", attachments=True),
    ".webm": Format("webm", "libvpx-vp9", "libopus", layouts=OPUS_LAYOUTS, alpha=True),
}
# Of the file the video came from; the muxer writes its own. Sound and pictures are of another
# length and codec than Matroska's statistics say.
MUXER_TAGS = frozenset(
    (
        *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate"),
        *("alpha_mode", "vendor_id", "bps", "number_of_frames", "number_of_bytes"),
    )
)
# FFmpeg writes QuickTime's languages under these names only (ISO 639-2/B instead of /T).
MAC_LANGUAGES = {
    "deu": "ger",
    "nld": "dut",
    "ell": "gre",
    "isl": "ice",
    "zho": "chi",
    "sqi": "alb",
    "hye": "arm",
    "kat": "geo",
    "swe": "sve",
    "gle": "iri",
    "fre": "fra",
    "rum": "ron",
    "cze": "ces",
    "slo": "slk",
}
# What MP4 and QuickTime have a place of their own for; other names need their free list, which
# some players read less well.
PLACED_TAGS = frozenset(
    (
        *("title", "artist", "album", "album_artist", "composer", "comment", "copyright", "date"),
        *("description", "genre", "grouping", "lyrics", "synopsis", "show", "network", "track"),
        *("disc", "episode_id", "creation_time", "timecode", "handler_name", "language"),
        *("compilation", "gapless_playback", "media_type", "hd_video", "keywords", "location"),
        *("sort_name", "sort_artist", "sort_album", "sort_album_artist", "sort_composer"),
    )
)


def video_suffix(path: Path) -> str:
    """Return the suffix of ``path`` in lower case.

    Raises:
        OutputError: it names no container that videos are written in.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(
            f"{path} does not end in the name of a video format written here.",
            f"End it in one of {', '.join(FORMATS)}.",
        )
    return suffix


def own_tags(tags: Mapping[str, str], form: Format | None = None) -> dict[str, str]:
    """Return the tags that stay true of a stylized video in another file, as its format spells them."""
    kept = {
        key: value
        for key, value in tags.items()
        if key.lower() not in MUXER_TAGS and not key.upper().startswith("_STATISTICS_")
    }
    if form is not None and form.muxer == "mov" and "language" in kept:
        kept["language"] = MAC_LANGUAGES.get(kept["language"], kept["language"])
    return kept


FRONT = frozenset(("mp4", "mov"))


def needs_free_tags(form: Format, tags: Iterable[str]) -> bool:
    """Whether a container of MP4's kind has no place of its own for one of these tags."""
    return form.muxer in FRONT and any(tag.lower() not in PLACED_TAGS for tag in tags)


def muxer_options(form: Format, *, free_tags: bool) -> dict[str, str]:
    """Return the options of the muxer: where the index goes, and how tags are kept."""
    if form.muxer not in FRONT:
        return {}
    # faststart: the index goes to the front, so that a browser plays before all is loaded.
    flags = "+faststart+use_metadata_tags" if free_tags else "+faststart"
    # Where each stream begins is counted in this unit; the usual one is a whole millisecond.
    return {"movflags": flags, "movie_timescale": "90000"}
