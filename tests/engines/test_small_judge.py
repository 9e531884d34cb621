"""A real small model: by the default prompts its form is made, not hoped for, and its loops end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from judge.engines import Completion, Engine, Request, load_engine
from judge.prompting.template import load_template
from judge.records import Message, Pair
from judge.tasks import TASKS, Options
from judge.tasks.queries import gather

Answers = Callable[[Engine, list[Request]], list[Completion]]
PAIRS = [
    Pair(
        prompt=(Message("user", f"Name a number above {number}."),),
        first=(Message("assistant", f"{number + 1}"),),
        second=(Message("assistant", f"{number - 1}"),),
    )
    for number in range(3)
]


@pytest.mark.real
@pytest.mark.parametrize("kind", [pytest.param("vllm", marks=pytest.mark.vllm), "hf"])
def test_every_preference_of_a_small_judge_can_be_read(kind: str, smollm2: Path, answers: Answers) -> None:
    engine = load_engine(f"{kind}:{smollm2}")
    template, options = load_template("preference", "default"), Options(max_tokens=96)
    program = gather([TASKS["preference"].program(pair, template, options) for pair in PAIRS])
    requests = next(program)
    try:
        while True:
            requests = program.send(answers(engine, list(requests)))
    except StopIteration as stop:
        judgements = stop.value
    engine.close()
    readings = [reading for judgement in judgements for reading in judgement.readings]
    assert all(reading.verdict in ("first", "second", "tie") for reading in readings)
    assert all("Verdict: [[" in reading.text for reading in readings if "chosen behind" in reading.reason)


@pytest.mark.real
def test_a_loop_is_cut(smollm2: Path, answers: Answers) -> None:
    engine = load_engine(f"hf:{smollm2}")
    text = "Write the words one two three four five six seven eight nine ten again and again, for ever."
    begun = "one two three four five six seven eight nine ten " * 3
    (completion,) = answers(engine, [Request(messages=(Message("user", text),), prefill=begun, max_tokens=400)])
    engine.close()
    assert completion.finish == "repetition"
    assert completion.output_tokens < 400
