"""What comes out of a run directory: rows of every format, filters, balance, splits, the card."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from judge.errors import ConfigError, InputError, RunError, UnknownNameError
from judge.exports.export import Exported, ExportOptions, export_run, split_of, write_revised
from judge.formats import judgement_to_row, read_records, to_row
from judge.judgements import Judgement, Order, Outcome, Preference, Revision, Round, Steps
from judge.records import Message, Pair, Ranking, Record, Response, Solution

Item = tuple[Record, Judgement]


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def said(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


def turn(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def pair(prompt: str, first: str = "good", second: str = "bad") -> Pair:
    return Pair(prompt=user(prompt), first=said(first), second=said(second))


def first(p: float = 0.9, *, consistent: bool | None = True) -> Preference:
    verdict = "tie" if p == 0.5 else "first" if p > 0.5 else "second"
    return Preference(verdict=verdict, p_first=p, consistent=consistent)  # type: ignore[arg-type]


def write_run(folder: Path, items: list[Item], *, config: dict[str, Any] | None = None) -> Path:
    """A run directory as `rmjudge label` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [to_row(record) | {"judgement": judgement_to_row(judgement)} for record, judgement in items]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "failures.jsonl").write_text("")
    config = {
        "task": items[0][1].task,
        "judges": [{"engine": "scripted", "model": "m|n"}],
        "prompt": {"name": "preference/default", "hash": "f00d"},
        "data": [{"bytes": 12, "hash": "abcd"}],
        **(config or {}),
    }
    manifest = {"rmjudge": "0.1.0", "config": config, "started": "S", "finished": "F"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def rows(out: Path, name: str = "train") -> list[dict[str, Any]]:
    path = out / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def exported(
    tmp_path: Path, items: list[Item], to: str = "trl", **choice: Any
) -> tuple[list[dict[str, Any]], Exported]:
    """Everything that an export writes, in one list, and what it counted."""
    out = tmp_path / f"out-{to}-{choice.get('kind', '')}"
    done = export_run(
        write_run(tmp_path / "run", items), out, ExportOptions(to=to, validation=0.0, **choice), force=True
    )
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "train.jsonl"]
    return rows(out), done


# ---------------------------------------------------------------------------------------------------------------------
# Rows


def test_a_preference_for_trl_and_openrlhf(tmp_path: Path) -> None:
    row = {"prompt": turn("user", "q"), "chosen": turn("assistant", "bad"), "rejected": turn("assistant", "good")}
    for to in ("trl", "openrlhf"):
        written, _ = exported(tmp_path, [(pair("q"), first(0.25))], to)
        # The second is better with 0.75: the margin is 0.75 - 0.25.
        assert written == [{**row, "margin": 0.5, "p": 0.75}]


def test_a_preference_for_nemo_ultrafeedback_and_ourselves(tmp_path: Path) -> None:
    item = (pair("q"), first(0.75))
    (nemo,), _ = exported(tmp_path, [item], "nemo")
    assert nemo["context"] == turn("user", "q")
    assert nemo["completions"] == [
        {"rank": 0, "completion": turn("assistant", "good")},
        {"rank": 1, "completion": turn("assistant", "bad")},
    ]
    (ultra,), _ = exported(tmp_path, [item], "ultrafeedback")
    assert (ultra["prompt"], ultra["score_chosen"], ultra["score_rejected"]) == ("q", 0.75, 0.25)
    assert ultra["chosen"] == ultra["messages"] == turn("user", "q") + turn("assistant", "good")
    (own,), _ = exported(tmp_path, [item], "rmjudge")
    assert own["id"] == pair("q").id
    assert own["judgement"] == {"task": "preference", "verdict": "first", "p_first": 0.75, "consistent": True}


def test_unpaired_from_preferences_and_from_outcomes(tmp_path: Path) -> None:
    written, _ = exported(tmp_path, [(pair("q"), first(0.75))], kind="unpaired")
    assert [(row["completion"], row["label"], row["p"]) for row in written] == [
        (turn("assistant", "good"), True, 0.75),
        (turn("assistant", "bad"), False, 0.25),
    ]
    response = Response(prompt=user("q"), response=said("4"))
    written, done = exported(tmp_path, [(response, Outcome(verdict="wrong", p_correct=0.2))])
    assert done.kind == "unpaired"
    assert written == [{"prompt": turn("user", "q"), "completion": turn("assistant", "4"), "label": False, "p": 0.2}]
    written, _ = exported(tmp_path, [(response, Outcome(verdict="wrong", p_correct=0.2))], "openrlhf")
    assert written == [{"output": turn("user", "q") + turn("assistant", "4"), "label": 0, "p": 0.2}]


