"""Trajectories all the way: judged by every task, turn by turn, shortened, exported, read again; from both clients."""

import json
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.cli.main import main
from judge.formats import read_records
from judge.records import Message, Pair, Response, Solution, as_steps
from judge.tasks.views import Shown, parted, shortened, shown

ASK = {"role": "user", "content": "Cancel my order from Oslo."}
TOOLS = [{"type": "function", "function": {"name": "cancel", "parameters": {"type": "object"}}}]


def call(number: str) -> dict[str, Any]:
    function = {"name": "cancel", "arguments": json.dumps({"order": number})}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }


def way(number: str, result: str = "done") -> list[dict[str, Any]]:
    answer = {"role": "assistant", "content": "It is cancelled."}
    return [call(number), {"role": "tool", "content": result, "tool_call_id": "c1", "name": "cancel"}, answer]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rules(folder: Path, *replies: tuple[str, str]) -> str:
    return f"scripted:{write(folder / 'rules.jsonl', *({'match': match, 'text': text} for match, text in replies))}"


RIGHT_ORDER = r"(?s)<agent_trajectory>.*\"order\": \"A-17\""


# -- an argument alone -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "prompt", "good", "bad"),
    [("outcome", "trajectory", "[[right]]", "[[wrong]]"), ("score", "trajectory", "[[5]]", "[[1]]")],
)
def test_two_answers_that_differ_in_an_argument_are_judged_differently(
    tmp_path: Path, task: str, prompt: str, good: str, bad: str
) -> None:
    data = write(
        tmp_path / "data.jsonl",
        *({"messages": [ASK, *way(number)], "tools": TOOLS} for number in ("A-17", "A-71", "A-17")),
    )
    engine = rules(tmp_path, (RIGHT_ORDER, good), ("", bad))
    run = judge.label(data, task=task, prompt=prompt, judges=engine, out=tmp_path / "run", progress=False)
    assert run.counts.duplicates == 1  # the third row is the first one; the second is not
    verdicts = {
        row["response"][0]["tool_calls"][0]["function"]["arguments"]: row["judgement"]["verdict"] for row in run.rows()
    }
    expected = ("right", "wrong") if task == "outcome" else ({"": 5}, {"": 1})
    assert verdicts == {'{"order": "A-17"}': expected[0], '{"order": "A-71"}': expected[1]}


def test_a_pair_that_differs_in_an_argument_is_no_pair_of_equals(tmp_path: Path) -> None:
    pair = {"prompt": [ASK], "chosen": way("A-17"), "rejected": way("A-71"), "tools": TOOLS}
    turned = {**pair, "chosen": way("A-71"), "rejected": way("A-17")}
    data = write(tmp_path / "data.jsonl", pair, turned)
    engine = rules(
        tmp_path,
        (r"(?s)<trajectory_a>.*\"A-17\".*</trajectory_a>\s+<trajectory_b>", "Verdict: [[A]]"),
        (r"(?s)<trajectory_b>.*\"A-17\".*</trajectory_b>", "Verdict: [[B]]"),
    )
    run = judge.label(data, task="preference", prompt="trajectory", judges=engine, out=tmp_path / "run", progress=False)
    assert run.counts.verdicts == {"first": 1, "second": 1} and run.counts.flips == 0
    exported = judge.export(run, to="trl", out=tmp_path / "trl", validation=0.0)
    assert exported.left_out == {"repeated": 1} and exported.rows == {"train": 1}  # mirrored, and never "equal"
    (row,) = [json.loads(line) for line in (tmp_path / "trl" / "train.jsonl").read_text().splitlines()]
    assert row["chosen"] == way("A-17") and row["rejected"] == way("A-71")
    # People's label is "first" on both rows; the second one is the first in the other order with the other verdict.
    report = judge.agree(run, human=data, resamples=100)
    assert report.figures["accuracy"].value == pytest.approx(0.5)


def test_rewards_are_of_the_calls_too() -> None:
    from judge.jobs.reward_rows import records_of

    first, second = records_of([([ASK], way("A-17")), ([ASK], way("A-71"))], process=False)
    assert first.id != second.id
    (solution,) = records_of([([ASK], way("A-17"))], process=True)
    assert isinstance(solution, Solution) and len(solution.steps) == 2 and "A-17" in solution.steps[0]


# -- turns as steps ----------------------------------------------------------------------------------------------------


LABELLED = {
    "messages": [ASK, *way("A-17"), {"role": "user", "content": "And B-2."}, *way("B-3", "error: no such order")],
    "tools": TOOLS,
    "step_labels": {"1": 1, "3": 0, "5": -1, "7": -1},
}


