"""`rmjudge agree` from the outside: the answer, what it refuses, and how it ends."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from judge.cli.main import main
from judge.formats import from_row, to_row
from tests.agreement.support import Row, judged, pair_row, votes

FEW = ["--resamples", "50"]


def write(path: Path, rows: Sequence[Row]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path.parent if path.name == "labels.jsonl" else path)


def run_of(folder: Path, letters: str, name: str = "run") -> str:
    return write(folder / name / "labels.jsonl", [judged(pair_row(at), letter) for at, letter in enumerate(letters)])


def people(folder: Path, said: Sequence[str], name: str = "human.jsonl") -> str:
    return write(folder / name, [votes(pair_row(at), one) for at, one in enumerate(said)])


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """The one line of a refusal."""
    assert main(["agree", *args, *FEW]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def told(capsys: pytest.CaptureFixture[str], *args: str, rc: int = 0) -> dict[str, Any]:
    assert main(["agree", *args, *FEW, "--json"]) == rc
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_every_row_is_accounted_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Eight labelled rows: six judged readably (four right), one in vain, one not; one judged without a label."""
    run = run_of(tmp_path, "ffssff-")
    with (tmp_path / "run" / "failures.jsonl").open("w") as file:
        file.write(json.dumps(judged(pair_row(6), "-")) + "\n")
    write(tmp_path / "run" / "labels.jsonl", [judged(pair_row(at), one) for at, one in enumerate("ffssff")])
    with (tmp_path / "run" / "labels.jsonl").open("a") as file:
        file.write(json.dumps(judged(pair_row(99), "f")) + "\n")
    report = told(capsys, run, "--human", people(tmp_path, ["f", "f", "s", "s", "s", "s", "f", "f"]))
    (judge,) = report["judges"]
    assert judge["coverage"] == {
        "labelled": 8,
        "readable": 6,
        "unreadable": 1,
        "missing": 1,
        "unlabelled": 1,
        "duplicates": 0,
        "repeated_votes": 0,
        "prompts": 8,
    }
    main_figure = judge["agreement"][0]
    assert (main_figure["value"], main_figure["n"]) == (4 / 6, 6)
    assert (main_figure["unreadable"], main_figure["missing"]) == (1, 1)
    assert report["disagreements_total"] == 3
    assert [row["human"] for row in report["disagreements"]] == ["second", "second", "first"]
    assert [row["judge"] for row in report["disagreements"]] == ["first", "first", "unreadable"]
    assert report["disagreements"][0]["texts"] == {"first": "one", "second": "two"}


def test_labels_in_the_run_serve_without_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [judged(pair_row(at), "f") | {"human": votes(pair_row(at), "fs"[at % 2])["human"]} for at in range(4)]
    report = told(capsys, write(tmp_path / "run" / "labels.jsonl", rows))
    assert report["judges"][0]["agreement"][0]["value"] == 0.5


def test_no_common_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    human = write(tmp_path / "human.jsonl", [votes(pair_row(at), "f") for at in range(100, 105)])
    line = refused(capsys, run_of(tmp_path, "fff"), "--human", human)
    assert line.startswith(
        "rmjudge: run: none of its 3 rows is among the 5 that people labelled; were the texts changed?"
    )


def test_verdicts_of_different_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = pair_row(1) | {"judgement": {"task": "outcome", "verdict": "right"}}
    other = write(tmp_path / "other" / "labels.jsonl", [row])
    line = refused(capsys, run_of(tmp_path, "ff"), other, "--human", people(tmp_path, ["f", "f"]))
    assert line == "rmjudge: other: its verdicts are of the task outcome, the others' of preference"
    critiques = write(
        tmp_path / "c" / "labels.jsonl", [pair_row(1) | {"judgement": {"task": "critique", "verdict": "x"}}]
    )
    assert "a critique has no verdict that people could share" in refused(capsys, critiques)


def test_human_labels_of_another_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = pair_row(0) | {"human": [{"annotator": "a", "verdict": 3.0, "criterion": "helpful"}]}
    line = refused(capsys, run_of(tmp_path, "ff"), "--human", write(tmp_path / "human.jsonl", [row]))
    assert line.endswith(
        "no human label in it that fits the task preference (found: 1 × number of the criterion 'helpful' on a pair; "
        "accepted: one of first, second, tie)"
    )


def scored(folder: Path, name: str, body: Row) -> str:
    row = to_row(from_row({"prompt": "question", "response": "x"}))
    return write(folder / name, [{**row, **body}])