def test_steps_end_where_one_could_not_be_read_and_neutral_is_right(tmp_path: Path) -> None:
    solution = Solution(prompt=user("q"), steps=("a", "b", "c", "d"))
    steps = Steps(verdict=("right", "neutral", "wrong", None), p_right=(0.9, 0.6, 0.1, None), first_wrong=2)
    (row,), done = exported(tmp_path, [(solution, steps)])
    assert done.kind == "stepwise"
    assert row == {
        "prompt": "q",
        "completions": ["a", "b", "c"],
        "labels": [True, True, False],
        "p_right": [0.9, 0.6, 0.1],
    }
    (row,), _ = exported(tmp_path, [(solution, steps)], "openrlhf")
    assert row == {"input": "q a ки\nb ки\nc ки", "label": ["+", "+", "-"], "p_right": [0.9, 0.6, 0.1]}


def test_tools_are_passed_on_to_trl(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "add"}}]
    one = replace(pair("q"), meta={"tools": tools, "source": "s"})
    assert exported(tmp_path, [(one, first())])[0][0]["tools"] == tools
    assert "tools" not in exported(tmp_path, [(one, first())], "nemo")[0][0]


def test_a_ranking_gives_every_pair_of_it(tmp_path: Path) -> None:
    ranking = Ranking(prompt=user("q"), responses=(said("a"), said("b"), said("c")))
    order = Order(verdict=(2, 0, 1), strengths=(0.0, -1.0, 1.0))
    written, _ = exported(tmp_path, [(ranking, order)])
    pairs = [(row["chosen"][0]["content"], row["rejected"][0]["content"], round(row["p"], 4)) for row in written]
    # sigmoid(1) = 0.7311, sigmoid(2) = 0.8808.
    assert pairs == [("c", "a", 0.7311), ("c", "b", 0.8808), ("a", "b", 0.7311)]


def revised(prompt: str = "q") -> Item:
    """Round 1 kept, round 2 lost: the original "1" became "2", and "3" was worse than "2"."""
    rounds = (
        Round(number=1, critique="c", text="2", verdict="first", p_better=0.9, consistent=True, kept=True),
        Round(number=2, critique="c", text="3", verdict="second", p_better=0.2, consistent=False),
        Round(number=2, critique="No faults found."),
    )
    record = Response(prompt=user(prompt), response=())
    return record, Revision(verdict="2", original="1", stopped="nothing found", rounds=rounds)


def test_a_revision_gives_every_round_that_was_judged_also_where_the_text_before_won(tmp_path: Path) -> None:
    written, _ = exported(tmp_path, [revised()])
    told = [(row["chosen"][0]["content"], row["rejected"][0]["content"], row["p"]) for row in written]
    assert told == [("2", "1", 0.9), ("2", "3", 0.8)]
    written, _ = exported(tmp_path, [revised()], kind="sft")
    assert written == [{"prompt": turn("user", "q"), "completion": turn("assistant", "2")}]
    written, _ = exported(tmp_path, [revised()], agree=True)
    assert [row["p"] for row in written] == [0.9]


def test_what_lies_beside_a_run_of_revision(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [revised("b"), revised("a")])
    assert write_revised(run) == {"supervised": 2, "preferences": 4}
    assert {row["prompt"][0]["content"] for row in rows(run, "supervised")} == {"a", "b"}
    assert {tuple(row) for row in rows(run, "preferences")} == {("prompt", "chosen", "rejected", "margin", "p")}


def test_a_revision_that_was_gone_on_with_against_the_referee_is_still_an_answer(tmp_path: Path) -> None:
    worse = Round(number=1, critique="worse", text="2", verdict="second", p_better=0.1, kept=True)
    judgement = Revision(verdict="2", original="1", stopped="rounds", rounds=(worse,))
    item: Item = (Response(prompt=user("q"), response=()), judgement)
    written, _ = exported(tmp_path, [item], kind="sft")
    assert written == [{"prompt": turn("user", "q"), "completion": turn("assistant", "2")}]
    with pytest.raises(ConfigError, match="below the least margin: 1"):
        exported(tmp_path, [item], kind="sft", margin=0.1)


