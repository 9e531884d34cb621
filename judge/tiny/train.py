"""Train the embedded judge from nothing: `python -m judge.tiny.train --out DIR`.

One visible loop on one process, CPU or GPU. The lessons change with the tokens seen: bare operations first (a
small model that has not learnt 47 * 3 learns nothing else), then expressions line by line, then whole tasks through
the shipped prompts. Hidden matrices are trained by Muon, the rest by AdamW; the rate is constant and falls to zero
over the last part, so a run can be stopped, looked at, and gone on with. Needs only torch and transformers.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from judge.tiny.lessons import Lesson, Piece, Teacher, chains, claims, facts, glances, links, quotes, sums
from judge.tiny.tokenizer import chat, load_tokenizer, train_tokenizer

READING = {  # mostly what a reward model that reads by likelihood has to know
    "sums": 0.02, "chains": 0.08, "steps": 0.10, "overlooked": 0.04, "quotes": 0.02, "answer": 0.02,
    "claims": 0.02, "facts": 0.22, "hand": 0.23, "links": 0.17, "preference": 0.05,
    "outcome": 0.01, "critique": 0.01, "revision": 0.01,
}  # fmt: skip

CURRICULUM = {  # share of draws by lesson at tokens seen; linear between the rows
    0.0e6: {"sums": 1.0},
    1.5e6: {"sums": 0.7, "chains": 0.3},
    4.0e6: {"sums": 0.5, "chains": 0.4, "steps": 0.1},
    12.0e6: {"sums": 0.5, "chains": 0.3, "steps": 0.2},
    14.5e6: {"sums": 0.35, "chains": 0.3, "steps": 0.2, "answer": 0.05, "preference": 0.05, "critique": 0.05},
    16.5e6: {
        "sums": 0.10, "chains": 0.14, "steps": 0.37, "answer": 0.07,
        "preference": 0.13, "outcome": 0.05, "critique": 0.08, "revision": 0.06,
    },
    21.5e6: {
        "sums": 0.15, "chains": 0.44, "steps": 0.15, "answer": 0.06,
        "preference": 0.11, "outcome": 0.03, "critique": 0.04, "revision": 0.02,
    },
    22.0e6: {
        "sums": 0.06, "chains": 0.23, "steps": 0.11, "answer": 0.04, "facts": 0.04, "claims": 0.05, "glances": 0.12,
        "glance": 0.21, "preference": 0.08, "outcome": 0.02, "critique": 0.02, "revision": 0.02,
    },
    43.0e6: {
        "sums": 0.04, "chains": 0.22, "steps": 0.22, "overlooked": 0.13, "quotes": 0.05, "answer": 0.04, "claims": 0.02,
        "glances": 0.05, "glance": 0.05, "preference": 0.12, "outcome": 0.02, "critique": 0.03, "revision": 0.01,
    },
    68.0e6: READING,
    113.0e6: READING,
    114.0e6: {
        "chains": 0.14, "steps": 0.22, "overlooked": 0.05, "quotes": 0.03, "answer": 0.05, "facts": 0.06, "hand": 0.12,
        "links": 0.10, "preference": 0.16, "outcome": 0.02, "critique": 0.03, "revision": 0.02,
    },
}  # fmt: skip

PAGES = {
    "sums": sums,
    "chains": chains,
    "facts": facts,
    "claims": claims,
    "glances": glances,
    "links": links,
    "quotes": quotes,
}  # lessons outside the prompts
DECISIVE = 5.0  # weight of the tokens that decide (ok, no, right, wrong, A, B, C)
JUDGED = 0.5  # weight of the judged pieces
SLOPE, OFFSET, LEAST = 2.0, 10.0, 1e-6  # α, β and the least -log P(right), as the likelihood head begins
LONGEST = 1400  # tokens; the few longer lessons are left out


def shares(seen: float) -> dict[str, float]:
    """The curriculum's mixture after `seen` tokens."""
    marks = sorted(CURRICULUM)
    low = max(mark for mark in marks if mark <= seen)
    high = next((mark for mark in marks if mark > seen), low)
    part = 0.0 if high == low else (seen - low) / (high - low)
    names = {**CURRICULUM[low], **CURRICULUM[high]}
    return {
        name: (1 - part) * CURRICULUM[low].get(name, 0.0) + part * CURRICULUM[high].get(name, 0.0) for name in names
    }


