"""The training loop's arithmetic: mixtures, the learning rate's course, batches. Training itself is not run here."""

import math
from random import Random

import pytest

from judge.tiny.lessons import Piece, Teacher, chains, sums
from judge.tiny.tokenizer import chat, train_tokenizer

pytest.importorskip("torch")

import torch

from judge.rewards.modeling import likelihood_head as likelihood
from judge.tiny.train import CURRICULUM, OFFSET, PAGES, SLOPE, Batch, Row, School, factor, judged, shares


@pytest.mark.parametrize("seen", [0.0, 0.7e6, 1.5e6, 4.2e6, 6e6, 7e6, 30e6])
def test_the_mixture_is_a_distribution_of_lessons_that_exist(seen):
    mixture = shares(seen)
    assert sum(mixture.values()) == pytest.approx(1.0)
    teacher = Teacher(chat)
    assert all(name in PAGES or hasattr(teacher, name) for name in mixture)


def test_the_mixture_changes_evenly_between_two_marks():
    low, high, *_ = sorted(CURRICULUM)
    middle = shares((low + high) / 2)
    for name, share in middle.items():
        assert share == pytest.approx((CURRICULUM[low].get(name, 0) + CURRICULUM[high].get(name, 0)) / 2)


def test_the_rate_warms_up_stays_and_falls_to_zero():
    assert factor(0, 10e6, 0.3) == pytest.approx(0.02)
    assert factor(5e6, 10e6, 0.3) == 1.0
    assert factor(8.5e6, 10e6, 0.3) == pytest.approx(0.5)  # half of the last 3 M is left
    assert factor(10e6, 10e6, 0.3) == 0.0


def test_a_batch_learns_the_next_token_of_replies_alone():
    rows = [Row([5, 6, 7, 8], [False, False, True, True], [-1] * 4, []), Row([9, 4], [False, True], [-1] * 2, [])]
    batch = Batch(rows, 0)
    assert batch.tokens.tolist() == [[5, 6, 7, 8], [9, 4, 0, 0]]
    assert batch.targets.tolist() == [[-100, 7, 8, -100], [4, -100, -100, -100]]
    assert (batch.piece == -1).all() and not len(batch.holds)


def test_a_batch_knows_whose_each_token_is_and_what_holds():
    """Two rows of two judged pieces each; a place stands for the token after it."""
    first = Row([5, 6, 7, 8], [False, True, False, False], [-1, 0, 1, 1], [True, False])
    second = Row([9, 4, 3], [False, True, True], [-1, 0, 1], [True, True])
    batch = Batch([first, second], 0)
    assert batch.piece.tolist() == [[0, 1, 1, -1], [2, 3, -1, -1]]
    assert batch.following.tolist() == [[6, 7, 8, 0], [4, 3, 0, 0]]
    assert batch.targets.tolist() == [[6, -100, -100, -100], [4, 3, -100, -100]]
    assert batch.holds.tolist() == [1.0, 0.0, 1.0, 1.0]


def test_the_backbone_is_taught_as_the_head_begins_to_read():
    assert (SLOPE, OFFSET) == (likelihood.SLOPE, likelihood.OFFSET)


def test_a_piece_holds_when_every_token_could_follow():
    """Two tokens of one piece, one of another: σ(α log p + β) each, their product, and cross-entropy, by hand."""
    said = torch.tensor([-5.0, -4.0, -6.0])
    could = [1 / (1 + math.exp(-(SLOPE * log + OFFSET))) for log in said.tolist()]
    wanted = -(math.log(could[0] * could[1]) + math.log(1 - could[2])) / 2
    found = judged(said, torch.tensor([0, 0, 1]), torch.tensor([1.0, 0.0]))
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_a_lesson_ends_with_the_end_of_its_turn():
    tokenizer = train_tokenizer("".join(piece.text for piece in page(Random(0))) for page in (sums, chains))
    ids, learn, piece, holds = School(tokenizer, 1000, 0)._encode([Piece("1 + 2", False), Piece(" = 3", True, True)])
    assert tokenizer.decode(ids) == "1 + 2 = 3<eos>"
    assert piece[-3:] == [0, 0, -1] and holds == [True]
    assert learn[-3:] == [True, True, True]  # " = ", "3", <eos>
    assert not any(learn[:-3])


def test_batches_keep_to_their_size():
    tokenizer = train_tokenizer("".join(piece.text for piece in page(Random(0))) for page in (sums, chains))
    school = School(tokenizer, 1500, 0)
    for batch in school.batches(0.0):
        rows, longest = batch.tokens.shape
        assert rows == 1 or rows * longest <= 1500
