"""The demonstration is made of commands that there are, on files that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer

from stylepress.cli import app_for

ROOT = Path(__file__).parents[2]


def test_every_command_of_the_demonstration_and_every_file_of_it_exists() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (recipe,) = re.findall(r"^demo: .*\n((?:\t.*\n)+)", text, re.MULTILINE)
    lines = [shlex.split(line) for line in recipe.splitlines() if "/stylepress " in line]
    assert [words[1] for words in lines] == ["build", "run", "run", "bench"]
    for _, name, *words in lines:
        command = typer.main.get_command(app_for(name)).commands[name]  # type: ignore[attr-defined]
        known = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known
    assert all((ROOT / path).exists() for path in re.findall(r"recipes/\S+", recipe))
