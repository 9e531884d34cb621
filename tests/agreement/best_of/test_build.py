"""A whole best-of-n report from candidates whose numbers are known."""

from math import log

import pytest

from judge.agreement.best_of.build import build
from judge.agreement.best_of.schema import BestOfConfig, Candidates, Searched
from judge.agreement.serialization import best_of_from_row, best_of_to_row
from judge.errors import InputError


def candidate(number: int, rewards, truth, answers=(), gold=()) -> Candidates:
    return Candidates(f"prompt {number}", rewards, truth, answers or [None] * len(rewards), gold)


def useful(count: int = 40) -> list[Candidates]:
    """Half of the prompts: the reward finds the one right answer of four, which the majority misses; in the others all
    are right."""
    hard = ([0.9, 0.1, 0.2, 0.3], [1, 0, 0, 0], ["7", "8", "8", "9"])
    easy = ([0.9, 0.1, 0.2, 0.3], [1, 1, 1, 1], ["7", "7", "7", "7"])
    return [candidate(number, *(hard, easy)[number % 2]) for number in range(count)]


def test_curves_by_hand() -> None:
    report = build("model", useful(), BestOfConfig(resamples=200))
    assert (report.n, report.sizes, report.truth) == (4, (1, 2, 4), "right")
    assert report.kl == pytest.approx((0, log(2) - 1 / 2, log(4) - 3 / 4))
    figures = report.figures
    # the right one is drawn with n/4 in the hard half
    assert [figures[f"best_of/{n}"].value for n in (1, 2, 4)] == pytest.approx([0.625, 0.75, 1.0])
    assert [figures[f"pass/{n}"].value for n in (1, 2, 4)] == pytest.approx([0.625, 0.75, 1.0])
    assert figures["majority/4"].value == pytest.approx(0.5)  # "8" wins in the hard half
    assert figures["weighted/4"].value == pytest.approx(1.0)  # 0.9 against 0.3 and 0.3
    assert figures["share_of_way"].value == pytest.approx(1.0)
    assert figures["gain_difference"].value == pytest.approx(0.375)
    assert figures["best_of_majority_difference"].value == pytest.approx(0.5)
    low, high = figures["best_of_majority_difference"].low, figures["best_of_majority_difference"].high
    assert low is not None and high is not None and low < 0.5 < high
    assert report.findings == ()


def test_a_reward_that_likes_the_wrong_is_found() -> None:
    rows = [candidate(number, [0.1, 0.9, 0.5], [1, 0, 1], ["7", "8", "7"]) for number in range(20)]
    report = build("model", rows, BestOfConfig(resamples=100))
    assert [finding.name for finding in report.findings] == ["worse_than_chance", "majority_is_better"]
    assert report.figures["share_of_way"].value == pytest.approx((0 - 2 / 3) / (1 - 2 / 3))


def test_gold_falls_while_the_reward_rises() -> None:
    """The gold reward of the second by reward is the highest: of two it is often taken, of three never."""
    rows = [candidate(n, [3.0, 2.0, 1.0, 0.0], [None] * 4, gold=[0.0, 3.0, 1.0, 0.0]) for n in range(20)]
    report = build("model", rows, BestOfConfig(resamples=100), gold="gold")
    proxy, gold = report.curve("proxy"), report.curve("gold")
    assert proxy is not None and gold is not None
    assert report.truth == "" and report.curve("best_of") is None
    values = [point.value for point in proxy.points]
    assert values == sorted(values)  # type: ignore[type-var]
    # gold by n before it is standardised: mean 1; {1/2, 1/3, 1/6} · (0, 3, 1) = 7/6; 0; deviation sqrt(6/4)
    deviation = (6 / 4) ** 0.5
    assert [point.value for point in gold.points] == pytest.approx([0, (7 / 6 - 1) / deviation, -1 / deviation])
    assert [finding.name for finding in report.findings] == ["overoptimised"]


def test_ratings_are_no_shares() -> None:
    rows = [candidate(number, [1.0, 2.0], [3.0, 5.0]) for number in range(10)]
    report = build("model", rows, BestOfConfig(resamples=0))
    assert report.truth == "rated"
    assert report.figures["best_of/2"].value == 5.0
    assert report.figures["best_of/2"].unit == "coefficient"
    assert report.curve("majority") is None


def test_what_is_left_out_is_counted() -> None:
    rows = [*useful(10), candidate(90, [0.5, 0.4], [1, 0]), candidate(91, [None] * 4, [1, 1, 1, 1])]
    rows += [candidate(92, [0.1, None, 0.2, 0.3], [1, None, 0, 0])]
    report = build("model", rows, BestOfConfig(resamples=0))
    assert (report.prompts, report.too_few, report.unreadable, report.without_truth) == (11, 2, 1, 1)


def test_a_search_at_equal_tokens() -> None:
    # a search takes 30 tokens, an answer 10: three answers, half the way from the curve's 0.75 at 2 to 1.0 at 4
    searched = [Searched(f"prompt {number}", float(number % 2), 30, 10.0) for number in range(40)]
    report = build("model", useful(), BestOfConfig(resamples=0), searched=searched)
    assert report.figures["search"].value == pytest.approx(0.5)
    assert report.figures["equal_tokens"].value == pytest.approx(0.875)
    assert report.figures["search_difference"].value == pytest.approx(-0.375)
    assert report.figures["search_tokens"].value == pytest.approx(30)


def test_a_report_comes_back_from_json() -> None:
    report = build("model", useful(8), BestOfConfig(resamples=50))
    assert best_of_from_row(best_of_to_row(report)) == report
    with pytest.raises(InputError, match="field 'version'"):
        best_of_from_row({})


def test_what_cannot_be_chosen_from() -> None:
    with pytest.raises(InputError, match="each of the 2 prompts has one"):
        build("model", [candidate(0, [1.0], [1]), candidate(1, [1.0], [1])])
    with pytest.raises(InputError, match=r"n=8: the prompts have 4 responses \(accepted: 2 to 4\)"):
        build("model", useful(), BestOfConfig(n=8))
    with pytest.raises(InputError, match="no prompt has 2 responses of which one has a reward"):
        build("model", [candidate(0, [None, None], [1, 0])])
