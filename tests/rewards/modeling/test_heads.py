"""Heads by hand."""

import pytest
import torch

from judge.errors import UnknownNameError
from judge.rewards.modeling.heads import Gate, LevelsHead, LinearHead, MlpHead, make_head


def test_a_linear_head_is_one_matrix_without_bias() -> None:
    made = LinearHead(2, 3)
    made.score.weight.data = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, -1.0]])
    assert made.score.bias is None
    assert made(torch.tensor([[3.0, 5.0]])).tolist() == [[3.0, 10.0, -2.0]]


def test_heads_answer_in_fp32_even_under_autocast() -> None:
    hidden = torch.randn(4, 8, dtype=torch.bfloat16)
    for made in (LinearHead(8, 2), MlpHead(8, 2), Gate(8, 2)):
        with torch.autocast("cpu", torch.bfloat16):
            assert made(hidden).dtype == torch.float32


def test_members_of_an_mlp_are_networks_of_their_own() -> None:
    made = MlpHead(8, 3)
    hidden = torch.randn(5, 8)
    whole = made(hidden)
    for member in range(3):
        features = torch.nn.functional.layer_norm(hidden, (8,))
        features = features * made.gain[member] + made.shift[member]
        inner = torch.nn.functional.gelu(features @ made.first[member] + made.bias[member])
        torch.testing.assert_close(whole[:, member : member + 1], inner @ made.second[member])
    made(hidden)[:, 1].sum().backward()
    assert made.first.grad is not None
    assert [bool(made.first.grad[member].abs().max() > 0) for member in range(3)] == [False, True, False]


def test_levels_are_means_of_their_units() -> None:
    made = LevelsHead(1)
    for part in (made.token, made.segment, made.response):
        part.score.weight.data.fill_(1.0)
    # one response of two sentences, (1 2) and (6), and one of a single token 10
    tokens = torch.tensor([[1.0], [2.0], [6.0], [10.0]])
    reads, ends = torch.tensor([0, 0, 0, 1]), torch.tensor([False, True, True, True])
    levels = made(torch.tensor([[6.0], [10.0]]), tokens, reads, ends)
    # tokens: (1 + 2 + 6) / 3 = 3; segments: ((1 + 2) / 2 + 6) / 2 = 3.75; response: its last state
    assert levels.tolist() == [[3.0, 3.75, 6.0], [10.0, 10.0, 10.0]]
    assert made.combine(levels).tolist() == pytest.approx(torch.tensor([[4.25], [10.0]]))


def test_a_gate_begins_with_equal_weights_and_stops_the_gradient() -> None:
    gate = Gate(4, 3)
    hidden = torch.randn(2, 4, requires_grad=True)
    weights = gate(hidden)
    torch.testing.assert_close(weights, torch.full((2, 3), 1 / 3))
    weights[:, 0].sum().backward()
    assert hidden.grad is None


def test_an_unknown_head_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'linear'"):
        make_head("liner", 4, 1)
