"""The reward model: backbone, encoder arrangement, head, and what may stand beside them (gate, levels, bank).

    N reads in the order of example, response, step; C outputs at each (see settings.outputs); M objectives.

`RewardModel(batch)` is what a loss reads: the head's own numbers, in fp32, and what a plain classification model of
transformers gives for a linear head. `rewards(batch)` adds what those cannot hold: one combined reward of objectives
or levels, and the bank's say. This module refuses to know labels, losses and files.
"""

import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from judge.errors import ConfigError
from judge.rewards.config import Settings
from judge.rewards.data.collate import Batch, Collator, Layout, Packed
from judge.rewards.modeling.attention import Plan
from judge.rewards.modeling.backbone import adapter_names, core, is_causal, load, longest, narrows, packs, set_attention
from judge.rewards.modeling.encoders import encoder
from judge.rewards.modeling.feature_bank import FeatureBank
from judge.rewards.modeling.heads import Gate, Levels, head
from judge.rewards.modeling.last_layer import Narrow
from judge.rewards.modeling.likelihood_head import Likelihood, expectations


class Rewards(NamedTuple):
    """values: (N, C) as the head gives them, drawn towards known neighbours where there is a bank. combined: (N, 1)
    objectives under their weights, levels under their shares, an ensemble's mean, else the value itself. weights:
    (N, M) a gated model's, novelty: (N,) distance to what was seen in training, levels: (N, 3) token, segment,
    response; None where there are none.
    """

    values: Tensor
    combined: Tensor
    weights: Tensor | None = None
    novelty: Tensor | None = None
    levels: Tensor | None = None


class Read(NamedTuple):
    """What the parts give: values (N, C), features (N, F), levels (N, 3) of a hierarchical model, else None."""

    values: Tensor
    features: Tensor
    levels: Tensor | None = None


