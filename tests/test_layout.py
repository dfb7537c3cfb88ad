"""The repository's own promises: what ships, who may import whom, how large a file may grow."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("targets", "train", "compress", "export", "runtime", "benchmarks")
MAY_IMPORT = {
    "stylepress": set[str](),
    "targets": set[str](),
    "train": {"targets"},
    "compress": {"targets", "train"},
    "export": {"targets", "train", "compress", "runtime"},
    "runtime": {"targets"},
    "benchmarks": {"targets", "train", "compress", "export", "runtime"},
}
CORE = sorted((ROOT / "stylepress").glob("*.py"))
SOURCES = [*CORE, *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
EVIDENCE = ROOT / "benchmarks" / "evidence"
"""Programs of maintainers: held to the same rules, but in no wheel."""
LINES_LIMIT, README_LIMIT = 400, 30
DATA = {".yaml", ".html", ".css", ".js", ".json", ".j2", ".service"}
"""What a room may hold beside Python; every file of these kinds must be in the wheel."""
IN_TORCH = ("torch_cuda", "torch_graph")
"""The optional backend that is PyTorch itself: imported where somebody wants it, never otherwise."""
RAISING = {"raises", "fail", "load", "check_model", "fromstring", "suppress"}
"""Calls that raise where something is not as it should be."""


def imported(path: Path, *, at_import: bool = False) -> list[str]:
    """Every absolute module named by an import in a file; only those that run when it is imported
    if ``at_import``: not inside functions, not under TYPE_CHECKING."""
    names: list[str] = []
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write from stylepress.<room>.x import y"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        waiting += ast.iter_child_nodes(node)
    return names


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that is really built, from a copy that keeps the checkout clean."""
    copy = tmp_path_factory.mktemp("source") / "stylepress"
    parts = ("stylepress", *ROOMS, "pyproject.toml", "README.md", "LICENSE")
    copy.mkdir()
    for name in parts:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
        else:
            shutil.copyfile(ROOT / name, copy / name)
    out = copy.parent / "out"
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*pip, "--wheel-dir", str(out), str(copy)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_source_and_data_file_and_no_test(wheel: set[str]) -> None:
    shipped = {name for name in wheel if ".dist-info/" not in name}
    rooms = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in DATA]
    expected = {f"stylepress/{path.relative_to(ROOT).as_posix()}" for path in rooms}
    for path in (path for path in SOURCES if EVIDENCE not in path.parents):
        name = path.relative_to(ROOT).as_posix()
        expected.add(name if name.startswith("stylepress/") else f"stylepress/{name}")
    assert shipped == expected | {"stylepress/py.typed"}
    assert any(name.endswith("/LICENSE") for name in wheel)


