"""`judge.best_of` and the policies that write for it, by sources and engines whose numbers are known."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError, EngineError, InputError, UnknownNameError
from judge.jobs.reward_rows import records_of
from judge.jobs.rewards.policy import Draft, Policy
from judge.jobs.rewards.step_search import Beam, StepSearch, grow, kept, search
from judge.records import Message, Ranking, Response, Solution, responses_of, spoken
from judge.rewards.reward import Reward, Scorable


class Source:
    """Rewards of a function of the response's text; of steps where `process` is set."""

    name, version = "by words", "1"

    def __init__(self, reward: Callable[[str], float | None], *, process: bool = False) -> None:
        self.reward, self.process = reward, process
        self.seen: list[Scorable] = []

    def score_batch(self, rows: Sequence[Scorable]) -> list[list[Reward]]:
        self.seen += rows
        return [
            [self._of(spoken(response)) for response in responses_of(record)]
            for record in records_of(rows, process=self.process)
        ]

    def _of(self, text: str) -> Reward:
        value = self.reward(text)
        return Reward(value=value, reason="too odd", steps=(value,) if self.process and value is not None else ())


def rows(count: int = 12) -> list[dict[str, Any]]:
    """Four responses to each prompt; the longest one is right and the majority is not."""
    texts = ("long: the answer is 4", "the answer is 5", "answer: 5", "is it 6")
    return [
        {"prompt": f"{number}: 2 + 2?", "response": text, "reference": "4"} for number in range(count) for text in texts
    ]


QUIET: dict[str, Any] = {"progress": False, "resamples": 100}


def test_the_best_by_length() -> None:
    source = Source(len)
    report = judge.best_of(source, rows(), picks=None, **QUIET)
    figures = report.figures
    assert (report.data.n, report.data.prompts, report.data.responses) == (4, 12, 48)
    assert figures["best_of/1"].value == pytest.approx(1 / 4)
    assert figures["best_of/4"].value == figures["pass/4"].value == 1.0
    assert figures["majority/4"].value == 0.0
    assert figures["best_of_majority_difference"].value == 1.0
    assert [pick["completion"][0]["content"] for pick in report.picks] == ["long: the answer is 4"] * 12
    assert report.picks[0]["of"] == 4
    assert report.picks[0]["margin"] == len("long: the answer is 4") - len("the answer is 5")
    assert not report.wrong
    assert report.headline.replace("\u202f", " ") == (
        "The best of 4 is right in 100.0 %, any response in 25.0 %, one of all in 100.0 %"
    )


def test_the_reward_never_sees_the_truth() -> None:
    source = Source(len)
    labelled = [
        Solution(prompt=(Message("user", "?"),), steps=("a", "b" * place), reference="b") for place in range(1, 3)
    ]
    judge.best_of(source, [judge.to_row(record) for record in labelled], **QUIET)
    assert [record.reference for record in source.seen] == ["", ""]  # type: ignore[union-attr]
    again = Source(len)
    judge.best_of(again, rows(2), **QUIET)
    assert all(isinstance(row, tuple) for row in again.seen)


def test_a_rows_own_rubric_reaches_the_judge() -> None:
    rubric = [{"criterion": "says four", "points": 1}]
    texts = [{"prompt": "2 + 2?", "response": text, "reference": "4", "rubric": rubric} for text in ("answer: 4", "5")]

    def answer(request: Request) -> str:
        return "yes" if "answer: 4" in request.messages[-1].content else "no"

    seen: list[Request] = []
    engine = ScriptedEngine(lambda request: seen.append(request) or answer(request), name="test")  # type: ignore[func-returns-value]
    report = judge.best_of(engine, texts, task="checklist", settings={"retries": 0}, **QUIET)
    assert report.picks[0]["completion"][0]["content"] == "answer: 4"
    assert all("says four" in request.messages[-1].content for request in seen)


def test_rankings_stand_together(tmp_path: Path) -> None:
    ranking = {"prompt": "?", "responses": ["a", "bbb", "cc"], "human": [{"annotator": "p", "verdict": [1, 2, 0]}]}
    report = judge.best_of(Source(len), [ranking], picks=tmp_path / "best.jsonl", **QUIET)
    assert report.data.truth == "rated"  # the share of the others below: 0, 1, 1/2
    assert report.figures["best_of/3"].value == 1.0
    (line,) = (tmp_path / "best.jsonl").read_text().splitlines()
    assert json.loads(line)["completion"] == [{"role": "assistant", "content": "bbb"}]


