"""`rmjudge constitution` and `rmjudge label --constitution`, run as a user runs them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Cli

MINE = """\
name: mine
version: 1
description: Two principles.
principles:
  - id: right
    text: The answer is right.
    weight: 2
    examples:
      - {prompt: "1+1?", first: It is 2., second: It is 3., verdict: first}
  - id: short
    text: The answer is short.
"""
BROKEN = "name: mine\nversion: 1\ndescription: d\nprinciples:\n  - id: a\n    text: 4\n    wieght: 2\n"
# A judge that knows that 2 is right, finds "3" short, and abstains on everything else.
RULES = [
    {"match": r"response_a>\nIt is 2[\s\S]*is right", "text": "A"},
    {"match": r"response_b>\nIt is 2[\s\S]*is right", "text": "B"},
    {"match": r"response_a>\n3[\s\S]*is short", "text": "A"},
    {"match": r"response_b>\n3[\s\S]*is short", "text": "B"},
    {"match": ".", "text": "C"},
]
JUDGE = "scripted:rules.jsonl"
PAIRS = [
    {"prompt": f"1+1? ({number})", "chosen": "It is 2.", "rejected": "3" if number % 2 else "It is 3."}
    for number in range(12)
]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a constitution, a judge and pairs."""
    (tmp_path / "mine.yaml").write_text(MINE, encoding="utf-8")
    (tmp_path / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    for name, rows in (("rules.jsonl", RULES), ("pairs.jsonl", PAIRS)):
        (tmp_path / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return tmp_path


def test_new_writes_a_file_that_is_clean_and_never_overwrites_one(cli: "Cli", here: Path) -> None:
    assert cli("constitution", "new", "fresh.yaml").rc == 0
    text = (here / "fresh.yaml").read_text("utf-8")
    assert "# One statement that is true of a good response" in text
    lint = cli("constitution", "lint", "fresh.yaml")
    assert (lint.rc, lint.stdout, lint.stderr) == (0, "", "1 constitution: nothing found\n")
    again = cli("constitution", "new", "mine.yaml")
    assert (again.rc, again.stderr) == (2, "rmjudge: mine.yaml: exists already; name another file\n")
    assert (here / "mine.yaml").read_text("utf-8") == MINE
    assert cli("constitution", "new", "no/where.yaml").rc == 2


def test_list_and_show(cli: "Cli", here: Path) -> None:
    listed = cli("constitution", "list")
    assert listed.rc == 0 and "careful-mathematics" in listed.stdout
    rows = json.loads(cli("constitution", "list", "--json").stdout)
    assert {"helpful", "harmless", "honest", "summaries", "code-review"} <= {row["name"] for row in rows}
    shown = cli("constitution", "show", "mine.yaml").stdout
    assert "1. The answer is right.\n   right (weight 2)" in shown and "✓ It is 2." in shown and "✗ It is 3." in shown
    whole = json.loads(cli("constitution", "show", "mine.yaml", "--json").stdout)
    assert [principle["id"] for principle in whole["principles"]] == ["right", "short"]


def test_show_rendered_is_what_the_judge_sees(cli: "Cli", here: Path) -> None:
    shown = cli("constitution", "show", "mine.yaml", "--rendered").stdout
    assert "<response_a>\nIt is 2.\n</response_a>" in shown
    assert "<judging_principle>\nThe answer is short.\n</judging_principle>" in shown
    assert shown.count("You are a careful") == 1 and "(as above)" in shown
    rows = json.loads(cli("constitution", "show", "mine.yaml", "--rendered", "-p", "bai-2022", "--json").stdout)
    assert [row["principle"] for row in rows] == ["right", "short"] and rows[0]["prompt"] == "preference/bai-2022"


def test_lint_names_everything_by_line_and_exits_with_1(cli: "Cli", here: Path) -> None:
    ran = cli("constitution", "lint", "broken.yaml", "helpful")
    assert (ran.rc, ran.stderr) == (1, "2 constitutions: 2 findings\n")
    assert [line.partition(";")[0] for line in ran.stdout.splitlines()] == [
        "broken.yaml:6: 'text' in principle 1 is a number",
        "broken.yaml:7: unknown key 'wieght' in principle 1",
    ]
    rows = json.loads(cli("constitution", "lint", "broken.yaml", "--json").stdout)
    assert [(row["line"], row["fatal"]) for row in rows] == [(6, True), (7, True)]
    assert cli("constitution", "lint").rc == 0


def test_try_shows_who_speaks_decides_and_abstains(cli: "Cli", here: Path) -> None:
    args = ("constitution", "try", "mine.yaml", "--data", "pairs.jsonl", "--judge", JUDGE)
    ran = cli(*args, "--show", "1", "-q")
    assert ran.rc == 0 and "mine: 12 pairs; all together: 12 first" in ran.stdout
    table = {
        line.split()[0]: line.split()[1:] for line in ran.stdout.splitlines() if line.startswith(("right", "short"))
    }
    # right: weight, speaks, abstains, decides; without it the six that are short turn and the others are ties.
    assert table["right"] == ["2", "12", "(100%)", "0", "(0%)", "12", "(100%)", "0", "(0%)", "0", "(0%)"]
    assert table["short"] == ["1", "6", "(50%)", "6", "(50%)", "0", "(0%)", "6", "(50%)", "0", "(0%)"]
    assert "right / short: 6 of 6" in ran.stdout
    assert "prefer first: right (0.99)\n  prefer second: short (0.01)\n  all together: first (0.66)" in ran.stdout
    row = json.loads(cli(*args, "--limit", "4", "--json", "-q").stdout)
    assert row["pairs"] == 4 and len(row["disputed"]) == 2


def test_ablate_ranks_by_usefulness(cli: "Cli", here: Path) -> None:
    args = ("constitution", "ablate", "mine.yaml", "-d", "pairs.jsonl", "-j", JUDGE, "-q")
    ran = cli(*args)
    assert ran.rc == 0 and ran.stdout.startswith("mine: agreement with people 1.00 [0.74, 1.00] on 12 ")
    row = json.loads(cli(*args, "--json").stdout)
    # Right on 12 of 12: the exact interval begins at the 12th root of 0.025, 0.7354.
    assert row["whole"]["low"] == pytest.approx(0.025 ** (1 / 12)) and row["whole"]["high"] == 1.0
    assert [use["id"] for use in row["principles"]] == ["right", "short"]
    # Alone, `short` is wrong on six pairs and abstains on six: agreement ¼. So it is without `right`.
    assert row["principles"][0]["gain"]["value"] == 0.75 and row["principles"][0]["gain"]["low"] > 0
    assert row["principles"][1]["alone"]["value"] == 0.25 and row["principles"][1]["gain"]["value"] == 0.0
    assert "earns its place" in ran.stdout


def test_ablate_takes_labels_from_another_file_or_of_one_annotator(cli: "Cli", here: Path) -> None:
    labelled = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in PAIRS[:8]]
    (here / "human.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in labelled), encoding="utf-8")
    args = ("constitution", "ablate", "mine.yaml", "-d", "pairs.jsonl", "-j", JUDGE, "-q", "--json", "--human")
    row = json.loads(cli(*args, "human.jsonl").stdout)
    assert (row["pairs"], row["unlabelled"], row["whole"]["value"]) == (8, 4, 0.0)
    ran = cli(*args, "chosn")
    assert ran.rc == 2 and "unknown annotator 'chosn'; did you mean 'chosen'?" in ran.stderr


def test_diff_shows_words_and_verdicts(cli: "Cli", here: Path) -> None:
    (here / "later.yaml").write_text(
        MINE.replace("weight: 2", "weight: 0.5").replace("short.", "brief."), encoding="utf-8"
    )
    ran = cli("constitution", "diff", "mine.yaml", "later.yaml")
    assert ran.rc == 0 and ran.stdout == (
        "mine\nchanged right.weight: [-2-] {+0.5+}\nchanged short.text: The answer is [-short.-] {+brief.+}\n"
    )
    (here / "third.yaml").write_text(MINE.replace("weight: 2", "weight: 0.5"), encoding="utf-8")
    row = json.loads(
        cli("constitution", "diff", "mine.yaml", "third.yaml", "-d", "pairs.jsonl", "-j", JUDGE, "-q", "--json").stdout
    )
    assert row["pairs"] == 12 and len(row["verdict_changes"]) == 6
    assert {(turn["before"], turn["after"]) for turn in row["verdict_changes"]} == {("first", "second")}
    assert cli("constitution", "diff", "mine.yaml", "third.yaml", "-j", JUDGE).rc == 2


def test_test_runs_the_examples_and_exits_with_1_when_one_fails(cli: "Cli", here: Path) -> None:
    ran = cli("constitution", "test", "mine.yaml", "--judge", JUDGE, "-q")
    assert ran.rc == 0
    assert "mine: 1 of 1 examples come out as they say\nwithout an example: short\n" in ran.stdout
    (here / "wrong.yaml").write_text(MINE.replace("verdict: first", "verdict: second"), encoding="utf-8")
    ran = cli("constitution", "test", "wrong.yaml", "--judge", JUDGE, "-q", "--json")
    assert ran.rc == 1
    (row,) = json.loads(ran.stdout)
    assert (row["verdict"], row["passed"], row["example"]["verdict"]) == ("first", False, "second")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["show", "helpfull"], "unknown constitution 'helpfull'; did you mean 'helpful'?"),
        (["show", "nothing.yaml"], "nothing.yaml: cannot be read: No such file or directory"),
        (["show", "broken.yaml"], "broken.yaml:6: 'text' in principle 1 is a number"),
        (["lint", "nothing.yaml"], "nothing.yaml: cannot be read: No such file or directory"),
        (["try", "mine.yaml", "-j", JUDGE], "--data is missing"),
        (["try", "mine.yaml", "-d", "pairs.jsonl"], "--judge is missing"),
        (["try", "mine.yaml", "-d", "rules.jsonl", "-j", JUDGE], "rules.jsonl:1: "),
        (["try", "mine.yaml", "-d", "pairs.jsonl", "-j", "tiny"], "tiny has not learnt to judge under a principle"),
        (["try", "mine.yaml", "-d", "pairs.jsonl", "-j", JUDGE, "-p", "verdict"], "has no place for a principle"),
        (
            ["ablate", "mine.yaml", "-d", "pairs.jsonl", "-j", "scripted:none"],
            "none: cannot be read as a file of rules",
        ),
        (["diff", "mine.yaml", "broken.yaml"], "broken.yaml:7: unknown key 'wieght' in principle 1"),
    ],
)
def test_bad_input_is_one_clear_line(args: list[str], message: str, cli: "Cli", here: Path) -> None:
    ran = cli("constitution", *args)
    assert (ran.rc, ran.stdout) == (2, "")
    assert ran.stderr.startswith("rmjudge: ") and ran.stderr.count("\n") == 1 and message in ran.stderr


