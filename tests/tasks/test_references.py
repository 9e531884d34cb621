"""References: of pairs and rankings, several of them, and the judge's own answer."""

import json
from pathlib import Path

import pytest

import judge
from judge.engines.base import Completion, Request
from judge.records import Message, Pair, Ranking
from judge.tasks import TASKS, Options

PAIR = Pair(
    prompt=(Message("user", "What is 6 times 7?"),),
    first=(Message("assistant", "It is 42."),),
    second=(Message("assistant", "It is 41."),),
)


def judges(request: Request) -> Completion:
    """Answers prompts with 42, and prefers the response that has the reference's number."""
    text = request.messages[-1].content
    if "response_a" not in text:
        return Completion(text="The answer is 42.")
    first = text.partition("<response_a>")[2].partition("</response_a>")[0]
    known = "<reference_answer>\nThe answer is 42.\n</reference_answer>" in text
    return Completion(text=f"Verdict: [[{('A' if '42' in first else 'B') if known else 'C'}]]")


def judged(pair: Pair, options: Options) -> judge.Preference:
    spec = TASKS["preference"]
    template = judge.load_template(*spec.prompt(options))
    made = judge.play(spec.program(pair, template, options), judges)
    assert isinstance(made, judge.Preference)
    return made


def test_the_own_answer_is_the_reference_and_no_verdict() -> None:
    made = judged(PAIR, Options(own_reference=True, soft=False))
    assert made.verdict == "first" and made.consistent
    own = made.readings[0]
    assert (own.asked, own.text, own.verdict, own.reason) == ("own reference", "The answer is 42.", None, "")
    assert judge.readable(made)


def test_a_reference_of_the_record_goes_before_an_answer_of_its_own() -> None:
    known = Pair(prompt=PAIR.prompt, first=PAIR.first, second=PAIR.second, reference="The answer is 42.")
    made = judged(known, Options(own_reference=True, soft=False))
    assert made.verdict == "first" and [reading.asked for reading in made.readings] == ["forward", "swapped"]


def test_an_answer_that_cannot_be_had_leaves_the_pair_unreadable() -> None:
    def cut(request: Request) -> Completion:
        return Completion(text="The answer", finish="length")

    spec, options = TASKS["preference"], Options(own_reference=True, retries=1)
    made = judge.play(spec.program(PAIR, judge.load_template(*spec.prompt(options)), options), cut)
    assert made.verdict is None and made.reason == "own reference: cut at max_tokens"
    scored = TASKS["score"]
    alone = judge.Response(prompt=PAIR.prompt, response=PAIR.first)
    made = judge.play(scored.program(alone, judge.load_template("score", "default"), options), cut)
    assert made.verdict == {"": None} and made.reason == "own reference: cut at max_tokens"


def test_a_prompt_without_a_place_for_a_reference_is_refused() -> None:
    with pytest.raises(judge.ConfigError, match="no place for a reference"):
        TASKS["preference"].check(judge.load_template("preference", "default"), Options(own_reference=True))


def test_references_of_pairs_and_rankings_enter_their_ids_and_reach_each_pair() -> None:
    known = Pair(prompt=PAIR.prompt, first=PAIR.first, second=PAIR.second, reference="42")
    assert known.id != PAIR.id
    assert judge.from_row(json.loads(json.dumps(judge.to_row(known)))) == known
    ranking = Ranking(prompt=PAIR.prompt, responses=(PAIR.first, PAIR.second), reference="42")
    assert judge.from_row(json.loads(json.dumps(judge.to_row(ranking)))) == ranking
    assert [pair.reference for pair in TASKS["preference"].split(ranking)] == ["42"]


def test_several_references_are_numbered(tmp_path: Path) -> None:
    record = judge.from_row({"prompt": "p", "response": "a", "reference": ["x", "y"]})
    assert record.reference == "Reference 1:\nx\n\nReference 2:\ny"
    assert judge.from_row({"prompt": "p", "response": "a", "reference": ["x"]}).reference == "x"
