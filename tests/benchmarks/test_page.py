"""The page and the summary show what the report holds, and ask nobody for anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from stylepress.benchmarks.scenarios.offline import offline
from stylepress.benchmarks.scenarios.server import server
from stylepress.benchmarks.scenarios.single_stream import single_stream

from stylepress.benchmarks.drift.result import Check
from stylepress.benchmarks.machine.record import Gpu, record_machine
from stylepress.benchmarks.machine.timeline import Curves
from stylepress.benchmarks.page import page
from stylepress.benchmarks.page_style import STYLE
from stylepress.benchmarks.pictures.gallery import Drawing, difference, gallery
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.sections import sections
from stylepress.benchmarks.summary import headline, machine_lines, summary, table
from stylepress.benchmarks.timing.outcome import Length, Offline, Server
from tests.benchmarks.systems_on_disk import DESKTOP, JETSON, write

VOID = {"meta", "img", "input", "rect", "line"}


class Nesting(HTMLParser):
    """Collects what a browser would have to mend."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element that closes itself nests nothing."""

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID or not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return page(report)


def test_every_element_is_closed_where_it_was_opened(html: str) -> None:
    nesting = Nesting()
    nesting.feed(html)
    assert (nesting.open, nesting.wrong) == ([], [])


def test_nothing_is_fetched_from_outside(html: str) -> None:
    nesting = Nesting()
    nesting.feed(html)
    assert nesting.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in nesting.links)
    assert not re.search(r"https?:|@import|url\(", html)
    assert "default-src 'none'" in html


def test_all_pictures_are_there_by_photo_and_column(report: Report, html: str) -> None:
    assert [each.column for each in report.gallery] == [
        "content",
        "teacher",
        "student",
        "bundle",
        "difference",
    ]
    lost = sum(len(pictures) for pictures in report.suffered.values())
    assert html.count('type="checkbox"') == len(report.gallery) + lost
    assert html.count("data:image/jpeg") == len(report.gallery) + lost


def test_sliders_hold_photo_and_original_against_the_bundle_and_borrow_their_pictures(
    report: Report, html: str
) -> None:
    borrowed = re.findall(r'<img data-of="picture-(\d+)"', html)
    columns = [report.gallery[int(number)].column for number in borrowed]
    assert columns == ["content", "bundle", "student", "bundle"]
    named = re.findall(r'<img id="picture-(\d+)"', html)
    assert named == [str(number) for number in range(len(report.gallery))]


def test_what_is_drawn_and_what_is_typed_into_has_a_name(html: str) -> None:
    assert all('alt="' in tag for tag in re.findall(r"<img[^>]*>", html))
    assert all('aria-label="' in tag for tag in re.findall(r"<(?:input|svg role)[^>]*>", html))
    assert '<html lang="en">' in html
    heads = re.findall(r"<th\b[^>]*>", html)
    assert set(heads) == {'<th scope="col">', '<th scope="row">'}


def test_every_system_has_a_bar_as_long_as_its_latency(report: Report, html: str) -> None:
    widths = [float(width) for width in re.findall(r'<rect[^>]* width="([\d.]+)%"', html)]
    slowest = max(max(each.timing.round_medians_ms) for each in report.latencies)
    expected = [max(0.2, 100 * each.median_ms / slowest) for each in report.latencies]
    assert widths == pytest.approx(expected, abs=0.01)


def test_rounds_and_sensors_are_drawn_over_one_time(report: Report, html: str) -> None:
    rounds = sum(len(each.rounds_at_s) for each in report.latencies if each.model)
    assert html.count("<circle") == rounds
    places = [float(place) for place in re.findall(r'<circle[^>]* cx="([\d.]+)%"', html)]
    assert 0 <= min(places) <= max(places) <= 100
    watched = report.validity is not None and "processor" not in report.validity.missing
    assert ("others</span>" in html) == watched


def test_what_cools_by_slowing_down_is_drawn_when_it_did(report: Report) -> None:
    def drawn(*states: float) -> bool:
        curves = Curves(at_s=(0.0, 1.0), values={"cooling.cpufreq-cpu0": states})
        return "slowed down to cool" in page(report.model_copy(update={"curves": curves}))

    assert drawn(0, 2)
    assert not drawn(0, 0)


def test_what_a_report_has_rows_for_has_a_section(report: Report, html: str) -> None:
    titles = [one.title for one in sections(report)]
    assert titles == [
        *("Against the baselines", "Models", "Response time: frames that wait for nobody"),
        *(["Energy"] if "energy" not in {each.what for each in report.skipped} else []),
        *("Start and memory, in a process of its own", "End to end: from a film to a film"),
        "Quality, mean of 2 photos",
    ]
    assert all(f"<h2>{title}</h2>" in html for title in titles)
    assert all(f"## {title}\n" in summary(report) for title in titles)
    assert all(len(row) == len(one.heads) for one in sections(report) for row in one.rows)


def test_two_kinds_of_time_never_share_a_table(report: Report) -> None:
    length, scene = Length(min_s=0, min_count=3), report.scenes[0]
    outcomes = [
        single_stream(lambda _: None, lambda: None, length=length),
        server(lambda _: None, lambda: None, Server(rate_hz=999), length=length),
        offline(lambda _: None, lambda: None, Offline(), length=length),
        scene.outcome,
    ]
    scenes = tuple(scene.model_copy(update={"outcome": one}) for one in outcomes)
    found = {one.title: one for one in sections(report.model_copy(update={"scenes": scenes}))}
    service, response, throughput = (
        next(one for title, one in found.items() if title.startswith(name))
        for name in ("Service time", "Response time", "Throughput")
    )
    assert [len(one.rows) for one in (service, response, throughput)] == [1, 2, 1]
    assert "p50" not in throughput.heads
    assert "dropped" not in service.heads
    assert {"dropped", "missed", "p50"} <= set(response.heads)
    assert "the oldest is dropped" in response.note


