"""How much memory a training needs, by arithmetic: the backbone has no weights (it lies on the meta device).

    T tokens of the largest forward pass, L layers, H width, I inner width, A heads × width of a head, R rank,
    s bytes of a number of the residual stream, a bytes of a number of the products (2 in half precision, else 4).

All parts are of one process, and of its GPU where there is one.
"""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Batch, Collator, Packed
from judge.rewards.data.examples import Example
from judge.rewards.data.grouping import BatchPlaces, group_keys, group_numbers
from judge.rewards.modeling.attention import PackedAttention
from judge.rewards.modeling.backbone import adapter_names, mixed_precision
from judge.rewards.modeling.cpu_attention import MAX_SAVED_BYTES
from judge.rewards.modeling.encoders import make_encoder
from judge.rewards.modeling.heads import LevelsHead, make_head
from judge.rewards.modeling.states import core
from judge.rewards.training.optimizers import trained_weights
from judge.rewards.training.parts import pieces_of
from judge.rewards.training.preflight import BIDIRECTIONAL, empty_backbone
from judge.rewards.training.training_log import peak_memory

GIB = 2**30
CUDA_CONTEXT = GIB // 2  # what a process takes of a GPU before its first tensor
# On a CPU in bf16 memory grows from step to step, most likely by the kernels that oneDNN compiles for each shape and
# keeps, up to 1,024 of them. How fast was fitted to the trainings in benchmarks/README.md.
KERNELS_OF_EXAMPLE, MAX_KERNELS = 8 * 2**20, GIB
MIN_8BIT = 4096  # numbers of a tensor: smaller ones keep moments in fp32
BLOCK_8BIT, BLOCK_4BIT = 256, 64  # numbers that share a scale in fp32


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The largest forward pass.

    Attributes:
        tokens: T that are computed.
        scores: pairs of a query row and a key, of one head and layer.
        read_tokens: that a head reads which reads every token.
    """

    tokens: int = 0
    scores: int = 0
    read_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes by what they are for.

    Attributes:
        base: the process before training: Python, libraries, an index of the examples; of a GPU its context.
        weights: that learn and that stand still, with their half-precision copies for the products.
        gradients: of the weights that learn.
        optimizer: its states.
        activations: kept for the backward pass, and what one layer works on.
        evaluation: a forward pass over validation examples; it takes the place of gradients and activations.
    """

    base: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    evaluation: int

    @property
    def total(self) -> int:
        """The peak: base + weights + optimizer + max(gradients + activations, evaluation)."""
        return self.base + self.weights + self.optimizer + max(self.gradients + self.activations, self.evaluation)

    def to_dict(self) -> dict[str, float]:
        """GiB, the total first."""
        names = ("total", "base", "weights", "gradients", "optimizer", "activations", "evaluation")
        return {name: round(getattr(self, name) / GIB, 3) for name in names}


def estimate_memory(
    config: RewardConfig, collate: Collator, examples: Sequence[Example], validation: Sequence[Example]
) -> MemoryEstimate | None:
    """What a training on these examples needs, this process being the one that trains.

    Args:
        config: of the reward model.
        collate: makes its batches.
        examples: to train on.
        validation: held out.

    Returns:
        The estimate; None where the backbone cannot be built without weights.
    """
    model = empty_backbone(config)
    if model is None:
        return None
    collate = copy.copy(collate)
    if collate.layout == "packed" and _reads_padded(model, config):
        collate.layout = "padded"
    training = _workload(collate(_largest_pass(collate, examples, config)))
    longest = np.argsort(collate.lengths(validation), kind="stable")
    held_out = [validation[place] for place in longest[-config.training.batch_size :].tolist()]
    evaluation = _workload(collate(held_out)) if held_out else Workload()
    return estimate(model, config, training, evaluation, process_base(config, len(examples)))


