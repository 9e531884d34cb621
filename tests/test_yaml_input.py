"""YAML that other people wrote: what would hang, exhaust memory or end in a traceback is refused in a line, at once."""

import time

import pytest

from judge.constitution.parser import take_apart as take_constitution_apart
from judge.engines.spec import read_settings
from judge.prompting.front_matter import take_apart as take_prompt_apart
from judge.yaml_input import MAX_DEPTH, YamlError, compose, load_yaml

# Nine anchors, each nine times the one before it: 9^9 values in eleven lines.
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{level}: &a{level} [*a{level - 1}]\n" for level in range(1, 1000))


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        # a0 is a list of nine, 10 values; each next one is 1 + 9 · the one before: 91, 820, 7,381, 66,430. These five
        # and their keys are 74,737 values; the second *a4 on line 6 makes it more than 150,000.
        (BOMB, 6, "more than 150,000 values, each alias (*a4) written out"),
        ("a: &a [*a]", 1, "*a inside what it stands for"),
        # a0 is a list on level 2 with an item on level 3, and each alias is a level more: a47's item lies on level 50.
        (CHAIN, 49, "nested deeper than 50 levels"),
        ("[" * 100_000, 1, "nested deeper than 50 levels"),
        ("- " * 100_000, 1, "nested deeper than 50 levels"),
        # A mapping, two keys and two values a line: 30,000 lines are 150,000 values.
        ("- {a: b, c: d}\n" * 60_000, 30_001, "more than 150,000 values"),
        ("a: 1" + ":1" * 20_000, 1, "a number of 40,001 digits"),
        ("x" * 4_000_001, 1, "4,000,001 characters; accepted: up to 4,000,000"),
        ("a: !!int x", 1, "a value that does not fit its type: invalid literal for int() with base 10: 'x'"),
        ("a: !!timestamp x", 1, "a value that does not fit its type"),
        ("b: 1\na: 2024-13-45", 1, "a value that does not fit its type: month must be in 1..12"),
        ('a: "\\UFFFFFFFF"', 1, "Python int too large to convert to C int"),
        ("a: \ud800" + "b" * 60_000, 1, "'utf-8' codec can't encode"),
        ("a: !!python/object/apply:os.system [x]", 1, "could not determine a constructor for the tag"),
        ("a: 1\nb: \x07", 2, "special characters are not allowed"),
    ],
)
def test_what_would_do_harm_is_refused_with_its_line_at_once(text: str, line: int, problem: str) -> None:
    start = time.process_time()
    with pytest.raises(YamlError) as refusal:
        load_yaml(text)
    assert time.process_time() - start < 10  # without the bound: minutes
    assert str(refusal.value).startswith(problem)
    assert refusal.value.line == line


def test_aliases_and_depth_that_people_write_are_read() -> None:
    assert load_yaml("a: &a {x: 1}\nb: [*a, *a]\nc: {<<: *a, y: 2}") == {
        "a": {"x": 1},
        "b": [{"x": 1}, {"x": 1}],
        "c": {"x": 1, "y": 2},
    }
    deepest = "[" * (MAX_DEPTH - 1) + "x" + "]" * (MAX_DEPTH - 1)
    assert compose(deepest) is not None
    assert load_yaml("") is None


def test_long_texts_read_as_short_ones_do() -> None:
    """Long texts go through libyaml, short ones through PyYAML's own parser."""
    rows = [{"id": f"row-{number}", "weight": 0.5, "tags": ["a", "b"], "text": "x: #y"} for number in range(3)]
    text = "".join(f"- id: row-{n}\n  weight: 0.5\n  tags: [a, b]\n  text: 'x: #y'\n" for n in range(3))
    assert load_yaml(text) == load_yaml(text + "# " + "long " * 20_000 + "\n") == rows


def test_every_reader_of_yaml_refuses_the_same() -> None:
    (finding,) = take_prompt_apart(f"---\n{BOMB}---\n".encode(), "mine.jinja").findings
    assert finding.place == "mine.jinja:7"
    assert finding.message.startswith("front matter is no YAML: more than 150,000 values")
    (finding,) = take_constitution_apart(BOMB.encode(), "mine.yaml").findings
    assert finding.place == "mine.yaml:6"
    assert finding.message.startswith("no YAML: more than 150,000 values")
    assert read_settings(["a=" + "[" * 1000, "b=2024-13-45"]) == {"a": "[" * 1000, "b": "2024-13-45"}
