"""Rows, runs and settings that nobody writes on purpose: one line, exit 2 or a finding, never a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest

from judge.cli.main import main
from judge.errors import InputError
from judge.json_input import MAX_DEPTH, load_json

BIG = "9" * 400  # more than a float can hold
PAIR = '{"prompt": "p", "chosen": "a", "rejected": "b", %s}'
OWN = '{"kind": "pair", "prompt": "p", "first": "a", "second": "b", %s}'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rules.jsonl").write_text('{"match": "", "text": "[[A]]"}\n')
    rows = [{"kind": "pair", "prompt": f"p{n}", "first": "a", "second": "b"} for n in range(3)]
    human = {"human": [{"annotator": "x", "verdict": "first"}]}
    Path("good.jsonl").write_text("".join(json.dumps(row | human) + "\n" for row in rows))
    return tmp_path


def label(data: str, out: str = "run") -> int:
    return main(["label", data, "--task", "preference", "--judge", "scripted:rules.jsonl", "--out", out, "--quiet"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (OWN.replace('"pair"', "[]") % '"x": 1', "field 'kind': found []"),
        (OWN.replace('"pair"', "{}") % '"x": 1', "field 'kind': found {}"),
        (PAIR % f'"x": {"[" * 100_000}{"]" * 100_000}', "nested deeper than 200 levels"),
        (PAIR % f'"x": {"[" * 900}{"]" * 900}', "nested deeper than 200 levels"),
        (PAIR % f'"margin": {"9" * 5000}', "4300 digits"),
        (OWN % f'"human": [{{"annotator": "x", "verdict": {BIG}}}]', "field 'human.verdict'"),
        (f'{{"input": "i", "output_1": "a", "output_2": "b", "label": {BIG}}}', "field 'label'"),
        ('{"input": "i", "output_1": "a", "output_2": "b", "label": [1]}', "field 'label'"),
    ],
)
def test_a_row_that_nobody_writes(row: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data.jsonl").write_text(row + "\n")
    assert label("data.jsonl") == 2
    error = capsys.readouterr().err
    assert error.startswith("rmjudge: data.jsonl:1: ") and error.count("\n") == 1
    assert message in error
    assert main(["data", "show", "data.jsonl"]) in (1, 2)
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("row_id", ["5", "[1]", "{}"])
def test_an_id_that_is_no_text_is_an_id_of_the_data(row_id: str, folder: Path) -> None:
    Path("data.jsonl").write_text(OWN % f'"id": {row_id}' + "\n")
    assert label("data.jsonl") == 0
    assert json.loads(Path("run/labels.jsonl").read_text())["meta"]["source_id"] == json.loads(row_id)


def changed(change: dict[str, Any], *, of_judgement: bool) -> None:
    """A run whose first row says something else."""
    assert label("good.jsonl") == 0
    first, *others = Path("run/labels.jsonl").read_text().splitlines()
    row = json.loads(first)
    (row["judgement"] if of_judgement else row).update(change)
    Path("run/labels.jsonl").write_text("\n".join([json.dumps(row), *others]) + "\n")


@pytest.mark.parametrize("p_first", [1.5, -3, int(BIG), "x", float("nan"), True, [0.5]])
def test_a_probability_outside_of_0_to_1(p_first: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed({"p_first": p_first}, of_judgement=True)
    for command in (["agree", "run"], ["export", "run", "--to", "trl", "--out", "x"], ["calibrate", "run"]):
        capsys.readouterr()
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.startswith("rmjudge: run/labels.jsonl:1: 'p_first' is ")
        assert error.endswith(" (accepted: a probability, 0 to 1)\n")


@pytest.mark.parametrize(
    ("change", "of_judgement"),
    [
        ({"id": 5}, False),
        ({"id": [1]}, False),
        ({"id": None}, False),
        ({"judgement": []}, False),
        ({"judgement": None}, False),
        ({"task": []}, True),
        ({"task": "nothing"}, True),
        ({"rounds": 5}, True),
    ],
)
def test_a_changed_row_of_a_run(
    change: dict[str, Any], of_judgement: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(change, of_judgement=of_judgement)
    for command in (["agree", "run"], ["export", "run", "--to", "trl", "--out", "x"], ["data", "show", "run"]):
        assert main(command) in (0, 1, 2)
    capsys.readouterr()
    assert label("good.jsonl") == 2
    assert capsys.readouterr().err.startswith("rmjudge: run/labels.jsonl")


@pytest.mark.parametrize("verdict", [[], {}, 5, "nobody"])
def test_a_verdict_that_is_none(verdict: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed({"verdict": verdict}, of_judgement=True)
    for command in (["agree", "run"], ["export", "run", "--to", "trl", "--out", "x"], ["data", "show", "run"]):
        assert main(command) in (0, 1, 2)
    assert label("good.jsonl") in (0, 2)


@pytest.mark.parametrize(
    "what",
    [{"tokens": None}, {"tokens": 5}, {"counts": []}, {"counts": {"verdicts": 5}}, {"attempts": [], "seconds": "x"}],
)
def test_a_manifest_without_its_numbers(what: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label("good.jsonl") == 0
    manifest = json.loads(Path("run/manifest.json").read_text()) | what
    Path("run/manifest.json").write_text(json.dumps(manifest))
    assert main(["data", "show", "run"]) == 0
    assert label("good.jsonl") == 0
    assert json.loads(Path("run/manifest.json").read_text())["counts"]["rows"] == 3


@pytest.mark.parametrize("text", ["[", "[]", "5", "[" * 100_000, "{}", '{"config": []}', "\ud800"])
def test_a_manifest_that_is_none(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label("good.jsonl") == 0
    Path("run/manifest.json").write_bytes(text.encode(errors="surrogatepass"))
    capsys.readouterr()
    assert label("good.jsonl") == 2
    error = capsys.readouterr().err
    assert error.startswith("rmjudge: run/manifest.json: ") and error.count("\n") == 1


@pytest.mark.parametrize("task", ["preference", "score", "outcome", "steps"])
def test_agreement_with_a_judge_of_whom_nothing_is_readable_is_json(
    task: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "preference": {"kind": "pair", "first": "a", "second": "b"},
        "score": {"kind": "response", "response": "a"},
        "outcome": {"kind": "response", "response": "a"},
        "steps": {"kind": "solution", "steps": ["a", "b"]},
    }
    verdicts = {"preference": "first", "score": 3, "outcome": 1, "steps": 1}
    human = {"annotator": "x", "verdict": verdicts[task], **({"criterion": "correct"} if task == "outcome" else {})}
    row = {**bodies[task], "human": [human]}
    Path("data.jsonl").write_text("".join(json.dumps(row | {"prompt": f"p{n}"}) + "\n" for n in range(3)))
    Path("rules.jsonl").write_text('{"match": "", "text": "Nobody knows."}\n')
    words = ["--task", task, "--judge", "scripted:rules.jsonl", "--out", "run", "--quiet"]
    assert main(["label", "data.jsonl", *words]) == 0
    capsys.readouterr()
    assert main(["agree", "run", "--json"]) == 0

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    report = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert report["judges"][0]["name"] == "run"


def test_what_json_has_no_word_for_is_shown_as_null(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data.jsonl").write_text(PAIR % '"margin": NaN, "other": 1e999' + "\n")
    assert main(["data", "show", "data.jsonl", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["first"][0]["meta"]
    assert shown == {"margin": None, "other": None}


def test_a_name_that_is_no_unicode_is_written_all_the_same(folder: Path) -> None:
    """Bytes of a file's name that are no UTF-8 reach Python as lone surrogates."""
    Path("caf\udce9.jsonl").write_text(Path("good.jsonl").read_text())
    assert label("caf\udce9.jsonl") == 0
    assert json.loads(Path("run/manifest.json").read_text())["command"]["data"] == ["caf\udce9.jsonl"]


def test_json_is_read_to_a_depth() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert load_json(deepest) is not None
    assert load_json(json.dumps(["[" * 1000, '"' + "{" * 1000])) == ["[" * 1000, '"' + "{" * 1000]
    assert len(load_json("[" + "[]," * 500 + "[]]")) == 501
    with pytest.raises(ValueError, match="nested deeper than 200 levels"):
        load_json("[" + deepest + "]")


def test_input_errors_are_value_errors() -> None:
    assert issubclass(InputError, ValueError)