def estimate(
    backbone: Any, config: RewardConfig, training: Workload, evaluation: Workload, base: int = 0
) -> MemoryEstimate:
    """Each part by its formula.

    Weights: bytes by dtype; quantized matrices 1 byte a number and a scale a row, or ½ byte and a scale a 64; fp32
    matrices under half-precision products 2 more. Gradients: as the weights that learn. Optimizer: adamw 8 bytes a
    number that learns; adamw_8bit 2 and two scales a 256 (tensors of fewer than 4,096 as adamw); muon 4 for hidden
    matrices, 8 for the rest; l2_sp a copy of the backbone. Activations of a layer, with f = 3 where the feed-forward
    part is gated, else 2:

        layer = T (2 H s + (2 H + 5 A + f I) a) + scores · heads · a

    where scores count for attention by products (up to 256 MiB a layer) and eager attention alone. Together
    T H s + (L + 1) layer + T a Σ R (over adapted matrices); L (T H s) + 2 layer with checkpointing; one layer where the
    backbone stands still; evaluation is one layer. A likelihood head adds 12 bytes (evaluation: 8) times read tokens
    times vocabulary. Mixtures of experts and vision parts are not counted.

    Args:
        backbone: of `empty_backbone`.
        config: of the reward model.
        training: the largest forward pass of the training.
        evaluation: that of the evaluation.
        base: bytes of the process before.
    """
    hf_config = core(backbone).config.get_text_config()
    whole = _with_head(backbone, config, int(hf_config.hidden_size))
    learning = [weight for weights in trained_weights(whole) for weight in weights]
    return MemoryEstimate(
        base=base,
        weights=_weight_bytes(whole, config),
        gradients=sum(weight.numel() * weight.element_size() for weight in learning),
        optimizer=_optimizer_bytes(whole, config),
        activations=_activation_bytes(backbone, config, training),
        evaluation=_layer_bytes(backbone, config, evaluation) + 8 * _logits(backbone, config, evaluation),
    )


def process_base(config: RewardConfig, examples: int) -> int:
    """What this process holds now, and what the kernels of a bf16 training add; of a GPU its context."""
    if torch.cuda.is_available():
        return CUDA_CONTEXT
    statm = Path("/proc/self/statm")
    if statm.is_file():
        resident = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    else:
        resident = int(peak_memory() * GIB)
    kernels = min(MAX_KERNELS, examples * KERNELS_OF_EXAMPLE)
    return resident + (kernels if mixed_precision(config) == "bf16" else 0)


# ---- the largest forward pass ----------------------------------------------------------------------------------------


def _reads_padded(model: Any, config: RewardConfig) -> bool:
    padded = config.data.layout == "padded" or config.model.attention == "eager"
    return padded or core(model).config.model_type in BIDIRECTIONAL


def _largest_pass(collate: Collator, examples: Sequence[Example], config: RewardConfig) -> Sequence[Example]:
    """The examples of the largest batch, or of its largest part under `batch_tokens`."""
    training, lengths = config.training, collate.lengths(examples)
    numbers, _ = group_numbers(group_keys(examples))
    largest: tuple[int, Sequence[int]] = (0, ())
    for batch in BatchPlaces(numbers, lengths, training.batch_size, training.seed, epoch=0):
        groups, tokens = numbers[batch].tolist(), [lengths[place] for place in batch]
        whole = [list(range(len(batch)))]
        for piece in pieces_of(groups, tokens, training.batch_tokens) if training.batch_tokens else whole:
            count = sum(tokens[number] for number in piece)
            if count > largest[0]:
                largest = count, [batch[number] for number in piece]
    return [examples[place] for place in largest[1]]


def _workload(batch: Batch) -> Workload:
    parts = getattr(batch, "parts", None)
    if isinstance(batch, Packed):
        blocks = PackedAttention(batch.documents, batch.positions, "products").blocks
        scores = sum((block.end - block.start) * block.keys for block in blocks)
    else:
        scores = batch.size * batch.longest
    return Workload(tokens=batch.size, scores=scores, read_tokens=0 if parts is None else len(parts.tokens))


# ---- weights and optimizer -------------------------------------------------------------------------------------------


def _with_head(backbone: Any, config: RewardConfig, width: int) -> nn.Module:
    """The backbone with its encoder and head on the meta device."""
    model = config.model
    with torch.device("meta"):
        encoder = make_encoder(model.encoder, width, "last")
        if model.kind == "hierarchical":
            head: nn.Module = LevelsHead(width, model.dropout)
        else:
            head = make_head(model.head, width, model.outputs, model.dropout, steps=model.kind == "process")
    prompts = {"prompt_backbone": copy.deepcopy(backbone)} if model.separate_encoders else {}
    return nn.ModuleDict({"backbone": backbone, **prompts, "encoder": encoder, "head": head})


