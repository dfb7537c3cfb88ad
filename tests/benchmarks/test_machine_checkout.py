"""A measurement tells the commit it was made with, where there is one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import stylepress
from stylepress.benchmarks.machine.record import ADVISORY, commit, own_commit, record_machine


def test_a_commit_is_told_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *name, *words], check=True, capture_output=True)

    assert commit(tmp_path) == ""
    git("init")
    for name in ("code.py", "README.md"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-m", "one")
    known = commit(tmp_path)
    assert len(known) == 12
    (tmp_path / "README.md").write_text("2")
    assert commit(tmp_path, apart=["*.md"]) == known
    assert commit(tmp_path) == f"{known}+"
    (tmp_path / "code.py").write_text("2")
    assert commit(tmp_path, apart=["*.md"]) == f"{known}+"


def test_a_program_that_was_installed_inside_a_project_does_not_tell_that_projects_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", str(tmp_path)], check=True, capture_output=True)
    installed = tmp_path / "venv/site-packages/stylepress/__init__.py"
    monkeypatch.setattr(stylepress, "__file__", str(installed))
    with pytest.raises(LookupError, match="no checkout of git"):
        own_commit()
    assert (
        record_machine({}, root=tmp_path).missing["commit"]
        == "this program runs from no checkout of git"
    )
    assert "commit" in ADVISORY


def test_a_checkout_without_any_commit_has_none_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", str(tmp_path)], check=True, capture_output=True)
    monkeypatch.setattr(stylepress, "__file__", str(tmp_path / "stylepress/__init__.py"))
    with pytest.raises(LookupError, match="does not tell"):
        own_commit()
