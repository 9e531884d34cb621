"""Stored completions, read again: GPT-4's on LLMBar with its authors' figures, and our own runs."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from judge.engines import load_engine
from judge.engines.base import Request
from judge.engines.recorded import RecordedEngine
from judge.errors import EngineError, InputError
from judge.files import to_json
from judge.formats import read_records
from judge.judgements import Preference
from judge.records import Message, Pair
from judge.tasks import TASKS, Options, play
from judge.templates import load_template


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
