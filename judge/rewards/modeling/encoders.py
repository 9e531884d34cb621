"""Encoder arrangements: from a batch to one feature vector a read, (N, F).

    N reads, H width of the backbone, F width of the features.

    joint   prompt and response in one sequence, read where the collator says (or the mean of a text's states)
    fusion  prompt and response apart, their means joined as [u, v, |u − v|, u ⊙ v]
    cross   prompt and response apart, the response's states attending to the prompt's

`fusion` and `cross` read both sides with one set of weights, or with `separate_encoders` each with its own.
"""

import torch
from torch import Tensor, nn

from judge.rewards.data.collate import Apart, Batch, Packed, Padded
from judge.rewards.modeling.attention import PackedAttention
from judge.rewards.modeling.backbone import Backbone
from judge.rewards.registry import ENCODERS


def pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    """(B, H) means of the states (B, T, H) under a mask (B, T), in fp32 (Reimers & Gurevych 2019)."""
    weights = mask.to(torch.float32)[..., None]
    return (hidden.float() * weights).sum(1) / weights.sum(1)


class JointEncoder(nn.Module):
    """One sequence. pooling: "last" reads a state where the collator says, "mean" a text's mean."""

    def __init__(self, width: int, pooling: str) -> None:
        super().__init__()
        self.width, self.pooling = width, pooling

    def forward(self, backbone: Backbone, batch: Batch, attention: PackedAttention | None) -> tuple[Tensor, Tensor]:
        """Features (N, H), and all states flattened, (T, H) or (B·T, H), as a batch's parts index them."""
        assert isinstance(batch, Packed | Padded)
        hidden = backbone.states(batch, attention)
        if isinstance(batch, Packed):
            return hidden[batch.reads], hidden
        if self.pooling == "mean":
            features = pooled(hidden, batch.mask)[batch.reads[:, 0]]
        else:
            features = hidden[batch.reads[:, 0], batch.reads[:, 1]]
        return features, hidden.flatten(0, 1)


class FusionEncoder(nn.Module):
    """Two encoders: features [u, v, |u − v|, u ⊙ v] of the prompt's mean u and the response's mean v, (N, H) mapped.

    Conneau et al. 2017 (InferSent); a layer with GELU brings them to the backbone's width.
    """

    def __init__(self, width: int, pooling: str = "mean") -> None:
        super().__init__()
        self.width = width
        self.layer = nn.Sequential(nn.LayerNorm(4 * width), nn.Linear(4 * width, width), nn.GELU())

    def forward(self, backbone: Backbone, batch: Batch, attention: PackedAttention | None) -> tuple[Tensor, Tensor]:
        """Features (N, H), and the responses' states flattened, (B·T, H)."""
        assert isinstance(batch, Apart)
        prompt, response = _sides(backbone, batch)
        u = pooled(prompt, batch.prompts.mask)[batch.which]
        v = pooled(response, batch.responses.mask)
        features: Tensor = self.layer(torch.cat([u, v, (u - v).abs(), u * v], -1))
        return features, response.flatten(0, 1)


class CrossEncoder(nn.Module):
    """Cross-attention: the response's states ask the prompt's, h + Attention(h, p, p), then their mean.

    Vaswani et al. 2017, eq. 1, with layer norms before it.
    """

    def __init__(self, width: int, pooling: str = "mean", *, heads: int = 4) -> None:
        super().__init__()
        self.width = width
        self.asking, self.asked = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads if width % heads == 0 else 1, batch_first=True)
        self.out = nn.LayerNorm(width)

    def forward(self, backbone: Backbone, batch: Batch, attention: PackedAttention | None) -> tuple[Tensor, Tensor]:
        """Features (N, H), and the responses' states flattened, (B·T, H)."""
        assert isinstance(batch, Apart)
        prompt, response = _sides(backbone, batch)
        prompts = self.asked(prompt)[batch.which]  # (N, P, H)
        padding = batch.prompts.mask[batch.which] == 0
        attended, _ = self.attention(
            self.asking(response), prompts, prompts, key_padding_mask=padding, need_weights=False
        )
        features: Tensor = self.out(pooled(response + attended, batch.responses.mask))
        return features, response.flatten(0, 1)


def _sides(backbone: Backbone, batch: Apart) -> tuple[Tensor, Tensor]:
    """States of the prompts (Q, P, H) and of the responses (N, T, H), in fp32."""
    prompt, response = backbone.prompts.states(batch.prompts), backbone.states(batch.responses)
    return prompt.float(), response.float()


def make_encoder(name: str, width: int, pooling: str) -> nn.Module:
    """An arrangement by name: backbone, batch and its packed attention to features (N, F) and all states.

    Args:
        name: of `ENCODERS`.
        width: H of the backbone.
        pooling: "last" or "mean", for the joint encoder.

    Raises:
        UnknownNameError: for a name that is none.
    """
    made: nn.Module = ENCODERS.load(name)(width, pooling)
    return made