def test_categories_beside_a_judge_who_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = scored(tmp_path / "run", "labels.jsonl", {"judgement": {"task": "score", "verdict": {"tone": 3}}})
    human = scored(tmp_path, "human.jsonl", {"human": [{"annotator": "a", "verdict": "warm"}]})
    assert refused(capsys, run, "--human", human).endswith(
        "fits the task score (found: 1 × category on a response; accepted: a number for each criterion)"
    )


def test_criteria_that_do_not_meet_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = scored(tmp_path / "run", "labels.jsonl", {"judgement": {"task": "score", "verdict": {"tone": 3}}})
    human = scored(tmp_path, "human.jsonl", {"human": [{"annotator": "a", "verdict": 4}]})
    assert refused(capsys, run, "--human", human) == (
        "rmjudge: run: none of its 1 rows is among the 1 that people labelled; it has the criteria tone, people have "
        "(the whole)"
    )


def test_people_alone_need_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = told(capsys, "--human", people(tmp_path, ["ff", "ss", "fs", "tt"]))
    assert report["judges"] == []
    assert report["people"]["human"]["value"] == 3 / 4
    assert report["people"]["pairs"][0]["figures"][0]["value"] == 3 / 4
    assert "name a judge's run, or people's labels with --human" in refused(capsys)


def test_nothing_readable_is_null_and_a_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path, "----")
    assert main(["agree", run, "--human", people(tmp_path, ["ff", "ss", "fs", "tt"]), *FEW, "--json"]) == 0
    text = capsys.readouterr().out

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in the report")

    (judge,) = json.loads(text, parse_constant=refuse)["judges"]
    assert {figure["value"] for figure in judge["agreement"]} == {None}
    assert {(figure["n"], figure["unreadable"]) for figure in judge["agreement"]} == {(0, 4)}
    assert judge["ceiling"]["human"]["value"] is None


UNREADABLE: dict[str, tuple[Row, Any]] = {
    "score": ({"kind": "response", "response": "x"}, 3),
    "outcome": ({"kind": "response", "response": "x"}, "right"),
    "steps": ({"kind": "solution", "steps": ["x", "y"]}, 1),
    "ranking": ({"kind": "ranking", "responses": ["x", "y", "z"]}, [0, 1, 2]),
}


