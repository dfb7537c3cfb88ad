"""The build cache: nothing is built twice, nothing on disk is trusted, nothing is lost for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stylepress.artifact import Artifact
from stylepress.cache import Cache, build_key, cached, code_version, content_digest, copied
from stylepress.errors import ArtifactError, OutputError, RecipeError
from tests.frames import Heard

KEY = "a" * 64
Build = Callable[[Path], Artifact]


class Builder:
    """Builds a small artifact and counts how often."""

    def __init__(self, text: str = "weights") -> None:
        self.text, self.built = text, 0

    def __call__(self, out: Path) -> Artifact:
        self.built += 1

        def fill(folder: Path) -> None:
            (folder / "inner").mkdir()
            (folder / "inner" / "w.bin").write_text(self.text)

        return Artifact.create(
            out, fill, kind="bundle", name="glass", made_by={"step": "test"}, numbers={"n": 1.5}
        )


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def make(
    store: Cache | None, out: Path, build: Build, key: str = KEY, heard: Heard | None = None
) -> tuple[Artifact, bool]:
    return cached(store, key, out, kind="bundle", build=build, progress=heard or Heard())


def test_the_second_build_does_no_work(store: Cache, tmp_path: Path) -> None:
    build = Builder()
    first, reused_first = make(store, tmp_path / "one", build)
    second, reused_second = make(store, tmp_path / "two", build)
    assert (build.built, reused_first, reused_second) == (1, False, True)
    assert first.manifest == second.manifest == Artifact.load(tmp_path / "two").manifest


def test_what_stands_in_its_place_already_is_not_written_again(
    store: Cache, tmp_path: Path
) -> None:
    made, _ = make(store, tmp_path / "one", Builder())
    before = (tmp_path / "one").stat().st_ino
    assert make(store, tmp_path / "one", Builder())[0].digest == made.digest
    assert (tmp_path / "one").stat().st_ino == before


def test_a_damaged_result_is_put_right_from_the_cache(store: Cache, tmp_path: Path) -> None:
    make(store, tmp_path / "one", Builder())
    (tmp_path / "one" / "inner" / "w.bin").write_text("garbage")
    _, reused = make(store, tmp_path / "one", Builder())
    assert reused
    assert (tmp_path / "one" / "inner" / "w.bin").read_text() == "weights"


def test_a_damaged_entry_is_dropped_said_and_built_again(store: Cache, tmp_path: Path) -> None:
    build, heard = Builder(), Heard()
    make(store, tmp_path / "one", build)
    (entry,) = store.folder.glob("artifacts/*/*")
    (entry / "inner" / "w.bin").write_text("garbage")
    _, reused = make(store, tmp_path / "two", build, heard=heard)
    assert (reused, build.built) == (False, 2)
    assert "dropped and built again" in heard.warned[0]
    assert make(store, tmp_path / "three", build)[1]


def test_an_entry_never_shares_its_bytes_with_the_result(store: Cache, tmp_path: Path) -> None:
    make(store, tmp_path / "one", Builder())
    with (tmp_path / "one" / "inner" / "w.bin").open("r+") as file:
        file.write("W")
    assert store.lookup(KEY, "bundle") is not None


def test_without_a_cache_it_is_simply_built(tmp_path: Path) -> None:
    build = Builder()
    assert [make(None, tmp_path / "one", build)[1] for _ in range(2)] == [False, False]
    assert build.built == 2


def test_a_cache_that_cannot_be_written_costs_nothing_but_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    heard = Heard()
    made, reused = make(Cache(tmp_path / "file" / "x"), tmp_path / "one", Builder(), heard=heard)
    assert made.path("inner/w.bin").is_file()
    assert not reused
    assert "goes on without the cache" in heard.warned[0]


def test_a_failed_build_leaves_nothing_in_the_cache(store: Cache, tmp_path: Path) -> None:
    def fail(out: Path) -> Artifact:
        raise OutputError("It failed. Do something.")

    with pytest.raises(OutputError, match="It failed"):
        make(store, tmp_path / "one", fail)
    assert store.size_bytes() == 0
    assert not make(store, tmp_path / "one", Builder())[1]


def test_an_entry_of_another_kind_is_not_taken(store: Cache, tmp_path: Path) -> None:
    make(store, tmp_path / "one", Builder())
    with pytest.raises(ArtifactError, match="holds a bundle, not a checkpoint"):
        store.lookup(KEY, "checkpoint")


def test_the_least_used_entries_give_way(tmp_path: Path) -> None:
    one = Builder()(tmp_path / "made")
    size = sum(file.stat().st_size for file in one.folder.rglob("*") if file.is_file())
    store = Cache(tmp_path / "cache", limit_bytes=size * 2)
    keys = [letter * 64 for letter in "abc"]
    for age, key in enumerate(keys[:2]):
        store.store(key, one)
        os.utime(store.folder / "artifacts" / key[:2] / key, (1000 + age, 1000 + age))
    assert store.lookup(keys[0], "bundle")  # now used later than the second
    store.store(keys[2], one)
    assert [store.lookup(key, "bundle") is not None for key in keys] == [True, False, True]


def test_an_entry_that_somebody_works_on_is_not_removed(tmp_path: Path) -> None:
    store = Cache(tmp_path / "cache", limit_bytes=0)
    Cache(store.folder).store(KEY, Builder()(tmp_path / "made"))
    with store.locked(KEY):
        store.trim()
        assert store.size_bytes() > 0
    store.trim()
    assert store.size_bytes() == 0


def test_what_is_larger_than_the_whole_cache_is_not_kept(tmp_path: Path) -> None:
    store = Cache(tmp_path / "cache", limit_bytes=3)
    store.store(KEY, Builder()(tmp_path / "made"))
    assert store.size_bytes() == 0


def test_records_give_way_too_and_engines_count(tmp_path: Path) -> None:
    store = Cache(tmp_path / "cache", limit_bytes=300)
    for age, key in enumerate(letter * 64 for letter in "abc"):
        store.remember(key, {"text": "x" * 100})
        os.utime(store.folder / "records" / key[:2] / f"{key}.json", (1000 + age, 1000 + age))
    store.trim()
    assert [store.recall(letter * 64) is not None for letter in "abc"] == [False, True, True]


@pytest.mark.parametrize("where", ["artifacts", "records"])
def test_what_a_killed_process_left_is_removed_once_it_is_nobody_s(
    where: str, tmp_path: Path
) -> None:
    store = Cache(tmp_path / "cache")
    store.store(KEY, Builder()(tmp_path / "made"))
    beside = store.folder / where / KEY[:2]
    beside.mkdir(parents=True, exist_ok=True)
    names = {"artifacts": f".{KEY}.0123abcd.{{}}", "records": f".{KEY}.0123abcd.{{}}.json"}
    old, fresh = (beside / names[where].format(end) for end in ("part", "old"))
    for leftover in (old, fresh):
        leftover.write_text("half") if where == "records" else leftover.mkdir()
    os.utime(old, (1000, 1000))
    store.trim()
    assert (old.exists(), fresh.exists()) == (False, True)
    assert store.lookup(KEY, "bundle")


def test_two_builders_of_the_same_wait_for_each_other(store: Cache, tmp_path: Path) -> None:
    inside, go = threading.Event(), threading.Event()
    build, heard = Builder(), Heard()

    def slow(out: Path) -> Artifact:
        inside.set()
        go.wait(30)
        return build(out)

    def second() -> None:
        inside.wait(30)
        threading.Timer(0.2, go.set).start()
        results.append(make(store, tmp_path / "two", build, heard=heard))

    results: list[tuple[Artifact, bool]] = []
    other = threading.Thread(target=second)
    other.start()
    make(store, tmp_path / "one", slow)
    other.join()
    assert build.built == 1
    assert results[0][1]
    assert "waiting" in heard.said[0]


def test_a_lock_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from stylepress.cache import Cache\n"
        "with Cache(Path(sys.argv[1])).locked('k'): print('held', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with Cache(tmp_path).locked("k", wait=False) as held:
            assert not held
        holder.kill()
        holder.wait()
        with Cache(tmp_path).locked("k", wait=False) as held:
            assert held


def test_a_copy_over_something_else_is_refused(tmp_path: Path) -> None:
    made = Builder()(tmp_path / "made")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(OutputError, match="is no stylepress artifact"):
        copied(made, tmp_path / "photos")


def test_a_key_depends_on_all_that_decides_and_on_no_order_of_keys() -> None:
    step = {"a": 1, "b": 2.5}
    key = build_key(["p"], step, "code", {"torch": "2"})
    assert key == build_key(["p"], {"b": 2.5, "a": 1}, "code", {"torch": "2"})
    others = [
        build_key(["q"], step, "code", {"torch": "2"}),
        build_key(["p"], {"a": 1, "b": 2.6}, "code", {"torch": "2"}),
        build_key(["p"], step, "other", {"torch": "2"}),
        build_key(["p"], step, "code", {"torch": "2.1"}),
        build_key([], step, "code", {"torch": "2"}),
    ]
    assert len({key, *others}) == 6


def test_the_order_of_parents_matters() -> None:
    assert build_key(["p", "q"], {}, "c", {}) != build_key(["q", "p"], {}, "c", {})


def test_each_room_has_its_own_code_version() -> None:
    versions = {code_version("train"), code_version("export"), code_version("train", "export")}
    assert len(versions) == 3


def test_a_folder_s_digest_sees_names_and_bytes_and_no_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.jpg").write_bytes(b"2")
    first = content_digest(tmp_path)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    assert content_digest(tmp_path) == first
    (tmp_path / "b" / "c.jpg").write_bytes(b"3")
    second = content_digest(tmp_path)
    (tmp_path / "b" / "c.jpg").rename(tmp_path / "b" / "d.jpg")
    assert len({first, second, content_digest(tmp_path)}) == 3


def test_what_is_not_there_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        content_digest(tmp_path / "nothing")


def test_what_another_process_is_writing_stays_however_full_the_cache_is(tmp_path: Path) -> None:
    being_written = tmp_path / "artifacts" / "ab" / ".0123abcd.part"
    being_written.mkdir(parents=True)
    (being_written / "model.onnx").write_bytes(bytes(1000))
    Cache(tmp_path, limit_bytes=1).trim()
    assert being_written.is_dir()
