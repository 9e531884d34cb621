"""Weights of examples by the certainty of their labels and by the rarity of their class, worked out by hand."""

from typing import Any

import pytest
import torch

from judge.errors import ConfigError, InputError
from judge.records import HumanLabel, Message, Pair, Response, Solution
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example, examples
from judge.rewards.data.targets import Targets, mean_weight
from judge.rewards.data.weights import weighted
from judge.rewards.losses.registry import get_loss, training_loss
from tests.rewards.models import example


def weights(made: list[Example], **settings: Any) -> list[float]:
    return [each.weight for each in weighted(made, RewardConfig.of(**settings))]


def people(*verdicts: Any) -> tuple[HumanLabel, ...]:
    return tuple(HumanLabel(annotator=f"p{place}", verdict=verdict) for place, verdict in enumerate(verdicts))


def said(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


def test_nothing_asked_for_leaves_the_examples_alone() -> None:
    made = [example("w7", "w8", "w9", p_first=0.75)]
    assert weighted(made, RewardConfig.of()) == made


def test_confidence_is_the_distance_from_even_over_its_mean() -> None:
    """|2p - 1| of 1, 0.75, 0.4 and 0.5 is 1, 0.5, 0.2 and 0; their mean is 0.425."""
    made = [example("w7", "w8", "w9", p_first=p) for p in (1.0, 0.75, 0.4, 0.5)]
    expected = [1 / 0.425, 0.5 / 0.425, 0.2 / 0.425, 0.0]
    assert weights(made, example_weights="confidence") == pytest.approx(expected)


def test_agreement_counts_the_people_behind_a_label() -> None:
    """n / (n + 2) |2p - 1|: one vote 1/3, three of three 3/5, two of three 3/5 · 1/3 = 1/5; their mean is 17/45. The
    tie of two people, p = 3/4, is 2/4 · 1/2 = 1/4."""
    asked = (Message("user", "w7"),)
    votes = [("first",), ("first",) * 3, ("first", "first", "second")]
    records = [
        Pair(prompt=asked, first=said("w8"), second=said(f"w{9 + i}"), human=people(*v)) for i, v in enumerate(votes)
    ]
    made, _ = examples([(record, None) for record in records], "scalar", "human")
    assert [each.votes for each in made] == [(1,), (3,), (3,)]
    expected = [(1 / 3) / (17 / 45), (3 / 5) / (17 / 45), (1 / 5) / (17 / 45)]
    assert weights(made, example_weights="agreement") == pytest.approx(expected)
    tied = Pair(prompt=asked, first=said("w8"), second=said("w9"), human=people("first", "tie"))
    (half,), _ = examples([(tied, None)], "scalar", "human")
    (sure,), _ = examples([(records[1], None)], "scalar", "human")
    ratio = [each.weight for each in weighted([half, sure], RewardConfig.of(example_weights="agreement"))]
    assert ratio[0] / ratio[1] == pytest.approx((1 / 4) / (3 / 5))


def test_a_judges_label_has_its_confidence_where_votes_are_unknown() -> None:
    made = [example("w7", "w8", "w9", p_first=p) for p in (1.0, 0.75)]
    assert weights(made, example_weights="agreement") == weights(made, example_weights="confidence")


def test_balance_gives_both_outcomes_the_same_share() -> None:
    """Three right and one wrong: 4 / (2 · 3) = 2/3 each and 4 / (2 · 1) = 2."""
    made = [example("w7", "w8", p_correct=p) for p in (1.0, 1.0, 1.0, 0.0)]
    assert weights(made, kind="outcome", class_balance=True) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])


def test_balance_of_soft_outcomes_weighs_by_their_shares() -> None:
    """P(right) of 0.9 and 0.6: masses 1.5 and 0.5 of 2. Weights
    2 (0.9 / 3 + 0.1 / 1) = 0.8 and 2 (0.6 / 3 + 0.4) = 1.2."""
    made = [example("w7", "w8", p_correct=p) for p in (0.9, 0.6)]
    assert weights(made, kind="outcome", class_balance=True) == pytest.approx([0.8, 1.2])


def test_confidence_and_balance_together() -> None:
    """P(right) of 1 and 0.75 and 0: confidences 1, 0.5, 1. Masses: right 1.375, wrong 1.125, W = 2.5. Before the mean:
    1 · 2.5/2.75 = 10/11; 0.5 (0.75 · 10/11 + 0.25 · 10/9); 1 · 2.5/2.25 = 10/9."""
    made = [example("w7", "w8", p_correct=p) for p in (1.0, 0.75, 0.0)]
    raw = [10 / 11, 0.5 * (0.75 * 10 / 11 + 0.25 * 10 / 9), 10 / 9]
    expected = [3 * value / sum(raw) for value in raw]
    given = weights(made, kind="outcome", class_balance=True, example_weights="confidence")
    assert given == pytest.approx(expected)


