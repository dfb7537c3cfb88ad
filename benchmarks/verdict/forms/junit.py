"""A comparison as JUnit XML, which GitLab, Jenkins, Azure and GitHub's reporters show as tests."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from stylepress.benchmarks.verdict.comparison import Comparison, Judgement

CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(comparison: Comparison) -> str:
    """Return one test case a gated figure: a failure, skipped while open, else passed."""
    cases = [one for one in comparison.judgements if one.gated]
    failed = sum(one.verdict == "FAIL" for one in cases)
    unsure = sum(one.verdict == "INCONCLUSIVE" for one in cases)
    refused = comparison.verdict == "NOT COMPARABLE"
    counts = {
        "tests": str(len(cases) + refused),
        "failures": str(failed),
        "errors": str(int(refused)),
        "skipped": str(unsure),
    }
    root = Element("testsuites", {"name": "stylepress compare", **counts})
    suite = SubElement(root, "testsuite", {"name": _suite(comparison), **counts})
    if comparison.created:
        suite.set("timestamp", _text(comparison.created))
    properties = SubElement(suite, "properties")
    for name, value in _environment(comparison).items():
        SubElement(properties, "property", {"name": _text(name), "value": _text(value)})
    for one in cases:
        _case(suite, one)
    if refused:
        case = SubElement(suite, "testcase", {"classname": "stylepress", "name": "comparable"})
        words = ", ".join(comparison.differing)
        SubElement(case, "error", {"message": _text(f"not comparable: {words}")})
    SubElement(suite, "system-out").text = _text(comparison.summary())
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, one: Judgement) -> None:
    attributes = {"classname": _text(one.subject), "name": _text(one.metric)}
    case = SubElement(suite, "testcase", attributes)
    told = ", ".join(part for part in (one.change(), one.note) if part)
    words = _text(f"{one.shown(one.base)} -> {one.shown(one.new)} {told}".strip())
    if one.verdict == "FAIL":
        SubElement(case, "failure", {"type": "regression", "message": words})
    elif one.verdict == "INCONCLUSIVE":
        more = f", about {one.needed} pairs might decide" if one.needed else ""
        SubElement(case, "skipped", {"message": f"inconclusive: {words}{more}"})


def _suite(comparison: Comparison) -> str:
    settings = comparison.settings
    size = "" if settings is None else f" {settings.width}x{settings.height}"
    return f"single stream{size}"


def _environment(comparison: Comparison) -> dict[str, str]:
    gating = comparison.machine.gating()
    arms = {
        "base.name": comparison.base.name,
        "base.precision": comparison.base.precision,
        "base.digest": comparison.base.digest,
        "new.name": comparison.new.name,
        "new.precision": comparison.new.precision,
        "new.digest": comparison.new.digest,
        "tool": comparison.tool,
        "mode": comparison.mode,
        "verdict": comparison.verdict,
    }
    facts = {f"machine.{name}": str(value) for name, value in gating.items() if value is not None}
    return {**arms, **facts}


def _text(text: str) -> str:
    """Leave out what XML 1.0 cannot hold."""
    return CONTROL.sub("?", text)