def _weight_bytes(model: nn.Module, config: RewardConfig) -> int:
    half = mixed_precision(config) != "no"
    linear = {
        id(module.weight)
        for backbone in ("backbone", "prompt_backbone")
        if backbone in model  # type: ignore[operator]
        for name, module in model[backbone].named_modules()  # type: ignore[index]
        if isinstance(module, nn.Linear) and "lora_" not in name
    }
    total = 0
    for weight in model.parameters():
        count, size = weight.numel(), weight.element_size()
        if id(weight) not in linear:
            total += count * size
        elif config.model.quantization == "8bit":
            total += count + 4 * len(weight)
        elif config.model.quantization == "4bit":
            total += count // 2 + 4 * count // BLOCK_4BIT
        else:
            total += count * size + (2 * count if half and size == 4 else 0)
    bank = config.model.feature_bank_size if config.model.feature_bank else 0
    width = int(core(model["backbone"]).config.get_text_config().hidden_size)  # type: ignore[index]
    return total + 4 * bank * (width + config.model.outputs + 1)


def _optimizer_bytes(model: nn.Module, config: RewardConfig) -> int:
    matrices, others, head = trained_weights(model)
    total = 0
    for weight in (*matrices, *others, *head):
        count = weight.numel()
        if config.training.optimizer == "adamw_8bit" and matrices and count >= MIN_8BIT:
            total += 2 * (count + 4 * -(-count // BLOCK_8BIT))
        else:
            total += 8 * count
    if config.training.l2_sp:
        total += sum(weight.numel() * weight.element_size() for weight in (*matrices, *others))
    return total - (4 * sum(weight.numel() for weight in matrices) if config.training.optimizer == "muon" else 0)


# ---- activations -----------------------------------------------------------------------------------------------------


def _activation_bytes(backbone: Any, config: RewardConfig, work: Workload) -> int:
    layer, logits = _layer_bytes(backbone, config, work), 12 * _logits(backbone, config, work)
    if config.model.freeze_backbone:
        return layer + logits
    hf_config = core(backbone).config.get_text_config()
    layers, stream = int(hf_config.num_hidden_layers), work.tokens * int(hf_config.hidden_size) * _stream(backbone)
    ranks = sum(
        module.out_features
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear) and "lora_A" in name
    )
    readings = len(adapter_names(config))
    if config.training.gradient_checkpointing:
        return readings * layers * stream + 2 * layer + logits
    return readings * (stream + layers * layer) + layer + work.tokens * ranks * _product(config) + logits


def _layer_bytes(backbone: Any, config: RewardConfig, work: Workload) -> int:
    """What a layer keeps for its backward pass, see `estimate`."""
    hf_config = core(backbone).config.get_text_config()
    width, heads = int(hf_config.hidden_size), int(hf_config.num_attention_heads)
    inner = int(getattr(hf_config, "intermediate_size", None) or getattr(hf_config, "n_inner", None) or 4 * width)
    attended = heads * int(getattr(hf_config, "head_dim", None) or width // heads)
    gated = any("gate_" in name.split(".")[-1] for name, _ in backbone.named_modules())
    product = _product(config)
    wide = 2 * width + 5 * attended + (3 if gated else 2) * inner
    scores = heads * work.scores * product
    return work.tokens * (2 * width * _stream(backbone) + wide * product) + _kept_scores(config, scores)


def _kept_scores(config: RewardConfig, scores: int) -> int:
    """Bytes of a layer's attention probabilities, where the kernel keeps them."""
    if config.model.attention == "eager":
        return scores
    by_products = config.model.attention in ("auto", "products") and not torch.cuda.is_available()
    packed = config.data.layout != "padded" and config.model.encoder == "joint"
    return scores if by_products and packed and scores <= MAX_SAVED_BYTES else 0


def _logits(backbone: Any, config: RewardConfig, work: Workload) -> int:
    """How many logits a likelihood head computes."""
    vocabulary = int(core(backbone).get_input_embeddings().weight.shape[0])
    return work.read_tokens * vocabulary if config.model.head == "likelihood" else 0


def _stream(backbone: Any) -> int:
    """Bytes of a number of the residual stream, which begins as the embeddings."""
    return int(core(backbone).get_input_embeddings().weight.element_size())


def _product(config: RewardConfig) -> int:
    """Bytes of a number that a product reads."""
    return 4 if mixed_precision(config) == "no" else 2