def label(cli: "Cli", *more: str) -> "tuple[int, str]":
    out = () if "--out" in more else ("--out", "run")
    ran = cli("label", "pairs.jsonl", "--task", "preference", "--judge", JUDGE, "-q", *out, *more)
    return ran.rc, ran.stderr


def test_label_under_a_constitution(cli: "Cli", here: Path) -> None:
    assert label(cli, "--constitution", "mine.yaml") == (0, "")
    manifest = json.loads((here / "run/manifest.json").read_text("utf-8"))
    assert (
        manifest["config"]["constitution"]["name"] == "mine" and len(manifest["config"]["constitution"]["hash"]) == 32
    )
    assert manifest["config"]["prompt"]["name"] == "preference/principle-verdict"
    tokens = manifest["tokens"]
    assert tokens["calls"] == 12 * 2 * 2 and tokens["computed"] == tokens["prompt"] - tokens["cached"]
    rows = [json.loads(line) for line in (here / "run/labels.jsonl").read_text("utf-8").splitlines()]
    assert all(set(row["judgement"]["principles"]) == {"right", "short"} for row in rows)
    # The words of a principle are a part of the run; its description is not.
    (here / "mine.yaml").write_text(MINE.replace("Two principles.", "Other words."), encoding="utf-8")
    assert label(cli, "--constitution", "mine.yaml")[0] == 0
    (here / "mine.yaml").write_text(MINE.replace("is short.", "is brief."), encoding="utf-8")
    code, said = label(cli, "--constitution", "mine.yaml")
    assert code == 2 and "made by another configuration: constitution.hash: " in said
    code, said = label(cli)
    assert code == 2 and "constitution" in said


