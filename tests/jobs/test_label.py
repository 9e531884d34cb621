"""`judge.label` and its like from Python: data in memory, engines as objects, juries, previews, what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.engines.base import Request
from judge.engines.scripted import ScriptedEngine

ROWS = [{"prompt": f"{n} + 1?", "chosen": f"GOOD {n}", "rejected": f"BAD {n}"} for n in range(6)]
RULES = [{"match": r"(?s)GOOD.*BAD", "text": "[[A]]"}, {"match": r"(?s)BAD.*GOOD", "text": "[[B]]"}]


def rules(path: Path, lines: Sequence[dict[str, Any]] = RULES) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"scripted:{path}"


class Counting:
    """An engine of the caller's own, around a scripted one; it counts what it is asked and whether it is closed."""

    def __init__(self, path: Path) -> None:
        rules(path)
        self._inner = ScriptedEngine.from_file(path)
        self.asked, self.closed = 0, False

    def submit(self, ticket: int, request: Request) -> None:
        self.asked += 1
        self._inner.submit(ticket, request)

    def step(self) -> Any:
        return self._inner.step()

    def count_tokens(self, request: Request) -> int:
        return self._inner.count_tokens(request)

    def describe(self) -> dict[str, Any]:
        return {"engine": "counting", "model": "one"}

    def close(self) -> None:
        self.closed = True


def test_rows_in_memory_are_judged_and_resumed(tmp_path: Path) -> None:
    spec = rules(tmp_path / "rules.jsonl")
    run = judge.label(ROWS[:4], task="preference", judges=spec, out=tmp_path / "run", progress=False)
    assert [(row.judgement.task, row.judgement.verdict) for row in run] == [("preference", "first")] * 4
    assert run.manifest["config"]["data"][0]["rows"] == 4
    more = judge.label(ROWS, task="preference", judges=spec, out=tmp_path / "run", progress=False)
    assert (more.counts.rows, more.counts.resumed, more.manifest["attempts"]) == (6, 4, 2)
    with pytest.raises(judge.RunChangedError, match=r"data\[0\]\.hash"):
        judge.label(ROWS[1:], task="preference", judges=spec, out=tmp_path / "run", progress=False)
    assert judge.open_run(tmp_path / "run").counts.verdicts == {"first": 6}


def test_a_bad_row_in_memory_is_named_before_anything_is_written(tmp_path: Path) -> None:
    spec = rules(tmp_path / "rules.jsonl")
    with pytest.raises(judge.InputError, match=r"^row 7: "):
        judge.label([*ROWS, {"prompt": "?"}], task="preference", judges=spec, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_run_is_data_for_the_next_verb(tmp_path: Path) -> None:
    spec = rules(tmp_path / "rules.jsonl")
    run = judge.label(ROWS, task="preference", judges=spec, out=tmp_path / "run", progress=False)
    critic = rules(tmp_path / "critic.jsonl", [{"match": "", "text": "Clear."}])
    critiques = judge.label(run, task="critique", judges=critic, out=tmp_path / "critiques", progress=False)
    assert critiques.counts.labelled == 12
    again = judge.label(from_run=run, out=tmp_path / "again", progress=False)
    assert list(again.counts.verdicts.items()) == [("first", 6)]


def test_an_engine_of_one_s_own_judges_and_stays_open(tmp_path: Path) -> None:
    engine = Counting(tmp_path / "rules.jsonl")
    run = judge.label(ROWS, task="preference", judges=engine, out=tmp_path / "run", hard=True, progress=False)
    # Six pairs in two orders.
    assert (engine.asked, engine.closed, run.counts.calls) == (12, False, 12)
    assert run.config["judges"] == [{"engine": "counting", "model": "one"}]
    with pytest.raises(judge.ConfigError, match="name each by a spec"):
        judge.label(ROWS, task="preference", judges=engine, out=tmp_path / "ray", runner="ray", progress=False)


def test_a_preview_asks_nothing_and_is_a_run_without_rows(tmp_path: Path) -> None:
    engine = Counting(tmp_path / "rules.jsonl")
    preview = judge.label(ROWS, task="preference", judges=engine, out=tmp_path / "run", dry_run=True)
    assert isinstance(preview, judge.Preview)
    assert (preview.total, preview.calls, preview.exact, engine.asked) == (6, 12, True, 0)
    assert "0 + 1?" in preview._repr_html_()
    assert list(preview) == list(preview.rows()) == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "prefrence"}, "did you mean 'preference'"),
        ({"judges": []}, r"judge\.label needs judges"),
        ({"judges": 7}, "a judge of the type int"),
        ({"runner": "rai"}, "did you mean 'ray'"),
        ({"settings": ["dtype"]}, "write NAME=VALUE"),
        ({"clamp": "half", "constitution": "harmless"}, "write LOW:HIGH"),
        ({"out": None}, r"judge\.label needs out"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"task": "preference", "judges": rules(tmp_path / "rules.jsonl"), "out": tmp_path / "run"}
    with pytest.raises(judge.ConfigError, match=message):
        judge.label(ROWS, progress=False, **{**given, **change})
    assert not (tmp_path / "run").exists()


def test_an_audit_points_to_its_run(tmp_path: Path) -> None:
    audited = judge.audit(
        [{**row, "chosen": row["chosen"] + ". So."} for row in ROWS],
        task="preference",
        judges=rules(tmp_path / "rules.jsonl"),
        out=tmp_path / "run",
        probe=["swap", "inject"],
        progress=False,
    )
    assert {probe.probe for probe in audited.probes} == {"swap", "inject"}
    assert audited.over(0.0) == []
    # Six pairs, each with two probes.
    assert audited.run.counts.rows == 18
    assert "inject" in audited._repr_html_()


def test_a_revision_is_written_as_data(tmp_path: Path) -> None:
    spec = rules(
        tmp_path / "rules.jsonl",
        [
            {"match": r"(?s)<response_a>\nBEST.*<response_b>\nGOOD", "text": "[[A]]"},
            {"match": r"(?s)<response_a>\nGOOD.*<response_b>\nBEST", "text": "[[B]]"},
            {"match": "(?s)BEST.*Write the critique", "text": "No faults found."},
            {"match": "Write the critique", "text": "It could be better."},
            {"match": "Write the revised", "text": "<revised_response>BEST</revised_response>"},
        ],
    )
    rows = [{"prompt": "1 + 1?", "response": "GOOD"}]
    run = judge.revise(rows, judge=spec, out=tmp_path / "run", progress=False)
    assert run.written == {"supervised.jsonl": 1, "preferences.jsonl": 1}
    assert [row.judgement.verdict for row in run] == ["BEST"]
