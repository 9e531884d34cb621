"""Held-out records with known truth."""

from zlib import crc32

import pytest

from judge.formats import from_row, to_row
from judge.records import Pair, Response, Solution, spoken
from judge.tiny.samples import SAMPLES, TRUTH, pairs, responses, solutions


def answer(text):
    """The number that a solution ends with."""
    return int(text.rstrip(".").rsplit("answer is ", 1)[1])


def truth(record):
    return eval(spoken(record.prompt).removesuffix(" ="))


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("how", [{}, {"wide": True}, {"neat": True}, {"various": True}])
def test_samples_are_their_seed_and_held_out(kind, how):
    found = list(SAMPLES[kind](30, seed=4, **how))
    assert found == list(SAMPLES[kind](30, seed=4, **how))
    assert found != list(SAMPLES[kind](30, seed=5, **how))
    assert found[:10] == list(SAMPLES[kind](10, seed=4, **how))
    for record in found:
        assert crc32(spoken(record.prompt).encode()) % 16 == 0
        assert [label.annotator for label in record.human] == [TRUTH]
        assert from_row(to_row(record)) == record


def test_a_pairs_label_is_the_better_answer():
    verdicts = []
    for record in pairs(200, seed=1):
        assert isinstance(record, Pair)
        rights = [answer(spoken(side)) == truth(record) for side in (record.first, record.second)]
        expected = "tie" if rights[0] == rights[1] else "first" if rights[0] else "second"
        assert record.human[0].verdict == expected
        verdicts.append(expected)
    assert 8 <= verdicts.count("tie") <= 36  # one in ten
    assert 60 <= verdicts.count("first") <= 120


def test_the_share_of_ties():
    assert {record.human[0].verdict for record in pairs(20, seed=1, ties=1.0)} == {"tie"}
    assert "tie" not in {record.human[0].verdict for record in pairs(50, seed=1, ties=0.0)}


@pytest.mark.parametrize("various", [False, True])
def test_a_solutions_label_is_its_first_wrong_step(various):
    for record in solutions(100, seed=2, various=various):
        assert isinstance(record, Solution)
        right = record.meta["right"]
        assert len(right) == len(record.steps)
        assert record.human[0].verdict == (right.index(False) if False in right else -1)
        assert int(record.reference) == truth(record)
        assert answer(record.steps[-1]) == record.meta["answer"]
        if all(right):
            assert record.meta["answer"] == truth(record)


def test_a_responses_label_is_whether_its_answer_is_true():
    labels = []
    for record in responses(100, seed=3):
        assert isinstance(record, Response)
        assert record.human[0].verdict == float(answer(spoken(record.response)) == truth(record))
        labels.append(record.human[0].verdict)
    assert 30 <= sum(labels) <= 70
