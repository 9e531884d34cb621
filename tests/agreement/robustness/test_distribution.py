"""Accuracy in and out of distribution: the gap by hand, inside its interval, and its coverage."""

import numpy as np
import pytest

from judge.agreement.robustness.distribution import accuracies
from judge.agreement.robustness.topics import topics_of
from judge.errors import InputError
from judge.records import Message
from tests.agreement.robustness.sample import GOOD, POOR, drawn_table, examined, names, pair


def told(number: int, right: int, of: int, **meta: str) -> tuple[str, str]:
    """Texts of pair `number`, of which the first `right` of every `of` are told right by `reward`."""
    better, worse = ("1", "0") if number % of < right else ("0", "1")
    return f"{better} {number} {meta}", f"{worse} {number} {meta}"


def reward(text: str) -> float:
    return float(text[0])


def test_the_gap_by_hand() -> None:
    """90 of 100 against 60 of 100: 0.30, with a standard error of √(0.9·0.1/100 + 0.6·0.4/100) = 0.0574."""
    data = [pair(number, *told(number, 9, 10)) for number in range(100)]
    shifted = [pair(number, *told(number, 6, 10), prompt=f"shifted {number}") for number in range(100)]
    report = examined(data, reward, shifted, probes=())
    figures = report.figures
    assert (figures["accuracy"].value, figures["accuracy_shifted"].value) == (0.9, 0.6)
    gap = figures["gap"]
    assert gap.value == pytest.approx(0.3)
    assert gap.low == pytest.approx(0.3 - 1.96 * 0.0574, abs=0.03)
    assert gap.high == pytest.approx(0.3 + 1.96 * 0.0574, abs=0.03)
    (flag,) = [finding for finding in report.findings if finding.name == "gap"]
    assert flag.what == "It loses 30.0 points of accuracy on the shifted data"
    assert flag.evidence == "90.0 % of 100 pairs against 60.0 % of 100."
    assert report.coverage.compared == report.shifted_coverage.compared == 100  # type: ignore[union-attr]


def test_without_a_shift_no_gap_is_found() -> None:
    data = [pair(number, *told(number, 8, 10)) for number in range(100)]
    shifted = [pair(number, *told(number, 8, 10), prompt=f"shifted {number}") for number in range(100)]
    report = examined(data, reward, shifted, probes=())
    assert report.figures["gap"].value == 0.0
    assert not report.findings


def gap_of(seed: int, *, shared: bool) -> tuple[float, float]:
    """The interval of the gap of a model that is right with 0.85 on the data and 0.65 on the shifted data.

    shared: each prompt stands in both, twice, and is easy or hard in both: rows of one prompt are not independent.
    """
    draw = np.random.default_rng(seed)
    prompts = np.repeat(np.arange(60), 2)
    ease = draw.choice([-0.15, 0.15], 60)[prompts]
    margins = {is_shifted: draw.random(120) < p + ease for is_shifted, p in ((False, 0.85), (True, 0.65))}
    signed = {is_shifted: np.where(right, 1.0, -1.0) for is_shifted, right in margins.items()}
    groups = {False: prompts, True: prompts if shared else prompts + 60}
    figures = {
        figure.name: figure for figure in accuracies(drawn_table(signed, prompts=groups, seed=seed), shifted=True)
    }
    low, high = figures["gap"].low, figures["gap"].high
    assert low is not None and high is not None
    return low, high


@pytest.mark.parametrize("shared", [False, True])
def test_the_interval_of_the_gap_covers(shared: bool) -> None:
    """100 data sets with a gap of 0.20: of 95 % intervals 95 are expected to hold it; 88 or fewer: a chance of 0.4 %.

    Where prompts are shared, the gap is that of pairs of them, so their common ease must not widen it."""
    held = [low <= 0.2 <= high for low, high in (gap_of(seed, shared=shared) for seed in range(100))]
    assert sum(held) >= 89