def test_a_run_that_was_cut_short_ends_as_one_that_was_not(cli: "Cli", here: Path) -> None:
    drawn = MINE.replace("principles:", "sampling: {random: 1}\nprinciples:", 1)
    (here / "mine.yaml").write_text(drawn, encoding="utf-8")
    assert label(cli, "--constitution", "mine.yaml", "--limit", "5")[0] == 0
    with (here / "run/labels.jsonl").open("ab") as file:
        file.write(b'{"id": "torn')  # killed while it wrote
    assert label(cli, "--constitution", "mine.yaml")[0] == 0
    resumed = sorted((here / "run/labels.jsonl").read_text("utf-8").splitlines())
    assert label(cli, "--constitution", "mine.yaml", "--out", "whole")[0] == 0
    assert resumed == sorted((here / "whole/labels.jsonl").read_text("utf-8").splitlines())
    rows = [json.loads(line)["judgement"]["principles"] for line in resumed]
    assert all(sum(value is not None for value in row.values()) == 1 for row in rows)


def test_stored_replies_under_a_constitution_are_read_again(cli: "Cli", here: Path) -> None:
    assert label(cli, "--constitution", "mine.yaml", "--clamp", "0.4:0.6")[0] == 0
    assert cli("label", "--from", "run", "--out", "again", "-q").rc == 0
    one, other = ((here / name / "labels.jsonl").read_text("utf-8").splitlines() for name in ("run", "again"))
    p = [[json.loads(line)["judgement"]["p_first"] for line in lines] for lines in (one, other)]
    assert p[0] == pytest.approx(p[1]) and all(0.4 <= value <= 0.6 for value in p[0])