class RewardModel(nn.Module):
    """See the module. layout: what its collator makes ("packed", "padded", "apart"). causal: of its backbone."""

    objective_weights: Tensor

    def __init__(self, settings: Settings, backbone: Any) -> None:
        super().__init__()
        self.settings = settings
        width = int(core(backbone).config.get_text_config().hidden_size)
        self.causal = is_causal(backbone)
        self.pooling = "last" if self.causal or settings.kind == "process" else "mean"
        self.limit = longest(backbone, sys.maxsize)
        self._ways: dict[str, str] = {}  # by device and precision, found when first needed
        self.layout = self._layout(backbone)
        self._narrow = self._narrowed(backbone)
        self.backbone = backbone
        self.encoder = encoder(settings.encoder, width, self.pooling)
        if settings.kind == "hierarchical":
            self.head: nn.Module = Levels(width, settings.dropout)
        else:
            self.head = head(settings.head, width, settings.outputs, settings.dropout, steps=settings.kind == "process")
        self.gate = Gate(width, settings.outputs) if settings.gated and settings.kind == "multi" else None
        self.bank = (
            FeatureBank(settings.bank_size, width, settings.outputs, settings.bank, seed=settings.seed)
            if settings.bank
            else None
        )
        weights = torch.tensor(settings.objective_weights or [1.0] * settings.outputs)
        self.register_buffer("objective_weights", weights / weights.abs().sum().clamp(min=1e-12), persistent=False)

    def collator(self, tokenizer: Any) -> Collator:
        """The collator that makes this model's batches."""
        return Collator(
            tokenizer,
            self.settings.kind,
            min(self.limit, self.settings.max_length),
            self.layout,
            shared_prefix=self.settings.shared_prefix,
            every=self.settings.head == "likelihood",
        )

    def own_state(self) -> dict[str, Tensor]:
        """The weights that are not the backbone's: encoder, head, gate, bank."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("backbone.")}

    def forward(self, batch: Batch) -> Tensor:
        """(N, C) fp32."""
        values, features, _ = self.read(batch)
        if self.bank is not None and self.training:
            self.bank.add(features, values)
        return values

    def rewards(self, batch: Batch) -> Rewards:
        """All that the model has to say of a batch."""
        values, features, levels = self.read(batch)
        novelty = None
        if self.bank is not None:
            values, novelty = self.bank.adjust(values, features)
        weights = self.gate(features) if self.gate is not None else None
        return Rewards(values, self.combined(values, weights), weights, novelty, levels)

    def combined(self, values: Tensor, weights: Tensor | None = None) -> Tensor:
        """One reward (N, 1) of (N, C): objectives under their weights, members by their mean; else as they are."""
        match self.settings.kind:
            case "multi":
                return (values * (weights if weights is not None else self.objective_weights)).sum(-1, keepdim=True)
            case "ensemble":
                return values.mean(-1, keepdim=True)
            case _:
                return values

    def read(self, batch: Batch) -> Read:
        """Values, and the features that the head made them of."""
        plan = self._plan(batch)
        try:
            return self._read_by(plan, batch)
        finally:
            if self._narrow is not None:
                self._narrow.set(None)  # whoever else calls the backbone gets every row

    def _read_by(self, plan: Plan | None, batch: Batch) -> Read:
        if self.settings.member_kind == "adapters" and self.settings.kind == "ensemble":
            return self._members(batch, plan)
        features, hidden = self.encoder(self.backbone, batch, plan)
        if isinstance(self.head, Levels):
            parts = batch.parts  # type: ignore[union-attr]
            assert parts is not None
            levels = self.head(features, hidden[parts.tokens], parts.reads, parts.ends)
            return Read(self.head.combine(levels), features, levels)
        if isinstance(self.head, Likelihood):
            parts = batch.parts  # type: ignore[union-attr]
            assert parts is not None
            tokens = batch.tokens.flatten()[parts.tokens]  # type: ignore[union-attr]
            values = self.head(features, hidden[parts.before], tokens, parts.reads, expectations(core(self.backbone)))
            return Read(values, features)
        return Read(self.head(features), features)

    def _members(self, batch: Batch, plan: Plan | None) -> Read:
        """Each member reads with its own adapter and its own row of the head."""
        values, features = [], []
        for number, name in enumerate(adapter_names(self.settings)):
            _use_adapter(self.backbone, name)
            features.append(self.encoder(self.backbone, batch, plan)[0])
            values.append(self.head(features[-1])[:, number])
        return Read(torch.stack(values, -1), torch.stack(features).mean(0))

    def _plan(self, batch: Batch) -> Plan | None:
        """What the attention of this batch needs to know; the backbone is switched to that attention."""
        if batch.longest > self.limit:
            found = f"a text of {batch.longest} tokens, and the backbone has learnt {self.limit} positions"
            raise ConfigError(f"{found} (accepted: max_length {self.limit} or less)")
        if not isinstance(batch, Packed):
            set_attention(self.backbone, self.settings.attention)
            return None
        way = self._way(self.backbone, batch.tokens.device)
        if not way:
            raise ConfigError("this model reads padded batches: its backbone does not take packed ones")
        set_attention(self.backbone, "packed")
        if self._narrow is None:
            return Plan(batch.documents, batch.positions, way)
        read = batch.reads if batch.parts is None else torch.cat([batch.reads, batch.parts.tokens, batch.parts.before])
        self._narrow.set(read.unique(), batch.size)
        return Plan(batch.documents, batch.positions, way, self._narrow.rows, self._narrow.layers - 1)

    def _way(self, backbone: Any, device: torch.device) -> str:
        """How packed rows are attended to on a device, the fastest that gives plain rows' states; "" for none."""
        key = f"{device.type}, {'autocast' if torch.is_autocast_enabled(device.type) else 'as it is'}"
        if key not in self._ways:
            asked = self.settings.attention
            ways = {"cpu": ("products", "sdpa"), "cuda": ("flash", "flex", "sdpa")}.get(device.type, ("sdpa",))
            gpu_only = asked in ("flash", "flex") and device.type != "cuda"  # a model is built before it is moved
            tried = ways if asked == "auto" or gpu_only else (asked,)
            self._ways[key] = next((way for way in tried if packs(backbone, way)), "")
        return self._ways[key]

    def _narrowed(self, backbone: Any) -> Narrow | None:
        """Computes the last layer only where the head reads; None where that differs, or is checkpointed."""
        if self.layout != "packed" or self.settings.checkpointing:
            return None
        narrow = Narrow(core(backbone))
        if narrows(backbone, self._way(backbone, next(backbone.parameters()).device), narrow):
            return narrow
        narrow.remove()
        return None

    def _layout(self, backbone: Any) -> Layout:
        """How batches are laid out; ConfigError where packed ones are asked for in vain."""
        settings = self.settings
        if settings.encoder != "joint":
            return "apart"
        if settings.layout == "padded" or settings.attention == "eager":
            return "padded"
        if self.causal and self._way(backbone, next(backbone.parameters()).device):
            return "packed"
        if settings.layout == "packed":
            why = "gives a packed row other states than plain rows" if self.causal else "is bidirectional"
            raise ConfigError(f"layout packed: the backbone '{settings.backbone}' {why} (accepted: auto, padded)")
        return "padded"


def _use_adapter(backbone: Any, name: str) -> None:
    """Switch to one adapter without what peft's set_adapter does besides: freezing all others."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in backbone.modules():
        if isinstance(module, BaseTunerLayer):
            module._active_adapter = [name]


def build(settings: Settings, tokenizer: Any = None) -> RewardModel:
    """A new reward model; its head is drawn by `settings.seed` whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        backbone = load(settings)
        if tokenizer is not None and len(tokenizer) > core(backbone).get_input_embeddings().weight.shape[0]:
            core(backbone).resize_token_embeddings(len(tokenizer))
        return RewardModel(settings, backbone)
