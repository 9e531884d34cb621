"""The fake engine: rules, choices, disorder and failure."""

import math
from pathlib import Path

import pytest

from judge.engines import load_engine
from judge.engines.base import Request
from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError, InputError
from judge.records import Message


def request(text: str, *, prefill: str = "", choices: tuple[str, ...] = ()) -> Request:
    return Request(messages=(Message("user", text),), prefill=prefill, choices=choices)


RULES = """\
{"match": "sum", "text": "Good. [[B]]"}

{"match": "^risk", "text": "B", "logprobs": {"A": -1.0, "B": -1.0, "Z": -0.1}}
{"match": "deep", "text": "[[A]]", "thinking": "hm", "finish": "length"}
"""


def rules(tmp_path: Path, text: str = RULES) -> Path:
    path = tmp_path / "rules.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_first_rule_that_fits_answers(tmp_path: Path) -> None:
    engine = load_engine(f"scripted:{rules(tmp_path)}")
    for ticket, text in enumerate(["a sum", "deep", "none of them"]):
        engine.submit(ticket, request(text))
    done = dict(engine.step())
    assert done[0].text == "Good. [[B]]"
    assert (done[1].text, done[1].thinking, done[1].finish) == ("[[A]]", "hm", "length")
    assert (done[2].text, done[2].finish) == ("no rule matches", "error")
    assert engine.step() == []


def test_a_choice_behind_a_prefill_goes_on_with_the_rules_text(tmp_path: Path) -> None:
    engine = ScriptedEngine.from_file(rules(tmp_path))
    engine.submit(0, request("a sum", prefill="Good. [[", choices=("A", "B", "C")))
    [(_, completion)] = engine.step()
    assert completion.text == "B"
    assert completion.logprobs == pytest.approx({"A": math.log(0.005), "B": math.log(0.99), "C": math.log(0.005)})


def test_stated_log_probabilities_are_normalised_over_the_choices(tmp_path: Path) -> None:
    engine = ScriptedEngine.from_file(rules(tmp_path))
    engine.submit(0, request("risky", choices=("A", "B")))
    [(_, completion)] = engine.step()
    assert completion.logprobs == pytest.approx({"A": math.log(0.5), "B": math.log(0.5)})


def test_out_of_order_but_everything_once_and_alike_for_a_seed() -> None:
    def order(seed: int) -> list[int]:
        engine = ScriptedEngine(lambda one: one.messages[0].content, shuffle=True, seed=seed)
        for ticket in range(20):
            engine.submit(ticket, request(str(ticket)))
        tickets: list[int] = []
        while done := engine.step():
            assert all(completion.text == str(ticket) for ticket, completion in done)
            tickets += [ticket for ticket, _ in done]
        return tickets

    assert sorted(order(1)) == list(range(20))
    assert order(1) == order(1) != order(2)


def test_it_fails_when_told_to() -> None:
    engine = ScriptedEngine(lambda one: "fine", fail_every=2, crash_after=3)
    for ticket in range(4):
        engine.submit(ticket, request("?"))
    with pytest.raises(EngineError, match="after 3 requests"):
        engine.step()
    engine = ScriptedEngine(lambda one: "fine", fail_every=2)
    for ticket in range(4):
        engine.submit(ticket, request("?"))
    assert [completion.finish for _, completion in engine.step()] == ["stop", "error", "stop", "error"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", r"rules\.jsonl:2: not JSON"),
        ('{"match": "x"}', r"rules\.jsonl:2: a rule needs the texts 'match' and 'text'"),
        ('{"match": "x", "text": "y", "txt": 1}', r"rules\.jsonl:2: unknown field 'txt'"),
        ('{"match": "(", "text": "y"}', r"rules\.jsonl:2: 'match' is not a regular expression"),
    ],
)
def test_a_rule_that_cannot_be_read_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ScriptedEngine.from_file(rules(tmp_path, f'{{"match": "a", "text": "b"}}\n{line}\n'))


def test_equal_rules_describe_themselves_alike(tmp_path: Path) -> None:
    one = ScriptedEngine.from_file(rules(tmp_path)).describe()
    assert one == ScriptedEngine.from_file(rules(tmp_path)).describe()
    assert one != ScriptedEngine.from_file(rules(tmp_path, '{"match": "a", "text": "b"}')).describe()
