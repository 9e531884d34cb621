"""Other people's process reward models, each read as its makers read it: P(right) after every step of a solution.

    trl             token classifier; "\\n" after each step, label 1 is right (TRL's PRMTrainer)
    math-shepherd   language model; a tag after each step, P("+") against "-" there (Wang et al. 2024)
    rlhflow         language model; a step is a user's turn, P("+") against "-" as its reply (Xiong et al. 2024)
    qwen            <extra_0> after each step, two classes by a small network, label 1 is right (Zhang et al. 2025)
    skywork         "\\n" after each step, a value head, sigmoid (Skywork-o1-Open-PRM)

No code of a model's directory is run: the two with heads of their own are a plain backbone and the head's tensors.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jinja2 import TemplateError
from torch import Tensor, nn

from judge.errors import ConfigError, EngineError
from judge.json_input import load_json
from judge.pretrained import pretrained
from judge.records import Conversation, Record, spoken
from judge.rewards.checkpoint.hf_format import quiet
from judge.rewards.config import RewardConfig
from judge.rewards.data.chat_template import pin_date
from judge.rewards.data.tokenize import REFUSED, TOO_LONG
from judge.rewards.inference.judgements import Calibrated, RawReward, Rule, Uncalibrated, judged, task_of, unreadable
from judge.rewards.inference.scoring import Scored, solutions_of
from judge.rewards.registry import EXTERNAL_PRMS
from judge.sandbox.chat_templates import render_chat

PROCESS = RewardConfig.of(kind="process")
SHEPHERD_TAG, QWEN_TAG = "ки", "<extra_0>"
QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


class MarkedSolution(NamedTuple):
    """A solution's tokens, and where a step's verdict is read."""

    ids: list[int]
    reads: list[int]


class Convention(NamedTuple):
    """How texts are written and outputs are read.

    Attributes:
        write: (tokenizer, prompt, steps) to tokens and places.
        load: (folder, tokenizer, dtype) to a module from padded tokens and mask (B, T) to P(right) (B, T).
    """

    write: Callable[[Any, Conversation, Sequence[str]], MarkedSolution]
    load: Callable[[Path, Any, torch.dtype], nn.Module]


class ExternalPrm:
    """Someone else's process reward model, ready to score, from its directory.

    Args:
        folder: the model directory.
        name: of the convention, of `EXTERNAL_PRMS`.
        dtype: of the weights, float32 unless given.
        device: "" takes a GPU where there is one.

    Raises:
        UnknownNameError: for a convention that is none.
        EngineError: for a directory that cannot be loaded by it.
    """

    def __init__(self, folder: Path, name: str, *, dtype: str = "", device: str = "") -> None:
        from transformers import AutoTokenizer

        self.convention: Convention = EXTERNAL_PRMS.load(name)
        try:
            self.tokenizer = pin_date(pretrained(AutoTokenizer, folder))
            with quiet():
                model = self.convention.load(folder, self.tokenizer, getattr(torch, dtype or "float32"))
        except ConfigError:
            raise
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise EngineError(f"{folder}: cannot be loaded by the convention '{name}': {lines[0]}") from None
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = model.to(self.device).eval()
        config: Any = model.config
        positions = getattr(config.get_text_config(), "max_position_embeddings", None)
        self.longest = int(positions or 10**9)

    def write(self, prompt: Conversation, steps: Sequence[str]) -> MarkedSolution | str:
        """Tokens as the model's makers write them, or why there are none."""
        try:
            marked = self.convention.write(self.tokenizer, prompt, steps)
        except TemplateError as error:
            return f"{REFUSED}: {error}"
        if len(marked.reads) != len(steps):
            return f"found {len(marked.reads)} marks for {len(steps)} steps: a step holds the mark itself"
        return marked if marked.reads and len(marked.ids) <= self.longest else TOO_LONG

    @torch.inference_mode()
    def read(self, batch: Sequence[MarkedSolution]) -> list[list[float]]:
        """P(right) of each step."""
        width = max(len(solution.ids) for solution in batch)
        tokens, mask = torch.zeros(len(batch), width, dtype=torch.int64), torch.zeros(len(batch), width)
        for row, solution in enumerate(batch):
            length = len(solution.ids)
            tokens[row, :length], mask[row, :length] = torch.tensor(solution.ids), 1
        shares = self.model(tokens.to(self.device), mask.to(self.device, torch.int64)).float().cpu()
        return [shares[row, solution.reads].tolist() for row, solution in enumerate(batch)]