def test_gold_against_proxy_by_two_sources() -> None:
    report = judge.best_of(Source(len), rows(), gold=Source(lambda text: -len(text)), **QUIET)
    assert report.data.gold == "by words"
    gold = report.data.curve("gold")
    assert gold is not None
    assert gold.points[-1].value == pytest.approx(-(report.data.curve("proxy").points[-1].value or 0))  # type: ignore[union-attr]
    assert [finding.name for finding in report.findings] == ["overoptimised"]


def test_shaping_before_the_choice() -> None:
    report = judge.best_of(Source(len), rows(), shaping={"length_penalty": 2.0}, **QUIET)
    assert {pick["completion"][0]["content"] for pick in report.picks} == {"is it 6"}  # len - 2 len: the shortest
    assert [finding.name for finding in report.findings] == ["worse_than_chance"]


def test_a_judges_tournament_of_rows_with_one_prompt() -> None:
    def longer(request: Request) -> str:
        _first, _second = request.messages[-1].content.split("answer")[-2:]
        return "[[A]]" if "long" in request.messages[-1].content.split("2 + 2")[1][:200] else "[[B]]"

    engine = ScriptedEngine(longer, name="test")
    report = judge.best_of(engine, rows(2), task="tournament", settings={"hard": True, "tournament": "full"}, **QUIET)
    assert report.data.name == "test by tournament"
    assert report.data.unreadable == 0


def test_what_is_not_there_is_said() -> None:
    source = Source(len)
    with pytest.raises(ConfigError, match=r"judge\.best_of needs data"):
        judge.best_of(source)
    with pytest.raises(InputError, match="no truth: no row says whether a response is right"):
        judge.best_of(source, [{"prompt": "?", "response": text} for text in "ab"], **QUIET)
    with pytest.raises(InputError, match="each of the 2 prompts has one"):
        judge.best_of(source, [{"prompt": text, "response": "4", "reference": "4"} for text in "ab"], **QUIET)
    with pytest.raises(InputError, match=r"n=8: the prompts have 4 responses"):
        judge.best_of(source, rows(2), n=8, **QUIET)
    with pytest.raises(ConfigError, match=r"n: found 1 \(accepted: 2 and more\)"):
        judge.best_of(source, rows(2), n=1, **QUIET)
    with pytest.raises(InputError, match="by words gave no reward to any of 8 responses: too odd"):
        judge.best_of(Source(lambda text: None), rows(2), **QUIET)
    with pytest.raises(ConfigError, match="a search is of a policy"):
        judge.best_of(source, rows(2), search="steps", **QUIET)
    with pytest.raises(UnknownNameError, match="did you mean 'steps'"):
        judge.best_of(source, rows(2), search="step", policy="tiny", **QUIET)
    with pytest.raises(UnknownNameError, match="unknown engine 'tinny'"):
        judge.best_of(source, rows(2), policy="tinny", **QUIET)
    with pytest.raises(InputError, match="row 1: a response without its text"):
        judge.best_of(source, [{"prompt": "?", "response": ""}], format="rmjudge", **QUIET)


# ---- a policy --------------------------------------------------------------------------------------------------------


class Writer:
    """Answers "2 + 2" in two steps; draws by the seed whether each step is right."""

    def __init__(self, rate: int = 2) -> None:
        self.rate = rate
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Completion:
        self.requests.append(request)
        first, last = (
            ("2 + 2 = 4", "the answer is 4") if request.seed % self.rate == 0 else ("2 + 2 = 5", "the answer is 5")
        )
        if not request.stop:
            return Completion(text=f"{first}\n{last}", output_tokens=10)
        if not request.prefill:
            return Completion(text=first, output_tokens=5)
        right = request.prefill == "2 + 2 = 4\n"
        return Completion(text="the answer is 4" if right else "the answer is 5", output_tokens=5)


def by_steps(text: str) -> float:
    """P(right) of a begun solution: what says 5 is wrong."""
    return 0.1 if "5" in text else 0.9


PROMPTS = [{"prompt": f"{number}: what?", "response": "?", "reference": "4"} for number in range(20)]


def test_a_policy_writes_what_is_chosen_from() -> None:
    writer = Writer()
    report = judge.best_of(Source(by_steps), PROMPTS, policy=ScriptedEngine(writer, name="writer"), n=4, **QUIET)
    assert (report.data.policy, report.data.n, report.data.responses) == ("writer", 4, 80)
    assert len(writer.requests) == len({request.seed for request in writer.requests}) == 80
    figures = report.figures
    assert figures["best_of/4"].value == figures["pass/4"].value
    assert 0.3 < (figures["best_of/1"].value or 0) < 0.7


