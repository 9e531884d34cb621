"""A user's mistake: one line that names file:line or the name meant, exit 2, nothing half-written, no traceback."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from judge.cli.main import main

GOOD = {"prompt": "How many?", "chosen": "Three.", "rejected": "Two."}


@pytest.fixture
def judged(tmp_path, capsys):
    """Judge these lines with more options; returns the one line that came back and nothing else."""
    rules = tmp_path / "rules.jsonl"
    rules.write_text(json.dumps({"match": "", "text": "Yes. [[A]]"}) + "\n")

    def judge(lines: list[str] | None, *more: str, task: str = "preference", spec: str = "", out: str = "run") -> str:
        data = tmp_path / "data.jsonl"
        if lines is not None:
            data.write_text("\n".join(lines) + "\n")
        spec = spec or f"scripted:{rules}"
        code = main(["label", str(data), "--task", task, "--judge", spec, "--out", str(tmp_path / out), *more])
        said = capsys.readouterr()
        assert code == 2, said
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert "Traceback" not in said.err
        assert not (tmp_path / "run").exists()
        return said.err.removeprefix("rmjudge: ").removeprefix(str(tmp_path) + "/").strip()

    return judge


def good(number: int) -> str:
    return json.dumps({**GOOD, "prompt": f"How many, {number}?"})


def test_broken_json_is_named_by_its_line_before_anything_is_judged(judged):
    said = judged([good(1), good(2), '{"prompt": "How', good(4)])
    assert said.startswith("data.jsonl:3: broken JSON")


def test_a_missing_field(judged):
    row = {name: value for name, value in GOOD.items() if name != "rejected"}
    said = judged([good(1), json.dumps(row)])
    assert said.startswith("data.jsonl:2: ")
    assert "rejected" in said


@pytest.mark.parametrize("value", [3, None, ["a"], {"a": 1}])
def test_a_wrong_type(judged, value):
    said = judged([good(1), json.dumps({**GOOD, "chosen": value})])
    assert said.startswith("data.jsonl:2: ")
    assert "chosen" in said


def test_an_empty_prompt(judged):
    """An empty answer is an answer like any other; without a question there is nothing to judge."""
    said = judged([good(1), json.dumps({**GOOD, "chosen": ""}), json.dumps({**GOOD, "prompt": "  "})])
    assert said.startswith("data.jsonl:3: ")
    assert "prompt" in said


def test_a_row_that_is_no_object(judged):
    assert judged([good(1), "[1, 2]"]).startswith("data.jsonl:2: ")


def test_fields_of_no_family(judged):
    said = judged(['{"question": "?", "solution": "!"}'])
    assert said.startswith("data.jsonl:1: ")


def test_an_empty_file(judged):
    assert judged([""]).startswith("data.jsonl")


def test_a_file_that_is_not_there(judged):
    assert judged(None).startswith("data.jsonl: no such file")


def test_records_of_another_kind(judged):
    said = judged([good(1)], task="steps")
    assert said == "data.jsonl:1: a pair; the task 'steps' judges: solution, response"


def test_labels_without_texts(judged):
    row = {"question_id": 81, "turn": 1, "model_a": "a", "model_b": "b", "judge": "author_1", "winner": "tie"}
    assert judged([json.dumps(row)]).startswith("data.jsonl:1: labels without the texts")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ({"task": "prefrence"}, "unknown task 'prefrence'; did you mean 'preference'?"),
        ({"spec": "vlm:some/model"}, "unknown engine 'vlm'; did you mean 'vllm'?"),
        ({"spec": "hf:no/such/model/here"}, "no/such/model/here"),
        ({"spec": "scripted:nowhere.jsonl"}, "nowhere.jsonl"),
        ({"spec": "hf"}, "engine 'hf' names no MODEL"),
    ],
)
def test_unknown_names(judged, words, shown):
    assert shown in judged([good(1)], **words)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--prompt", "preference/defualt"], "did you mean"),
        (["--format", "trll"], "trll"),
        (["--votes", "3"], "set a temperature"),
        (["--votes", "many"], "--votes"),
        (["--low", "5", "--high", "1"], "must be below"),
        (["--steps", "some"], "unknown value of steps 'some'"),
        (["--set", "dtype"], "--set NAME=VALUE"),
        (["--limti", "3"], "--limti"),
    ],
)
def test_options_that_do_not_fit(judged, words, shown):
    assert shown in judged([good(1)], *words)


def test_options_that_are_missing(capsys):
    assert main(["label"]) == 2
    assert "DATA, --task, --judge, --out" in capsys.readouterr().err


def test_an_undefined_variable_in_a_prompt(judged, tmp_path):
    prompt = tmp_path / "mine.jinja"
    prompt.write_text(
        "---\ntask: preference\ndescription: mine\nlabels: {first: A, second: B}\nverdict: '\\[\\[(A|B)\\]\\]'\n"
        "variables: [prompt, first, second]\n---\n"
        "{% user %}\n{{ prompt }} {{ first }} {{ secnd }}\n{% enduser %}\n"
    )
    said = judged([good(1)], "--prompt", str(prompt))
    assert said.startswith("mine.jinja:9: ")
    assert "secnd" in said


@pytest.mark.parametrize("out", ["data.jsonl/run", "/proc/rmjudge/run"])
def test_an_unwritable_directory(judged, out):
    assert out in judged([good(1)], out=out)


def test_a_run_directory_without_its_manifest(judged, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "labels.jsonl").write_text("{}\n")
    assert "no manifest.json" in judged([good(1)], out="other")
    assert [path.name for path in other.iterdir()] == ["labels.jsonl"]


def test_a_full_disk(tmp_path):
    """A limit on the size of files stands for a full disk; with room again, the same command goes on."""
    rules, data, run = tmp_path / "rules.jsonl", tmp_path / "data.jsonl", tmp_path / "run"
    rules.write_text(json.dumps({"match": "", "text": "Yes. [[A]]"}) + "\n")
    data.write_text("".join(good(number) + "\n" for number in range(200)))
    words = ["label", str(data), "--task", "preference", "--judge", f"scripted:{rules}", "--out", str(run), "--quiet"]

    def go(limit: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "judge.cli.main", *words],
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
        )

    full = go(20_000)
    assert full.returncode == 2
    assert full.stderr.count("\n") == 1
    assert "labels.jsonl: cannot be written: File too large" in full.stderr
    kept = [json.loads(line)["id"] for line in (run / "labels.jsonl").read_text().splitlines()]
    assert 0 < len(kept) < 200
    assert go(1 << 30).returncode == 0
    rows = [json.loads(line)["id"] for line in (run / "labels.jsonl").read_text().splitlines()]
    assert rows[: len(kept)] == kept
    assert len(set(rows)) == len(rows) == 200


def test_a_full_disk_from_the_first_byte(tmp_path):
    rules, data, run = tmp_path / "rules.jsonl", tmp_path / "data.jsonl", tmp_path / "run"
    rules.write_text(json.dumps({"match": "", "text": "Yes. [[A]]"}) + "\n")
    data.write_text(good(1) + "\n")
    words = ["label", str(data), "--task", "preference", "--judge", f"scripted:{rules}", "--out", str(run), "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "judge.cli.main", *words],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY)),
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert Path(run / "labels.jsonl").read_bytes() == b""
