"""Arrangements by hand: means under a mask, fusion of two sides, what cross-attention may see."""

import pytest
import torch

from judge.errors import UnknownNameError
from judge.rewards.data.collate import Apart, Padded
from judge.rewards.modeling.encoders import CrossEncoder, FusionEncoder, make_encoder, pooled


class Table(torch.nn.Module):
    """A backbone that gives each token's own vector."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(10, 8)

    @property
    def prompts(self) -> "Table":
        return self

    def states(self, batch: Padded) -> torch.Tensor:
        states: torch.Tensor = self.table(batch.tokens)
        return states


def padded(*rows: list[int]) -> Padded:
    width = max(map(len, rows))
    tokens = torch.tensor([row + [9] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return Padded(tokens=tokens, mask=mask, reads=torch.tensor([(at, len(row) - 1) for at, row in enumerate(rows)]))


def test_a_mean_leaves_padding_out() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [100.0]], [[2.0], [4.0], [6.0]]])
    assert pooled(hidden, torch.tensor([[1, 1, 0], [1, 1, 1]])).tolist() == [[2.0], [4.0]]


def test_fusion_joins_both_sides_their_difference_and_product() -> None:
    made, table = FusionEncoder(8), Table()
    made.layer = torch.nn.Identity()  # type: ignore[assignment]
    batch = Apart(prompts=padded([1, 2]), responses=padded([3], [4, 5]), which=torch.tensor([0, 0]))
    features, _ = made(table, batch, None)
    u = table.table(torch.tensor([1, 2])).mean(0)
    v = table.table(torch.tensor([4, 5])).mean(0)
    torch.testing.assert_close(features[1], torch.cat([u, v, (u - v).abs(), u * v]))


@pytest.mark.parametrize("made", [FusionEncoder(8), CrossEncoder(8)], ids=["fusion", "cross"])
def test_each_response_meets_its_own_prompt_and_no_padding(made: torch.nn.Module) -> None:
    table = Table()
    both = Apart(prompts=padded([1, 2, 3], [4]), responses=padded([5], [6, 7]), which=torch.tensor([1, 0]))
    first = Apart(prompts=padded([4]), responses=padded([5]), which=torch.tensor([0]))
    second = Apart(prompts=padded([1, 2, 3]), responses=padded([6, 7]), which=torch.tensor([0]))
    alone = torch.cat([made(table, one, None)[0] for one in (first, second)])
    torch.testing.assert_close(made(table, both, None)[0], alone)


def test_an_unknown_arrangement_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fusion'"):
        make_encoder("fussion", 8, "last")
