"""The gate of a multi-objective model, taught by preferences once its objectives are learnt.

    N reads, H width of the features, M objectives, E pairs.

Scores teach what each objective means; only comparisons tell how much it counts for a prompt (Wang et al. 2024, ArmoRM,
section 3.2): everything but the gate stands still. This module refuses to know backbones and files.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from judge.errors import ConfigError, InputError
from judge.rewards.data.collate import Collator
from judge.rewards.data.examples import Example
from judge.rewards.modeling.reward_model import RewardModel


def fit_gate(
    model: RewardModel,
    collate: Collator,
    examples: Sequence[Example],
    *,
    steps: int = 300,
    rate: float = 1e-2,
    decay: float = 1e-2,
    batch: int = 8,
) -> float:
    """Teach the gate by pairs with a `p_first`; the mean Bradley-Terry loss that it ends with.

    L = −mean [p log σ(d) + (1 − p) log σ(−d)], d = Σ_m g_m(h) r_m of the first minus that of the second. Raises
    ConfigError for a model without a gate, InputError when there is no pair.
    """
    if model.gate is None:
        raise ConfigError("this model has no gate to fit (accepted: kind multi, gated)")
    pairs = [one for one in examples if one.p_first is not None and len(one.responses) == 2]
    if not pairs:
        raise InputError("a gate is fitted to pairs with a preference; there is none")
    values, features = _read(model, collate, pairs, batch)
    wanted = torch.tensor([one.p_first for one in pairs], device=values.device)
    optimizer = torch.optim.AdamW(model.gate.parameters(), lr=rate, weight_decay=decay)
    loss = values.new_zeros(())
    for _ in range(steps):
        combined = model.combined(values, model.gate(features))[:, 0]
        difference = combined[0::2] - combined[1::2]
        loss = nn.functional.binary_cross_entropy_with_logits(difference, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def _read(model: RewardModel, collate: Collator, pairs: list[Example], batch: int) -> tuple[Tensor, Tensor]:
    """(2E, M) values and (2E, H) features of both responses of each pair, in evaluation."""
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    read = [model.read(collate(pairs[at : at + batch]).to(device)) for at in range(0, len(pairs), batch)]
    model.train(training)
    return torch.cat([one.values for one in read]), torch.cat([one.features for one in read])
