"""The reward model: backbone, encoder arrangement, head, and what may stand beside them (gate, levels, feature bank).

    N reads in the order of example, response, step; C outputs at each (see ModelConfig.outputs); M objectives;
    F width of the features, D deviations (see uncertainty.py).

`RewardModule(batch)` is what a loss reads: the head's own numbers, in fp32, and what a plain classification model of
transformers gives for a linear head. `rewards(batch)` adds what those cannot hold: members without their free levels,
the feature bank's adjustment, one combined reward of objectives or levels, and the uncertainty.
"""

import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from judge.errors import ConfigError
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Batch, Collator, Features, Layout, Packed
from judge.rewards.data.targets import Targets
from judge.rewards.modeling.attention import PackedAttention
from judge.rewards.modeling.backbone import Backbone, adapter_names
from judge.rewards.modeling.encoders import make_encoder
from judge.rewards.modeling.feature_bank import FeatureBank
from judge.rewards.modeling.heads import Gate, LevelsHead, make_head
from judge.rewards.modeling.likelihood_head import LikelihoodHead
from judge.rewards.modeling.uncertainty import Members, Uncertainty

PROMPTS = "prompt_backbone."  # what the weights of the prompts' own encoder begin with
LORA_MARK = ".lora_"  # what the names of low-rank adapters have in them


class Rewards(NamedTuple):
    """Everything that a model says of a batch.

    Attributes:
        values: (N, C) as the head gives them, of members without their levels, drawn towards known neighbours where
            there is a feature bank; of objectives in standard units.
        combined: (N, 1) objectives under their weights, levels under their shares, an ensemble's mean, else the value.
        weights: (N, M) of a gated model.
        novelty: (N,) distance to the training features, where there is a feature bank.
        levels: (N, 3) token, segment and response level of a hierarchical model.
        objectives: (N, M) of a multi-objective model, in the units of its labels.
        deviations: (N, D) whose length is σ, and whose difference's length is σ of the rewards' difference.
    """

    values: Tensor
    combined: Tensor
    weights: Tensor | None = None
    novelty: Tensor | None = None
    levels: Tensor | None = None
    objectives: Tensor | None = None
    deviations: Tensor | None = None


class HeadOutput(NamedTuple):
    """What the head gives: values (N, C), the features (N, F) behind them, levels (N, 3) of a hierarchical model."""

    values: Tensor
    features: Tensor
    levels: Tensor | None = None


