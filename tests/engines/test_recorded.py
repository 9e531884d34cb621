"""Stored completions, read again: GPT-4's on LLMBar with its authors' figures, and our own runs."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from judge.engines import load_engine
from judge.engines.base import Completion, Request
from judge.engines.recorded import RecordedEngine
from judge.errors import EngineError, InputError
from judge.files import to_json
from judge.formats import read_records, to_row
from judge.formats.judgement_rows import judgement_to_row
from judge.judgements import Preference, readable
from judge.prompting.template import list_templates, load_template
from judge.records import Message, Pair, Ranking, Response, Solution
from judge.tasks import TASKS, Options, play


class Figures(NamedTuple):
    """Percent: right verdicts, averaged over both orders; same verdict in both orders."""

    accuracy: float
    same: float


# statistics.json of LLMBar (princeton-nlp/LLMBar at 900616bf), GPT-4 on Natural: correct_average and equal.
PUBLISHED = {
    "Vanilla_NoRules": Figures(93.5, 97.0),
    "Swap_CoT": Figures(94.0, 100.0),
    "Metrics_Reference": Figures(96.0, 96.0),
}


def judged(data: Path, engine: RecordedEngine) -> Iterator[tuple[Pair, Preference]]:
    spec, template = TASKS["preference"], load_template("preference", "llmbar")
    for _, record in read_records(data):
        assert isinstance(record, Pair)
        judgement = play(spec.program(record, template, Options()), engine.answer)
        assert isinstance(judgement, Preference)
        yield record, judgement


@pytest.mark.parametrize("way", PUBLISHED)
def test_gpt4_on_llmbar_as_published(data_dir: Path, way: str) -> None:
    folder = data_dir / "llmbar"
    if not folder.is_dir():
        pytest.skip(f"no LLMBar files in {folder}")
    engine = RecordedEngine(folder / "gpt-4" / "natural" / way)
    rows = list(judged(folder / "natural.json", engine))
    engine.close()
    readings = [(pair.human[0].verdict, one) for pair, judgement in rows for one in judgement.readings]
    right = sum(human == reading.verdict for human, reading in readings)
    unreadable = [reading.reason for _, reading in readings if reading.verdict is None]
    same = sum(judgement.consistent is True for _, judgement in rows)
    assert (len(rows), len(readings), unreadable) == (100, 200, [])
    assert Figures(100 * right / 200, 100 * same / 100) == PUBLISHED[way]


READINGS = [
    {
        "asked": "forward",
        "verdict": "first",
        "probabilities": {"first": 0.8, "second": 0.15, "tie": 0.05},
        "text": "good. [[A]]",
    },
    {
        "asked": "swapped",
        "verdict": "first",
        "probabilities": {"second": 0.3, "first": 0.6, "tie": 0.1},
        "text": "fine. [[B]] indeed",
    },
]


def pair() -> Pair:
    return Pair(prompt=(Message("user", "?"),), first=(Message("assistant", "x"),), second=(Message("assistant", "y"),))


def run_directory(folder: Path, **judgement: object) -> Path:
    row = {"id": pair().id, "judgement": {"task": "preference", "readings": READINGS, **judgement}}
    (folder / "labels.jsonl").write_text(to_json(row) + "\n" + '{"id": "torn', encoding="utf-8")
    (folder / "failures.jsonl").write_text("", encoding="utf-8")
    return folder


def ask(engine: RecordedEngine, asked: str, *, prefill: str = "", choices: tuple[str, ...] = ()) -> Request:
    key = f"{pair().id}/{asked}/0/0"
    return Request(messages=(Message("user", "?"),), prefill=prefill, choices=choices, key=key)


def test_a_run_is_read_again_with_its_probabilities(tmp_path: Path) -> None:
    engine = load_engine(f"recorded:{run_directory(tmp_path)}")
    assert isinstance(engine, RecordedEngine)
    judgement = play(
        TASKS["preference"].program(pair(), load_template("preference", "default"), Options()), engine.answer
    )
    forward, swapped = judgement.readings
    assert forward.probabilities == pytest.approx({"first": 0.8, "second": 0.15, "tie": 0.05})
    assert swapped.probabilities == pytest.approx({"first": 0.6, "second": 0.3, "tie": 0.1})
    # sqrt(.8*.6), sqrt(.15*.3), sqrt(.05*.1) = .69282, .21213, .07071; sum .97566; p = (.69282 + .03536) / .97566
    assert isinstance(judgement, Preference)
    assert judgement.p_first == pytest.approx(0.74634, abs=1e-5)
    engine.close()


def test_probabilities_of_another_label_are_not_handed_out(tmp_path: Path) -> None:
    engine = RecordedEngine(run_directory(tmp_path))
    there = engine.answer(ask(engine, "swapped", prefill="fine. [[", choices=("A", "B", "C")))
    elsewhere = engine.answer(ask(engine, "swapped", prefill="fine", choices=("A", "B", "C")))
    others = engine.answer(ask(engine, "swapped", prefill="fine. [[", choices=("A", "B")))
    engine.close()
    assert there.logprobs == pytest.approx({"A": math.log(0.3), "B": math.log(0.6), "C": math.log(0.1)})
    assert [elsewhere.finish, others.finish] == ["error", "error"]


def test_what_was_never_stored_is_an_error_not_a_verdict(tmp_path: Path) -> None:
    engine = RecordedEngine(run_directory(tmp_path))
    engine.submit(7, Request(messages=(Message("user", "[[A]]"),), key="00/forward/0/0"))
    [(ticket, completion)] = engine.step()
    engine.close()
    assert (ticket, completion.finish) == (7, "error")
    assert completion.text == "no stored completion for 00/forward/0/0"
    assert engine.step() == []


def test_a_path_without_completions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"labels\.jsonl"):
        RecordedEngine(tmp_path)
    with pytest.raises(EngineError, match="no such file"):
        RecordedEngine(tmp_path / "absent")
    other = tmp_path / "pairs.jsonl"
    other.write_text('{"prompt": "?"}\n', encoding="utf-8")
    with pytest.raises(EngineError, match="neither 'judgement' nor 'results'"):
        RecordedEngine(other)


def test_a_broken_row_is_named(tmp_path: Path) -> None:
    good = to_json({"id": "1", "judgement": {}})
    (tmp_path / "labels.jsonl").write_text(f"{good}\n{{broken\n{good}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"labels\.jsonl:2"):
        RecordedEngine(tmp_path)


def test_llmbar_rows_without_completions_are_named(tmp_path: Path) -> None:
    row = {"input": "?", "output_1": "x", "output_2": "y", "label": 1, "results": []}
    (tmp_path / "result.json").write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(InputError, match=r"result\.json:1: no stored completion"):
        RecordedEngine(tmp_path)


def drawn(request: Request) -> Completion:
    """A judge that is sure of nothing: the same answer to the same request, whatever it is."""
    draw = Random(f"{request.messages[-1].content}{request.prefill}{request.judge}{request.seed}")
    if request.choices:
        shares = [draw.random() + 1e-6 for _ in request.choices]
        logprobs = {
            choice: math.log(share / sum(shares)) for choice, share in zip(request.choices, shares, strict=True)
        }
        return Completion(text=max(logprobs, key=lambda name: logprobs[name]), logprobs=logprobs)
    label, step = draw.choice("ABC"), draw.choice(["right", "wrong", "neutral"])
    order = " > ".join(draw.sample("123", 3))
    said = {"Order": order, "Score": str(draw.randint(1, 5)), "Verdict: [[X]]\nwhere X is A": label}
    words = [f"{draw.random()}: [[{verdict}]]" for ask, verdict in said.items() if ask in request.messages[-1].content]
    if words:
        return Completion(text=words[0])
    return Completion(text=f"Step 1: [[{step}]]\nStep 2: [[{draw.choice(['right', 'wrong'])}]]")


TEXT = tuple((Message("assistant", letter),) for letter in "xyz")
PROMPT = (Message("user", "?"),)
JUDGED = {
    "preference": Pair(prompt=PROMPT, first=TEXT[0], second=TEXT[1]),
    "score": Response(prompt=PROMPT, response=TEXT[0]),
    "steps": Solution(prompt=PROMPT, steps=("x", "y")),
    "outcome": Solution(prompt=PROMPT, steps=("x", "y")),
    "critique": Response(prompt=PROMPT, response=TEXT[0]),
    "ranking": Ranking(prompt=PROMPT, responses=TEXT),
}


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(each_step=False, pairwise=True),
        Options(votes=3, judges=2, temperature=1.0, each_step=False),
        Options(votes=3, judges=2, temperature=1.0, pairwise=True, criteria=("and/or: both", "depth")),
    ],
    ids=["one", "all", "jury", "criteria"],
)
@pytest.mark.parametrize("name", sorted(JUDGED))
@pytest.mark.parametrize("kind", ["default", "verdict"])
def test_reading_a_run_again_changes_nothing(tmp_path: Path, name: str, kind: str, options: Options) -> None:
    spec = TASKS[name]
    task, default = spec.prompt(options)
    shipped = {template.name for template in list_templates(task)}
    template = load_template(task, kind if default == "default" and f"{task}/{kind}" in shipped else default)
    record = JUDGED[name]
    before = play(spec.program(record, template, options), drawn)
    row = to_row(record) | {"judgement": judgement_to_row(before)}
    (tmp_path / "labels.jsonl").write_text(to_json(row) + "\n", encoding="utf-8")
    engine = RecordedEngine(tmp_path)
    after = play(spec.program(record, template, options), engine.answer)
    engine.close()
    assert readable(before)
    assert rounded(judgement_to_row(after)) == rounded(judgement_to_row(before))


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value
