"""The gate of a multi-objective model, fitted to preferences once its objectives are learnt.

    N reads, H width of the features, M objectives, E pairs.

Scores teach what each objective means; only comparisons tell how much it counts for a prompt (Wang et al. 2024, ArmoRM,
section 3.2): everything but the gate is frozen.
"""

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from judge.errors import ConfigError, InputError
from judge.rewards.data.collate import BatchMaker
from judge.rewards.data.examples import Example
from judge.rewards.modeling.reward_model import RewardModule


def fit_gate(
    model: RewardModule,
    collate: BatchMaker,
    examples: Sequence[Example],
    *,
    steps: int = 300,
    learning_rate: float = 1e-2,
    weight_decay: float = 1e-2,
    batch_size: int = 8,
) -> float:
    """Fit the gate to pairs with a `p_first` by the Bradley-Terry loss (Wang et al. 2024, ArmoRM, eq. 6).

    L = −mean [p log σ(d) + (1 − p) log σ(−d)], d = Σ_m g_m(h) r_m of the first minus that of the second.

    Args:
        model: of kind multi, gated.
        collate: its collator.
        examples: those that are no pairs with a preference are left out.
        steps: of AdamW, each over all pairs.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        batch_size: pairs a forward pass of the backbone.

    Returns:
        The loss at the end.

    Raises:
        ConfigError: for a model without a gate.
        InputError: when there is no pair.
    """
    if model.gate is None:
        raise ConfigError("this model has no gate to fit (accepted: kind multi, gated)")
    places, labels = array("q"), array("d")
    for place, example in enumerate(examples):
        if example.p_first is not None and len(example.responses) == 2:
            places.append(place)
            labels.append(example.p_first)
    if not places:
        raise InputError("a gate is fitted to pairs with a preference; there is none")
    values, features = _read_pairs(model, collate, examples, places, batch_size)
    wanted = torch.tensor(labels.tolist(), device=values.device)
    model.gate.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.gate.parameters(), lr=learning_rate, weight_decay=weight_decay)
    loss = values.new_zeros(())
    for _ in range(steps):
        combined = model.combined(values, model.gate(features))[:, 0]
        difference = combined[0::2] - combined[1::2]
        loss = nn.functional.binary_cross_entropy_with_logits(difference, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.gate.requires_grad_(False)
    return float(loss.detach())


@torch.no_grad()
def _read_pairs(
    model: RewardModule, collate: BatchMaker, examples: Sequence[Example], places: Sequence[int], batch_size: int
) -> tuple[Tensor, Tensor]:
    """(2E, M) values and (2E, H) features of both responses of the pairs at some places, in evaluation."""
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    parts = (places[start : start + batch_size] for start in range(0, len(places), batch_size))
    outputs = [model.read(collate([examples[place] for place in part]).to(device)) for part in parts]
    model.train(training)
    return torch.cat([output.values for output in outputs]), torch.cat([output.features for output in outputs])