def test_the_machine_tells_its_board_and_its_gpus(report: Report, tmp_path: Path) -> None:
    told = {"name": "RTX 4090", "memory_mib": 24576, "ecc": False}
    gpu = Gpu.model_validate({**dict.fromkeys(Gpu.model_fields), **told})
    board = record_machine({}, root=write(tmp_path, JETSON)).model_copy(update={"gpus": (gpu,)})
    lines = dict(machine_lines(report.model_copy(update={"machine": board})))
    assert lines["GPU 0"] == "RTX 4090, 24 GiB, ECC off"
    assert lines["memory"] == "16 GiB, shared with the GPU"
    assert lines["board"] == (
        "NVIDIA Jetson Orin Nano Developer Kit, tegra234, L4T 36.4.3, JetPack 6.2+b77, "
        "power mode MAXN_SUPER, GPU 1020 to 1020 MHz, clocks locked"
    )
    desktop = record_machine({}, root=write(tmp_path / "desktop", DESKTOP))
    lines = dict(machine_lines(report.model_copy(update={"machine": desktop})))
    assert lines["clocks"] == "800 to 3500 MHz, 800 to 5000 MHz, performance,powersave, turbo on"
    assert "board" not in lines
    assert "this is no Jetson" in summary(report.model_copy(update={"machine": desktop}))


def test_a_value_that_is_missing_says_why(report: Report) -> None:
    one = next(each for each in report.latencies if each.p90_ms is None)
    reason = f"none: {one.timing.calls} of 64 samples"
    assert reason in summary(report)
    assert reason in page(report)


def test_names_from_files_cannot_become_markup(report: Report) -> None:
    evil = "<script>alert(1)</script>"
    photo = report.gallery[0].__class__(evil, "content", evil, b"", 1, 1)
    assert evil not in page(report.model_copy(update={"gallery": (photo,), "tool": evil}))


def test_a_report_read_from_a_file_still_makes_a_page(report: Report) -> None:
    bare = page(report.model_copy(update={"gallery": (), "consistencies": ()}))
    assert "Latency" in bare
    assert "Pictures" not in bare


def test_the_summary_has_a_row_for_each_system_and_model(report: Report) -> None:
    text = summary(report)
    assert text.startswith(f"# {headline(report)}\n")
    assert all(f"| {each.name} |" in text for each in report.latencies)
    assert all(f"| {each.name} |" in text for each in report.models)
    assert "## Machine" in text


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert table(["a"], [["x|y"]])[-1] == "| x\\|y |"


def test_the_difference_is_amplified_and_symmetric() -> None:
    one, two = np.array([0, 10, 255], np.uint8), np.array([3, 0, 0], np.uint8)
    assert difference(one, two).tolist() == [24, 80, 255]
    assert difference(one, two).tolist() == difference(two, one).tolist()


def test_a_picture_as_busy_as_noise_can_be_shown() -> None:
    """Larger than Pillow's least buffer of 64 KiB, and more than a byte a pixel."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 400, 400, 3), np.uint8)
    (shown,) = gallery([Drawing("noise", noise, {})])
    assert len(shown.jpeg) > 400 * 400


def broken(report: Report) -> Report:
    (drift,) = report.drifts
    check = Check(
        name="psnr_db mean", value=25.25, limit=30, bound="at least", verdict="regression"
    )
    checks = (*(one for one in drift.checks if one.name != check.name), check)
    return report.model_copy(update={"drifts": (drift.model_copy(update={"checks": checks}),)})


def test_a_regression_is_seen_on_top_on_its_card_in_its_row_and_in_the_summary(
    report: Report,
) -> None:
    bad = broken(report)
    html, text = page(bad), summary(bad)
    told = "dots int8 against dots fp32, PSNR, dB, mean: 25.2 (limit ≥ 30)"
    top, rest = html.split('<section class="cards">')
    assert f'<aside class="bad"><b>✗ What failed</b><ul><li>{told}</li>' in top
    assert '<div class="bad"><b>✗ regression</b>' in rest
    assert '<tr class="failed"><th scope="row">PSNR, dB, mean</th><td class="bad">' in rest
    assert text.index(f"## ✗ What failed\n\n- {told}") < text.index("## Latency")
    assert headline(bad).endswith(", but its pictures failed")
    assert "What failed" not in page(report) + summary(report)


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("look", ["light", "dark"])
def test_every_text_stands_out_from_what_it_stands_on(look: str) -> None:
    light, dark = re.findall(r":root {(.*?)}", STYLE, re.DOTALL)[:2]
    known = {
        name: f"#{value * 2}" if len(value) == 3 else f"#{value}"
        for name, value in re.findall(r"--(\w+): #(\w+);", light if look == "light" else dark)
    }
    texts = {
        "paper": ("ink", "soft", "fail", "pass", "open"),
        "card": ("ink", "soft", "fail", "pass", "open"),
        "tint": ("ink", "soft", "fail"),
        "warn": ("ink",),
    }
    for ground, inks in texts.items():
        for ink in inks:
            one, two = sorted((luminance(known[ink]), luminance(known[ground])))
            assert (two + 0.05) / (one + 0.05) >= 4.5, (ink, ground)
