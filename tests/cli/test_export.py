"""`rmjudge export` from the outside: from a label run and from a run of revision to data, and what it refuses."""

import json
from pathlib import Path

import pytest

from judge.cli.main import main


@pytest.fixture
def run(tmp_path):
    """A run of twelve judged pairs: the first is better, but of sum 5 the second is, and of sum 6 neither."""
    pairs, rules = tmp_path / "pairs.jsonl", tmp_path / "rules.jsonl"
    rows = [{"prompt": f"Sum {n}?", "chosen": f"RIGHT {n}", "rejected": f"WRONG {n}"} for n in range(12)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    written = [
        {"match": r"Sum 6\?", "text": "[[C]]"},
        {"match": r"(?s)Sum 5\?.*RIGHT.*WRONG", "text": "[[B]]"},
        {"match": r"(?s)Sum 5\?.*WRONG.*RIGHT", "text": "[[A]]"},
        {"match": r"(?s)RIGHT.*WRONG", "text": "[[A]]"},
        {"match": r"(?s)WRONG.*RIGHT", "text": "[[B]]"},
    ]
    rules.write_text("".join(json.dumps(rule) + "\n" for rule in written))
    words = ["label", str(pairs), "--task", "preference", "--judge", f"scripted:{rules}", "--quiet", "--out"]
    assert main([*words, str(tmp_path / "run")]) == 0
    return tmp_path / "run"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_becomes_training_data(run, tmp_path, capsys):
    out = tmp_path / "data" / "sums"
    capsys.readouterr()
    assert main(["export", str(run), "--to", "trl", "--out", str(out), "--licence", "mit"]) == 0
    said = capsys.readouterr().out
    train, validation = lines(out / "train.jsonl"), lines(out / "validation.jsonl")
    assert len(train) + len(validation) == 11
    assert f"{len(train)} preference rows in {out}/train.jsonl" in said
    assert "left out: 1 (a tie)" in said
    chosen = {row["prompt"][0]["content"]: row["chosen"][0]["content"] for row in train + validation}
    assert chosen["Sum 5?"] == "WRONG 5" and chosen["Sum 4?"] == "RIGHT 4"
    assert "license: mit" in (out / "README.md").read_text()


def test_numbers_as_json(run, tmp_path, capsys):
    capsys.readouterr()
    words = ["export", str(run), "--to", "nemo", "--no-ties", "--min-margin", "0.5", "--agree", "--validation", "0"]
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["records"], said["rows"], said["left_out"]) == (
        "preference",
        12,
        {"train": 11},
        {"tie": 1},
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RUN", "--to", "tlr"], "did you mean 'trl'"),
        (["RUN", "--to", "trl", "--kind", "stepwise"], "give no stepwise data (accepted: preference, unpaired, sft)"),
        (["RUN", "--to", "nemo", "--kind", "unpaired"], "nemo has no unpaired data"),
        (["RUN", "--to", "trl", "--min-margin", "3"], "from 0 to 1"),
        (["nowhere", "--to", "trl"], "nowhere: not a run directory"),
        (["RUN"], "rmjudge export needs --to"),
    ],
)
def test_what_is_refused_in_one_line(run, tmp_path, capsys, words, said):
    capsys.readouterr()
    words = [str(run) if word == "RUN" else word for word in words]
    assert main(["export", *words, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and told.out == ""
    assert not (tmp_path / "out").exists()


def test_critiques_teach_no_trainer(tmp_path, capsys):
    data, rules = tmp_path / "data.jsonl", tmp_path / "rules.jsonl"
    data.write_text(json.dumps({"prompt": "Sum?", "completion": "3", "label": True}) + "\n")
    rules.write_text(json.dumps({"match": "", "text": "Good."}) + "\n")
    words = ["label", str(data), "--task", "critique", "--judge", f"scripted:{rules}", "--quiet", "--out"]
    assert main([*words, str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["export", str(tmp_path / "run"), "--to", "trl", "--out", str(tmp_path / "out")]) == 2
    assert "the task 'critique' teach no trainer anything" in capsys.readouterr().err