class RewardModule(nn.Module):
    """Backbone, encoder and head as one module.

    Attributes:
        config: what it was built from.
        backbone: the transformers model; its weights are saved under this name.
        prompt_backbone: the one that reads prompts, where it has weights of its own.
        capabilities: of its backbone.
        layout: how its collator lays batches out: "packed", "padded" or "apart".
        pooling: "last" (states where the collator says) or "mean" (of a text's states).
        max_tokens: of the longest text that the backbone can read.
        uncertainty: how σ comes about; None where nothing was fitted.
        member_levels: (C,) what the members of an ensemble give the data on average; differences leave it free.
        score_mean: (M,) of the labels of each objective.
        score_scale: (M,) their deviations.
    """

    objective_weights: Tensor
    member_levels: Tensor
    score_mean: Tensor
    score_scale: Tensor

    def __init__(self, config: RewardConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        self.capabilities = can = backbone.capabilities
        model = config.model
        self.pooling = "last" if can.causal or model.kind == "process" else "mean"
        self.max_tokens = can.max_positions or sys.maxsize
        self.layout = _layout(backbone)
        self._backbone = backbone
        self.backbone = backbone.model
        self._no_split_modules = getattr(backbone.model, "_no_split_modules", None)  # what accelerate shards by
        self.prompt_backbone: Any = None
        if model.separate_encoders:
            backbone.separate_prompts()
            self.prompt_backbone = backbone.prompts.model
        self.encoder = make_encoder(model.encoder, can.hidden_size, self.pooling)
        if model.kind == "hierarchical":
            self.head: nn.Module = LevelsHead(can.hidden_size, model.dropout)
        else:
            steps = model.kind == "process"
            self.head = make_head(model.head, can.hidden_size, model.outputs, model.dropout, steps=steps)
        self.gate = Gate(can.hidden_size, model.outputs) if model.has_gate else None
        if self.gate is not None:
            self.gate.requires_grad_(False)  # fitted once the objectives are learnt (gating.py)
        self.uncertainty: Uncertainty | None = Members() if model.kind == "ensemble" else None
        self.bank = None
        if model.feature_bank:
            self.bank = FeatureBank(
                model.feature_bank_size,
                can.hidden_size,
                model.outputs,
                model.feature_bank,
                seed=config.training.seed,
                labelled=config.loss.contrastive_coefficient > 0,
            )
        self._unlabelled: HeadOutput | None = None  # read in training; the memory waits for its labels
        weights = torch.tensor(model.objective_weights or [1.0] * model.outputs)
        self.register_buffer("objective_weights", weights / weights.abs().sum().clamp(min=1e-12), persistent=False)
        saved = {"ensemble": ("member_levels",), "multi": ("score_mean", "score_scale")}.get(model.kind, ())
        for name in ("member_levels", "score_mean", "score_scale"):
            initial = torch.full((model.outputs,), float(name == "score_scale"))
            self.register_buffer(name, initial, persistent=name in saved)

    def collator(self, tokenizer: Any) -> Collator:
        """The collator that makes this model's batches."""
        return Collator(
            tokenizer,
            self.config.model.kind,
            min(self.max_tokens, self.config.data.max_length),
            self.layout,
            shared_prefix=self.config.data.shared_prefix,
            every_token=self.config.model.head == "likelihood",
        )

    def own_state(self) -> dict[str, Tensor]:
        """The weights that are not the backbone's: encoder, head, gate, feature bank, and the prompts' own encoder, of
        which only the adapter where it has one.
        """
        adapted = self.config.model.lora_rank > 0
        return {
            name: value
            for name, value in self.state_dict().items()
            if not name.startswith("backbone.") and not (adapted and name.startswith(PROMPTS) and LORA_MARK not in name)
        }

    def forward(self, batch: Batch) -> Tensor:
        """The head's numbers, which a loss reads.

        Args:
            batch: of this model's collator.

        Returns:
            (N, C) fp32.

        Raises:
            ConfigError: for a batch that the backbone cannot read.
        """
        output = self._output(batch)
        if self.bank is not None and self.training:
            if self.config.loss.contrastive_coefficient:
                self._unlabelled = output
            else:
                self.bank.add(output.features, output.values)
        return output.values

    def contrast(self, targets: Targets) -> Tensor:
        """() the contrastive term of the batch that was read last, see FeatureBank; the memory then takes it in.

        Args:
            targets: of that batch.
        """
        assert self.bank is not None and self._unlabelled is not None
        values, features, _ = self._unlabelled
        self._unlabelled = None
        labels = targets.p_good(len(features))
        term = self.bank.contrast(features, labels)
        self.bank.add(features, values, labels)
        return self.config.loss.contrastive_coefficient * term

    def rewards(self, batch: Batch) -> Rewards:
        """Everything that the model says of a batch."""
        values, features, levels = self._output(batch)
        values = values - self.member_levels
        novelty = None
        if self.bank is not None:
            values, novelty = self.bank.adjust(values, features)
        weights = self.gate(features) if self.gate is not None else None
        return Rewards(
            values=values,
            combined=self.combined(values, weights),
            weights=weights,
            novelty=novelty,
            levels=levels,
            objectives=values * self.score_scale + self.score_mean if self.config.model.kind == "multi" else None,
            deviations=None if self.uncertainty is None else self.uncertainty.deviations(features, values, self.head),
        )

    def combined(self, values: Tensor, weights: Tensor | None = None) -> Tensor:
        """One reward (N, 1) of values (N, C): objectives under their weights (N, M), members by their mean."""
        match self.config.model.kind:
            case "multi":
                return (values * (weights if weights is not None else self.objective_weights)).sum(-1, keepdim=True)
            case "ensemble":
                return values.mean(-1, keepdim=True)
            case _:
                return values

    def read(self, batch: Batch) -> HeadOutput:
        """Values, and the features that the head made them of."""
        return self._output(batch)

    def _output(self, batch: Batch) -> HeadOutput:
        if isinstance(batch, Features):
            return HeadOutput(self.head(batch.values), batch.values)
        attention = self._attention(batch)
        try:
            return self._read(batch, attention)
        finally:
            self._backbone.release()

    def _read(self, batch: Batch, attention: PackedAttention | None) -> HeadOutput:
        if self.config.model.member_kind == "adapters" and self.config.model.kind == "ensemble":
            return self._read_members(batch, attention)
        features, hidden = self.encoder(self._backbone, batch, attention)
        if isinstance(self.head, LevelsHead):
            parts = batch.parts  # type: ignore[union-attr]
            assert parts is not None
            levels = self.head(features, hidden[parts.tokens], parts.reads, parts.ends)
            return HeadOutput(self.head.combine(levels), features, levels)
        if isinstance(self.head, LikelihoodHead):
            parts = batch.parts  # type: ignore[union-attr]
            assert parts is not None
            tokens = batch.tokens.flatten()[parts.tokens]  # type: ignore[union-attr]
            before, embeddings = hidden[parts.before], self._backbone.embeddings()
            return HeadOutput(self.head(features, before, tokens, parts.reads, embeddings), features)
        return HeadOutput(self.head(features), features)

    def _read_members(self, batch: Batch, attention: PackedAttention | None) -> HeadOutput:
        """Each member reads with its own adapter and its own row of the head."""
        values, features = [], []
        for number, name in enumerate(adapter_names(self.config)):
            for reader in (self.backbone, self.prompt_backbone):
                _use_adapter(reader, name)
            features.append(self.encoder(self._backbone, batch, attention)[0])
            values.append(self.head(features[-1])[:, number])
        return HeadOutput(torch.stack(values, -1), torch.stack(features).mean(0))

    def _attention(self, batch: Batch) -> PackedAttention | None:
        """What the attention of this batch needs to know; the backbone is switched to that attention."""
        self._backbone.model = self.backbone  # sharded training may have wrapped it
        if self.prompt_backbone is not None:
            self._backbone.prompts.model = self.prompt_backbone
        if batch.longest > self.max_tokens:
            raise ConfigError(
                f"a text of {batch.longest} tokens, and the backbone reads {self.max_tokens}: it learnt no more, "
                f"or scores beyond depend on the batch (accepted: max_length {self.max_tokens} or less)"
            )
        if isinstance(batch, Packed):
            return self._backbone.prepare_packed(batch)
        self._backbone.set_attention(self.config.model.attention)
        self._backbone.prompts.set_attention(self.config.model.attention)
        return None


def _layout(backbone: Backbone) -> Layout:
    """How batches are laid out; ConfigError where packed ones are asked for in vain."""
    config, can = backbone.config, backbone.capabilities
    if config.model.encoder != "joint":
        return "apart"
    if config.data.layout == "padded" or config.model.attention == "eager":
        return "padded"
    if can.packing:
        return "packed"
    if config.data.layout == "packed":
        why = "gives a packed row other states than plain rows" if can.causal else "is bidirectional"
        raise ConfigError(f"layout packed: the backbone '{config.model.backbone}' {why} (accepted: auto, padded)")
    return "padded"


def _use_adapter(backbone: Any, name: str) -> None:
    """Switch to one adapter without what peft's set_adapter does besides: freezing all others."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in () if backbone is None else backbone.modules():
        if isinstance(module, BaseTunerLayer):
            module._active_adapter = [name]


def build_reward_model(config: RewardConfig, tokenizer: Any = None) -> RewardModule:
    """A new reward model; its head is drawn by the seed, whatever was drawn before.

    Args:
        config: what to build.
        tokenizer: the embeddings grow where it has more tokens.

    Raises:
        ConfigError: for a backbone that does not fit the configuration.
        EngineError: for a backbone that cannot be loaded.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        return RewardModule(config, Backbone.load(config, tokenizer))
