"""Strict YAML: what is refused, and that each refusal names the line, the key and the mend."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any, cast

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from stylepress.document import LIMIT_BYTES, Document, document_schema, load_document, read_document
from stylepress.errors import RecipeError
from stylepress.section import Section


class Inner(Section):
    width: int = Field(default=32, ge=4)
    rate: float = 1e-3
    sizes: tuple[tuple[int, int], ...] = ()
    where: Path | None = None


class Outer(Section):
    name: str = Field(description="letters")
    inner: Inner = Inner()
    others: Mapping[str, Inner] = Field(default_factory=dict)


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def loaded(text: str | bytes) -> Outer:
        path = tmp_path / "a.yaml"
        path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return load_document(path, Outer)

    return loaded


def test_values_arrive_typed(load: Any) -> None:
    read = load("name: x\ninner: {rate: 2e-3, sizes: [[1, 2], [3, 4]], where: a/b}")
    assert read.inner == Inner(rate=0.002, sizes=((1, 2), (3, 4)), where=Path("a/b"))


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one(load: Any) -> None:
    with pytest.raises(
        RecipeError, match=r"a\.yaml, line 3: `inner\.widht` is not known\. Did"
    ) as e:
        load("name: x\ninner:\n  widht: 3\n")
    assert "Did you mean `width`?" in str(e.value)


def test_a_key_like_no_other_gets_the_list_of_known_ones(load: Any) -> None:
    with pytest.raises(RecipeError, match="Known here: name, inner, others"):
        load("name: x\nzzzzz: 3\n")


def test_unknown_keys_are_found_inside_a_mapping_of_sections(load: Any) -> None:
    with pytest.raises(RecipeError, match=r"line 4: `others\.a\.rat` .* mean `rate`"):
        load("name: x\nothers:\n  a:\n    rat: 3\n")


def test_a_wrong_value_is_shown(load: Any) -> None:
    with pytest.raises(RecipeError, match=r'line 2: `inner\.width` is "x"\. It should be a whole'):
        load("name: x\ninner: {width: x}")


def test_a_missing_key_is_named_with_its_purpose(load: Any) -> None:
    with pytest.raises(RecipeError, match=r"`name` is missing\. Add `name: \.\.\.` \(letters\)"):
        load("inner: {}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: 1", "should be text"),
        ("name: x\ninner: {width: 4.5}", "should be a whole number"),
        ("name: x\ninner: {rate: true}", "should be a number"),
        ("name: x\ninner: {rate: '1'}", "should be a number"),
        ("name: x\ninner: {rate: .nan}", "should be a finite number"),
        ("name: x\ninner: {rate: .inf}", "should be a finite number"),
        ("name: x\ninner: {sizes: 3}", "should be a list"),
        ("name: x\ninner: {sizes: [[1, 2, 3]]}", r"should have at most 2 item"),
        ("name: x\ninner: {sizes: [[1]]}", "Write one more item"),
        ("name: x\ninner: 5", "should be `key: value` lines"),
        ("name: x\ninner:", "is empty. It should be"),
        ('name: "\\uD800"', "Remove the"),
    ],
)
def test_nothing_is_converted_silently(load: Any, text: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load(text)


def test_five_problems_are_told_at_once_in_the_order_of_the_file(load: Any) -> None:
    with pytest.raises(RecipeError) as caught:
        load("\n".join(["name: x"] + [f"key{n}: 1" for n in range(7)]))
    lines = str(caught.value).splitlines()
    assert [f"line {n}:" in line for n, line in enumerate(lines[:5], start=2)] == [True] * 5
    assert lines[5:] == ["... and 2 more."]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a", "not `key: value` lines"),
        ("name: a\nname: b", r"line 2: `name` is given twice, first in line 1"),
        ("name: a\ninner: {width: 5, width: 6}", r"`inner\.width` is given twice"),
        ("name: a\n---\nname: b", "another document"),
        ("inner:\n\t- b", "line 2, column 1: not valid YAML"),
        ("name: [a\n", "not valid YAML"),
        ("name: !!python/object/apply:os.system [ls]", "tag !!python"),
        ("name: !!timestamp x", "tag !!timestamp"),
        ("name: !!int foo", "not valid YAML"),
        ("name: !!int " + "9" * 5000, "not valid YAML"),
        ("3: x", "the key 3 is not a word"),
        ("? [a, b]\n: x", "is not a word"),
        ("- " * 5000, "not valid YAML"),
        ("a: &a [*a]", "not valid YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b'name: "a\x00"', "not valid YAML"),
        (b"#" * (LIMIT_BYTES + 1), "larger than 256 KiB"),
    ],
)
def test_what_is_no_plain_mapping_is_refused(load: Any, text: str | bytes, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load(text)


def test_an_alias_bomb_is_refused_before_it_grows(load: Any) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(RecipeError, match="counting each use of an alias"):
        load("\n".join(levels))


def test_one_long_text_used_a_thousand_times_is_an_alias_bomb_too(load: Any) -> None:
    with pytest.raises(RecipeError, match="counting each use of an alias"):
        load(f"a: &a {'x' * 100_000}\nb: [{'*a, ' * 1000}]")


def test_aliases_and_merges_within_reason_are_welcome(load: Any) -> None:
    read = load("others:\n  a: &a {width: 8}\n  b: {<<: *a, rate: 1}\nname: x")
    assert read.others == {"a": Inner(width=8), "b": Inner(width=8, rate=1)}


def test_words_stay_words(load: Any) -> None:
    for word in ("no", "off", "2024-01-01", "1:30", "010", "1_000"):
        assert load(f"name: {word}").name == word


def test_a_byte_order_mark_does_not_matter(load: Any) -> None:
    assert load(b"\xef\xbb\xbfname: x").name == "x"


@pytest.mark.parametrize("number", ["1", "-2.5", "2e-3", "1.5e-3", ".5", "+1.E+2"])
def test_numbers_are_those_of_yaml_1_2(load: Any, number: str) -> None:
    assert load(f"name: x\ninner: {{rate: {number}}}").inner.rate == float(number)


def test_a_missing_file_gets_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "glass.yaml").touch()
    with pytest.raises(RecipeError, match=r"does not exist\. Did you mean .*glass\.yaml"):
        load_document(tmp_path / "glas.yaml", Outer)


def test_a_folder_and_a_place_below_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match="is a folder"):
        load_document(tmp_path, Outer)
    with pytest.raises(RecipeError, match="cannot be read"):
        load_document(tmp_path / "file" / "a.yaml", Outer)


def test_values_without_a_file_are_named_by_where_they_came_from() -> None:
    with pytest.raises(RecipeError, match=r"^the options given: `name` is missing"):
        Document("the options given", {}).parse(Outer)


def test_the_schema_names_every_key_and_allows_no_other() -> None:
    schema = document_schema(Outer)
    assert set(schema["properties"]) == {"name", "inner", "others"}
    assert schema["additionalProperties"] is False


class Bytes:
    """A Path that holds some bytes, so that hundreds of examples need no disk."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def open(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def at(data: bytes) -> Path:
    return cast(Path, Bytes(data))


text = st.text("ab-: #'\"\n\\é日😀", max_size=6)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(text, plain, min_size=1, max_size=4))
def test_what_yaml_writes_is_read_back(values: dict[str, Any]) -> None:
    written = yaml.safe_dump(values, allow_unicode=True).encode()
    assert read_document(at(written)).values == values


@settings(deadline=None, max_examples=200)
@given(
    st.binary(max_size=60) | st.text("a:-[]{}&*!|>?%@`'\"#,\n\t 0.e", max_size=40).map(str.encode)
)
def test_no_bytes_raise_anything_but_a_recipe_error(data: bytes) -> None:
    with contextlib.suppress(RecipeError):
        load_document(at(data), Outer)