def test_the_papers_settings_by_name(cli: "Cli", here: Path) -> None:
    rules = [{"match": "response for|.", "text": "Step by step. Answer: [[A]]"}]
    (here / "rules.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rules), encoding="utf-8")
    assert label(cli, "--preset", "bai-2022-cot", "--one-order") == (0, "")
    config = json.loads((here / "run/manifest.json").read_text("utf-8"))["config"]
    assert config["prompt"]["name"] == "preference/bai-2022-cot"
    assert (config["constitution"]["name"], config["constitution"]["clamp"]) == ("harmless", [0.4, 0.6])
    row = json.loads((here / "run/labels.jsonl").read_text("utf-8").splitlines()[0])
    assert row["judgement"]["p_first"] == pytest.approx(0.6)  # every principle says A for certain, and is clamped


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--constitution", "helpfull"], "did you mean 'helpful'?"),
        (["--constitution", "broken.yaml"], "broken.yaml:6: "),
        (["--constitution", "mine.yaml", "--prompt", "verdict"], "has no place for a principle"),
        (["--constitution", "mine.yaml", "--task", "outcome"], "the task 'outcome' takes no constitution"),
        (["--constitution", "mine.yaml", "--clamp", "0.6"], "write LOW:HIGH, such as"),
        (["--constitution", "mine.yaml", "--clamp", "0.6:0.9"], "low must be 0 to 0.5"),
        (["--clamp", "0.4:0.6"], "a clamp belongs to the principles of a constitution"),
        (["--preset", "bai-2023"], "did you mean 'bai-2022'?"),
        (["--preset", "bai-2022", "--prompt", "verdict"], "the preset bai-2022 brings its own prompt"),
    ],
)
def test_label_refuses_what_does_not_fit(more: list[str], message: str, cli: "Cli", here: Path) -> None:
    code, said = label(cli, *more)
    assert code == 2 and message in said and said.count("\n") == 1
    assert not (here / "run").exists()
