"""Constitutions: what a file says, which principles are drawn, what its hash holds, and the shipped ones."""

import pickle
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from judge.constitution.constitution import (
    Constitution,
    Example,
    Principle,
    Sampling,
    list_constitutions,
    load_constitution,
    shipped,
    skeleton,
)
from judge.constitution.lint import lint
from judge.errors import InputError, UnknownNameError

WHOLE = """\
name: mine
version: 1.10
description: A test.
based_on: nothing
sampling: {random: 1, tag: [style, content]}
principles:
  - id: right
    text: The answer is right.
    critique_request: Is it right?
    revision_request: Make it right.
    weight: 2
    tags: content
    examples:
      - {prompt: 1+1, first: "2", second: "3", verdict: first}
  - id: kind
    text: >
      The tone
      is kind.
    tags: [style]
  - id: other
    text: Something else.
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def many(count: int, **more: object) -> Constitution:
    principles = tuple(Principle(id=f"p{number}", text=f"Statement {number}.") for number in range(count))
    return replace(Constitution(name="many", principles=principles), **more)  # type: ignore[arg-type]


def test_a_file_becomes_plain_data(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", WHOLE)
    found = load_constitution(file)
    assert (found.name, found.version, found.description) == ("mine", "1.10", "A test.")
    assert found.sampling == Sampling(count=1, tags=("style", "content"))
    assert found.principles == (
        Principle(
            id="right",
            text="The answer is right.",
            critique_request="Is it right?",
            revision_request="Make it right.",
            weight=2.0,
            tags=("content",),
            examples=(Example(prompt="1+1", first="2", second="3", verdict="first"),),
        ),
        Principle(id="kind", text="The tone is kind.", tags=("style",)),
        Principle(id="other", text="Something else."),
    )
    assert pickle.loads(pickle.dumps(found)) == found
    assert lint(file) == []


def test_the_hash_holds_what_a_judge_is_asked_and_nothing_else(tmp_path: Path) -> None:
    before = load_constitution(write(tmp_path / "a.yaml", WHOLE)).hash
    same = {"name: mine": "name: yours", "A test.": "Another.", "1+1": "2+2", "1.10": "7"}
    other = {
        "is right.": "is true.",
        "weight: 2": "weight: 3",
        "[style]": "[style, x]",
        "Make it": "Let it be",
        "random: 1": "random: 2",
    }
    for old, new in same.items():
        assert load_constitution(write(tmp_path / "b.yaml", WHOLE.replace(old, new))).hash == before
    changed = {load_constitution(write(tmp_path / "b.yaml", WHOLE.replace(*pair))).hash for pair in other.items()}
    assert before not in changed and len(changed) == len(other)


def test_all_are_drawn_in_order_unless_a_rule_says_otherwise() -> None:
    assert many(3).draw(0, "any") == many(3).principles


def test_by_tag_draws_those_that_have_one_of_the_tags(tmp_path: Path) -> None:
    found = load_constitution(write(tmp_path / "a.yaml", WHOLE.replace("random: 1, ", "")))
    assert [principle.id for principle in found.draw(0, "key")] == ["right", "kind"]


def test_draws_follow_from_seed_and_key_and_are_even() -> None:
    four = many(4, sampling=Sampling(count=2))
    drawn = [tuple(principle.id for principle in four.draw(7, f"row {number}")) for number in range(600)]
    assert drawn == [tuple(principle.id for principle in four.draw(7, f"row {number}")) for number in range(600)]
    assert drawn != [tuple(principle.id for principle in four.draw(8, f"row {number}")) for number in range(600)]
    assert all(len(set(ids)) == 2 for ids in drawn)
    # Each of the 6 sets is expected 100 times, with a standard deviation of sqrt(600 · 1/6 · 5/6) = 9.1.
    counts = Counter(frozenset(ids) for ids in drawn)
    assert len(counts) == 6 and all(60 <= count <= 140 for count in counts.values())


def test_a_principle_that_is_added_moves_no_other_ones_lot() -> None:
    for number in range(50):
        before = [principle.id for principle in many(5).draw(0, str(number), count=5)]
        after = [principle.id for principle in many(6).draw(0, str(number), count=6)]
        assert [name for name in after if name != "p5"] == before


def test_a_count_that_is_given_overrides_the_rule() -> None:
    one = many(4, sampling=Sampling(count=1))
    assert len(one.draw(0, "k")) == 1 and len(one.draw(0, "k", count=3)) == 3
    assert one.draw(0, "k", count=4)[0] == one.draw(0, "k")[0]


def test_parts_of_a_constitution() -> None:
    three = many(3, sampling=Sampling(count=1))
    assert [p.id for p in three.without("p1").principles] == ["p0", "p2"]
    assert three.only("p2").draw(0) == (three.principle("p2"),)
    with pytest.raises(UnknownNameError, match="unknown principle 'p9'"):
        three.without("p9")


def test_a_name_is_found_however_it_is_written() -> None:
    for name in ("careful-mathematics", "careful mathematics", "Careful_Mathematics"):
        assert load_constitution(name).name == "careful-mathematics"
    with pytest.raises(UnknownNameError, match="unknown constitution 'helpfull'; did you mean 'helpful'"):
        load_constitution("helpfull")


def test_included_principles_follow_ones_own(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "name: base\nprinciples:\n  - {id: kind, text: The tone is kind.}\n")
    file = write(
        tmp_path / "mine.yaml",
        "name: mine\ninclude: [base.yaml, honest]\nprinciples:\n  - {id: own, text: It is short.}\n",
    )
    ids = [principle.id for principle in load_constitution(file).principles]
    assert ids[:3] == ["own", "kind", "facts-true"] and len(ids) == 10


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ("[mine.yaml]", "'mine.yaml' includes this file again"),
        ("[other.yaml]", "mine.yaml' includes this file again"),
        ("[nothing.yaml]", "cannot be read: No such file or directory"),
        ("[broken.yaml]", r"'broken.yaml' cannot be included: .*broken.yaml:1: no 'principles'"),
    ],
)
def test_what_cannot_be_included_is_named_at_its_line(include: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", f"name: mine\ninclude: {include}\n")
    write(tmp_path / "other.yaml", "name: other\ninclude: mine.yaml\n")
    write(tmp_path / "broken.yaml", "name: broken\n")
    with pytest.raises(InputError, match=message) as caught:
        load_constitution(file)
    assert str(caught.value).startswith(f"{file}:2: ")


SHIPPED = list_constitutions()


def test_the_shipped_ones_are_all_there() -> None:
    names = {
        "helpful",
        "harmless",
        "honest",
        "helpful-harmless-honest",
        "careful-mathematics",
        "summaries",
        "code-review",
    }
    assert {one.name for one in SHIPPED} == set(shipped()) == names
    three = [len(load_constitution(name).principles) for name in ("helpful", "harmless", "honest")]
    assert len(load_constitution("helpful-harmless-honest").principles) == sum(three) == 24


@pytest.mark.parametrize("one", SHIPPED, ids=lambda one: one.name)
def test_a_shipped_one_is_whole(one: Constitution) -> None:
    assert one.name == Path(one.source).stem and one.version and one.description.endswith(".")
    assert len(one.principles) >= 7
    for principle in one.principles:
        assert re.fullmatch(r"[A-Z][^.!?;]*\.", principle.text), principle.text  # one sentence, one statement
        assert principle.critique_request and principle.revision_request and principle.tags and principle.examples
    # A judge that always prefers what stands first must not pass the tests of a constitution.
    verdicts = Counter(example.verdict for principle in one.principles for example in principle.examples)
    assert min(verdicts["first"], verdicts["second"]) >= sum(verdicts.values()) // 2 - 1


def test_the_skeleton_loads_and_is_clean(tmp_path: Path) -> None:
    file = write(tmp_path / "new.yaml", skeleton())
    assert lint(file) == []
    assert [principle.weight for principle in load_constitution(file).principles] == [2.0, 1.0]
    assert "_skeleton" not in shipped()
