"""Twelve categories, some of which begin alike, and their probabilities by transformers alone: every category's tokens
behind the prompt in a forward pass of their own."""

import math
from pathlib import Path
from typing import Any

from judge.records import Conversation

CATEGORIES = (
    "self-harm",
    "self-promotion",
    "self",
    "harassment",
    "harassment of a group",
    "hate",
    "violence",
    "violent extremism",
    "sexual content",
    "sexual content about minors",
    "deception",
    "none",
)


def enumerated(model: Path, prompts: list[Conversation], dtype: str = "float32") -> list[dict[str, float]]:
    """P(category) among all categories for each prompt.

    p(c) is the product of its tokens' probabilities; for one whose tokens begin another category's also 1 - Σ p(t) over
    the tokens t with which those go on: it has to end there.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
    return [_of_one(network, tokenizer, prompt) for prompt in prompts]


def _of_one(network: Any, tokenizer: Any, prompt: Conversation) -> dict[str, float]:
    import torch

    turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    def ids(text: str) -> list[int]:
        tokens: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    start, written = len(ids(text)), {name: ids(text + name) for name in CATEGORIES}
    chances = {}
    for name, tokens in written.items():
        with torch.inference_mode():
            rows = network(torch.tensor([tokens])).logits[0].float().log_softmax(-1)
        chance = math.exp(sum(float(rows[place - 1, tokens[place]]) for place in range(start, len(tokens))))
        longer = {
            other[len(tokens)] for other in written.values() if other[: len(tokens)] == tokens and other != tokens
        }
        chances[name] = chance * (1.0 - sum(math.exp(float(rows[-1, token])) for token in longer))
    total = sum(chances.values())
    return {name: chance / total for name, chance in chances.items()}
