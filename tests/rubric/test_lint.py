"""Broken rubrics: every problem is found, at its line, and nothing else is.

In each case the comment `#! words` stands on the line of a problem and quotes a part of its message.
"""

import json
import random
import re
import time
from pathlib import Path

import pytest

import judge
from judge.errors import InputError
from judge.rubric.lint import lint
from judge.rubric.rubric_file import skeleton

ONE = "- criterion: The response is short.\n"
BROKEN = {
    "no list": "criteria:  \n  a: b  #! a mapping; a rubric is a list of criteria\n",
    "no criteria": "name: mine  #! no 'criteria'\n",
    "empty list": "criteria: []  #! no criteria; a rubric needs at least one\n",
    "unknown key": f"{ONE}- criterion: The answer is right.\n"
    "  wieght: 2  #! unknown key 'wieght' in criterion 2; did you mean 'weight'?\n",
    "unknown key of the file": f"nmae: mine  #! unknown key 'nmae'; did you mean 'name'?\ncriteria:\n{ONE}",
    "key twice": "- criterion: a b c\n  criterion: d e f  #! key 'criterion' twice in criterion 1 (first on line 1)\n",
    "no text": f"{ONE}- points: 3  #! no 'criterion' in it (found: points) in criterion 2\n",
    "text empty": f"{ONE}- criterion: \"\"  #! field 'criterion'\n",
    "points a word": f"{ONE}- criterion: The answer is right.\n  points: many  #! field 'points': found \"many\"\n",
    "points of nothing": f"{ONE}- criterion: The answer is right.\n  points: 0  #! accepted: points other than 0\n",
    "name twice": "- {name: a, criterion: The answer is right.}\n"
    "- {name: a, criterion: The tone is kind.}  #! 'a' twice (first on line 1)\n",
    "text twice": f"{ONE}- The response is short.  #! twice (first on line 1)  #! says nearly the same as\n",
    "twin": f"{ONE}- The responses are short  #! says nearly the same as 'The response is short.' (line 1)\n",
    "two things": f"{ONE}- criterion: The answer is right and cites its sources.  #! says two things\n",
    "a question": f"{ONE}- criterion: Is the answer right?  #! a question; a criterion is a statement\n",
    "Jinja": f"{ONE}- criterion: The answer is {{{{ right }}}}  #! is Jinja\n",
    "verdict": f"{ONE}- 'The answer ends with [[yes]]'  #! could be taken for a verdict\n",
    "drowned": "".join(f"- {{criterion: It names {word}., points: 1}}\n" for word in ("iron", "gold"))
    + "- {criterion: The tone is kind., points: 30}  #! 30 points drown the others (their median is 1)\n",
    "all against": "- {criterion: The answer is rude., points: -1}  #! all points are below 0\n"
    "- {criterion: It lies., points: -2}\n",
    "verdict of an example": f"{ONE}  examples:\n    - {{prompt: p, response: r, verdict: yes}}  #! accepted: text\n",
    "unknown verdict": f"{ONE}  examples:\n    - {{prompt: p, response: r, verdict: mett}}  #! did you mean 'met'?\n",
    "example without a response": f"{ONE}  examples:\n    - {{prompt: p, verdict: met}}  #! no 'response' in example\n",
    "examples that contradict": f"{ONE}  examples:\n    - {{prompt: p, response: r, verdict: met}}\n"
    "    - {prompt: p, response: r, verdict: unmet}  #! contradicts the example on line 3\n",
    "not YAML": "criteria: [  \n  - a: b  #! no YAML\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_found_at_its_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / "rubric.yaml"
    file.write_text(BROKEN[name], encoding="utf-8")
    expected = [
        (number, words)
        for number, line in enumerate(BROKEN[name].splitlines(), start=1)
        for words in re.findall(r"#! (.*?)(?=\s*#!|$)", line)
    ]
    findings = lint(file)
    assert len(findings) == len(expected), findings
    for finding, (line, words) in zip(findings, expected, strict=True):
        assert finding.line == line and words in finding.message


def test_the_skeleton_is_clean(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(skeleton(), encoding="utf-8")
    assert lint(file) == []
    assert judge.lint_rubric(file).passed


def test_data_with_a_rubric_a_row_is_checked_row_by_row(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [
        {"prompt": "p", "response": "r", "rubric": [{"criterion": "The answer is right.", "points": 2}]},
        {"prompt": "p", "response": "r", "rubric": [{"criterion": "Is it right?"}, {"points": 2}]},
        {"prompt": "p", "response": "r", "rubric": ["The answer is right and cites its sources."]},
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + "{\n", encoding="utf-8")
    findings = [(finding.line, finding.message) for finding in lint(file)]
    assert [line for line, _ in findings] == [2, 3, 4]
    assert "rubric[1]" in findings[0][1] and "no 'criterion'" in findings[0][1]
    assert "says two things" in findings[1][1]


def test_a_criterion_a_line(tmp_path: Path) -> None:
    file = tmp_path / "rubric.jsonl"
    file.write_text('{"criterion": "The answer is right.", "points": "x"}\n{"text": "The tone is kind."}\n')
    (finding,) = lint(file)
    assert (finding.line, finding.fatal) == (1, True)
    with pytest.raises(InputError, match=rf"{re.escape(str(file))}:1: .*'points'"):
        judge.load_rubric(file)


@pytest.mark.parametrize("alike", [False, True])
def test_three_thousand_criteria_take_less_than_two_seconds(tmp_path: Path, alike: bool) -> None:
    draw, words = random.Random(0), [f"w{number}" for number in range(400)]
    texts = [
        f"The response gives number {number} as total sum exact value final"
        if alike
        else " ".join(draw.sample(words, 9))
        for number in range(3000)
    ]
    file = tmp_path / "rubric.yaml"
    file.write_text("".join(f"- criterion: {text}\n  points: 2\n" for text in texts), encoding="utf-8")
    lint(file)  # imports
    started = time.process_time()
    findings = lint(file)
    assert time.process_time() - started < 10
    assert len(findings) == (2999 if alike else 0)  # all but the first one are twins of it