def score(
    model: ExternalPrm,
    records: Iterable[Record],
    *,
    rule: Rule,
    batch_tokens: int,
    window: int,
    calibration: Calibrated | None = None,
) -> Iterator[list[Scored]]:
    """Judgements of all records in their order, as `scoring.score` gives them."""
    fitted = calibration or Uncalibrated()
    stream = iter(records)
    while part := list(islice(stream, window)):
        written = [[model.write(record.prompt, steps) for steps in solutions_of(record)] for record in part]
        fitting = [solution for of_record in written for solution in of_record if not isinstance(solution, str)]
        p_right: dict[int, list[float]] = {}  # by the identity of a solution
        for batch in _batches(sorted(fitting, key=lambda solution: -len(solution.ids)), batch_tokens):
            p_right.update(zip(map(id, batch), model.read(batch), strict=True))
        yield [
            _scored(record, of_record, p_right, rule, fitted) for record, of_record in zip(part, written, strict=True)
        ]


def _scored(
    record: Record,
    written: Sequence[MarkedSolution | str],
    p_right: dict[int, list[float]],
    rule: Rule,
    calibration: Calibrated,
) -> Scored:
    solutions = [solution for solution in written if not isinstance(solution, str)]
    tokens = sum(len(solution.ids) for solution in solutions)
    reason = next((solution for solution in written if isinstance(solution, str)), "")
    if reason:
        return Scored(record, unreadable(task_of(record, PROCESS, rule), reason, record), {}, tokens, 0, 0)
    rewards = [[_as_raw_reward(p) for p in p_right[id(solution)]] for solution in solutions]
    made = judged(record, rewards, PROCESS, rule, calibration)
    return Scored(record, made.judgement, made.numbers, tokens, 0, 0)


def _as_raw_reward(p: float) -> RawReward:
    """P(right) as the logits (right, wrong) whose softmax it is."""
    p = min(max(p, 1e-12), 1 - 1e-12)
    return RawReward((math.log(p), math.log1p(-p)), p)


def _batches(ordered: Sequence[MarkedSolution], batch_tokens: int) -> Iterator[list[MarkedSolution]]:
    batch: list[MarkedSolution] = []
    for solution in ordered:
        if batch and len(batch[0].ids) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(solution)
    if batch:
        yield batch


# -- how texts are written --------------------------------------------------------------------------------------------


def _bare(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _joined(head: list[int], steps: Iterable[list[int]]) -> MarkedSolution:
    """Steps that end in their mark, one after another."""
    ids, reads = list(head), []
    for step in steps:
        ids += step
        reads.append(len(ids) - 1)
    return MarkedSolution(ids, reads)


def _trl(tokenizer: Any, prompt: Conversation, steps: Sequence[str]) -> MarkedSolution:
    """TRL's PRMTrainer: begin-of-text where there is one, the prompt, each step and the newline, tokenized apart."""
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    mark = _bare(tokenizer, "\n")
    return _joined([*begin, *_bare(tokenizer, spoken(prompt))], [_bare(tokenizer, step) + mark for step in steps])


def _shepherd(tokenizer: Any, prompt: Conversation, steps: Sequence[str]) -> MarkedSolution:
    """Question, a space, "Step 1: … ки", newline, "Step 2: … ки"; read at the tag."""
    lines = [_numbered(step, number) for number, step in enumerate(steps, 1)]
    text = f"{spoken(prompt)} " + "\n".join(f"{line} {SHEPHERD_TAG}" for line in lines)
    tag, ids = tokenizer(SHEPHERD_TAG)["input_ids"][-1], tokenizer(text)["input_ids"]
    return MarkedSolution(ids, [place for place, token in enumerate(ids) if token == tag])


def _numbered(step: str, number: int) -> str:
    return step if step.startswith("Step ") else f"Step {number}: {step}"


def _chat_ids(tokenizer: Any, turns: Sequence[Mapping[str, str]], *, ask: bool = False) -> list[int]:
    ids: list[int] = tokenizer(render_chat(tokenizer, turns, ask=ask), add_special_tokens=False)["input_ids"]
    return ids


def _rlhflow(tokenizer: Any, prompt: Conversation, steps: Sequence[str]) -> MarkedSolution:
    """The first step follows the question in its turn; each turn is answered "+", and read where that is predicted."""
    turns: list[dict[str, str]] = []
    reads = []
    for number, step in enumerate(steps):
        turns.append({"role": "user", "content": f"{spoken(prompt)} {step}" if number == 0 else step})
        so_far = _chat_ids(tokenizer, turns, ask=True)
        reads.append(len(so_far) - 1)
        turns.append({"role": "assistant", "content": "+"})
    return MarkedSolution(_chat_ids(tokenizer, turns), reads)


def _qwen(tokenizer: Any, prompt: Conversation, steps: Sequence[str]) -> MarkedSolution:
    """Chat of system, question, and the steps with <extra_0> after each; read there."""
    turns = [
        {"role": "system", "content": QWEN_SYSTEM},
        {"role": "user", "content": spoken(prompt)},
        {"role": "assistant", "content": "".join(f"{step}{QWEN_TAG}" for step in steps)},
    ]
    ids = _chat_ids(tokenizer, turns)
    tag = tokenizer.convert_tokens_to_ids(QWEN_TAG)
    return MarkedSolution(ids, [place for place, token in enumerate(ids) if token == tag])


def _skywork(tokenizer: Any, prompt: Conversation, steps: Sequence[str]) -> MarkedSolution:
    """Begin-of-text, the problem and a newline, then each step and the newline's last token, tokenized apart."""
    head = tokenizer((tokenizer.bos_token or "") + spoken(prompt) + "\n")["input_ids"]
    mark = tokenizer("\n")["input_ids"][-1]
    return _joined(head, [[*tokenizer(step)["input_ids"], mark] for step in steps])


# -- how outputs are read ---------------------------------------------------------------------------------------------


class TokenClassifier(nn.Module):
    """A classifier of tokens with two labels: softmax, label 1."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T) -> (B, T)."""
        return torch.softmax(self.model(input_ids=tokens, attention_mask=mask).logits.float(), -1)[..., 1]


class NextWord(nn.Module):
    """A language model: P(good) of two next words."""

    def __init__(self, model: Any, good: int, bad: int) -> None:
        super().__init__()
        self.model, self.config, self.words = model, model.config, [good, bad]

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T) -> (B, T)."""
        logits = self.model(input_ids=tokens, attention_mask=mask).logits[..., self.words]
        return torch.softmax(logits.float(), -1)[..., 0]


class BackboneWithHead(nn.Module):
    """A backbone with a head of its own: one output is a sigmoid's, of two the second is right."""

    def __init__(self, model: Any, head: nn.Module) -> None:
        super().__init__()
        self.model, self.head, self.config = model, head, model.config

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T) -> (B, T)."""
        hidden = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        logits = self.head(hidden.to(next(self.head.parameters()).dtype)).float()
        return torch.sigmoid(logits[..., 0]) if logits.shape[-1] == 1 else torch.softmax(logits, -1)[..., 1]


def _load_classes(folder: Path, tokenizer: Any, dtype: torch.dtype) -> nn.Module:
    from transformers import AutoModelForTokenClassification

    model = pretrained(AutoModelForTokenClassification, folder, weights=True, dtype=dtype)
    if model.config.num_labels != 2:
        raise ConfigError(f"{folder}: {model.config.num_labels} labels; the convention 'trl' has two, wrong and right")
    return TokenClassifier(model)


def _load_words(folder: Path, tokenizer: Any, dtype: torch.dtype) -> nn.Module:
    """The last two tokens of "+ -", as Math-Shepherd's card has it."""
    from transformers import AutoModelForCausalLM

    good, bad = tokenizer("+ -", add_special_tokens=False)["input_ids"][-2:]
    return NextWord(pretrained(AutoModelForCausalLM, folder, weights=True, dtype=dtype), good, bad)


