"""A judge at hand: what it says under each principle, and what is refused before a model is loaded."""

import json
from pathlib import Path

import pytest

from judge.constitution.constitution import Sampling
from judge.constitution_eval.principle_votes import PrincipleJudge, read_pairs
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError, InputError, UnknownNameError
from tests.constitution_eval.support import FOUR, pairs


def test_every_principle_is_heard_on_every_pair_whatever_the_sampling_rule(judge: str) -> None:
    from dataclasses import replace

    bench = PrincipleJudge([judge])
    votes = bench.vote(pairs(5), replace(FOUR, sampling=Sampling(count=1)))
    assert [one.pair for one in votes] == pairs(5)
    assert bench.counts.calls == 5 * 4 * 2
    for one in votes:
        assert list(one.says) == [principle.id for principle in FOUR.principles]
        assert one.alone("idle-two") == "tie"
        assert one.verdict(FOUR.only("useful")) == one.alone("useful") != "tie"


def test_an_unreadable_principle_says_nothing_and_why(judge: str) -> None:
    bench = PrincipleJudge([judge])
    bench.engines = [ScriptedEngine(lambda request: "no letter at all")]
    (one,) = bench.vote(pairs(1), FOUR.only("useful"))
    assert one.alone("useful") is None and one.verdict(FOUR.only("useful")) is None
    assert one.why_unread("useful").startswith("forward: ")


def test_what_cannot_work_is_refused_at_once(judge: str) -> None:
    with pytest.raises(ConfigError, match="no judge is named"):
        PrincipleJudge([])
    with pytest.raises(ConfigError, match="tiny has not learnt to judge under a principle"):
        PrincipleJudge(["tiny"])
    with pytest.raises(ConfigError, match="prompt preference/default has no place for a principle"):
        PrincipleJudge([judge], prompt="default")
    with pytest.raises(UnknownNameError, match="unknown prompt"):
        PrincipleJudge([judge], prompt="principel")


def test_pairs_are_read_once_each_up_to_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": "p", "chosen": f"{number % 3}", "rejected": "x"} for number in range(6)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert len(read_pairs([str(file)])) == 3
    assert len(read_pairs([str(file)], limit=2)) == 2
    file.write_text('{"prompt": "p", "response": "r"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"pairs.jsonl:1: a response; a constitution judges: pair, ranking"):
        read_pairs([str(file)])
