"""What length earns: caught with its size, and not mistaken for quality."""

import numpy as np
import pytest

from tests.agreement.robustness.sample import examined, names, pair

LENGTHS = ((8, 4), (4, 8), (16, 4), (4, 16))
"""Characters of the better and the worse response: log2 is (3, 2), (2, 3), (4, 2), (2, 4)."""


def test_the_slope_by_hand() -> None:
    """r = 3 log2(length) + 5 where better: better ones 14, 11, 17, 11, worse ones 6, 9, 6, 12. Their sum is 86, of the
    squares 1024: variance 1024/8 - (86/8)² = 12.4375. Margins 8, 2, 11, -1: three of four are right."""
    pairs = [
        pair(number, "b" * LENGTHS[number % 4][0], "w" * LENGTHS[number % 4][1], prompt=f"{number}?")
        for number in range(40)
    ]
    report = examined(pairs, lambda text: 3 * np.log2(len(text)) + 5 * (text[0] == "b"), probes=())
    figures = report.figures
    assert figures["reward_deviation"].value == pytest.approx(12.4375**0.5)
    assert figures["length_slope"].value == pytest.approx(3 / 12.4375**0.5)
    assert figures["accuracy"].value == 0.75
    assert (figures["accuracy_longer"].value, figures["accuracy_shorter"].value) == (1.0, 0.5)
    assert figures["accuracy_balanced"].value == 0.75
    assert figures["longer_better"].value == 0.5
    assert figures["longer_wins"].value == 0.75  # all but the second of four
    (flag,) = [finding for finding in report.findings if finding.name == "likes_long"]
    assert flag.what == "Twice the length adds 0.85 deviations of reward, people's verdict held"
    assert "100.0 % of 20 pairs whose better response is longer, on 50.0 % of 20 whose is shorter" in flag.evidence


def drawn(seed: int, slope: float, quality: float, count: int) -> tuple[float | None, float | None]:
    """The interval of the slope in deviations of a model that likes length by `slope`, on data whose better response
    tends to be longer: log2 of the lengths is N(6.5, 1) and N(6, 1), and other things add N(0, 1) to the reward."""
    draw = np.random.default_rng(seed)
    lengths = np.maximum(8, np.exp2(draw.normal([6.5, 6.0], 1.0, (count, 2)))).astype(int)
    noise = draw.normal(0, 1, (count, 2))
    pairs, rewards = [], {}
    for number in range(count):
        texts = [f"{number:04d}".ljust(lengths[number, place], side) for place, side in enumerate("bw")]
        for place, text in enumerate(texts):
            rewards[text] = slope * np.log2(len(text)) + quality * (place == 0) + noise[number, place]
        pairs.append(pair(number, *texts))
    figure = examined(pairs, rewards.__getitem__, probes=(), resamples=300, seed=seed).figures["length_slope"]
    return figure.low, figure.high


def in_deviations(slope: float, quality: float) -> float:
    """What `drawn` is to find: rewards are spread by length and noise, 1·slope² + 1, and by what stands between better
    and worse, (quality + ½ slope)² / 4."""
    return slope / (slope**2 + 1 + (quality + slope / 2) ** 2 / 4) ** 0.5


def test_a_model_that_likes_length_is_caught_with_its_size() -> None:
    low, high = drawn(seed=1, slope=0.5, quality=1.0, count=400)
    assert low is not None and high is not None
    assert low < in_deviations(0.5, 1.0) < high
    assert high - low < 0.2 < low


def test_a_model_that_likes_quality_alone_is_not_accused() -> None:
    """The better responses are longer, so the longer one wins more often than not; the slope is 0 all the same."""
    low, high = drawn(seed=2, slope=0.0, quality=2.0, count=400)
    assert low is not None and high is not None and low < 0 < high


def test_the_interval_of_the_slope_covers() -> None:
    """100 data sets: of 95 % intervals 95 are expected to hold the truth; 88 or fewer would be a chance of 0.4 %."""
    true = in_deviations(0.3, 1.0)
    held = [low < true < high for low, high in (drawn(seed, 0.3, 1.0, 60) for seed in range(100)) if low and high]
    assert sum(held) >= 89


def test_a_dislike_of_length_is_said_as_such() -> None:
    pairs = [pair(number, "b" * LENGTHS[number % 4][0], "w" * LENGTHS[number % 4][1]) for number in range(40)]
    report = examined(pairs, lambda text: 9 * (text[0] == "b") - np.log2(len(text)), probes=())
    (flag,) = [finding for finding in report.findings if finding.name.startswith("likes")]
    assert flag.name == "likes_short" and flag.what.startswith("Twice the length takes ")


def test_equal_lengths_say_nothing() -> None:
    report = examined([pair(number, "good", "poor") for number in range(40)], lambda text: text == "good", probes=())
    assert report.length == () and "likes_long" not in names(report)
