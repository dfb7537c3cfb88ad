"""Files that users write: YAML, strict. One loader serves recipes, targets and configurations."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from stylepress.errors import RecipeError

LIMIT_BYTES = 256 << 10
LIMIT_NODES = 20_000
PROBLEMS_SHOWN = 5
PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")
)

Key = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Document:
    """A YAML file as plain values, with the line of every key."""

    source: str
    values: Mapping[str, Any]
    lines: Mapping[Key, int] = field(default_factory=dict)

    def parse(self, model: type[ModelT]) -> ModelT:
        """Return the values as ``model``.

        Raises:
            RecipeError: the first five things that are wrong, each with its line, key and value.
        """
        try:
            # Through JSON, where a list is the one way to write a tuple and a string a path.
            return model.model_validate_json(json.dumps(self.values))
        except ValidationError as error:
            errors = error.errors()
            # What stands in the file comes first: a misspelt key explains the missing one.
            errors.sort(
                key=lambda one: (
                    one["type"] == "missing",
                    self.line(self._in_file(tuple(one["loc"]))),
                )
            )
            problems = [self._problem(model, problem) for problem in errors]
            more = len(problems) - PROBLEMS_SHOWN
            shown = problems[:PROBLEMS_SHOWN] + ([f"... and {more} more."] if more > 0 else [])
            raise RecipeError("\n".join(shown)) from error

    def _problem(self, model: type[BaseModel], problem: Mapping[str, Any]) -> str:
        key = self._in_file(tuple(problem["loc"]))
        name = f"`{dotted(key)}`"
        place = f"{self.source}, line {self.line(key)}" if self.lines else self.source
        message = str(problem["msg"])
        if problem["type"] == "extra_forbidden":
            return f"{place}: {name} is not known. {_hint(model, key)}"
        if problem["type"] == "missing":
            mend = _purpose(model, key) if isinstance(key[-1], str) else "Write one more item."
            return f"{place}: {name} is missing. {mend}"
        if problem["type"] == "json_invalid":  # half of a surrogate pair, by a \\u escape
            return f"{place}: {message}. Remove the `\\u` escape that is no character."
        if problem["type"] == "value_error":  # raised by a validator of ours, in our words
            words = message.removeprefix("Value error, ")
            return f"{place}: {name}: {words}" if key else f"{place}: {words}"
        should = message.removeprefix("Input ")
        if problem["type"] in _SHOULD:
            should = _SHOULD[problem["type"]].format(**problem.get("ctx", {}))
        return f"{place}: {name} is {_shown(problem['input'])}. It {should}."

    def _in_file(self, location: Key) -> Key:
        """Leave out of pydantic's location what the file does not hold: the tag of a union."""
        values: Any = self.values
        key: list[str | int] = []
        for index, part in enumerate(location):
            mapping = isinstance(values, Mapping)
            tag = mapping and part not in values and part in values.values()
            if tag and index + 1 < len(location):
                continue
            key.append(part)
            if mapping:
                values = values.get(part)
            elif isinstance(values, list) and isinstance(part, int) and part < len(values):
                values = values[part]
            else:
                values = None
        return tuple(key)

    def line(self, key: Key) -> int:
        """Return the line of a key, or of the nearest section around it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


def load_document(path: Path, model: type[ModelT]) -> ModelT:
    """Read a YAML file as ``model``.

    Raises:
        RecipeError: the file cannot be read, is no plain YAML mapping, or does not fit the model.
    """
    return read_document(path).parse(model)


def document_schema(model: type[BaseModel], *, written: bool = False) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document: as it is read, or as it is ``written``."""
    schema = model.model_json_schema(mode="serialization" if written else "validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def read_document(path: Path) -> Document:
    """Read a YAML file without knowing what it should hold.

    Raises:
        RecipeError: missing, empty, too large, not UTF-8, not YAML, a key given twice, an alias
            bomb, a tag that is not plain data.
    """
    text = _text(path)
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise RecipeError(f"{path} is empty.", _SCHEMA_MEND)
        lines = dict(_Walk(str(path)).keys(root, ()))
        values = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RecipeError(
            f"{path}{where}: not valid YAML ({error.problem or error.context}).",
            "Indent with spaces, and write `key: value` or `- item` lines.",
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(
            f"{path} is not valid YAML ({_first_line(error)}).",
            "Keep it to plain `key: value` lines and lists.",
        ) from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} holds {_shown(values)}, not `key: value` lines.", _SCHEMA_MEND)
    return Document(str(path), values, lines)


# Where pydantic speaks of Python types, say it in the words of the file.
_SHOULD = {
    "model_type": "should be `key: value` lines",
    "dict_type": "should be `key: value` lines",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "path_type": "should be a path",
    "string_type": "should be text",
    "bool_type": "should be true or false",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "too_short": "should have at least {min_length} item(s)",
    "too_long": "should have at most {max_length} item(s)",
    "string_pattern_mismatch": "should match {pattern}",
}
_SCHEMA_MEND = "Write at least the required keys; `stylepress schema recipe` lists them all."


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except FileNotFoundError as error:
        raise RecipeError(f"{path} does not exist.", _similar_file(path)) from error
    except IsADirectoryError as error:
        raise RecipeError(f"{path} is a folder.", "Name the YAML file inside it.") from error
    except OSError as error:
        raise RecipeError(
            f"{path} cannot be read ({error.strerror}).", "Check its name and its permissions."
        ) from error
    if len(data) > LIMIT_BYTES:
        raise RecipeError(
            f"{path} is larger than {LIMIT_BYTES >> 10} KiB.",
            "Name a recipe or a target here; pictures and weights are named inside it.",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path} is not UTF-8 text (byte {error.start} is 0x{data[error.start]:02x}).",
            "Save it as UTF-8, or name a YAML file.",
        ) from error


