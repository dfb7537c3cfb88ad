"""`stylepress run`, `inspect` on a real bundle: a frame graph that darkens by half."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from stylepress.__main__ import main
from stylepress.artifact import Artifact
from stylepress.ports import Port
from tests.frames import frame_ports, seal_frames

Capture = pytest.CaptureFixture[str]
SHAPE: tuple[int | str, ...] = ("batch", "height", "width", 3)
NO_ENGINE = """
name: none
title: Nothing but the harness
arch: any
engines: ["null"]
precisions: [fp32]
opset_max: 21
size: [64, 80]
source: a test
"""


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STYLEPRESS_CACHE", str(tmp_path / "cache"))
    make_bundle(tmp_path / "bundle", "dark", 0.5)
    Image.new("RGB", (20, 10), (200, 100, 50)).save(tmp_path / "photo.png")
    return tmp_path / "bundle"


def make_bundle(place: Path, name: str, darker: float) -> None:
    frame = np.full((8, 8, 3), 200, np.uint8)
    dark = np.full_like(frame, round(200 * (1 - darker)))
    model = _darkening(darker).SerializeToString()
    seal_frames(place, model, [(frame, dark, 1.0)], name=name)


def _darkening(darker: float) -> onnx.ModelProto:
    """Darken: frame * (1 - strength * darker), through float32."""
    node, value = helper.make_node, helper.make_tensor_value_info
    number = numpy_helper.from_array
    nodes = [
        node("Cast", ["frame"], ["f"], to=1),
        node("Reshape", ["strength", "shape"], ["s"]),
        node("Mul", ["s", "share"], ["h"]),
        node("Sub", ["one", "h"], ["k"]),
        node("Mul", ["f", "k"], ["d"]),
        node("Cast", ["d"], ["frame_out"], to=2),
    ]
    graph = helper.make_graph(
        nodes,
        "darken",
        [value("frame", 2, list(SHAPE)), value("strength", 1, ["batch"])],
        [value("frame_out", 2, list(SHAPE))],
        [
            number(np.array([-1, 1, 1, 1]), "shape"),
            number(np.array(darker, np.float32), "share"),
            number(np.array(1, np.float32), "one"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def shade(path: Path) -> list[int]:
    pixel = np.asarray(Image.open(path))[0, 0]
    return [int(level) for level in pixel]


def test_a_picture_is_stylized_and_where_it_went_is_told(bundle: Path, capsys: Capture) -> None:
    out = bundle.parent / "out.png"
    run = ["run", str(bundle), str(bundle.parent / "photo.png"), str(out)]
    assert main([*run, "--backend", "onnxruntime"]) == 0
    assert shade(out) == [100, 50, 25]
    assert capsys.readouterr().out.startswith(f"{out}: 1 picture in ")


def test_options_reach_the_engine(bundle: Path, capsys: Capture) -> None:
    out = bundle.parent / "out.png"
    run = ["run", str(bundle), str(bundle.parent / "photo.png"), str(out), "-b", "onnxruntime"]
    assert main([*run, "--strength", "0", "--json", "-q"]) == 0
    assert shade(out) == [200, 100, 50]
    shown = capsys.readouterr()
    assert json.loads(shown.out)["written"] == 1
    assert shown.err == ""


def test_a_mask_is_fed_from_a_file_of_any_size(bundle: Path, capsys: Capture) -> None:
    folder = bundle.parent / "masked"
    seal_masked(folder)
    mask = Image.new("RGBA", (40, 20), (0, 0, 0, 255))
    mask.paste((255, 255, 255, 255), (20, 0, 40, 20))
    mask.save(bundle.parent / "mask.png")
    out = bundle.parent / "out.png"
    run = ["run", str(folder), str(bundle.parent / "photo.png"), str(out), "-b", "onnxruntime"]
    assert main([*run, "--port", f"mask={bundle.parent / 'mask.png'}"]) == 0
    drawn = np.asarray(Image.open(out))
    assert (drawn[:, :8] == 0).all()
    assert (drawn[:, 12:] == (200, 100, 50)).all()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("mask", "NAME=VALUE"),
        ("mask=none.png", "picture for mask cannot be read"),
        ("maks=mask.png", "It has mask"),
        ("strength=0.5", "no input 'strength'"),
    ],
)
def test_a_port_that_cannot_be_fed_is_told(
    bundle: Path, capsys: Capture, word: str, told: str
) -> None:
    seal_masked(bundle.parent / "masked")
    run = ["run", str(bundle.parent / "masked"), str(bundle.parent / "photo.png"), "a.png"]
    assert main([*run, "-b", "onnxruntime", "--port", word]) == 2
    assert told in capsys.readouterr().err


def seal_masked(folder: Path) -> None:
    """Seal a bundle that shows a frame where its mask is white: frame * (mask / 255)."""
    node, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("Cast", ["frame"], ["f"], to=1),
        node("Cast", ["mask"], ["m"], to=1),
        node("Div", ["m", "white"], ["share"]),
        node("Mul", ["f", "share"], ["d"]),
        node("Cast", ["d"], ["frame_out"], to=2),
    ]
    graph = helper.make_graph(
        nodes,
        "masked",
        [value("frame", 2, list(SHAPE)), value("mask", 2, [*SHAPE[:3], 1])],
        [value("frame_out", 2, list(SHAPE))],
        [numpy_helper.from_array(np.array(255, np.float32), "white")],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    ports = frame_ports()
    mask = Port(name="mask", shape=(*SHAPE[:3], 1), dtype="uint8", low=0, high=255, default=255.0)
    ports = ports.model_copy(update={"inputs": (ports.inputs[0], mask)})

    def fill(beside: Path) -> None:
        (beside / "model.onnx").write_bytes(model.SerializeToString())

    Artifact.create(
        folder, fill, kind="bundle", name="masked", graphs={"frame": ports},
        made_by={"opset": 18}, numbers={},
    )  # fmt: skip


def test_the_fastest_backend_is_measured_and_remembered(bundle: Path, capsys: Capture) -> None:
    run = ["run", str(bundle), str(bundle.parent / "photo.png")]
    assert main([*run, str(bundle.parent / "a.png")]) == 0
    assert "fastest" in capsys.readouterr().err
    assert main([*run, str(bundle.parent / "b.png")]) == 0
    assert "fastest" not in capsys.readouterr().err


def test_output_that_exists_is_kept_unless_asked_otherwise(bundle: Path, capsys: Capture) -> None:
    out = bundle.parent / "out.png"
    out.write_bytes(b"mine")
    run = ["run", str(bundle), str(bundle.parent / "photo.png"), str(out), "-b", "onnxruntime"]
    assert main(run) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"
    assert main([*run, "--overwrite"]) == 0
    assert shade(out) == [100, 50, 25]


def test_a_picture_over_the_limit_names_the_flag(bundle: Path, capsys: Capture) -> None:
    run = ["run", str(bundle), str(bundle.parent / "photo.png"), str(bundle.parent / "a.png")]
    assert main([*run, "--limit-megapixels", "0.0001"]) == 2
    assert "--limit-megapixels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--backend", "openvno"], "openvino"),
        (["--strength", "2"], "strength"),
        (["--lanes", "0"], "lanes"),
    ],
)
def test_an_option_that_cannot_be_is_refused(
    bundle: Path, capsys: Capture, options: list[str], told: str
) -> None:
    run = ["run", str(bundle), str(bundle.parent / "photo.png"), str(bundle.parent / "a.png")]
    assert main([*run, *options]) == 2
    assert told in capsys.readouterr().err


def test_a_bundle_that_was_altered_is_refused(bundle: Path, capsys: Capture) -> None:
    with (bundle / "model.onnx").open("ab") as file:
        file.write(b"x")
    assert main(["run", str(bundle), "photo.png", "a.png"]) == 2
    assert "manifest expects" in capsys.readouterr().err


def test_a_bundle_is_inspected_in_one_screen(bundle: Path, capsys: Capture) -> None:
    assert main(["inspect", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) <= 24
    assert "strength: float32 [batch], 0 to 1, default 1" in out


def test_a_measurement_is_written_shown_and_compared(bundle: Path, capsys: Capture) -> None:
    pytest.importorskip("scipy")
    report = bundle.parent / "report.json"
    bench = ["bench", str(bundle), "--size", "64x64", "--threads", "1", "-q"]
    assert main([*bench, "--json", str(report), "--out", str(bundle.parent / "all")]) == 0
    assert "dark" in capsys.readouterr().out
    assert json.loads(report.read_text())["scenario"]["width"] == 64
    html = (bundle.parent / "all" / "report.html").read_text(encoding="utf-8")
    assert "</html>" in html
    assert main(["compare", str(report), str(report), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "TREND"


def test_a_camera_is_played_and_shown(bundle: Path, capsys: Capture) -> None:
    pytest.importorskip("scipy")
    size = ["--size", "64x64", "--threads", "1", "-q", "--starts", "0", "--min-time", "0"]
    report = bundle.parent / "camera.json"
    played = ["--scenario", "fixed-rate", "--fps", "200", "--json", str(report)]
    assert main(["bench", str(bundle), *size, *played]) == 0
    assert "fixed rate at 200 fps" in capsys.readouterr().out
    (scene,) = json.loads(report.read_text())["scenes"]
    assert any(one["note"].endswith("of 100") for one in scene["figures"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--scenario", "stream"], "single-stream"),
        (["--scenario", "server"], "--rate"),
        (["--scenario", "fixed-rate", "--fps", "0"], "fps"),
        (["--scenario", "fixed-rate", "--drop", "any"], "oldest"),
        (["--scenario", "fixed-rate", "--queue", "0"], "queue"),
        (["--scenario", "offline", "--lanes", "0"], "lanes"),
        (["--foreign-load", "200"], "foreign-load"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(
    bundle: Path, capsys: Capture, options: list[str], told: str
) -> None:
    assert main(["bench", str(bundle), *options]) in (2, 64)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--fps", "30"], "`--fps` would do nothing without `--scenario fixed-rate`."),
        (["--scenario", "server", "--rate", "9", "--fps", "9"], "`--fps` would do nothing"),
        (["--rate", "9"], "`--rate` would do nothing without `--scenario server`."),
        (["--scenario", "server", "--rate", "9", "--drop", "newest"], "`--drop` would do nothing"),
        (["--lanes", "2"], "`--lanes` would do nothing without `--scenario fixed-rate`, "),
        (["--lanes", "2", "--scenario", "single-stream"], "`--lanes` would do nothing"),
        (["--min-time", "1"], "`--min-time` would do nothing without `--scenario` or `--selft"),
        (["--pairs", "9"], "`--pairs` would do nothing without `--selftest`."),
        (
            ["--no-drift", "--gate", "--extractor", "x"],
            "`--gate`, `--extractor` would do nothing with",
        ),
        (["--selftest", "--gate", "--no-drift"], "`--no-drift`, `--gate` would do nothing"),
        (["--selftest", "--student", "x"], "`--student` would do nothing with `--selftest`."),
        (["--gate"], "`--student`"),
        (["--backend", "openvno"], "There is no backend 'openvno'."),
        (["--backend", "openvno", "--selftest"], "Do you mean 'openvino'?"),
        (["--size", "1x1"], "Frames of 1x1 are too small"),
        (["--size", "100000x100000", "--selftest"], "Frames of 100000x100000 are too large"),
        (["--photos", "nowhere"], "nowhere is no folder of photos."),
        (["--style", "nowhere.png"], "nowhere.png"),
    ],
)
def test_what_would_do_nothing_or_cannot_be_measured_is_refused_at_once(
    bundle: Path, capsys: Capture, options: list[str], told: str
) -> None:
    pytest.importorskip("scipy")
    assert main(["bench", str(bundle), *options]) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert "Measuring" not in shown


@pytest.mark.parametrize("option", ["--threads", "--rounds"])
def test_none_of_what_it_takes_one_of_is_wrong_usage(option: str, capsys: Capture) -> None:
    assert main(["bench", "a", option, "0"]) == 64
    assert option in capsys.readouterr().err


def test_more_threads_than_cores_and_few_rounds_are_measured_as_asked(
    bundle: Path, capsys: Capture
) -> None:
    pytest.importorskip("scipy")
    size = ["--size", "64x64", "--starts", "0", "-q", "--threads", "999", "--rounds", "2"]
    report = bundle.parent / "few.json"
    assert main(["bench", str(bundle), *size, "--backend", "null", "--json", str(report)]) == 0
    assert "999 threads share" in capsys.readouterr().err
    made = json.loads(report.read_text())
    assert [one["backend"] for one in made["latencies"]] == ["null", "null"]
    assert made["scenario"]["rounds"] == 2


@pytest.mark.parametrize(
    ("strength", "code", "told"),
    [(0.5, 0, ""), (0.25, 1, "lost too much: ")],
)
def test_a_gate_exits_by_what_the_pictures_lost(
    bundle: Path, capsys: Capture, strength: float, code: int, told: str
) -> None:
    """The student darkens too: as much, or half as much."""
    pytest.importorskip("scipy")
    student, photos = bundle.parent / "light", bundle.parent / "photos"
    make_bundle(student, "light", strength)
    photos.mkdir()
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(0, 256, (128, 128, 3), np.uint8)
        Image.fromarray(noise).save(photos / f"{seed}.png")
    size = ["--size", "128x128", "--starts", "0", "--rounds", "1", "-b", "onnxruntime", "-q"]
    given = ["--student", str(student), "--photos", str(photos)]
    assert main(["bench", str(bundle), *size, *given, "--gate"]) == code
    assert told in capsys.readouterr().err


def test_the_self_test_writes_a_floor_that_compare_takes(bundle: Path, capsys: Capture) -> None:
    """On a target without an engine, as what is measured is the harness alone and soon done."""
    pytest.importorskip("scipy")
    out, target = bundle.parent / "floor", bundle.parent / "none.yaml"
    target.write_text(NO_ENGINE, encoding="utf-8")
    busy = ["--target", str(target), "--threads", "1", "--foreign-load", "100", "-q"]
    quick = ["--pairs", "7", "--min-time", "0"]
    assert main(["bench", str(bundle), *busy, *quick, "--selftest", "--out", str(out)]) == 0
    assert "harness · null" in capsys.readouterr().out
    make_bundle(bundle.parent / "light", "light", 0.5)
    brief = ["--no-extend", "--no-confirm", "--delta", "900"]
    given = ["--floor", str(out / "floor.json"), "--json"]
    arms = [str(bundle), str(bundle.parent / "light")]
    assert main(["compare", *arms, *busy, *quick, *brief, *given]) in (0, 3)
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert settings["floor_source"] == "measured"
    assert (settings["height"], settings["width"], settings["backends"]) == (64, 80, ["null"])


def test_a_path_that_is_not_there_is_named_whatever_the_other_is(
    bundle: Path, capsys: Capture
) -> None:
    for given in ([str(bundle), "nowhere"], ["nowhere", str(bundle)], ["nowhere", "nowhere"]):
        assert main(["compare", *given]) == 2
        out, err = capsys.readouterr()
        assert "here is no nowhere" in out + err


@pytest.mark.parametrize("option", ["--out", "--json", "--html"])
def test_where_results_go_is_tried_before_anything_is_measured(
    bundle: Path, capsys: Capture, option: str
) -> None:
    place = bundle / "manifest.json" / "report.html"
    assert main(["bench", str(bundle), option, str(place)]) == 2
    told = capsys.readouterr().err
    assert "cannot be written" in told
    assert "Measuring" not in told


def test_what_is_no_report_cannot_be_compared(bundle: Path, capsys: Capture) -> None:
    assert main(["compare", str(bundle / "manifest.json"), str(bundle / "manifest.json")]) == 2
    assert "stylepress bench" in capsys.readouterr().err


def test_a_target_that_is_only_compiled_for_cannot_be_measured(
    bundle: Path, capsys: Capture
) -> None:
    assert main(["bench", str(bundle), "--target", "rtx-4090"]) == 2
    assert "rtx-4090" in capsys.readouterr().err


def test_a_folder_with_a_picture_that_fails_is_done_else_and_exits_with_1(
    bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (20, 10), (200, 100, 50)).save(photos / "good.png")
    (photos / "bad.png").write_bytes(b"\x89PNG")
    arguments = ["run", str(bundle), str(photos), str(tmp_path / "out"), "-b", "onnxruntime"]
    assert main([*arguments, "-q"]) == 1
    shown = capsys.readouterr()
    assert "1 picture" in shown.out
    assert "1 skipped" in shown.out
    assert "bad.png: skipped." in shown.err
    assert (tmp_path / "out" / "good.png").exists()
