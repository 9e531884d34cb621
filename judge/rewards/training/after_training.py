"""What is fitted once the weights stand: the members' levels, the gate of the objectives, and the uncertainty; then
calibration, figures and red flags.

    N reads, C outputs, F width of the features.

All of it is fitted to what scoring gives, so calibration, figures and scores speak of the same numbers.
"""

import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from judge.errors import ConfigError
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Batch
from judge.rewards.data.examples import Example
from judge.rewards.data.grouping import labels_alone
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.calibration import Calibration, calibrate
from judge.rewards.evaluation.metrics import figures
from judge.rewards.evaluation.red_flags import (
    MIN_EXAMPLES,
    NOT_EXAMINED,
    Evidence,
    RedFlags,
    find_red_flags,
    reversed_order,
)
from judge.rewards.losses.registry import loss_reads
from judge.rewards.modeling.gating import fit_gate
from judge.rewards.modeling.reward_model import RewardModule
from judge.rewards.modeling.uncertainty import (
    REFITS,
    Members,
    Statements,
    Uncertainty,
    fit_dropout,
    fit_laplace,
    fit_refit,
)
from judge.rewards.training.loop import TrainingJob, predict

MAX_EXAMPLES = 2048  # whose features are read again for the uncertainty


class _AsScored(nn.Module):
    """The model as scoring reads it: (N, C + 1), its values and the combined reward."""

    def __init__(self, model: RewardModule) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        rewards = self.model.rewards(batch)
        return torch.cat([rewards.values, rewards.combined[:, :1]], -1)


class _Features(nn.Module):
    """The features (N, F) that the head reads."""

    def __init__(self, model: RewardModule) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        return self.model.read(batch).features


def predict_scores(job: TrainingJob, examples: Sequence[Example], device: Any) -> tuple[Tensor, Tensor, Targets]:
    """What scoring gives for examples, bank, levels and gate included.

    Args:
        job: whose model is used.
        examples: that fit its collator.
        device: of the model.

    Returns:
        Values (N, C), the combined reward (N,) and the targets of the same reads, on the CPU.
    """
    rewards, targets = predict(job, _AsScored(_model(job)), examples, device)
    return rewards[:, :-1], rewards[:, -1], targets


def complete_model(job: TrainingJob, gate_pairs: Sequence[Example], device: Any) -> RewardConfig:
    """Centre the members, fit the gate and the uncertainty of a trained model.

    Args:
        job: its model is changed in place.
        gate_pairs: pairs with a preference, for a gated model; those of held-out prompts are no part of it.
        device: of the model.

    Returns:
        The configuration with the method of uncertainty that the model has.
    """
    model = _model(job)
    if model.config.model.kind == "ensemble" and loss_reads(job.config.loss_name) == "comparisons":
        center_members(job, device)
    if model.gate is not None:
        fit_gate(model, job.collate, gate_pairs, batch_size=job.config.training.batch_size)
    model.uncertainty = fit_uncertainty(job, job.config.model.uncertainty_method, device)
    name = model.uncertainty.name if model.uncertainty is not None else "none"
    return job.config.updated(uncertainty=name)


def center_members(job: TrainingJob, device: Any) -> None:
    """Take out of each member what it gives the calibration data on average, and of the bank what it remembers of it.

    Comparisons fix differences alone, so a member's level is what training happened to leave it at; it would count as
    disagreement, and would differ from text to text where members are weighed or clipped.
    """
    model = _model(job)
    data = job.validation or _sample(job.examples, job.config.training.seed)
    values, _ = predict(job, model, data, device)
    model.member_levels.copy_(values.mean(0))
    if model.bank is not None and model.bank.filled:
        remembered = model.bank.rewards[: model.bank.filled]
        remembered -= remembered.mean(0)


def fit_uncertainty(job: TrainingJob, method: str, device: Any) -> Uncertainty | None:
    """A method of uncertainty, fitted to the features of training examples; None for "none", and without labels for it.

    Args:
        job: whose model is read.
        method: members, refit, laplace, dropout or none.
        device: of the model.
    """
    if method == "none":
        return None
    return Members() if method == "members" else fit_method(job, method, *training_features(job, device), device)


def training_features(job: TrainingJob, device: Any) -> tuple[Sequence[Example], Tensor]:
    """At most MAX_EXAMPLES of the training examples, and the features (N, F) of their reads, on the CPU."""
    examples = _sample(job.examples, job.config.training.seed)
    features, _ = predict(job, _Features(_model(job)), examples, device)
    return examples, features


def fit_method(
    job: TrainingJob, method: str, examples: Sequence[Example], features: Tensor, device: Any
) -> Uncertainty | None:
    """refit, laplace or dropout on the features (N, F) of training examples; None without labels for it."""
    if method == "dropout":
        config, head = job.config, _model(job).head.eval()
        return fit_dropout(features.to(device), head, config.model.dropout, config.training.seed)
    statements = statements_of(job, examples, features, device)
    if statements is None:
        return None
    fitted: Uncertainty = fit_laplace(statements) if method == "laplace" else fit_refit(statements)
    return fitted.to(device)