def test_a_search_by_steps_finds_what_the_policy_can_write() -> None:
    writer = Writer(rate=3)
    source = Source(by_steps, process=True)
    report = judge.best_of(
        source, PROMPTS, policy=ScriptedEngine(writer, name="writer"), search="steps", beams=2, width=2, **QUIET
    )
    figures = report.figures
    # first step: 2 · 2 draws of 5 tokens; then each of at most two beams is gone on with twice
    assert figures["search_tokens"].value is not None
    assert 4 * 5 + 2 * 5 <= figures["search_tokens"].value <= 4 * 5 + 4 * 5
    assert (figures["search"].value or 0) >= (figures["equal_tokens"].value or 0)
    prefills = {request.prefill for request in writer.requests}
    assert prefills == {"", "2 + 2 = 4\n", "2 + 2 = 5\n"}
    assert {tuple(request.stop) for request in writer.requests} == {(), ("\n",)}


def test_a_search_needs_rewards_of_steps_and_known_answers() -> None:
    engine = ScriptedEngine(Writer(), name="writer")
    with pytest.raises(ConfigError, match="by words: its rewards say nothing of steps"):
        judge.best_of(Source(by_steps), PROMPTS, policy=engine, search="steps", **QUIET)
    without = [{"prompt": row["prompt"], "response": "?"} for row in PROMPTS]
    with pytest.raises(InputError, match="no truth: a search is measured by rows whose reference"):
        judge.best_of(Source(by_steps, process=True), without, policy=engine, search="steps", **QUIET)
    with pytest.raises(ConfigError, match=r"beams: found 0 \(accepted: 1 and more\)"):
        judge.best_of(Source(by_steps), PROMPTS, policy=engine, beams=0, **QUIET)


def test_a_policy_that_fails() -> None:
    engine = ScriptedEngine(lambda _: Completion(text="no memory", finish="error"), name="writer")
    with pytest.raises(EngineError, match="the policy answered nothing: no memory"):
        Policy(engine).write([Draft((Message("user", "?"),), "", "a")])
    with pytest.raises(ConfigError, match="answers to choose from have to differ"):
        Policy(engine, temperature=0)


def test_a_beam_grows_and_ends() -> None:
    begun = Beam(("a",), 0.5)
    assert grow(begun, Completion(text=" b ")) == Beam(("a", "b"))
    assert grow(begun, Completion(text="The answer is 4")) == Beam(("a", "The answer is 4"), finished=True)
    assert grow(begun, Completion(text="")) == Beam(("a",), 0.5, finished=True)
    assert grow(Beam(), Completion(text="")) is None
    assert grow(begun, Completion(text="x", finish="error")) is None


def test_the_best_different_beams_are_kept() -> None:
    beams = [Beam(("a",), 0.2), Beam(("b",), 0.9), Beam(("b",), 0.9), Beam(("c",), 0.5), Beam(("d",))]
    assert kept(beams, [], 2) == [Beam(("b",), 0.9), Beam(("c",), 0.5)]
    assert kept([Beam(("d",))], [Beam(("a",), 0.2)], 2) == [Beam(("a",), 0.2, finished=True)]
    ended = Beam(("e",), 0.9, finished=True)
    assert kept([Beam(("b",), 0.9), ended], [], 2) == [ended]  # nothing that is begun can overtake it
    assert kept([Beam(("b",), 0.95), ended], [], 2) == [Beam(("b",), 0.95), ended]


def test_a_search_that_never_ends_is_cut() -> None:
    policy = Policy(ScriptedEngine(lambda _: Completion(text="on and on", output_tokens=3), name="writer"))
    settings = StepSearch(beams=1, width=1, max_steps=4)
    found = search(policy, Source(by_steps, process=True), {"a": (Message("user", "?"),)}, settings)
    assert found["a"].steps == ("on and on",) * 4
    assert found["a"].tokens == 12


def test_a_saved_report_is_read_again(tmp_path: Path) -> None:
    report = judge.best_of(Source(len), rows(), **QUIET)
    report.save(tmp_path / "report.json")
    assert judge.BestOfReport.load(tmp_path / "report.json").data == report.data
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(InputError, match="no saved best-of-n report"):
        judge.BestOfReport.load(tmp_path / "other.json")


def test_ranking_rows_of_a_response_alone() -> None:
    records: list[Ranking | Response] = [
        Response(prompt=(Message("user", "?"),), response=(Message("assistant", "the answer is 4"),), reference="4"),
        Response(prompt=(Message("user", "?"),), response=(Message("assistant", "no"),), reference="4"),
    ]
    report = judge.best_of(Source(len), [judge.to_row(record) for record in records], **QUIET)
    assert report.figures["best_of/2"].value == 1.0