@pytest.mark.parametrize("task", UNREADABLE)
def test_nothing_readable_in_any_task_by_two_judges(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    """Eight rows, two people, two judges of whom nobody said anything: nulls and counts, no NaN and no warning."""
    body, verdict = UNREADABLE[task]
    runs, human = [], []
    for number in range(8):
        record = to_row(from_row({"prompt": f"question {number}", **body}))
        lost = {"": None} if task == "score" else [None, None] if task == "steps" else None
        runs.append({**record, "judgement": {"task": task, "verdict": lost, "readings": []}})
        human.append({**record, "human": [{"annotator": who, "verdict": verdict} for who in "ab"]})
    files = [write(tmp_path / name / "labels.jsonl", runs) for name in ("one", "two")]
    args = [*files, "--human", write(tmp_path / "human.jsonl", human), "--report", str(tmp_path / "page.html")]
    assert main(["agree", *args, *FEW, "--json"]) == 0
    text = capsys.readouterr().out
    assert "NaN" not in text
    for judge in json.loads(text)["judges"]:
        assert judge["coverage"]["unreadable"] == 8
        assert {figure["value"] for figure in judge["agreement"]} == {None}
    assert main(["agree", *args, *FEW]) == 0


def turned(row: Row) -> Row:
    """A judged row as a run in the other order has it."""
    reading = {"first": "second", "second": "first", "tie": "tie"}
    said = row["judgement"]
    readings = [
        {"asked": "swapped" if one["asked"] == "forward" else "forward", "verdict": reading[one["verdict"]], "text": ""}
        for one in said["readings"]
    ]
    judgement = {**said, "verdict": reading[said["verdict"]], "p_first": 1 - said["p_first"], "readings": readings}
    return {**row, "first": row["second"], "second": row["first"], "judgement": judgement}


def own_id(row: Row) -> Row:
    """The row under the id that its texts make."""
    return {**row, "id": from_row({name: row[name] for name in ("kind", "prompt", "first", "second")}).id}


def test_a_second_run_in_the_other_order_is_turned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows 1 and 3 stand the other way round in the second run, which says the same of all four: nothing may differ."""
    rows = [
        judged(pair_row(at, first=f"a{at}", second=f"b{at}"), one, one, 0.9 if one == "f" else 0.2)
        for at, one in enumerate("ffss")
    ]
    run = write(tmp_path / "one" / "labels.jsonl", [own_id(row) for row in rows])
    mixed = [own_id(turned(row) if at % 2 else row) for at, row in enumerate(rows)]
    other = write(tmp_path / "two" / "labels.jsonl", mixed)
    said = [votes(own_id(row), "f") for row in rows]
    human = write(tmp_path / "human.jsonl", [{**row, "judgement": None} for row in said])
    report = told(capsys, run, other, "--human", human)
    first, second = report["judges"]
    assert second["coverage"] == first["coverage"]
    assert second["coverage"]["missing"] == 0
    assert second["agreement"] == first["agreement"]
    assert first["agreement"][0]["value"] == 2 / 4
    # What the second run said of a turned row is shown in the order of the first.
    answers = {(row["judge_name"], row["id"]): row["answers"] for row in report["disagreements"]}
    by_judge = [{key: value for (name, key), value in answers.items() if name == run} for run in ("one", "two")]
    assert by_judge[0].keys() == by_judge[1].keys()
    for key, readings in by_judge[0].items():
        assert sorted(one["asked"] for one in by_judge[1][key]) == sorted(one["asked"] for one in readings)
        assert {one["verdict"] for one in by_judge[1][key]} == {"second"}


def test_rows_joined_by_a_field_are_turned_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = pair_row(0, first="x", second="y", meta={"idx": 7})
    run = write(tmp_path / "run" / "labels.jsonl", [judged(row, "f")])
    saw = {**row, "first": row["second"], "second": row["first"], "prompt": [{"role": "user", "content": "Edited"}]}
    human = write(tmp_path / "human.jsonl", [votes(saw, "s")])
    report = told(capsys, run, "--human", human, "--key", "idx")
    assert report["judges"][0]["agreement"][0]["value"] == 1


def test_no_human_labels_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name a file with --human" in refused(capsys, run_of(tmp_path, "ff"))


def test_duplicate_ids_are_counted_and_the_first_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = told(capsys, run_of(tmp_path, "ffff"), "--human", people(tmp_path, ["f"] * 4))
    assert report["judges"][0]["coverage"]["duplicates"] == 0
    rows = [judged(pair_row(0), "f"), judged(pair_row(0), "s"), judged(pair_row(1), "f")]
    twice = write(tmp_path / "twice" / "labels.jsonl", rows)
    report = told(capsys, twice, "--human", people(tmp_path, ["f", "f"]))
    assert report["judges"][0]["coverage"]["duplicates"] == 1
    assert report["judges"][0]["agreement"][0]["value"] == 1
    assert "duplicates" in [flag["name"] for flag in report["flags"]]


@pytest.mark.parametrize("said", [["f", "s", "f"], ["t"] * 40, ["f"] * 40, ["fs"] * 40])
def test_thin_data_is_answered_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: list[str]
) -> None:
    run = run_of(tmp_path, "fs" * 20)
    assert main(["agree", run, "--human", people(tmp_path, said), *FEW]) == 0
    assert "too few" in (out := capsys.readouterr().out.lower()) or "annotator" in out or "cannot" in out


def test_broken_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    human = people(tmp_path, ["f"] * 3)
    run = run_of(tmp_path, "fff")
    (tmp_path / "run" / "labels.jsonl").write_text('{"id": "a", "kind"\n{}\n')
    assert "labels.jsonl:1: broken JSON" in refused(capsys, run, "--human", human)
    assert "no such file or run directory" in refused(capsys, str(tmp_path / "none"), "--human", human)
    (tmp_path / "empty").mkdir()
    assert "no run directory" in refused(capsys, str(tmp_path / "empty"), "--human", human)
    (tmp_path / "run" / "labels.jsonl").write_text("")
    assert "no rows in it" in refused(capsys, run, "--human", human)


SAID = {"task": "preference", "verdict": "first"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"judgement": {}}, "no field 'task' (found: nothing)"),
        ({"judgement": {**SAID, "readings": [{}]}}, "no field 'verdict' (found: nothing)"),
        ({"judgement": {**SAID, "p_first": "high"}}, "'p_first' is 'high' (accepted: a probability, 0 to 1)"),
        ({"judgement": {"task": "outcome", "verdict": "right"}}, "its verdict is of the task outcome, those before"),
        ({"judgement": SAID, "kind": "bear"}, "field 'kind': found \"bear\" (accepted: pair, "),
        ({"judgement": SAID, "first": "one"}, "no row of rmjudge: "),
        ({"judgement": None, "human": [{"verdict": "first"}] * 2}, "it holds labels and no judge's"),
    ],
)
def test_a_row_that_is_not_as_rmjudge_writes_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: Row, message: str
) -> None:
    rows = [judged(pair_row(0), "f"), {**pair_row(1), **row}]
    run = write(tmp_path / "run" / "labels.jsonl", rows)
    assert f"labels.jsonl:2: {message}" in refused(capsys, run, "--human", people(tmp_path, ["f"] * 3))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"annotator": "a"}, "no field 'verdict' (found: annotator)"),
        ("first", "field 'human[0]': found \"first\" (accepted: an object)"),
        (
            {"annotator": "a", "verdict": "A"},
            "field 'human.verdict': found 'A' (accepted by the task preference: first, second, tie)",
        ),
    ],
)
def test_a_broken_label_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], label: Any, message: str) -> None:
    human = write(tmp_path / "human.jsonl", [votes(pair_row(0), "f"), {**pair_row(1), "human": [label]}])
    assert f"human.jsonl:2: {message}" in refused(capsys, run_of(tmp_path, "ff"), "--human", human)


def test_labels_written_by_hand_may_hold_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row with an id and a kind of the user's own, and texts where message lists stand: it meets by its content."""
    from judge.formats import from_row

    row = {"id": "7", "kind": "pair", "prompt": "q", "first": "a", "second": "b"}
    record = from_row({name: row[name] for name in ("prompt", "first", "second")})
    turns = {
        name: [{"role": "user" if name == "prompt" else "assistant", "content": row[name]}] for name in list(row)[2:]
    }
    run = write(
        tmp_path / "run" / "labels.jsonl", [judged({"id": record.id, "kind": "pair", "meta": {}, **turns}, "f")]
    )
    human = write(tmp_path / "human.jsonl", [{**row, "human": [{"annotator": "a", "verdict": "second"}]}])
    assert told(capsys, run, "--human", human)["judges"][0]["agreement"][0]["value"] == 0


def test_a_slice_that_no_row_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(tmp_path / "run" / "labels.jsonl", [judged(pair_row(0, meta={"source": "web"}), "f")])
    line = refused(capsys, run, "--human", people(tmp_path, ["f"]), "--slice", "sourse")
    assert line == "rmjudge: no row has a field 'sourse' to slice by (fields: source)"


def test_a_torn_last_line_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path, "ffff")
    path = tmp_path / "run" / "labels.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    report = told(capsys, run, "--human", people(tmp_path, ["f"] * 4))
    assert report["judges"][0]["coverage"]["readable"] == 3


