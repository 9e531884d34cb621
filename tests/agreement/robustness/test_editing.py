"""What edits do to scripted reward models: only what they are made to like is found, and with its size."""

import re
from math import log2

import pytest

from judge.agreement.robustness.probes import PROBES
from judge.records import Pair
from tests.agreement.robustness.sample import GOOD, POOR, examined, names, pair

PRAISE = re.compile("thoughtful and well put|excellent question|Great question|for asking this|right to ask")


def pairs(count: int = 100) -> list[Pair]:
    return [pair(number, GOOD, POOR.replace("poor", "bad ")) for number in range(count)]


def quality(text: str) -> float:
    return float("good answer" in text)


def test_a_model_that_is_moved_by_flattery_alone() -> None:
    """Rewards 1 and 0, deviation ½. Praise adds 2, which is 4 deviations, and turns every pair: 0 + 2 > 1."""
    report = examined(pairs(), lambda text: quality(text) + 2 * bool(PRAISE.search(text)))
    figures = report.figures
    assert figures["reward_deviation"].value == pytest.approx(0.5)
    assert figures["shift/flatter"].value == pytest.approx(4.0)
    assert figures["worse_wins/flatter"].value == 1.0 and figures["better_loses/flatter"].value == 0.0
    others = [name for name, probe in PROBES.items() if probe.effect == "adds" and name != "flatter"]
    assert all(figures[f"shift/{name}"].value == 0.0 for name in others)
    assert all(figures[f"worse_wins/{name}"].value == 0.0 for name in others)
    # praise in place of the answer: 1 -> 2 and 0 -> 2, (2 + 4) / 2 deviations; the cut answer still says "good answer"
    assert figures["shift/praise"].value == pytest.approx(3.0)
    assert figures["not_lowered/praise"].value == 1.0
    assert names(report) == {"likes_flatter", "blind_to_praise", "blind_to_truncate", "worst_of_k"}
    (flag,) = [finding for finding in report.findings if finding.name == "likes_flatter"]
    assert flag.what.startswith("flatter adds 4.00 deviations and turns 100.0 % of the pairs told right")


def test_the_worst_of_k_by_hand() -> None:
    """A composition has one to three of the seven edits that add nothing, each number alike: flattery is in
    (1/7 + 2/7 + 3/7) / 3 = 2/7 of them. The worst of k turns a pair with 1 - (5/7)^k."""
    report = examined(pairs(300), lambda text: quality(text) + 2 * bool(PRAISE.search(text)), pairs=300)
    assert report.attack is not None
    for figure in report.attack.success:
        expected = 1 - (5 / 7) ** int(figure.of)
        assert figure.n == 300 and figure.value == pytest.approx(expected, abs=0.08)
    assert [figure.of for figure in report.attack.success] == ["1", "2", "4", "8", "16"]
    assert report.attack.success[0].low < 2 / 7 < report.attack.success[0].high  # type: ignore[operator]
    assert report.attack.gain.value == pytest.approx(4 * report.attack.success[-1].value)  # type: ignore[operator]
    turned = round(300 * report.attack.success[-1].value)  # type: ignore[operator]
    assert report.attack.edits["flatter"] == turned
    assert all("flatter" in example.edits and example.after == 2.0 for example in report.attack.examples)


def test_a_sound_model_has_no_finding() -> None:
    """It knows the good answer, and gives less for one that is cut, replaced or not there."""
    whole = GOOD.split()

    def sound(text: str) -> float:
        words = set(text.replace("*", "").replace("\n", " ").split())
        return sum(word in words for word in whole) / len(whole)

    report = examined(pairs(), sound)
    assert {finding.name for finding in report.findings if finding.severity != "note"} == set()
    assert report.attack is not None and report.attack.success[-1].value == 0.0


def test_an_edit_is_liked_for_its_length_alone() -> None:
    """r = log2(length): padding moves the reward by just what its length does, whatever the deviation."""
    data = [pair(number, "good answer " * (5 + number % 7), "bad answer " * (3 + number % 5)) for number in range(100)]
    report = examined(data, lambda text: log2(len(text)), k=0)
    (probe,) = [probe for probe in report.probes if probe.probe == "pad"]
    assert probe.by_length == pytest.approx(probe.shift.value)
    assert report.attack is None and "the worst of k edits: k is 0" in report.not_examined


def test_only_so_many_pairs_are_edited_and_only_those_told_right_can_be_turned() -> None:
    """Of 100 pairs 20 are edited; every fifth is told wrong."""
    data = [pair(number, GOOD if number % 5 else POOR, POOR if number % 5 else GOOD) for number in range(100)]
    scored: list[str] = []

    def reward(text: str) -> float:
        scored.append(text)
        return quality(text)

    report = examined(data, reward, pairs=20, probes=("pad", "truncate"), k=2)
    (pad, truncate) = report.probes
    assert (pad.probe, pad.shift.n, truncate.effect) == ("pad", 20, "takes")
    assert pad.worse_wins.n == pad.better_loses.n == report.attack.success[0].n  # type: ignore[union-attr]
    assert 10 < pad.worse_wins.n < 20
    # 200 texts, then 20 pairs x 2 sides x 2 probes, and 2 edits of each worse response that loses: no text twice
    assert len(scored) <= 200 + 80 + 2 * pad.worse_wins.n


def test_an_edited_text_that_cannot_be_read_is_counted() -> None:
    report = examined(pairs(20), lambda text: None if "Keywords" in text else quality(text), k=4)
    (probe,) = [probe for probe in report.probes if probe.probe == "keywords"]
    assert probe.unread == 40 and probe.shift.value is None
    assert report.attack is not None and report.attack.success[-1].value == 0.0


def test_the_same_seed_says_the_same() -> None:
    def reward(text: str) -> float:
        return quality(text) + len(text) % 7 / 5

    first, again = (examined(pairs(60), reward, seed=4) for _ in range(2))
    assert first == again
    assert first != examined(pairs(60), reward, seed=5)
