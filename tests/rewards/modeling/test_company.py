"""A score does not depend on the other texts of its batch, whatever the backbone's positions and windows."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from judge.errors import ConfigError
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator
from judge.rewards.modeling.reward_model import RewardModule, build_reward_model
from judge.rewards.preparation import max_tokens
from tests.rewards.models import WORDS, example, tokenizer, words

SMALL: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": None,
    "initializer_range": 0.2,
    "max_position_embeddings": 256,
}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.2, 1.4, 1.6],
    "long_factor": [4.0, 5.0, 6.0, 7.0],
    "original_max_position_embeddings": 32,
}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
WITHOUT_SDPA = {
    "gpt-oss": ("GptOss", {"head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 16}),
    "mamba": ("Mamba", {"state_size": 8}),
    "mamba2": ("Mamba2", {"state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1}),
}
SWITCHING = {  # at 32 positions each
    "longrope": ("Phi3", {"original_max_position_embeddings": 32, "rope_parameters": LONGROPE}),
    "dynamic": ("Llama", {"max_position_embeddings": 32, "rope_parameters": DYNAMIC}),
}
WINDOWED = {  # 16 tokens each
    "llama4": (
        "Llama4Text",
        {
            "head_dim": 8,
            "attention_chunk_size": 16,
            "intermediate_size_mlp": 64,
            "num_local_experts": 2,
            "num_experts_per_tok": 1,
            "no_rope_layers": [1, 1, 1, 0],
        },
    ),
    "gemma3": ("Gemma3Text", {"head_dim": 8, "sliding_window": 16, "layer_types": ["sliding_attention"] * 4}),
}


def saved(folder: Path, name: str) -> Path:
    family, changes = (SWITCHING | WINDOWED | WITHOUT_SDPA)[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**SMALL | changes)
    getattr(transformers, f"{family}Model")(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@torch.no_grad()
def scores(model: RewardModule, sizes: list[int], layout: Any, longest: int) -> torch.Tensor:
    texts = [example(words(10, 11), words(*[20 + n % 30 for n in range(size)]), name=str(size)) for size in sizes]
    values: torch.Tensor = model(Collator(tokenizer(), "scalar", longest, layout)(texts))
    return values


@pytest.mark.parametrize("name", [*SWITCHING, *WINDOWED])
def test_a_score_is_the_same_alone_padded_and_packed(name: str, tmp_path: Path) -> None:
    model = build_reward_model(RewardConfig.of(backbone=str(saved(tmp_path, name)))).eval()
    longest, sizes = min(model.max_tokens, 256), [3, 20] if name in SWITCHING else [3, 20, 80]
    alone = torch.cat([scores(model, [size], "padded", longest) for size in sizes])
    assert alone.std() > 0.01
    for layout in {"padded", model.layout}:
        torch.testing.assert_close(scores(model, sizes, layout, longest), alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SWITCHING)
def test_no_text_passes_the_point_where_frequencies_change(name: str, tmp_path: Path) -> None:
    config = RewardConfig.of(backbone=str(saved(tmp_path, name)))
    model = build_reward_model(config).eval()
    assert model.max_tokens == max_tokens(config) == 32
    with pytest.raises(ConfigError, match="the backbone reads 32"):
        scores(model, [3, 80], "padded", 256)


@pytest.mark.parametrize("name", WITHOUT_SDPA)
def test_what_has_no_sdpa_is_refused_with_the_way_out(name: str, tmp_path: Path) -> None:
    backbone = str(saved(tmp_path, name))
    with pytest.raises(ConfigError, match=r"Model has no attention sdpa; --set attention=eager reads it$"):
        build_reward_model(RewardConfig.of(backbone=backbone)).eval()
    model = build_reward_model(RewardConfig.of(backbone=backbone, attention="eager")).eval()
    alone = torch.cat([scores(model, [size], "padded", 256) for size in (3, 20, 40)])
    assert alone.std() > 0.01
    torch.testing.assert_close(scores(model, [3, 20, 40], "padded", 256), alone, atol=1e-5, rtol=1e-5)
