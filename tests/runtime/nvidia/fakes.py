"""Fake TensorRT modules made of recorded interfaces: a name, keyword or write too many is an error.

They check calls and compute nothing: what comes out of a build is the bytes ``simulated``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SURFACES = Path(__file__).parent / "surfaces"
VERSIONS = ("8_4", "8_6", "10_3", "10_13", "10_16", "11_0", "11_4", "rtx_1_7")
SIMULATED = b"simulated"
NATIVE = {"nvonnxparser::IParserError": "ParserError", "nvinfer1::IHostMemory": "IHostMemory"}
"""Names of C++ types in signatures, and the classes of Python that they are."""
PLAIN: Mapping[str, Any] = {"bool": True, "int": 0, "str": "", "None": None}


def surface(version: str) -> dict[str, Any]:
    """Return the recorded interface of one version."""
    loaded: dict[str, Any] = json.loads((SURFACES / f"{version}.json").read_text())
    return loaded


enumeration: Any = IntEnum
"""Its functional form; type checkers want to know the members that it is given."""


class Fake:
    """One fake module, and what was called on it: ``calls`` holds (class, name, arguments)."""

    def __init__(self, version: str, values: Mapping[str, Any] | None = None) -> None:
        self.surface = surface(version)
        self.values = {"num_errors": 0, "num_DLA_cores": 2, **(values or {})}
        """What properties say that nobody set, and what methods return in place of the usual."""
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self.classes: dict[str, Any] = {}
        for name, facts in self.surface["classes"].items():
            self.classes[name] = (
                enumeration(name, facts["members"])
                if "members" in facts
                else self._class(name, facts)
            )
        self.module = SimpleNamespace(**self.classes, __version__=self.surface["version"])

    def called(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of every call of that name."""
        return [arguments for _, called, arguments in self.calls if called == name]

    def _class(self, name: str, facts: Mapping[str, Any]) -> type:
        fake, attributes = self, facts["attrs"]

        def start(self: Any, *args: Any, **keywords: Any) -> None:
            object.__setattr__(self, "_set", {})
            fake.check(name, "__init__", args, keywords)

        def get(self: Any, attribute: str) -> Any:
            kind = attributes.get(attribute)
            if kind == "method":
                return lambda *args, **keywords: fake.call(name, attribute, args, keywords)
            if kind in ("property", "property-ro"):
                return self._set.get(attribute, fake.values.get(attribute))
            raise AttributeError(f"{name} of {fake.surface['version']} has no {attribute}")

        def put(self: Any, attribute: str, value: Any) -> None:
            if attributes.get(attribute) != "property":
                kind = attributes.get(attribute, "missing")
                raise AttributeError(f"{name}.{attribute} is {kind}, not to be written")
            fake.calls.append((name, attribute, (value,)))
            self._set[attribute] = value

        members = {"__init__": start, "__getattr__": get, "__setattr__": put}
        if name == "IHostMemory":
            members["__bytes__"] = lambda self: SIMULATED
        return type(name, (), members)

    def call(
        self, group: str, name: str, args: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Check one call and answer with an object of the type that its signature names."""
        result = self.check(group, name, args, keywords)
        self.calls.append((group, name, (*args, *keywords.values())))
        if name in self.values:
            value = self.values[name]
            return value(*args, **keywords) if callable(value) else value
        if result in PLAIN:
            return PLAIN[result]
        made = self.classes[NATIVE.get(result, result)]
        instance = made.__new__(made)
        object.__setattr__(instance, "_set", {})
        return instance

    def check(
        self, group: str, name: str, args: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> str:
        """Hold a call against its recorded signatures; return what the one that fits returns."""
        signatures = self.surface["signatures"].get(f"{group}.{name}")
        if signatures is None:
            if name == "__init__" and not args and not keywords:
                return "None"
            raise TypeError(f"{group}.{name} has no recorded signature")
        for signature in signatures:
            names = [parameter.rstrip("=") for parameter in signature["params"][1:]]
            must = [p for p in signature["params"][1:] if not p.endswith("=")]
            filled = {*names[: len(args)], *keywords}
            fits = len(args) <= len(names) and filled <= set(names) and set(must) <= filled
            if fits and len(filled) == len(args) + len(keywords):
                return str(signature["returns"])
        raise TypeError(f"{group}.{name}{args}{dict(keywords)} fits none of {signatures}")