def test_the_lists_of_packages_are_in_step() -> None:
    """A folder missing from [tool.setuptools] packages would be left out of the wheel, silently."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = set(re.findall(r'^  "(stylepress[\w.]*)",$', text, re.MULTILINE))
    found = {"stylepress"} | {
        "stylepress." + ".".join(init.parent.relative_to(ROOT).parts)
        for room in ROOMS
        for init in (ROOT / room).rglob("__init__.py")
        if EVIDENCE not in (init.parent, *init.parents)
    }
    assert listed == found
    assert dict(re.findall(r'^"stylepress\.(\w+)" = "(\w+)"$', text, re.MULTILINE)) == {
        room: room for room in ROOMS
    }


def test_links_point_at_their_folders() -> None:
    for link in (ROOT / "stylepress" / room for room in ROOMS):
        if link.is_file() or not (ROOT / ".git").exists():
            pytest.skip(
                "an sdist, or a checkout without symlinks: installs work, type checks do not"
            )
        assert link.is_symlink()
        assert link.readlink() == Path("..") / link.name


def test_imports_go_one_way() -> None:
    """A room imports those before it, the core none of them while it is imported."""
    faults = []
    for path in SOURCES:
        room = path.relative_to(ROOT).parts[0]
        core = room == "stylepress"
        for module in imported(path, at_import=core):
            top, _, rest = module.partition(".")
            other = rest.partition(".")[0]
            if not core and top in ROOMS:
                faults.append(f"{path}: write stylepress.{module}, not {module}")
            if top == "stylepress" and other in ROOMS and other not in MAY_IMPORT[room] | {room}:
                faults.append(f"{path}: {room} may not import {other}")
    assert not faults, "\n".join(faults)


def test_nothing_that_is_installed_imports_what_is_not() -> None:
    for path in (path for path in SOURCES if EVIDENCE not in path.parents):
        assert not [m for m in imported(path) if "benchmarks.evidence" in m], path


@pytest.mark.parametrize("room", ["runtime", "targets"])
def test_what_runs_on_a_device_never_imports_the_training_stack(room: str) -> None:
    modules = [
        "stylepress." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.stem not in ("__init__", *IN_TORCH)
    ]
    code = (
        "import importlib, sys\n"
        "sys.modules['torch'] = None\n"  # an import of it now fails
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "rooms = ('train', 'compress', 'export', 'benchmarks')\n"
        "print([m for m in list(sys.modules) if m.partition('stylepress.')[2].split('.')[0] in rooms])"
    )
    ran = run([sys.executable, "-c", code])
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


def test_the_door_of_the_runtime_is_light() -> None:
    code = "import sys, stylepress.runtime; print(sorted({m.split('.')[0] for m in list(sys.modules)}))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
    heavy = {"pydantic", "yaml", "typer", "rich", "onnxruntime", "openvino", "torch", "scipy"}
    assert not heavy & set(ast.literal_eval(ran.stdout.decode()))


def test_files_are_small_and_say_what_they_hold_in_words_that_python_3_10_reads() -> None:
    faults = []
    for path in (*SOURCES, *TESTS):
        text = path.read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > LINES_LIMIT:
            faults.append(f"{path} has {lines} lines, more than {LINES_LIMIT}")
        doc = ast.get_docstring(ast.parse(text, feature_version=(3, 10))) or ""
        if path in SOURCES and not doc.partition("\n")[0].strip().endswith((".", ":", "!")):
            faults.append(f"{path} does not say in its first line what it holds")
    assert not faults, "\n".join(faults)


def test_every_test_asserts_something() -> None:
    faults = []
    for path in TESTS:
        functions = {
            node.name: node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        asserting = {name for name, node in functions.items() if asserts(node, set())}
        faults += [
            f"{path}: {name}"
            for name, node in functions.items()
            if name.startswith("test_") and not asserts(node, asserting)
        ]
    assert not faults, "\n".join(faults)


def asserts(function: ast.FunctionDef, asserting: set[str]) -> bool:
    """Say whether a test asserts, expects an error, or calls what checks and raises."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in asserting | RAISING or name.startswith("assert"):
                return True
    return False


def test_a_real_python_3_10_can_compile_it_where_there_is_one() -> None:
    python = shutil.which("python3.10")
    if python is None or run([python, "--version"]).returncode:
        pytest.skip("no python3.10 on this machine")
    code = "import sys\nfor name in sys.argv[1:]: compile(open(name, 'rb').read(), name, 'exec')"
    names = [str(path) for path in (*SOURCES, *TESTS)]
    ran = run([python, "-c", code, *names])
    assert ran.returncode == 0, ran.stderr


def test_every_room_has_a_short_readme() -> None:
    for room in ("stylepress", *ROOMS):
        lines = (ROOT / room / "README.md").read_text(encoding="utf-8").splitlines()
        assert 3 <= len(lines) <= README_LIMIT, room


def tracked() -> list[Path]:
    """Every file that git has, or would take."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    paths = [ROOT / name for name in names.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def test_no_file_names_a_path_of_one_machine() -> None:
    here = {f"{place}/".encode() for place in (ROOT, Path.home()) if len(place.parts) > 1}
    homes = re.compile(rb"/(?:home|Users)/[a-z][\w-]*/")
    for path in tracked():
        data = path.read_bytes()
        assert not any(place in data for place in here), path
        assert path == Path(__file__) or not homes.search(data), path


def test_links_in_the_documents_lead_somewhere() -> None:
    for path in (path for path in tracked() if path.suffix == ".md"):
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:|#", target):
                assert (path.parent / target.partition("#")[0]).exists(), f"{path}: {target}"
