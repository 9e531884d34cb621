"""A worker in this process: what goes in and comes out, what it costs, and how it ends."""

import json
from functools import partial
from pathlib import Path

import pytest

from judge.engines import ENGINES, load_engine
from judge.engines.prices import Price
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError, EngineError, InputError
from judge.records import Message, Pair
from judge.runs.cluster.dispatcher import Item
from judge.runs.cluster.worker import Recipe, Worker
from judge.runs.counts import Counts
from judge.runs.labelling import LabelJob
from judge.runs.plan import Plan, gpus_of
from judge.runs.runner import Answer
from judge.tasks import Options


def pair(number: int) -> Pair:
    turns = (Message("user", f"{number}?"),), (Message("assistant", "Yes."),), (Message("assistant", "No."),)
    return Pair(prompt=turns[0], first=turns[1], second=turns[2])


def item(number: int) -> Item:
    record = pair(number)
    return Item(record.id, record)


def worker_of(*judges: str, window: int = 4) -> Worker:
    plan = Plan(data=(), task="preference", judges=judges, window=window)
    return Worker(LabelJob(plan).recipe())


def until(worker: Worker, count: int) -> list[Answer]:
    answers: list[Answer] = []
    while len(answers) < count:
        answers += worker.exchange([], 5.0).answers
    return answers


def test_rows_come_back_with_what_their_own_requests_cost(rules: str) -> None:
    worker = worker_of(rules)
    answers = worker.exchange([item(number) for number in range(10)], 5.0).answers
    answers += until(worker, 10 - len(answers))
    assert {answer.id for answer in answers} == {pair(number).id for number in range(10)}
    # A pair is asked in two orders, and after each critique for the exact probabilities.
    assert [answer.spent.calls for answer in answers] == [4] * 10
    assert all(answer.readable and answer.row is not None for answer in answers)
    assert len(worker.exchange([item(20)], 5.0).answers) == 1  # it waits for more, and goes on
    worker.close()
    assert worker.exchange([item(21)], 5.0).answers == []


def test_rows_come_back_with_what_they_cost_in_dollars(rules: str) -> None:
    model = load_engine(rules).describe()["model"]
    price = Price(prompt=0.0, completion=1_000_000.0)  # a dollar a word
    plan = Plan(data=(), task="preference", judges=(rules,), prices={model: price}, options=Options(soft=False))
    worker = Worker(LabelJob(plan).recipe())
    (answer,) = worker.exchange([item(1)], 5.0).answers
    worker.close()
    # Two orders, each answered by the one word [[A]].
    assert answer.spent.costs == {model: 2.0}
    counts = Counts(calls=1, costs={model: 1.0, "other": 4.0})
    counts.add_spent(answer.spent)
    assert (counts.calls, counts.costs) == (3, {model: 3.0, "other": 4.0})


def test_a_worker_that_cannot_be_made_says_why() -> None:
    plan = Plan(data=(), task="preference", judges=("scripted:/nowhere.jsonl",))
    worker = Worker(Recipe(partial(LabelJob, plan), window=4))
    with pytest.raises(InputError, match="nowhere"):
        worker.exchange([], 5.0)


def test_a_worker_whose_judge_is_another_one_is_refused(rules: str) -> None:
    """As where a model differs from machine to machine: here the file of rules changes before the worker reads it."""
    recipe = LabelJob(Plan(data=(), task="preference", judges=(rules,))).recipe()
    Path(rules.partition(":")[2]).write_text(json.dumps({"match": "", "text": "[[B]]"}) + "\n")
    worker = Worker(recipe)
    with pytest.raises(ConfigError, match=r"not those of the run: judges\[0\]\.model: rules \w+ → rules \w+ "):
        worker.exchange([], 5.0)


@pytest.mark.parametrize(
    ("judges", "settings", "wanted"),
    [
        (("vllm:M",), {}, (1, False)),
        (("vllm:M",), {"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, (4, False)),
        (("vllm:M?tensor_parallel_size=4",), {"tensor_parallel_size": 2}, (4, False)),
        (("vllm:M?tensor_parallel_size=8&distributed_executor_backend=ray",), {}, (8, True)),
        (("openai:http://host/v1#M", "scripted:f"), {}, (0, False)),
        (("openai:http://host/v1#M", "hf:M"), {}, (1, False)),
    ],
)
def test_gpus_of_a_worker(judges: tuple[str, ...], settings: dict[str, int], wanted: tuple[int, bool]) -> None:
    assert gpus_of(Plan(data=(), task="preference", judges=judges, settings=settings)) == wanted


def test_an_engine_of_one_s_own_cannot_travel(rules: str) -> None:
    job = LabelJob(Plan(data=(), task="preference", judges=(load_engine(rules),)))
    with pytest.raises(ConfigError, match="name each by a spec"):
        job.recipe()


def test_a_judge_that_gives_out_leaves_what_the_other_said(rules: str) -> None:
    """The second judge answers two calls and ends: what the first said of the records in work comes back."""
    ENGINES.register("brittle", lambda file: ScriptedEngine.from_file(file, crash_after=2))
    try:
        plan = Plan(
            data=(),
            task="preference",
            judges=(rules, rules.replace("scripted", "brittle")),
            options=Options(judges=2, soft=False, one_order=True),
            window=1,
        )
        worker = Worker(LabelJob(plan).recipe())
        answers = worker.exchange([item(number) for number in range(9)], 5.0).answers
        with pytest.raises(EngineError, match="judge 2 gave out"):  # noqa: PT012 - which exchange it is is not fixed
            while True:
                answers += worker.exchange([], 5.0).answers
    finally:
        ENGINES.unregister("brittle")
    assert [answer.row is not None for answer in answers] == [True, True, False]
    assert [answer.spent.calls for answer in answers] == [2, 2, 1]
    kept = answers[-1].kept
    assert kept[0] is not None and kept[0].text == "[[A]]" and kept[1] is None