class Row(NamedTuple):
    """A lesson as tokens: ids, which of them are learnt, to which of its judged pieces each belongs (-1: none), and
    whether each of those holds."""

    ids: list[int]
    learn: list[bool]
    piece: list[int]
    holds: list[bool]


class Batch:
    """tokens, targets: (B, T) int64; a target of -100 is not learnt. following: (B, T) the token after each. piece:
    (B, T) the judged piece that it belongs to, -1 for none; holds: (P,) float, 1 where all of a piece could follow."""

    def __init__(self, rows: list[Row], pad: int) -> None:
        longest = max(len(row.ids) for row in rows)
        self.tokens = torch.full((len(rows), longest), pad)
        self.following = torch.full((len(rows), longest), pad)
        self.piece = torch.full((len(rows), longest), -1)
        learn = torch.zeros((len(rows), longest), dtype=torch.bool)
        holds: list[bool] = []
        for index, row in enumerate(rows):
            last = len(row.ids) - 1
            self.tokens[index, : last + 1] = torch.tensor(row.ids)
            self.following[index, :last] = torch.tensor(row.ids[1:])
            self.piece[index, :last] = torch.tensor(
                [-1 if piece < 0 else piece + len(holds) for piece in row.piece[1:]]
            )
            learn[index, :last] = torch.tensor(row.learn[1:])
            holds += row.holds
        self.targets = self.following.masked_fill(~learn, -100)
        self.holds = torch.tensor(holds, dtype=torch.float32)


class School:
    """Batches of lessons of about equal length, `size` padded tokens each."""

    def __init__(self, tokenizer: Any, size: int, seed: int) -> None:
        self.tokenizer, self.size, self.rng = tokenizer, size, Random(seed)
        self.teacher = Teacher(chat)

    def _encode(self, lesson: Lesson) -> Row:
        row = Row([], [], [], [])
        for text, learnt, holds in [*lesson, Piece("", True)]:
            ids = self.tokenizer(text, add_special_tokens=False).input_ids if text else [self.tokenizer.eos_token_id]
            row.ids.extend(ids)
            row.learn.extend([learnt] * len(ids))
            row.piece.extend([-1 if holds is None else len(row.holds)] * len(ids))
            row.holds.extend([] if holds is None else [holds])
        return row

    def _draw(self, seen: float) -> list[Lesson]:
        mixture = shares(seen)
        (name,) = self.rng.choices(list(mixture), list(mixture.values()))
        if name == "steps":
            lessons = self.teacher.steps(self.rng)
            return self.rng.sample(lessons, min(3, len(lessons)))
        if name in PAGES:
            return [PAGES[name](self.rng)]
        lesson: Lesson = getattr(self.teacher, name)(self.rng)
        return [lesson]

    def batches(self, seen: float) -> list[Batch]:
        """Some batches for this moment of the curriculum: drawn together, sorted by length, shuffled."""
        rows: list[Row] = []
        while sum(len(row.ids) for row in rows) < 16 * self.size:
            rows += [row for row in map(self._encode, self._draw(seen)) if len(row.ids) <= LONGEST]
        rows.sort(key=lambda row: len(row.ids))
        packs: list[list[Row]] = [[]]
        for row in rows:
            if packs[-1] and len(row.ids) * (len(packs[-1]) + 1) > self.size:
                packs.append([])
            packs[-1].append(row)
        self.rng.shuffle(packs)
        return [Batch(pack, self.tokenizer.pad_token_id) for pack in packs]


