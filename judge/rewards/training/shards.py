"""Training on shards (FSDP2): every process holds a part of each weight, and gathers a layer when it computes it.

The processes make the same forward passes, so whatever is computed of a sharded model is computed by all of them.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from torch import distributed, nn

from judge.errors import ConfigError
from judge.rewards.config import RewardConfig

Result = TypeVar("Result")


def shard_on_cpu(accelerator: Any) -> None:
    """Shard on CPUs too where FSDP is asked for: accelerate does so on GPUs alone, and would copy the model instead.

    Raises:
        ConfigError: for FSDP of version 1, which is for GPUs.
    """
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if not asked or accelerator.distributed_type != DistributedType.MULTI_CPU:
        return
    plugin = FullyShardedDataParallelPlugin()
    if plugin.fsdp_version != 2:
        raise ConfigError("FSDP on CPUs needs version 2 (accepted: fsdp_version 2 in accelerate's config)")
    if accelerator.mixed_precision != "no":
        plugin.set_mixed_precision(accelerator.mixed_precision)
    AcceleratorState._shared_state["fsdp_plugin"] = plugin
    AcceleratorState._shared_state["distributed_type"] = DistributedType.FSDP
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP  # accelerate copies it from there


def prepare_shards(accelerator: Any, model: Any, config: RewardConfig) -> None:
    """See that a model can be sharded, and leave the gate whole: it is fitted after the training, by every process.

    Args:
        accelerator: of the training.
        model: before accelerate prepares it.
        config: of the reward model.

    Raises:
        ConfigError: for what needs whole weights.
    """
    if not accelerator.is_fsdp2:
        return
    if config.training.optimizer != "adamw":
        raise ConfigError(f"optimizer {config.training.optimizer} needs whole weights, no shards (accepted: adamw)")
    if config.model.quantization:
        raise ConfigError(f"quantization {config.model.quantization}: packed integers are not sharded; leave it out")
    if getattr(model, "gate", None) is not None:
        accelerator.state.fsdp_plugin.ignored_modules = [model.gate]


def open_shards(model: Any) -> None:
    """Let a sharded model be read by its methods, not only as a module."""
    from torch.distributed.fsdp import register_fsdp_forward_method

    if is_sharded(model):
        for name in ("read", "rewards"):
            if hasattr(model, name):
                register_fsdp_forward_method(model, name)


def is_sharded(model: Any) -> bool:
    """Whether a model lies in shards of FSDP2."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def shared(model: Any, batches: Sequence[Sequence[int]], compute: Callable[[Sequence[int]], Result]) -> list[Result]:
    """What is computed of each batch, in their order; the processes of a sharded model take turns.

    Each makes the same number of forward passes: where batches run out, the last one is computed again.

    Args:
        model: sharded or whole.
        batches: places of examples.
        compute: of a batch, on the CPU.
    """
    if not is_sharded(model) or not batches:
        return [compute(batch) for batch in batches]
    world, rank = distributed.get_world_size(), distributed.get_rank()
    rounds = -(-len(batches) // world)
    own = [compute(batches[min(turn * world + rank, len(batches) - 1)]) for turn in range(rounds)]
    parts: list[Any] = [None] * world
    distributed.all_gather_object(parts, own)
    return [parts[place % world][place // world] for place in range(len(batches))]


def share_buffers(model: nn.Module) -> None:
    """Give every process the first one's buffers, the memory of features among them, as copies of a model do."""
    if is_sharded(model):
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


def load_whole_state(model: nn.Module, state: dict[str, Any]) -> None:
    """Put whole weights into a model, sharded or not."""
    if not is_sharded(model):
        model.load_state_dict(state)
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    set_model_state_dict(model, state, options=StateDictOptions(full_state_dict=True))