def _load_replies(folder: Path, tokenizer: Any, dtype: torch.dtype) -> nn.Module:
    from transformers import AutoModelForCausalLM

    good, bad = (tokenizer(word)["input_ids"][-1] for word in "+-")
    return NextWord(pretrained(AutoModelForCausalLM, folder, weights=True, dtype=dtype), good, bad)


def _load_qwen(folder: Path, tokenizer: Any, dtype: torch.dtype) -> nn.Module:
    tensors = _tensors(folder, ("score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias"))
    head = nn.Sequential(_linear(tensors, "score.0"), nn.ReLU(), _linear(tensors, "score.2"))
    return BackboneWithHead(_backbone(folder, dtype), head.to(dtype))


def _load_skywork(folder: Path, tokenizer: Any, dtype: torch.dtype) -> nn.Module:
    tensors = _tensors(folder, ("v_head.summary.weight", "v_head.summary.bias"))
    return BackboneWithHead(_backbone(folder, dtype), _linear(tensors, "v_head.summary"))


def _backbone(folder: Path, dtype: torch.dtype) -> Any:
    """The AutoModel whose weights lie in the directory; its config may name a class that is the makers' own."""
    from transformers import AutoConfig, AutoModel

    config = load_json((folder / "config.json").read_text("utf-8"))
    config.pop("auto_map", None)
    model_type = config.pop("model_type")
    return pretrained(AutoModel, folder, weights=True, config=AutoConfig.for_model(model_type, **config), dtype=dtype)


def _linear(tensors: dict[str, Tensor], name: str) -> nn.Linear:
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.load_state_dict({"weight": weight, "bias": bias}, assign=True)
    return layer


def _tensors(folder: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """Tensors by name from the weights of a directory; KeyError for one that is not there."""
    from safetensors import safe_open

    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            keys = set(file.keys())
            tensors |= {name: file.get_tensor(name) for name in names if name in keys}
    for name in names:
        if name not in tensors:
            raise KeyError(f"its weights have no '{name}'")
    return tensors


TRL = Convention(_trl, _load_classes)
MATH_SHEPHERD = Convention(_shepherd, _load_words)
RLHFLOW = Convention(_rlhflow, _load_replies)
QWEN = Convention(_qwen, _load_qwen)
SKYWORK = Convention(_skywork, _load_skywork)