# ---------------------------------------------------------------------------------------------------------------------
# Filters


def test_filters_leave_out_and_count(tmp_path: Path) -> None:
    items: list[Item] = [
        (pair("sure"), first(0.95)),
        (pair("unsure"), first(0.6)),
        (pair("tie"), first(0.5)),
        (pair("flips"), first(0.9, consistent=False)),
        (pair("one order"), first(0.9, consistent=None)),
        (pair("same", "x", "x"), first(0.9)),
    ]
    written, done = exported(tmp_path, items, margin=0.5, agree=True)
    assert [row["prompt"][0]["content"] for row in written] == ["sure"]
    assert done.left_out == {
        "below_min_margin": 1,
        "tie": 1,
        "orders_disagree": 2,
        "equal_responses": 1,
    }
    assert done.records == 6


def test_ties_stay_only_where_a_format_can_say_so(tmp_path: Path) -> None:
    items: list[Item] = [(pair("tie"), first(0.5)), (pair("sure"), first(0.95))]
    for to in ("trl", "openrlhf", "nemo", "ultrafeedback"):
        assert len(exported(tmp_path, items, to)[0]) == 1
    written, _ = exported(tmp_path, items, "rmjudge")
    assert sorted(row["judgement"]["verdict"] for row in written)[-1] == "tie"
    assert len(exported(tmp_path, items, "rmjudge", ties=False)[0]) == 1


def test_a_pair_and_its_mirror_image_are_one_example_and_contradictions_are_told_apart(tmp_path: Path) -> None:
    mirror = pair("q").swap()
    same, other = (mirror, first(0.1)), (mirror, first(0.9))
    written, done = exported(tmp_path, [(pair("q"), first(0.9)), same])
    assert (len(written), done.left_out) == (1, {"repeated": 1})
    written, done = exported(tmp_path, [(pair("q"), first(0.9)), other])
    assert (len(written), done.left_out) == (1, {"contradiction": 1})


@pytest.mark.parametrize("to", ["nemo", "rmjudge"])
def test_either_place_holds_the_better_response_just_as_often(tmp_path: Path, to: str) -> None:
    items: list[Item] = [(pair(f"q{n}"), first(0.9)) for n in range(40)]
    written, done = exported(tmp_path, items, to)
    if to == "nemo":
        places = Counter(row["completions"][0]["rank"] for row in written)
    else:
        places = Counter(int(row["judgement"]["verdict"] == "second") for row in written)
        assert all((row["judgement"]["p_first"] > 0.5) == (row["first"][0]["content"] == "good") for row in written)
    assert places == {0: 20, 1: 20}
    assert done.second == 20


# ---------------------------------------------------------------------------------------------------------------------
# Splits, card, directory


def test_all_examples_of_a_prompt_are_on_one_side_and_stay_there(tmp_path: Path) -> None:
    items: list[Item] = [(pair(f"q{n % 50}", f"good {n}"), first(0.9)) for n in range(200)]
    run = write_run(tmp_path / "run", items)
    done = export_run(run, tmp_path / "out", ExportOptions(to="trl", validation=0.3))
    sides = [{row["prompt"][0]["content"] for row in rows(tmp_path / "out", name)} for name in ("train", "validation")]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 50
    assert done.rows.total() == 200
    more = write_run(tmp_path / "more", [*items, *((pair(f"new {n}"), first(0.9)) for n in range(50))])
    export_run(more, tmp_path / "out2", ExportOptions(to="trl", validation=0.3))
    assert sides[1] <= {row["prompt"][0]["content"] for row in rows(tmp_path / "out2", "validation")}


def test_the_share_that_is_held_out_is_the_one_that_was_asked_for() -> None:
    lots = Counter(split_of(f"prompt {n}", 0.2, 7) for n in range(10_000))
    # 2,000 expected, standard deviation 40.
    assert abs(lots["validation"] - 2_000) < 160
    assert {split_of(f"prompt {n}", 0.0, 7) for n in range(100)} == {"train"}
    assert [split_of(f"{n}", 0.5, 1) for n in range(64)] != [split_of(f"{n}", 0.5, 2) for n in range(64)]


