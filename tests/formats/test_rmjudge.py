"""Our own rows: every record and judgement comes back as it was; rows by hand are read and checked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.errors import InputError
from judge.files import from_json, to_json
from judge.formats import from_row, judgement_from_row, judgement_to_row, to_row
from judge.judgements import Critique, Judgement, Order, Outcome, Preference, Reading, Score, Steps
from judge.records import HumanLabel, Message, Pair, Ranking, Record, Response, Solution

roles = st.sampled_from(["system", "user", "assistant", "tool"])
conversations = st.lists(st.builds(Message, roles, st.text()), min_size=1, max_size=3).map(tuple)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
own = st.sampled_from(["id", "kind", "prompt", "first", "second", "human", "meta"])
metas = st.dictionaries(own | st.text(), scalars | st.lists(scalars, max_size=2), max_size=3)
numbers = st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)


def labels(verdicts: st.SearchStrategy[Any], criterion: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    label = st.builds(HumanLabel, annotator=st.text(), verdict=verdicts, criterion=criterion)
    return st.lists(label, max_size=3).map(tuple)


@st.composite
def records(draw: st.DrawFn) -> Record:
    prompt, meta = draw(conversations), draw(metas)
    kind = draw(st.sampled_from(["pair", "response", "solution", "ranking"]))
    if kind == "pair":
        human = draw(labels(st.sampled_from(["first", "second", "tie"]), st.text()))
        return Pair(prompt=prompt, first=draw(conversations), second=draw(conversations), human=human, meta=meta)
    if kind == "ranking":
        responses = tuple(draw(st.lists(conversations, min_size=2, max_size=4)))
        order = st.permutations(range(len(responses))).map(tuple)
        return Ranking(prompt=prompt, responses=responses, human=draw(labels(order, st.text())), meta=meta)
    if kind == "response":
        human = draw(labels(numbers, st.text()))
        return Response(prompt=prompt, response=draw(conversations), reference=draw(st.text()), human=human, meta=meta)
    steps = tuple(draw(st.lists(st.text(), min_size=1, max_size=4)))
    human = draw(labels(st.integers(-1, len(steps) - 1), st.just("")))
    human += draw(labels(numbers, st.text(min_size=1)))
    return Solution(prompt=prompt, steps=steps, reference=draw(st.text()), human=human, meta=meta)


@given(records())
def test_a_record_comes_back_from_its_line(record: Record) -> None:
    row = from_json(to_json(to_row(record)), "here")
    back = from_row(row)
    assert back == record
    assert to_json(to_row(back)) == to_json(row)
    assert back.id == row["id"] == record.id


probabilities = st.dictionaries(st.text(), st.floats(0, 1), max_size=3)
readings = st.lists(
    st.builds(
        Reading,
        asked=st.text(),
        verdict=st.none() | st.text(),
        reason=st.text(),
        probabilities=probabilities,
        text=st.text(),
        thinking=st.text(),
        finish=st.sampled_from(["stop", "length", "error"]),
        judge=st.integers(0, 3),
        vote=st.integers(0, 3),
        attempts=st.integers(1, 3),
    ),
    max_size=2,
).map(tuple)
floats = st.floats(0, 1)
maybe = st.none() | floats
common = {"reason": st.text(), "readings": readings}
judgements = st.one_of(
    st.builds(
        Preference,
        verdict=st.sampled_from(["first", "second", "tie", None]),
        p_first=maybe,
        consistent=st.none() | st.booleans(),
        **common,
    ),
    st.builds(Critique, verdict=st.none() | st.text(), **common),
    st.builds(
        Score,
        verdict=st.dictionaries(st.text(), st.none() | st.integers(), max_size=3),
        expected=st.dictionaries(st.text(), maybe, max_size=3),
        **common,
    ),
    st.builds(
        Steps,
        verdict=st.lists(st.sampled_from(["right", "wrong", "neutral", None]), max_size=4).map(tuple),
        p_right=st.lists(maybe, max_size=4).map(tuple),
        first_wrong=st.none() | st.integers(-1, 4),
        **common,
    ),
    st.builds(Outcome, verdict=st.sampled_from(["right", "wrong", None]), p_correct=maybe, **common),
    st.builds(
        Order,
        verdict=st.none() | st.permutations(range(3)).map(tuple),
        strengths=st.none() | st.lists(floats, max_size=3).map(tuple),
        **common,
    ),
)


@given(judgements)
def test_a_judgement_comes_back_from_its_line(judgement: Judgement) -> None:
    row = from_json(to_json(judgement_to_row(judgement)), "here")
    assert judgement_from_row(row) == judgement


def test_a_judgement_row_says_no_more_than_it_must() -> None:
    judgement = Preference(verdict=None, reason="no label", readings=(Reading(asked="forward", verdict=None),))
    assert judgement_to_row(judgement) == {
        "task": "preference",
        "verdict": None,
        "reason": "no label",
        "readings": [{"asked": "forward", "verdict": None}],
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"task": "taste", "verdict": None}, "field 'judgement.task': found \"taste\" (accepted: preference,"),
        ({"task": "outcome"}, "no field 'verdict'"),
        ({"task": "outcome", "verdict": "right", "p": 1}, "field 'judgement.p': unknown"),
    ],
)
def test_a_wrong_judgement_row(row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        judgement_from_row(row)
    assert str(caught.value).startswith(message)


def test_a_row_by_hand_needs_no_kind_and_no_messages() -> None:
    assert from_row({"prompt": "p", "first": "a", "second": "b", "topic": "x"}) == Pair(
        prompt=(Message("user", "p"),),
        first=(Message("assistant", "a"),),
        second=(Message("assistant", "b"),),
        meta={"topic": "x"},
    )
    assert from_row({"prompt": "p", "steps": ["a"]}).kind == "solution"
    assert from_row({"prompt": "p", "response": "a", "reference": "r"}).kind == "response"
    assert from_row({"prompt": "p", "responses": ["a", "b"]}).kind == "ranking"


def test_a_foreign_id_is_kept_beside() -> None:
    record = from_row({"id": 7, "prompt": "p", "first": "a", "second": "b"})
    assert record.meta == {"source_id": 7}


PAIR = {"prompt": "p", "first": "a", "second": "b"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (PAIR | {"prompt": " "}, "field 'prompt': found an empty text"),
        (PAIR | {"prompt": "", "id": "x"}, "field 'prompt': found an empty text"),
        (PAIR | {"first": 5}, "field 'first': found 5 (accepted: a text or a list of messages)"),
        (PAIR | {"prompt": []}, "field 'prompt': found [] (accepted: a text or a list of messages)"),
        (PAIR | {"prompt": [{"role": "usr", "content": "x"}]}, "field 'role': found \"usr\" (accepted: system, user,"),
        (PAIR | {"prompt": [{"role": "user"}]}, "no field 'content' (found: role)"),
        (PAIR | {"kind": "pear"}, "field 'kind': found \"pear\" (accepted: pair, response, solution, ranking)"),
        ({"kind": "pair", "prompt": "p", "first": "a"}, "no field 'second' (found: kind, prompt, first)"),
        (PAIR | {"human": [{"verdict": "A"}]}, "field 'human.verdict': found \"A\" (accepted: first, second, tie)"),
        (PAIR | {"human": [{"annotator": "x"}]}, "no field 'verdict'"),
        (PAIR | {"meta": []}, None),
        (PAIR | {"meta": [1]}, "field 'meta': found [1] (accepted: an object)"),
        ({"prompt": "p", "steps": []}, "field 'steps': found [] (accepted: a list of at least 1)"),
        ({"prompt": "p", "steps": ["a"], "human": [{"verdict": 1}]}, "field 'human.verdict': found 1"),
        ({"prompt": "p", "responses": ["a"]}, "field 'responses': found 1 (accepted: two or more)"),
        ({"prompt": "p", "responses": ["a", "b"], "human": [{"verdict": [0, 0]}]}, "field 'human.verdict'"),
    ],
)
def test_a_wrong_row_by_hand(row: dict[str, Any], message: str | None) -> None:
    if message is None:
        from_row(row)
        return
    with pytest.raises(InputError) as caught:
        from_row(row)
    assert str(caught.value).startswith(message)