def statements_of(job: TrainingJob, examples: Sequence[Example], features: Tensor, device: Any) -> Statements | None:
    """What a last layer on these features (N, F) would learn from the examples; None where they have no labels.

    The weights are those of all training examples, of which these may be a sample.
    """
    config = job.config
    objectives, seed = config.model.objectives, config.training.seed
    targets = Targets.of(examples, config.model.kind, objectives, members=REFITS, seed=seed)
    assert targets.member_weight is not None
    share = len(job.examples) / len(examples)
    compared = targets.groups.shape[1] > 1 and (targets.p_first is not None or targets.ranks is not None)
    match loss_reads(config.loss_name):
        case "comparisons" if compared:
            pairs = targets.pairs(features)
            assert pairs.member_weight is not None
            center = features.mean(0)
            statements = Statements(pairs.difference, pairs.p_first, pairs.weight * share, pairs.member_weight, center)
        case "outcomes" if targets.p_correct is not None:
            statements = _of_reads(targets, features, targets.p_correct, share)
        case "scores" if targets.scores is not None:
            model = _model(job)
            labels = _standard_scores(model, targets.scores)
            statements = _of_reads(targets, features, labels, share)
            known = ~labels.isnan()
            _, rewards, _ = predict_scores(job, examples, device)
            residual = (rewards - labels)[known].double()
            statements = statements._replace(noise=max(float(residual.square().mean()), 1e-6))
        case _:
            return None
    return statements if len(statements.inputs) else None


def _of_reads(targets: Targets, features: Tensor, labels: Tensor, share: float) -> Statements:
    """Statements of single texts (N,), those without a label left out."""
    assert targets.member_weight is not None
    known = ~labels.isnan()
    count = len(features)
    return Statements(
        features[known],
        labels[known],
        targets.of_reads(targets.weight, count)[known] * share,
        targets.of_reads(targets.member_weight, count)[known],
        torch.zeros_like(features[0]),
    )


def _standard_scores(model: RewardModule, scores: Tensor) -> Tensor:
    """(N,) of labels (N, M): of objectives in standard units under their weights."""
    if model.config.model.kind != "multi":
        return scores.mean(-1)
    standard = (scores - model.score_mean.cpu()) / model.score_scale.cpu()
    return (standard * model.objective_weights.cpu()).sum(-1)


def standardize(model: RewardModule, targets: Targets) -> Targets:
    """Targets whose scores of several objectives have mean 0 and deviation 1 each over the training examples."""
    if model.config.model.kind != "multi" or targets.scores is None:
        return targets
    mean, scale = (value.to(targets.scores.device) for value in (model.score_mean, model.score_scale))
    return replace(targets, scores=(targets.scores - mean) / scale)


def set_score_scale(model: RewardModule, examples: Sequence[Example]) -> None:
    """Give a multi-objective model the mean and deviation of each objective's labels; of a constant one 1."""
    objectives = model.config.model.objectives
    scores = {name: array("d") for name in objectives}
    for example in examples:
        for row in example.scores:
            for name in objectives:
                if name in row:
                    scores[name].append(row[name])
    for place, name in enumerate(objectives):
        labels = torch.tensor(np.asarray(scores[name]))
        scale = float(labels.std(correction=0)) if len(labels) else 0.0
        model.score_mean[place] = float(labels.mean()) if len(labels) else 0.0
        model.score_scale[place] = scale if scale > 0 else 1.0


def evaluate_model(
    job: TrainingJob, history: Sequence[Mapping[str, Any]], device: Any
) -> tuple[Calibration | None, dict[str, Any], RedFlags]:
    """Calibration, figures and red flags on the validation examples; nothing where there are none.

    Args:
        job: whose model is read, complete.
        history: of its training.
        device: of the model.
    """
    config, held_out = job.config, job.validation
    if not held_out:
        return None, {}, RedFlags(flags=(NOT_EXAMINED,))
    rewards, combined, targets = predict_scores(job, held_out, device)
    validation = {"loss": job.validation_loss(rewards, targets), **figures(rewards, targets, config)}
    reward = None if config.model.kind == "process" else combined
    labels = labels_alone(held_out)
    calibration = calibrate(rewards, targets, labels, config, method=config.calibration.method, reward=reward)
    trained_on = job.examples[: max(len(held_out), MIN_EXAMPLES)]
    training_rewards, _, training_targets = predict_scores(job, trained_on, device)
    evidence = Evidence(
        rewards=rewards,
        reward=reward,
        targets=targets,
        examples=held_out,
        config=config,
        reversed_rewards=predict_scores(job, reversed_order(held_out), device)[0],
        training=figures(training_rewards, training_targets, config),
        validation=validation,
        history=history,
        calibration=calibration,
    )
    return calibration, validation, find_red_flags(evidence)


def _sample(examples: Sequence[Example], seed: int) -> Sequence[Example]:
    """At most MAX_EXAMPLES of the examples, drawn by the seed."""
    if len(examples) <= MAX_EXAMPLES:
        return examples
    return [examples[place] for place in random.Random(seed).sample(range(len(examples)), MAX_EXAMPLES)]


def _model(job: TrainingJob) -> RewardModule:
    if not isinstance(job.model, RewardModule):
        raise ConfigError(f"a reward model was expected, and this is a {type(job.model).__name__}")
    return job.model
