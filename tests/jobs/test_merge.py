"""Shards: each judges its share of the data, and together they make the run that one process makes."""

import json
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.engines.base import Request
from judge.engines.scripted import ScriptedEngine
from judge.runs.data import Shard
from tests.conftest import Cli

RULES = '{"match": "(?s)GOOD.*BAD", "text": "[[A]]"}\n{"match": "(?s)BAD.*GOOD", "text": "[[B]]"}\n'
ROWS = [{"prompt": f"{n} + 1?", "chosen": f"GOOD {n}", "rejected": f"BAD {n}" if n % 10 else "?"} for n in range(40)]


@pytest.fixture
def asking(tmp_path: Path) -> dict[str, Any]:
    """How pairs are judged: every tenth one cannot be."""
    (tmp_path / "rules.jsonl").write_text(RULES)
    return {"task": "preference", "judges": f"scripted:{tmp_path / 'rules.jsonl'}", "progress": False}


def sorted_lines(directory: Path) -> list[str]:
    return sorted(line for path in judge.open_run(directory).files for line in path.read_text().splitlines())


def test_a_shard_is_told_by_digits_of_the_id() -> None:
    content_id = "0" * 16 + "0000000a" + "0" * 8  # 10 in those digits: the third of four, the first of five
    assert [Shard(number, 4).holds(content_id) for number in (1, 2, 3, 4)] == [False, False, True, False]
    assert Shard.of("1/5").holds(content_id)


@pytest.mark.parametrize("text", ["0/4", "5/4", "a/4", "4", "1/0", "-1/4", "1/4/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(judge.ConfigError, match="write NUMBER/COUNT"):
        Shard.of(text)


def test_shards_make_the_rows_and_the_manifest_of_one_process(tmp_path: Path, asking: dict[str, Any]) -> None:
    rows = [*ROWS, *ROWS[:3]]  # three duplicates
    whole = judge.label(rows, out=tmp_path / "whole", **asking)
    parts = [judge.label(rows, out=tmp_path / f"p{n}", shard=f"{n}/3", **asking) for n in (1, 2, 3)]
    assert all(0 < part.counts.rows < 40 for part in parts)
    merged = judge.merge(list(reversed(parts)), out=tmp_path / "merged")
    assert sorted_lines(tmp_path / "merged") == sorted_lines(tmp_path / "whole")
    assert (merged.counts.labelled, merged.counts.unreadable, merged.counts.duplicates) == (36, 4, 3)
    for name in ("config", "counts", "tokens"):
        assert judge.open_run(tmp_path / "merged").manifest[name] == judge.open_run(whole.directory).manifest[name], (
            name
        )
    again = judge.label([*rows, ROWS[1] | {"prompt": "new"}], out=tmp_path / "merged", **asking)
    assert (again.counts.rows, again.counts.resumed, again.counts.duplicates) == (41, 40, 3)


def test_a_shard_resumes_and_is_no_other_shard(tmp_path: Path, asking: dict[str, Any]) -> None:
    first = judge.label(ROWS, out=tmp_path / "p1", shard="1/2", limit=5, **asking)
    more = judge.label(ROWS, out=tmp_path / "p1", shard="1/2", **asking)
    assert (first.counts.rows, more.counts.resumed) == (5, 5)
    with pytest.raises(judge.RunChangedError, match=r"shard: 1/2 → 2/2"):
        judge.label(ROWS, out=tmp_path / "p1", shard="2/2", **asking)


def test_an_empty_shard_is_a_run_without_rows(tmp_path: Path, asking: dict[str, Any]) -> None:
    parts = [judge.label(ROWS[1:2], out=tmp_path / f"p{n}", shard=f"{n}/8", **asking) for n in range(1, 9)]
    assert sorted(part.counts.rows for part in parts) == [0] * 7 + [1]
    assert judge.merge(parts, out=tmp_path / "whole").counts.rows == 1


def test_what_does_not_make_a_whole_is_refused(tmp_path: Path, asking: dict[str, Any]) -> None:
    one, two, three = (judge.label(ROWS, out=tmp_path / f"p{n}", shard=f"{n}/3", **asking) for n in (1, 2, 3))
    with pytest.raises(judge.ConfigError, match="missing 2/3"):
        judge.merge([one, three], out=tmp_path / "out")
    with pytest.raises(judge.ConfigError, match="shard 1/3 again"):
        judge.merge([one, two, three, one], out=tmp_path / "out")
    with pytest.raises(judge.ConfigError, match="holds a run already"):
        judge.merge([one, two, three], out=tmp_path / "p1")
    other = judge.label(ROWS, out=tmp_path / "p4", shard="3/3", **asking | {"one_order": True})
    with pytest.raises(judge.RunChangedError, match="one_order"):
        judge.merge([one, two, other], out=tmp_path / "out")
    plain = judge.label(ROWS, out=tmp_path / "plain", **asking)
    with pytest.raises(judge.ConfigError, match="no shard of a run"):
        judge.merge([one, plain], out=tmp_path / "out")
    manifest = tmp_path / "p2" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"finished": None}))
    with pytest.raises(judge.ConfigError, match="p2: not finished"):
        judge.merge([one, tmp_path / "p2", three], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_rows_of_the_data_are_listed_once(tmp_path: Path, asking: dict[str, Any]) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:4]) + '{"prompt": "no responses"}\n')
    whole = judge.label(data, out=tmp_path / "whole", skip_bad=True, **asking)
    parts = [judge.label(data, out=tmp_path / f"p{n}", shard=f"{n}/2", skip_bad=True, **asking) for n in (1, 2)]
    merged = judge.merge(parts, out=tmp_path / "merged")
    assert (merged.counts.skipped, whole.counts.skipped) == (1, 1)
    assert sorted_lines(tmp_path / "merged") == sorted_lines(tmp_path / "whole")


def test_shards_of_a_revision_bring_their_training_data(tmp_path: Path) -> None:
    def answer(request: Request) -> str:
        return "[[A]]" if "verdict" in request.messages[-1].content.lower() else f"Better: {len(request.key)}"

    engine = ScriptedEngine(answer)
    asking: dict[str, Any] = {"judge": engine, "constitution": "harmless", "progress": False}
    rows = [{"prompt": f"Say {n}.", "response": f"No {n}."} for n in range(8)]
    whole = judge.revise(rows, out=tmp_path / "whole", **asking)
    parts = [judge.revise(rows, out=tmp_path / f"p{n}", shard=f"{n}/2", **asking) for n in (1, 2)]
    merged = judge.merge(parts, out=tmp_path / "merged")
    assert sorted_lines(tmp_path / "merged") == sorted_lines(tmp_path / "whole")
    for name in whole.written:
        one, other = ((tmp_path / run / name).read_text().splitlines() for run in ("merged", "whole"))
        assert sorted(one) == sorted(other)
    assert merged.counts.rows == 8


def test_from_the_command_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "rules.jsonl").write_text(RULES)
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for number in (1, 2):
        label = ("label", "pairs.jsonl", "--task", "preference", "--judge", "scripted:rules.jsonl", "--quiet")
        assert cli(*label, "--shard", f"{number}/2", "--out", f"p{number}").rc == 0
    merged = cli("merge", "p1", "p2", "--out", "whole", "--json")
    assert json.loads(merged.stdout)["rows"] == 40
    refused = cli("merge", "p1", "--out", "other")
    assert (refused.rc, refused.stderr) == (2, "rmjudge: shards that do not make a whole: missing 2/2\n")