def test_a_saved_report_is_a_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    human = people(tmp_path, ["f", "s"] * 50)
    good, poor = run_of(tmp_path, "fs" * 45 + "sf" * 5, "good"), run_of(tmp_path, "fs" * 25 + "sf" * 25, "poor")
    saved = tmp_path / "base.json"
    saved.write_text(json.dumps(told(capsys, good, "--human", human)))
    assert told(capsys, good, "--human", human, "--baseline", str(saved))["changes"]
    worse = told(capsys, poor, "--human", human, "--baseline", str(saved), rc=1)
    (change,) = [one for one in worse["changes"] if one["name"] == "accuracy"]
    assert (change["before"], change["now"], change["worse"]) == (0.9, 0.5, True)
    saved.write_text("{}")
    assert "base.json: no saved report" in refused(capsys, good, "--human", human, "--baseline", str(saved))


def test_several_judges_make_a_league(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On 60 rows: a right on all, b on 54, c on 30."""
    human = people(tmp_path, ["f", "s"] * 30)
    runs = [
        run_of(tmp_path, letters, name)
        for name, letters in (("c", "fs" * 15 + "sf" * 15), ("a", "fs" * 30), ("b", "fs" * 27 + "sf" * 3))
    ]
    league = told(capsys, *runs, "--human", human)["league"]
    assert [(row["name"], row["figure"]["value"]) for row in league["rows"]] == [("a", 1.0), ("b", 0.9), ("c", 0.5)]
    assert league["common"] == 60
    found = {(one["first"], one["second"]): one for one in league["comparisons"]}
    assert found["a", "c"]["difference"]["value"] == 0.5
    assert found["a", "c"]["p_value"] < 0.15  # 50 resamples reach 2/51, times three by Holm's correction
    assert (found["a", "b"]["only_first_right"], found["a", "b"]["only_second_right"]) == (6, 0)


def test_slices_and_the_same_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [pair_row(at, meta={"source": "web" if at % 2 else "books"}) for at in range(80)]
    run = write(tmp_path / "run" / "labels.jsonl", [judged(row, "f") for row in rows])
    human = write(tmp_path / "human.jsonl", [votes(row, "fs"[at % 2]) for at, row in enumerate(rows)])
    report = told(capsys, run, "--human", human, "--slice", "source")
    parts = {part["value"]: part for part in report["judges"][0]["slices"] if part["field"] == "source"}
    assert (parts["books"]["figure"]["value"], parts["web"]["figure"]["value"]) == (1.0, 0.0)
    assert parts["web"]["worse"]
    assert told(capsys, run, "--human", human, "--slice", "source") == report


def test_a_triangle_and_a_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Eight rows, people always first: the judge is wrong on two, its model on three of which one is the judge's."""
    runs = [run_of(tmp_path, letters, name) for name, letters in (("judge", "ffffffss"), ("model", "ffffssfs"))]
    human = people(tmp_path, ["f"] * 8)
    report = told(capsys, *runs, "--human", human, "--triangle", "--benchmark", "judgebench")
    triangle = report["triangle"]
    assert triangle["parts"] == {"all_agree": 4, "model_alone": 2, "judge_alone": 1, "human_alone": 1, "all_differ": 0}
    assert [triangle[name]["value"] for name in ("human_judge", "judge_model", "human_model")] == [6 / 8, 5 / 8, 5 / 8]
    assert triangle["inherited"]["value"] == 1 / 2
    assert [one["figures"][0]["value"] for one in report["benchmarks"]] == [6 / 8, 5 / 8]
    assert "did you mean 'judgebench'?" in refused(capsys, *runs, "--human", human, "--benchmark", "judgebenc")


def test_a_reward_models_run_beside_its_judges_makes_a_triangle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model's rows have a probability and no readings; its manifest says what kind it is. Of four rows the judge is
    wrong on the last two, the model on the third."""
    human, judge = people(tmp_path, ["f"] * 4), run_of(tmp_path, "ffss", "judge")
    said = [
        {"task": "preference", "verdict": "first" if p > 0.5 else "second", "p_first": p} for p in (0.9, 0.8, 0.4, 0.6)
    ]
    rows = [pair_row(at) | {"judgement": one, "human": []} for at, one in enumerate(said)]
    model = write(tmp_path / "model" / "labels.jsonl", rows)
    (tmp_path / "model" / "manifest.json").write_text('{"config": {"model": {"kind": "scalar"}}}')
    page = tmp_path / "page.html"
    triangle = told(capsys, judge, model, "--human", human, "--report", str(page))["triangle"]
    assert (triangle["judge"], triangle["model"]) == ("judge", "model")
    assert [triangle[name]["value"] for name in ("human_judge", "judge_model", "human_model")] == [2 / 4, 3 / 4, 3 / 4]
    assert triangle["inherited"]["value"] == 1 / 2
    assert "People, judge and distilled model" in page.read_text()
    assert told(capsys, judge, judge, "--human", human)["triangle"] is None
    assert "--triangle takes two runs" in refused(capsys, judge, "--human", human, "--triangle")


def test_rewardbench2_and_prm800k_are_reached_from_their_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ranking run on RewardBench 2's rows; PRM800K's samples with the scores of its authors' own model."""
    row = {"id": "1", "prompt": "Sum?", "chosen": ["2"], "rejected": ["3", "4", "5"], "subset": "Math"}
    file, rules = (
        write(tmp_path / "rb2.jsonl", [row]),
        write(tmp_path / "rules.jsonl", [{"match": ".", "text": "[[1 > 2 > 3 > 4]]"}]),
    )
    run = str(tmp_path / "run")
    asked = ["--task", "ranking", "--judge", f"scripted:{rules}", "--out", run, "--quiet"]
    assert main(["label", file, *asked]) == 0
    capsys.readouterr()
    (found,) = told(capsys, run, "--human", file, "--benchmark", "rewardbench2")["benchmarks"]
    assert {one["of"]: one["value"] for one in found["figures"]} == {"": 1.0, "Math": 1.0}
    samples = [
        {"problem": problem, "steps": [f"{score}"], "answer": "1", "is_correct": right, "prm_score": score}
        for problem, score, right in [("p", 0.9, True), ("p", 0.5, False), ("q", 0.8, False), ("q", 0.1, True)]
    ]
    file = write(tmp_path / "samples.jsonl", samples)
    (found,) = told(capsys, file, "--human", file, "--benchmark", "prm800k")["benchmarks"]
    assert {one["of"]: one["value"] for one in found["figures"]} == {"1": 0.5, "2": 0.5}
    assert "takes a run of the task ranking" in refused(capsys, file, "--human", file, "--benchmark", "rewardbench2")