def test_the_order_in_which_a_run_was_made_changes_no_byte(tmp_path: Path) -> None:
    items: list[Item] = [(pair(f"q{n}"), first(0.9)) for n in range(30)]
    here, there = write_run(tmp_path / "a" / "run", items), write_run(tmp_path / "b" / "run", items[::-1])
    for run in (here, there):
        export_run(run, run.parent / "out", ExportOptions(to="nemo", validation=0.3))
    names = sorted(path.name for path in (tmp_path / "a" / "out").iterdir())
    assert names == ["README.md", "train.jsonl", "validation.jsonl"]
    assert all((tmp_path / "a/out" / n).read_bytes() == (tmp_path / "b/out" / n).read_bytes() for n in names)


def test_the_card_says_where_the_data_comes_from(tmp_path: Path) -> None:
    config = {"constitution": {"name": "careful", "hash": "c0ffee"}}
    run = write_run(tmp_path / "run", [(pair("q"), first(0.9)), (pair("t"), first(0.5))], config=config)
    export_run(run, tmp_path / "out", ExportOptions(to="trl", validation=0.0, licence="cc-by-4.0"))
    text = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "train.jsonl"}]
    for line in [
        "| rows of train | 1 |",
        "| left out: a tie | 1 |",
        "| judge | scripted m\\|n |",
        "| prompt | preference/default (f00d) |",
        "| constitution | careful (c0ffee) |",
        "| licence | cc-by-4.0 |",
    ]:
        assert line in text


def test_datasets_loads_the_directory_by_its_card(tmp_path: Path) -> None:
    from datasets import load_dataset

    run = write_run(tmp_path / "run", [(pair(f"q{n}"), first(0.9)) for n in range(20)])
    export_run(run, tmp_path / "out", ExportOptions(to="trl", validation=0.3))
    found = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert sorted(found) == ["train", "validation"]
    assert sum(len(part) for part in found.values()) == 20
    assert found["train"][0]["chosen"] == turn("assistant", "good")


@pytest.mark.parametrize("to", ["trl", "openrlhf", "nemo", "ultrafeedback", "rmjudge"])
def test_our_own_reader_reads_what_is_written(tmp_path: Path, to: str) -> None:
    exported(tmp_path, [(pair("q"), first(0.75)), (pair("r"), first(0.25))], to)
    for _, record in read_records(tmp_path / f"out-{to}-" / "train.jsonl"):
        assert isinstance(record, Pair)
        assert record.prompt in (user("q"), user("r"))


def test_a_directory_that_is_there_is_replaced_only_on_demand(tmp_path: Path) -> None:
    run, out = write_run(tmp_path / "run", [(pair("q"), first(0.9))]), tmp_path / "out"
    export_run(run, out, ExportOptions(to="trl"))
    (out / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is there already"):
        export_run(run, out, ExportOptions(to="trl"))
    assert (out / "mine.txt").read_text() == "mine"
    export_run(run, out, ExportOptions(to="trl"), force=True)
    assert not (out / "mine.txt").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"to": "trll"}, "did you mean 'trl'"),
        ({"to": "trl", "kind": "stepwize"}, "did you mean 'stepwise'"),
        ({"to": "trl", "kind": "stepwise"}, "task 'preference' give no stepwise data"),
        ({"to": "ultrafeedback", "kind": "unpaired"}, "ultrafeedback has no unpaired data"),
        ({"to": "trl", "margin": 2.0}, "from 0 to 1"),
        ({"to": "trl", "validation": 1.0}, "below 1"),
        ({"to": "trl", "margin": 0.99}, "nothing is left to export"),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_written(
    tmp_path: Path, choice: dict[str, Any], message: str
) -> None:
    run = write_run(tmp_path / "run", [(pair("q"), first(0.9))])
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        export_run(run, tmp_path / "out", ExportOptions(**choice))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_row_that_is_none_is_named_by_its_line(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [(pair("q"), first(0.9)), (pair("r"), first(0.9))])
    path = run / "labels.jsonl"
    path.write_text(path.read_text().replace('"verdict": "first"', '"verdikt": "first"', 1))
    with pytest.raises(InputError, match=r"labels\.jsonl:1: field 'judgement\.verdikt': unknown"):
        export_run(run, tmp_path / "out", ExportOptions(to="trl"))
    assert not (tmp_path / "out").exists()


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [(pair("q"), first(0.9))])
    with (run / "labels.jsonl").open("a") as file:
        file.write('{"id": "torn')
    assert export_run(run, tmp_path / "out", ExportOptions(to="trl", validation=0.0)).records == 1
