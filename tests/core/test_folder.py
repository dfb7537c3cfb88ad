"""Files below a folder: each once, whatever links lead to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylepress.errors import OutputError
from stylepress.folder import files_below
from stylepress.replace import replacing_file, with_word


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home / "a", elsewhere / "deep"):
        folder.mkdir(parents=True)
        (folder / "x.png").touch()
    (home / "b").symlink_to(elsewhere)
    (home / "a" / "up").symlink_to(home)
    (home / "again").symlink_to(home / "a")
    (home / "gone.png").symlink_to(tmp_path / "nothing")
    seen = [path.relative_to(home).as_posix() for path in files_below(home)]
    assert seen == ["gone.png", "a/x.png", "b/deep/x.png"]
    left = [path.name for path in files_below(home, leave_out=elsewhere)]
    assert left == ["gone.png", "x.png"]


def test_a_link_is_kept_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "real.png", tmp_path / "link.png"
    target.write_text("old")
    link.symlink_to(target)
    with replacing_file(link) as beside:
        beside.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["real.png"]


@pytest.mark.parametrize("letter", ["x", "\u5199"])
def test_the_longest_name_can_be_written(letter: str, tmp_path: Path) -> None:
    stem = letter * (251 // len(letter.encode()))
    path = tmp_path / f"{stem}.png"
    with replacing_file(path) as beside:
        beside.write_text("x")
    assert path.exists()
    shorter = with_word(path, "partial")
    shorter.touch()
    assert shorter.name.endswith(".partial.png")
    with (
        pytest.raises(OutputError, match="too long"),
        replacing_file(tmp_path / f"{stem}x{letter}.png") as beside,
    ):
        beside.write_text("x")