def test_sharing_prompts_narrows_the_gap() -> None:
    widths = {
        shared: np.mean([high - low for low, high in (gap_of(seed, shared=shared) for seed in range(20))])
        for shared in (False, True)
    }
    assert widths[True] < 0.95 * widths[False]


def test_a_source_on_which_the_model_is_worse_is_named() -> None:
    """Right in 9 of 10 of source a and in 5 of 10 of source b: 40 points below the rest."""
    data = [pair(number, *told(number // 2, (9, 5)[number % 2], 10), source="ab"[number % 2]) for number in range(400)]
    report = examined(data, reward, probes=())
    parts = {part.value: part for part in report.slices if part.field == "source"}
    assert parts["a"].figure.value == 0.9 and parts["b"].figure.value == 0.5
    assert parts["b"].difference == pytest.approx(-0.4) and parts["b"].worse
    flags = [finding.what for finding in report.findings if finding.name == "weak_slice"]
    assert flags == ["source 'b': 50.0 % told right, 40.0 points below the rest of the data"]


def test_the_shifted_data_have_slices_of_their_own() -> None:
    """Right in 9 of 10 of the data; of the shifted data in 9 of 10 of source a and in 4 of 10 of source b."""
    data = [pair(number, *told(number, 9, 10)) for number in range(100)]
    shifted = [
        pair(number, *told(number // 2, (9, 4)[number % 2], 10), prompt=f"shifted {number}", source="ab"[number % 2])
        for number in range(200)
    ]
    report = examined(data, reward, shifted, probes=())
    parts = {part.value: part for part in report.slices if part.field == "shifted: source"}
    assert parts["b"].figure.value == 0.4 and parts["b"].difference == pytest.approx(-0.5)
    assert [finding.what for finding in report.findings if finding.name == "weak_slice"] == [
        "shifted: source 'b': 40.0 % told right, 50.0 points below the rest of the shifted data"
    ]


def test_a_coin_is_called_a_coin() -> None:
    report = examined([pair(number, *told(number, 5, 10)) for number in range(200)], reward, probes=())
    assert names(report) == {"chance_accuracy"}


def test_equal_rewards_count_half() -> None:
    report = examined([pair(number, GOOD, POOR) for number in range(10)], lambda text: 0.0, probes=())
    assert report.figures["accuracy"].value == 0.5
    assert "shifts and slopes: all rewards are the same" in report.not_examined


def test_unread_texts_are_counted_and_left_out() -> None:
    """Ten pairs of which two have a text that cannot be read."""
    pairs = [pair(number, f"{GOOD} {number}", f"{POOR} {number}") for number in range(10)]
    report = examined(
        pairs, lambda text: None if text.endswith((" 3", " 4")) else float(text.startswith("good")), probes=()
    )
    assert (report.coverage.compared, report.coverage.unreadable) == (8, 2)
    assert report.figures["accuracy"].n == 8


def test_data_without_a_comparison_is_an_error() -> None:
    with pytest.raises(InputError, match="the data: no label says which of two responses is better"):
        examined([], reward)
    with pytest.raises(InputError, match="can read no pair of the data whole"):
        examined([pair(0, GOOD, POOR)], lambda text: None)


def test_topics_are_told_apart_by_their_words() -> None:
    kinds = ("bake bread with yeast and flour", "fly a plane through clouds")
    prompts = [(Message("user", f"How do I {kinds[number % 2]}, take {number}?"),) for number in range(130)]
    topics = topics_of(prompts, seed=0)
    assert len(set(topics)) == 2
    assert set(topics[::2]).isdisjoint(topics[1::2])
    assert set(topics[0].split(", ")) <= {"bake", "bread", "yeast", "flour"}


def test_few_prompts_or_no_words_have_no_topics() -> None:
    assert topics_of([(Message("user", f"{number}"),) for number in range(200)], seed=0) == []
    assert topics_of([(Message("user", f"word {number}"),) for number in range(20)], seed=0) == []