def _similar_file(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"The folder {path.parent} does not exist either; check the path."
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean {path.with_name(near[0])}?" if near else "Check the path."


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2: ``no`` is a word, ``2e-3`` a number."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )


@dataclass
class _Walk:
    """Visits a YAML tree as it will be built: an alias counts as often as it is used."""

    source: str
    count: int = 0

    def keys(self, node: yaml.Node, key: Key) -> Iterator[tuple[Key, int]]:
        """Yield every key with its line (from 1); refuse what a document may not hold."""
        self.count += 1
        if isinstance(node, yaml.ScalarNode):
            self.count += len(node.value) // 64
        line = node.start_mark.line + 1
        if self.count > LIMIT_NODES:
            raise RecipeError(
                f"{self.source}, line {line}: more than {LIMIT_NODES} values, counting each use "
                f"of an alias.",
                "Write the few values that are needed out, without nested aliases.",
            )
        if node.tag not in PLAIN_TAGS:
            raise RecipeError(
                f"{self.source}, line {line}: the tag {_short(node.tag)} is not allowed here.",
                "Use plain text, numbers, lists and mappings.",
            )
        yield key, line
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                yield from self.keys(item, (*key, index))
        elif isinstance(node, yaml.MappingNode):
            yield from self._mapping(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key) -> Iterator[tuple[Key, int]]:
        lines: dict[str, int] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            if name.tag == "tag:yaml.org,2002:merge":
                for _ in self.keys(value, key):
                    pass  # counted and checked; its lines belong to the anchor
                continue
            if name.tag != "tag:yaml.org,2002:str":
                shown = name.value if isinstance(name, yaml.ScalarNode) else "that is no scalar"
                where = f" of `{dotted(key)}`" if key else ""
                raise RecipeError(
                    f"{self.source}, line {line}: the key {shown}{where} is not a word.",
                    "Write a name, or put it in quotes.",
                )
            if name.value in lines:
                raise RecipeError(
                    f"{self.source}, line {line}: `{dotted((*key, name.value))}` is given twice, "
                    f"first in line {lines[name.value]}.",
                    "Remove one of them.",
                )
            lines[name.value] = line
            for inner, inner_line in self.keys(value, (*key, name.value)):
                yield inner, line if inner == (*key, name.value) else inner_line


def dotted(key: Sequence[str | int]) -> str:
    """Write a key as users read it.

    >>> dotted(("export", "verify_sizes", 1, 0))
    'export.verify_sizes[1][0]'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def _hint(model: type[BaseModel], key: Key) -> str:
    around = _model_at(model, key[:-1])
    names = list(around.model_fields) if around else []
    near = difflib.get_close_matches(str(key[-1]), names, n=1)
    if near:
        return f"Did you mean `{near[0]}`?"
    return f"Known here: {', '.join(names)}."


def _purpose(model: type[BaseModel], key: Key) -> str:
    around = _model_at(model, key[:-1])
    known = around.model_fields.get(str(key[-1])) if around else None
    purpose = f" ({known.description})" if known and known.description else ""
    return f"Add `{key[-1]}: ...`{purpose}."


def _model_at(model: type[BaseModel], key: Key) -> type[BaseModel] | None:
    annotation: Any = model
    for part in key:
        inside = _model_in(annotation)
        if inside is None:
            return None
        if isinstance(part, str) and part in inside.model_fields:
            annotation = inside.model_fields[part].annotation
    return _model_in(annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Find the model in ``Model``, ``Model | None``, ``tuple[Model, ...]``, ``dict[str, Model]``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _model_in(get_args(annotation)[0])
    if origin in (Union, UnionType, tuple, list, dict, Mapping):
        models = (_model_in(argument) for argument in get_args(annotation))
        return next((inner for inner in models if inner is not None), None)
    # Python 3.10 takes list[int] for a class: ask for its origin before its bases.
    if origin is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _shown(value: Any) -> str:
    text = "empty" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