def solution(*shares: Any, **fields: Any) -> Example:
    steps = tuple(f"w{10 + place}" for place in range(len(shares)))
    return Example(id="s", group="g", prompt=said("w7"), steps=steps, step_probabilities=shares, **fields)


RIGHT, WRONG, NEUTRAL = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def test_steps_have_weights_of_their_own() -> None:
    """Four judged steps, three right (one of them neutral) and one wrong: 2/3 and 2; of three classes
    4/(3·2), 4/3, 4/3."""
    made = [solution(RIGHT, RIGHT, WRONG), solution(NEUTRAL, None)]
    two = weighted(made, RewardConfig.of(kind="process", class_balance=True))
    assert two[0].step_weights == pytest.approx((2 / 3, 2 / 3, 2.0))
    assert two[1].step_weights[0] == pytest.approx(2 / 3) and two[1].step_weights[1] is None
    three = weighted(made, RewardConfig.of(kind="process", step_classes=3, class_balance=True))
    assert three[0].step_weights == pytest.approx((2 / 3, 2 / 3, 4 / 3))
    assert three[1].step_weights[0] == pytest.approx(4 / 3)


def test_votes_of_steps_are_those_who_judged_them() -> None:
    """Two people: the first mistake is at step 1 (0-based), and at step 2: the third step was judged by one of them."""
    record = Solution(prompt=said("w7"), steps=("w8", "w9", "w10"), human=people(1, 2))
    (made,), _ = examples([(record, None)], "process", "human")
    assert made.votes == (2, 2, 1)
    (weighed,) = weighted([made], RewardConfig.of(kind="process", example_weights="agreement"))
    # 2/4 · 1, 2/4 · 0, 1/3 · 1; the mean is 5/18
    assert weighed.step_weights == pytest.approx((0.5 / (5 / 18), 0.0, (1 / 3) / (5 / 18)))


def test_the_votes_on_an_outcome() -> None:
    record = Response(prompt=said("w7"), response=said("w8"), human=people(1, 1, 0))
    (made,), _ = examples([(record, None)], "outcome", "human")
    assert made.votes == (3,) and made.p_correct == pytest.approx(2 / 3)


def test_weights_count_within_a_batch_and_between_batches() -> None:
    """Bradley-Terry at d = 0 is log 2 a pair. Weights 3 and 1 of two pairs that cost a and b: (3a + b) / 2, since the
    mean weight is 2; a batch of one pair of weight 0.5 costs half of its loss."""
    loss = training_loss(RewardConfig.of())
    log2 = 0.6931472
    first, second = (example("w7", "w8", "w9", p_first=1.0, weight=w) for w in (3.0, 1.0))
    rewards = torch.tensor([[0.0], [0.0], [40.0], [0.0]])
    assert float(loss(rewards, Targets.of([first, second], "scalar"))) == pytest.approx(3 * log2 / 2, abs=1e-6)
    light = Targets.of([example("w7", "w8", "w9", p_first=1.0, weight=0.5)], "scalar")
    assert float(loss(torch.zeros(2, 1), light)) == pytest.approx(log2 / 2, abs=1e-6)


def test_weighed_steps_in_the_loss() -> None:
    """Two steps that cost log 2 each at even logits, weights 0.5 and 1.5, the third not judged: (0.5 + 1.5) log 2 / 2.
    With the second one sure and right its loss is 0: 0.5 log 2 / 2."""
    made = solution(RIGHT, WRONG, None, step_weights=(0.5, 1.5, None))
    targets = Targets.of([made], "process")
    assert float(mean_weight(targets)) == pytest.approx(1.0)
    loss = training_loss(RewardConfig.of(kind="process"))
    assert float(loss(torch.zeros(3, 2), targets)) == pytest.approx(0.6931472, abs=1e-6)
    sure = torch.tensor([[0.0, 0.0], [-40.0, 40.0], [0.0, 0.0]])
    assert float(loss(sure, targets)) == pytest.approx(0.5 * 0.6931472 / 2, abs=1e-6)


def test_weights_of_one_change_nothing() -> None:
    made = [example("w7", "w8", "w9", p_first=0.9), example("w9", "w8", "w9", p_first=0.2)]
    rewards = torch.randn(4, 1, generator=torch.Generator().manual_seed(0))
    plain = get_loss("bradley_terry")(rewards, Targets.of(made, "scalar"))
    assert float(training_loss(RewardConfig.of())(rewards, Targets.of(made, "scalar"))) == float(plain)


def test_what_cannot_be_weighed_is_refused() -> None:
    pair = example("w7", "w8", "w9", p_first=0.5)
    with pytest.raises(ConfigError, match="class_balance is for outcome and process models; kind scalar"):
        weighted([pair], RewardConfig.of(class_balance=True))
    with pytest.raises(InputError, match="every label is even"):
        weighted([pair], RewardConfig.of(example_weights="confidence"))
    with pytest.raises(ValueError, match="did you mean 'confidence'"):
        RewardConfig.of(example_weights="confident")