def test_steps_of_a_trajectory_agree_with_people_and_are_written_back(tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", LABELLED)
    engine = rules(
        tmp_path,
        (r"(?s)<step_to_check>.*error", "[[wrong]]"),
        (r"(?s)<step_to_check>.*B-3", "Wrong order. Verdict: [[wrong]]"),
        (r"(?s)<step_to_check>.*It is cancelled", "[[neutral]]"),
        (r"(?s)<step_to_check>\n<tool_call>", "Verdict: [[right]]"),
    )
    run = judge.label(data, task="steps", prompt="trajectory", judges=engine, out=tmp_path / "run", progress=False)
    (row,) = run.rows()
    assert (
        row["judgement"]["verdict"] == ["right", "neutral", "wrong", "wrong"] and row["judgement"]["first_wrong"] == 2
    )
    assert judge.agree(run, resamples=100).figures["first_wrong"].value == 1.0
    judge.export(run, to="openai", out=tmp_path / "openai", validation=0.0)
    (written,) = [json.loads(line) for line in (tmp_path / "openai" / "train.jsonl").read_text().splitlines()]
    assert {name: written[name] for name in LABELLED} == LABELLED
    ((_, before),), ((_, after),) = (list(read_records(path)) for path in (data, tmp_path / "openai" / "train.jsonl"))
    assert after.id == before.id and after.human == before.human
    judge.export(run, to="rmjudge", out=tmp_path / "own", validation=0.0)
    ((_, own),) = read_records(tmp_path / "own" / "train.jsonl")
    assert isinstance(own, Solution) and isinstance(before, Solution) and own.turns == before.turns
    judge.export(run, to="trl", out=tmp_path / "trl", validation=0.0)
    (text,) = [json.loads(line) for line in (tmp_path / "trl" / "train.jsonl").read_text().splitlines()]
    assert text["labels"] == [True, True, False, False] and text["completions"] == list(before.steps)


SHAREGPT = {
    "conversations": [
        {"from": "human", "value": ASK["content"]},
        {"from": "function_call", "value": json.dumps({"name": "cancel", "arguments": {"order": "A-17"}})},
        {"from": "observation", "value": "done"},
        {"from": "gpt", "value": "It is cancelled."},
    ],
    "system": "Be brief.",
    "tools": json.dumps(TOOLS),
}
FILES: dict[str, dict[str, Any]] = {
    "openai": {"messages": [{"role": "system", "content": "Be brief."}, ASK, *way("A-17")], "tools": TOOLS},
    "trl": {"prompt": [ASK], "completion": way("A-17"), "tools": TOOLS},
    "sharegpt": SHAREGPT,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("to", ["openai", "rmjudge"])
def test_every_file_is_judged_by_turns_written_and_read_again(tmp_path: Path, name: str, to: str) -> None:
    data = write(tmp_path / "data.jsonl", FILES[name])
    ((_, before),) = read_records(data)
    assert isinstance(before, Response) and len(before.response) == 3
    engine = rules(tmp_path, ("(?s)<step_to_check>.*tool_result", "[[wrong]]"), ("", "[[right]]"))
    run = judge.label(data, task="steps", prompt="trajectory", judges=engine, out=tmp_path / "run", progress=False)
    judge.export(run, to=to, out=tmp_path / "out", validation=0.0)
    ((_, after),) = read_records(tmp_path / "out" / "train.jsonl")
    assert isinstance(after, Solution)
    assert (after.prompt, after.turns, after.id) == (before.prompt, before.response, as_steps(before).id)
    if to == "openai":
        assert after.meta["ratings"] == [1, -1]
    # As wholes they come back in their own shape.
    whole = judge.label(data, task="outcome", judges=engine, out=tmp_path / "whole", progress=False)
    judge.export(whole, to=name, kind="sft", out=tmp_path / "sft", validation=0.0)
    (row,) = [json.loads(line) for line in (tmp_path / "sft" / "train.jsonl").read_text().splitlines()]
    assert row == FILES[name]
    ((_, again),) = read_records(tmp_path / "sft" / "train.jsonl")
    assert again == before


def test_a_response_is_judged_by_its_turns_and_one_of_one_turn_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data.jsonl", {"messages": [ASK, *way("A-17")], "tools": TOOLS})
    engine = rules(tmp_path, ("", "[[right]]"))
    command = ["label", str(data), "-t", "steps", "-p", "trajectory", "-j", engine, "-o", str(tmp_path / "run"), "-q"]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdicts"] == {"right": 2}
    plain = write(tmp_path / "plain.jsonl", {"messages": [ASK, {"role": "assistant", "content": "Done."}]})
    assert main(["label", str(plain), *command[2:-3], "-o", str(tmp_path / "no"), "-q"]) == 2
    assert f"{plain}:1: a response of one turn without a tool's call (accepted: solutions, trajectories)" in (
        capsys.readouterr().err
    )


def test_a_probe_changes_the_last_turn_and_keeps_its_calls() -> None:
    from judge.agreement.data.probes import probes

    response = Response(
        prompt=(Message("user", "p"),),
        response=(Message("assistant", "a"), Message("assistant", "b", tool_calls=({"name": "f", "arguments": {}},))),
    )
    for record in (response, as_steps(response)):
        changed = list(probes(record, ("pad",), seed=0))
        assert changed
        for probe in changed:
            turns = probe.record.turns if isinstance(probe.record, Solution) else probe.record.response  # type: ignore[union-attr]
            assert turns[-1].tool_calls == response.response[-1].tool_calls and turns[-1].content != "b"


# -- long tool results -------------------------------------------------------------------------------------------------


def test_the_middle_of_a_long_tool_result_is_left_out() -> None:
    turns = (Message("assistant", "x" * 20), Message("tool", "abcdefghij" * 2, name="f"))
    assert shortened(turns, 0) == shortened(turns, 20) == turns
    assert shortened(turns, 8)[1].content == "abcd\n[… 12 characters left out …]\nghij"
    assert shortened(turns, 7)[1].content == "abc\n[… 14 characters left out …]\nhij"
    assert shortened(turns, 8)[0] == turns[0]  # the agent's own words are never cut


def test_shortened_results_are_counted_in_rows_manifest_and_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "0123456789" * 1000
    history = [ASK, *way("A-1", long), {"role": "user", "content": "Again."}]
    data = write(
        tmp_path / "data.jsonl",
        {"messages": [*history, *way("A-17", long)], "tools": TOOLS},
        {"messages": [ASK, *way("A-17")], "tools": TOOLS},
    )
    engine = rules(tmp_path, ("2,000 characters left out", "[[wrong]]"), ("", "[[right]]"))
    asked: dict[str, Any] = {"task": "outcome", "judges": engine, "progress": False}
    run = judge.label(data, **asked, out=tmp_path / "run")
    assert run.counts.verdicts == {"wrong": 1, "right": 1} and run.counts.shortened == 2
    assert run.manifest["counts"]["shortened"] == 2 and "max_tool_result" not in run.config["options"]
    assert sorted(row.get("shortened", 0) for row in run.rows()) == [0, 2]
    assert "shortened=2" in repr(run)
    # The record is kept whole, and a run that goes on counts the same.
    assert {record.id for _, record, _ in run} == {record.id for _, record in read_records(data)}
    assert judge.label(data, **asked, out=tmp_path / "run").counts.shortened == 2
    whole = judge.label(data, **asked, out=tmp_path / "whole", max_tool_result=0)
    assert whole.counts.verdicts == {"right": 2} and "shortened" not in whole.manifest["counts"]
    assert whole.config["options"]["max_tool_result"] == 0
    command = ["label", str(data), "-t", "outcome", "-j", engine, "-o", str(tmp_path / "short"), "-q"]
    assert main([*command, "--max-tool-result", "100"]) == 0
    assert "tool results shortened" in capsys.readouterr().out


# -- which turns -------------------------------------------------------------------------------------------------------


def talk(*texts: str) -> tuple[Message, ...]:
    roles = ("user", "assistant")
    return tuple(Message(roles[index % 2], text) for index, text in enumerate(texts))  # type: ignore[arg-type]


def test_all_turns_or_the_last_one() -> None:
    whole = talk("q1", "a1", "q2", "a2")
    for cut in (1, 3):
        prompt, response = whole[:cut], whole[cut:]
        assert parted(prompt, (response,), "all") == (whole[:1], (whole[1:],))
        assert parted(prompt, (response,), "last") == (whole[:3], (whole[3:],))
        assert parted(prompt, (response,), "") == (prompt, (response,))
    other = talk("q1", "b1", "q2", "b2")
    sides = (whole[1:], other[1:])
    assert parted(whole[:1], sides, "last") == (whole[:1], sides)  # two ways to the last answer: both are shown
    same = (whole[1:], (*whole[1:3], Message("assistant", "c2")))
    assert parted(whole[:1], same, "last") == (whole[:3], (whole[3:], same[1][2:]))
    assert shown(whole[:3], (whole[3:],), judge.Options(turns="last")) == Shown(
        "User: q1\n\nAssistant: a1\n\nUser: q2", ("a2",)
    )
    assert parted(whole[:1], (whole[1:3],), "last") == (whole[:1], (whole[1:3],))  # nothing after the last question


MT_BENCH = {
    "question_id": 81,
    "turn": 2,
    "model_a": "m",
    "model_b": "n",
    "winner": "model_b",
    "judge": "ann",
    "conversation_a": [
        {"role": r, "content": c} for r, c in zip(("user", "assistant") * 2, ("q1", "GOOD", "q2", "bad"), strict=True)
    ],
    "conversation_b": [
        {"role": r, "content": c} for r, c in zip(("user", "assistant") * 2, ("q1", "bad", "q2", "GOOD"), strict=True)
    ],
}


def test_the_second_turn_alone_as_mt_bench_judges_it(tmp_path: Path) -> None:
    data = write(tmp_path / "votes.jsonl", MT_BENCH)
    last = r"(?s)<conversation_{0}>\s+Assistant: \w+\s+User: q2\s+Assistant: GOOD"
    engine = rules(
        tmp_path,
        (last.format("a"), "Verdict: [[A]]"),
        (last.format("b"), "Verdict: [[B]]"),
        (r"(?s)<response_a>\s+Assistant: GOOD", "Verdict: [[A]]"),
        (r"(?s)<response_b>\s+Assistant: GOOD", "Verdict: [[B]]"),
    )
    asked: dict[str, Any] = {"task": "preference", "judges": engine, "progress": False}
    turn = judge.label(data, **asked, out=tmp_path / "last", turns="last")
    assert turn.counts.verdicts == {"second": 1} and turn.config["options"]["turns"] == "last"
    assert turn.config["prompt"]["name"] == "preference/last-turn"
    assert judge.agree(turn, resamples=100).figures["accuracy"].value == 1.0  # ids are those of the data
    assert judge.label(data, **asked, out=tmp_path / "whole").counts.verdicts == {"first": 1}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--turns", "first"], "unknown value of turns 'first'"),
        (["--turns", "last", "-t", "steps"], "judges each turn of the response"),
        (["--turns", "last", "-t", "ranking"], "a ranking in one call judges whole responses (accepted: a tournament)"),
    ],
)
def test_turns_that_cannot_be_judged_are_refused(
    tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "votes.jsonl", MT_BENCH)
    engine = rules(tmp_path, ("", "x"))
    command = ["label", str(data), "-t", "preference", "-j", engine, "-o", str(tmp_path / "run"), "-q", *more]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