def small_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **ignored: Any
) -> tuple[Tensor, None]:
    """Causal attention by plain matrix products, a sequence at a time so that its scores stay in the cache.

    For small models on CPU this is two to three times as fast as the fused kernel. query, key, value: (B, H, T, D);
    the result: (B, T, H, D).
    """
    length = query.shape[2]
    if query.device.type != "cpu":
        out = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return out.transpose(1, 2).contiguous(), None
    future = torch.full((length, length), float("-inf"), dtype=query.dtype).triu_(1).expand(query.shape[1], -1, -1)
    parts = []
    for q, k, v in zip(query, key, value, strict=True):
        scores = torch.baddbmm(future, q, k.transpose(-1, -2), alpha=query.shape[-1] ** -0.5)
        parts.append(torch.softmax(scores, -1) @ v)
    return torch.stack(parts).transpose(1, 2).contiguous(), None


def new_model(tokenizer: Any) -> Any:
    """A Llama of 4.6 M parameters: width 256, 6 layers, 4 heads of 64, tied embeddings."""
    from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM

    AttentionInterface.register("small", torch.compiler.disable(small_attention))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        use_cache=True,
        attn_implementation="small",
    )
    model = LlamaForCausalLM(config)
    for layer in model.model.layers:
        layer.compile(dynamic=True)
    return model


def decisive(tokenizer: Any) -> Tensor:
    """The tokens that decide: (V,) bool. They are few among many copied ones, so their loss weighs more."""
    marks = torch.zeros(len(tokenizer), dtype=torch.bool)
    for text in (" ok", " no", " right", " wrong", "right", "wrong", "A", "B", "C"):
        (token,) = tokenizer(text, add_special_tokens=False).input_ids
        marks[token] = True
    return marks