# -- in a language -----------------------------------------------------------------------------------------------------


def test_critiques_in_a_language(tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", {"prompt": "p", "response": "r"})
    engine = rules(tmp_path, ("(?s)in words in German.*<user_prompt>", "Nichts fehlt."), ("", "Nothing is missing."))
    asked: dict[str, Any] = {"task": "critique", "judges": engine, "progress": False}
    german = judge.label(data, **asked, out=tmp_path / "german", language="German")
    assert [row["judgement"]["verdict"] for row in german.rows()] == ["Nichts fehlt."]
    assert german.config["language"]["name"] == "German" and german.config["options"]["language"] == "German"
    plain = judge.label(data, **asked, out=tmp_path / "plain")
    assert [row["judgement"]["verdict"] for row in plain.rows()] == ["Nothing is missing."]
    assert plain.config["prompt"] == german.config["prompt"] and "language" not in plain.config
    with pytest.raises(judge.RunChangedError, match="language"):
        judge.label(data, **asked, out=tmp_path / "german", language="French")


def test_a_prompt_without_a_system_message_gets_one() -> None:
    template = judge.load_template("preference", "few-shot")
    from dataclasses import replace

    plain = template.render(prompt="p", first="a", second="b")
    asked = replace(template, language="العربية").render(prompt="p", first="a", second="b")
    assert asked[0].role == "system" and "in words in العربية," in asked[0].content and asked[1:] == plain


def test_pairs_are_read_from_what_trl_writes(tmp_path: Path) -> None:
    """A preference whose sides are whole conversations: what they share is the prompt, calls and all."""
    row = {"chosen": [ASK, *way("A-17")], "rejected": [ASK, call("A-71")], "tools": TOOLS}
    ((_, pair),) = read_records(write(tmp_path / "data.jsonl", row))
    assert isinstance(pair, Pair) and len(pair.first) == 3 and len(pair.second) == 1
    assert pair.prompt[0].tools == tuple(TOOLS)


def test_a_revision_is_criticised_in_a_language(tmp_path: Path) -> None:
    engine = rules(
        tmp_path,
        (r"(?s)in words in German.*Write the critique", "Es fehlt ein Beispiel."),
        (r"(?s)Es fehlt ein Beispiel.*Write the revised response", "<revised_response>\nbetter\n</revised_response>"),
        (r"(?s)in words in German.*<response_a>\nbetter", "Verdict: [[A]]"),
        (r"(?s)in words in German.*<response_b>\nbetter", "Verdict: [[B]]"),
    )
    data = write(tmp_path / "data.jsonl", {"prompt": "p", "response": "r"})
    run = judge.revise(data, judge=engine, out=tmp_path / "run", rounds=1, language="German", progress=False)
    (row,) = run.rows()
    assert row["judgement"]["verdict"] == "better" and run.config["language"]["name"] == "German"