def loss_of(model: Any, batch: Batch, decisive: Tensor, device: str) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over the learnt tokens, in fp32, decisive ones weighed, and that of the judged pieces; and the
    share of the learnt tokens predicted right."""
    tokens, piece, learnt = (each.to(device) for each in (batch.tokens, batch.piece, batch.targets != -100))
    read = learnt | (piece >= 0)
    following, piece, learnt = batch.following.to(device)[read], piece[read], learnt[read]
    with torch.autocast(device, torch.bfloat16):
        hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[read]).float()
    losses = nn.functional.cross_entropy(logits, following, reduction="none")
    weights = torch.where(decisive[following], DECISIVE, 1.0) * learnt
    loss = (losses * weights).sum() / weights.sum()
    if len(batch.holds):
        loss = loss + JUDGED * judged(-losses[piece >= 0], piece[piece >= 0], batch.holds.to(device))
    return loss, (logits.argmax(-1) == following)[learnt].float().mean()


def judged(log_probs: Tensor, piece: Tensor, holds: Tensor) -> Tensor:
    """Mean cross-entropy of "all of this piece could follow": each token could, σ(α log p + β), and all of them do.

    log_probs: (N,) log p of the pieces' tokens; piece: (N,) whose; holds: (P,). The head that reads them is
    judge.rewards.modeling.likelihood_head.
    """
    each = nn.functional.logsigmoid(SLOPE * log_probs + OFFSET)
    right = torch.zeros_like(holds).index_add(0, piece, each).clamp(max=-LEAST)
    odds = right - torch.log(-torch.expm1(right))
    return nn.functional.binary_cross_entropy_with_logits(odds, holds)


def optimizers(model: Any, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices (Jordan et al. 2024, update scaled to AdamW's), AdamW for embeddings and norms."""
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    other = [p for name, p in model.named_parameters() if p.ndim < 2 or "embed" in name]
    return [
        torch.optim.Muon(hidden, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(other, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def factor(seen: float, total: float, decay: float) -> float:
    """The learning rate's factor: warm-up over 200 k tokens, constant, linear to zero over the last `decay` part."""
    return min(1.0, seen / 2e5 + 0.02, max(0.0, (total - seen) / (decay * total)))


def save(model: Any, tokenizer: Any, out: Path, state: dict[str, Any]) -> None:
    """A directory that transformers and vLLM load (weights in bf16), and the state to go on from."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {
        n: p.detach().to(torch.bfloat16).contiguous() for n, p in model.state_dict().items() if n != "lm_head.weight"
    }
    save_file(weights, str(out / "model.safetensors"), metadata={"format": "pt"})
    config = model.config.to_dict() | {"architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}
    config.pop("_attn_implementation", None)
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tokenizer.save_pretrained(out)
    torch.save(state, out / "state.new")
    (out / "state.new").replace(out / "state.pt")


def tokenizer_texts(seed: int = 0) -> Iterator[str]:
    """The texts from which the tokenizer is made."""
    rng, teacher = Random(seed), Teacher(chat)
    for _ in range(300):
        for lesson in (
            *teacher.steps(rng),
            teacher.preference(rng),
            teacher.critique(rng),
            teacher.outcome(rng),
            teacher.revision(rng),
        ):
            yield "".join(piece.text for piece in lesson)


def main() -> None:
    """Train, going on from `--out` when it holds a state."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a model to begin from instead of nothing")
    parser.add_argument("--begin", type=float, default=0.0, help="with --start: tokens that it has seen already")
    parser.add_argument("--tokens", type=float, default=68e6, help="tokens to see in all")
    parser.add_argument(
        "--decay", type=float, default=0.3, help="last part of the run over which the rate falls to zero"
    )
    parser.add_argument("--batch", type=int, default=6000, help="tokens in a batch")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(arguments.seed)
    going_on = (arguments.out / "state.pt").exists()
    source = arguments.out if going_on else arguments.start
    tokenizer = load_tokenizer(source) if source else train_tokenizer(tokenizer_texts())
    model = new_model(tokenizer).to(device)
    steppers = optimizers(model, arguments.rate)
    seen, count = arguments.begin, 0
    if arguments.start and not going_on:
        model.load_state_dict(load_file(arguments.start / "model.safetensors"), strict=False)  # the head is tied
    if going_on:
        state = torch.load(arguments.out / "state.pt", weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        for stepper, saved in zip(steppers, state["optimizers"], strict=True):
            stepper.load_state_dict(saved)
        seen, count = state["seen"], state["count"]
    school = School(tokenizer, arguments.batch, arguments.seed + count)
    train(model, tokenizer, school, steppers, arguments, seen, count, device)


def train(
    model: Any,
    tokenizer: Any,
    school: School,
    steppers: list[torch.optim.Optimizer],
    arguments: argparse.Namespace,
    seen: float,
    count: int,
    device: str,
) -> None:
    """Batch, forward, loss, backward, step, log; a checkpoint every five minutes and at the end."""
    started = saved = time.monotonic()
    began, losses, rights = seen, [], []
    batches: list[Batch] = []
    deciding = decisive(tokenizer).to(device)

    def state() -> dict[str, Any]:
        return {
            "model": model.state_dict(),
            "optimizers": [s.state_dict() for s in steppers],
            "seen": seen,
            "count": count,
        }

    while seen < arguments.tokens:
        if not batches:
            batches = school.batches(seen)
        batch = batches.pop()
        loss, right = loss_of(model, batch, deciding, device)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            for group in stepper.param_groups:
                group["lr"] = arguments.rate * factor(seen, arguments.tokens, arguments.decay)
            stepper.step()
            stepper.zero_grad()
        seen, count = seen + batch.tokens.numel(), count + 1
        losses.append(float(loss.detach()))
        rights.append(float(right))
        if count % 25 == 0:
            now = time.monotonic()
            row = {
                "step": count,
                "tokens": round(seen),
                "loss": sum(losses) / len(losses),
                "right": sum(rights) / len(rights),
            }
            print(
                json.dumps(
                    row
                    | {"tokens/s": round((seen - began) / (now - started)), "minutes": round((now - started) / 60, 1)}
                ),
                flush=True,
            )
            losses, rights = [], []
            if now - saved > 300:
                save(model, tokenizer, arguments.out, state())
                saved = now
    save(model, tokenizer, arguments.out, state())


if __name__ == "__main__":
    main()
