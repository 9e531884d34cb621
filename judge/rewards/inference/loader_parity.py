"""The same texts through every loader that a model directory is meant for, and how far their scores lie apart.

The reference is our own loader, one text at a time. A loader that is not installed, or that cannot hold this model, is
named and not counted.

In half precision the weights are rounded as a loader holds them, and computed with in fp32: so loaders can be told from
each other. Computed with in half precision, one loader's scores differ from its own by which texts lie in a batch
(SmolLM2-135M in bf16: by 0.1). How far both roundings move scores is said and not judged.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from judge.errors import ConfigError, EngineError
from judge.records import Conversation, Message, Record, Response, Solution, responses_of, spoken
from judge.rewards.checkpoint.hf_format import ADAPTER, STEP_LABELS, quiet
from judge.rewards.checkpoint.metadata import OURS
from judge.rewards.checkpoint.padding import counts_positions
from judge.rewards.checkpoint.rounding import write_rounded
from judge.rewards.checkpoint.save_load import LoadedModel, load, loading_conflict, merge
from judge.rewards.data.chat_template import ChatTemplate
from judge.rewards.data.collate import Collator
from judge.rewards.data.tokenize import Text, Tokens
from judge.rewards.inference.scoring import collator_for, examples_of
from judge.rewards.inference.vllm_pooling import vllm_scores

Rows = list[Tensor]  # one (R, C) a text: R is 1, or the steps of a solution
Check = Callable[[], Rows] | str  # how a loader scores the texts, or why it is not run
LoaderWatch = Callable[[str, int, int], None]  # what is done next, how many loaders are done, how many there are
BATCH = 4


class LoaderDifference(NamedTuple):
    """What one loader gave.

    Attributes:
        loader: in words.
        largest: the largest absolute difference from the reference, None when it was not run or is not judged; where
            scores are larger than 1, in units of the largest: that is what arithmetic keeps.
        note: why, or what was compared.
    """

    loader: str
    largest: float | None
    note: str = ""


class _Texts(NamedTuple):
    """What is scored: the texts as records, as our own tokens, and as the words that other loaders are given."""

    records: list[Record]
    texts: list[Text]
    turns: list[list[dict[str, str]]]


def check_loaders(
    folder: Path,
    records: Sequence[Record] = (),
    *,
    vllm: bool = True,
    dtype: str = "float32",
    watch: LoaderWatch | None = None,
) -> list[LoaderDifference]:
    """Score the same texts by each loader; the first row says how many texts there are.

    A model that keeps its adapter is checked as it is and merged.

    Args:
        folder: the model directory.
        records: whose texts are scored; else texts of our own, short and long.
        vllm: whether vLLM is among the loaders, where it is installed.
        dtype: what all weights are rounded to: float32 (not at all), bfloat16 or float16.
        watch: is told of each loader before it runs.

    Returns:
        A row for each loader, the reference first.

    Raises:
        ConfigError: where no text fits the model.
        EngineError: for a model that cannot be loaded.
    """
    watch = watch or (lambda loader, done, total: None)
    with tempfile.TemporaryDirectory(prefix="rmjudge-check-") as name, quiet():
        saved = folder
        if dtype != "float32":
            folder = Path(name) / "rounded"
            write_rounded(saved, folder, getattr(torch, dtype))
        loaded = load(folder, dtype="float32", device="cpu")
        texts = _texts(loaded, records)
        checks = _checks(folder, Path(name) / "merged", texts, loaded, vllm=vllm)
        watch("rmjudge, one text at a time", 0, len(checks) + 1)
        reference = _one_by_one(loaded, texts)
        differences = [LoaderDifference("rmjudge, one text at a time", 0.0, f"{len(texts.texts)} texts, the reference")]
        for loader, check in checks.items():
            watch(loader, len(differences), len(checks) + 1)
            differences.append(
                LoaderDifference(loader, None, check) if isinstance(check, str) else _compare(loader, check, reference)
            )
        if dtype != "float32":
            differences += _roundings(saved, folder, texts, reference, dtype)
        watch("", len(differences), len(differences))
    return differences


def _roundings(saved: Path, rounded: Path, texts: _Texts, reference: Rows, dtype: str) -> list[LoaderDifference]:
    """What half precision does to our own scores: that of the weights, and that of the arithmetic."""
    loaded = load(rounded, dtype=dtype, device="cpu")
    alone = _one_by_one(loaded, texts)
    padded = _batch(loaded, collator_for(loaded, layout="padded"), texts.records)
    loaded = load(saved, dtype="float32", device="cpu")
    by_weights = f"scores move by {_largest(_one_by_one(loaded, texts), reference):.1e}"
    by_arithmetic = (
        f"scores move by {_largest(alone, reference):.1e}, and by {_largest(padded, alone):.1e} with the batch"
    )
    return [
        LoaderDifference(f"rmjudge, weights rounded to {dtype}", None, f"{by_weights} (not judged)"),
        LoaderDifference(f"rmjudge, computed in {dtype}", None, f"{by_arithmetic} (not judged)"),
    ]


def _checks(folder: Path, merged: Path, texts: _Texts, loaded: LoadedModel, *, vllm: bool) -> dict[str, Check]:
    """Every loader by what it is called.

    Args:
        folder: of the model.
        merged: where a model that keeps its adapter is written whole.
        texts: to score.
        loaded: the model.
        vllm: whether vLLM is among them; it comes last and alone, for it would take the others' cores while it starts.
    """
    checks: dict[str, Check] = dict(_ours(loaded, texts))
    if loaded.metadata["loads_as"] == OURS:
        return checks | {"transformers, TRL, RewardBench, vLLM": _why(loaded)}
    adapted = (folder / ADAPTER).is_file()
    if adapted:
        checks |= _over_adapter(folder, texts, loaded)
        merge(loaded, merged)
    plain = merged if adapted else folder
    others: dict[str, Check] = dict(_others(plain, texts, loaded))
    if counts_positions(loaded.model.backbone):
        others["transformers, padded left"] = (
            "not possible: this class counts positions from the padding on (its tokenizer pads right)"
        )
    loader, run = _vllm(plain, texts, loaded)
    others |= {loader: run} if vllm else {"vLLM": "off"}
    return checks | {f"{loader}{', merged' if adapted else ''}": check for loader, check in others.items()}


def _why(loaded: LoadedModel) -> str:
    config = loaded.config
    return (
        f"no class of theirs holds kind {config.model.kind}, encoder {config.model.encoder}, head {config.model.head} "
        f"on {type(loaded.model.backbone).__name__}; rmjudge loads it"
    )


def _compare(loader: str, run: Callable[[], Rows], reference: Rows) -> LoaderDifference:
    """A loader's largest difference; what it needs and lacks is a note. One that fails differs without bound."""
    try:
        rows = run()
    except ImportError as error:
        return LoaderDifference(loader, None, f"not installed: {error.name or error}")
    except (EngineError, OSError, RuntimeError, TypeError, ValueError) as error:  # theirs raise what they like
        return LoaderDifference(loader, float("inf"), next(iter(str(error).splitlines()), type(error).__name__))
    for got, wanted in zip(rows, reference, strict=True):
        if got.shape != wanted.shape:
            return LoaderDifference(loader, float("inf"), f"shape {tuple(got.shape)} instead of {tuple(wanted.shape)}")
    return LoaderDifference(loader, _largest(rows, reference))


def _largest(rows: Rows, reference: Rows) -> float:
    """The largest difference, in units of the largest reference where that is above 1."""
    scale = max(1.0, *(float(row.abs().max()) for row in reference))
    return max(float((a.float() - b.float()).abs().max()) for a, b in zip(rows, reference, strict=True)) / scale


# -- texts ------------------------------------------------------------------------------------------------------------


def _texts(loaded: LoadedModel, records: Sequence[Record]) -> _Texts:
    """Texts that fit the model, whole: what is cut differs between loaders, and is not what is compared."""
    process = loaded.config.model.kind == "process"
    chosen: list[Record] = []
    texts: list[Text] = []
    for record in records or list(_samples(process)):
        for part in _apart(record, process):
            tokenized = collator_for(loaded).tokenizer(examples_of(part, loaded.config.model.kind))
            if len(tokenized) == 1 and isinstance(tokenized[0], Tokens) and not tokenized[0].cut:
                chosen.append(part)
                texts += tokenized[0].texts
    if not chosen:
        raise ConfigError(
            f"no text fits the model's {loaded.config.data.max_length} tokens: there is nothing to compare"
        )
    return _Texts(chosen, texts, [_turns(loaded, record) for record in chosen])


def _turns(loaded: LoadedModel, record: Record) -> list[dict[str, str]]:
    """A record's turns as the chat template takes them: other tools fold nothing."""
    turns = [{"role": turn.role, "content": turn.content} for turn in (*record.prompt, *_response(record))]
    template = ChatTemplate(loaded.tokenizer)
    return [dict(turn) for turn in template.folded(turns)] if template.text else turns


def _response(record: Record) -> Conversation:
    return record.response if isinstance(record, Response) else ()


def _apart(record: Record, process: bool) -> list[Record]:
    """A record as single texts."""
    if process or isinstance(record, Solution):
        return [record] if isinstance(record, Solution) else []
    return [Response(prompt=record.prompt, response=response) for response in responses_of(record)]


def _samples(process: bool) -> Iterator[Record]:
    """Two batches of texts, the longest of each some 60 tokens longer than its shortest."""
    words = "Both sides are checked once more, step by step."
    for number in range(2 * BATCH):
        prompt = (Message("user", f"What is {number} + {number * 7}?" + f" {words}" * (number % 3)),)
        lines = [f"{number} + {number * 7} = {number * 8}.", *[f"{words} ({line})" for line in range(number % 4)]]
        if process:
            yield Solution(prompt=prompt, steps=tuple(lines))
        else:
            yield Response(prompt=prompt, response=(Message("assistant", "\n".join(lines)),))


# -- our own loader ---------------------------------------------------------------------------------------------------


def _one_by_one(loaded: LoadedModel, texts: _Texts) -> Rows:
    collator = collator_for(loaded)
    return [row for record in texts.records for row in _batch(loaded, collator, [record])]


@torch.no_grad()
def _batch(loaded: LoadedModel, collator: Collator, records: Sequence[Record]) -> Rows:
    """The head's own numbers, before a bank or weights of objectives."""
    examples = [example for record in records for example in examples_of(record, loaded.config.model.kind)]
    values: Tensor = loaded.model(collator(examples))
    return list(values.split([len(example.steps) or len(example.responses) for example in examples]))


def _ours(loaded: LoadedModel, texts: _Texts) -> dict[str, Callable[[], Rows]]:
    runs: dict[str, Callable[[], Rows]] = {
        "rmjudge, all texts in one batch": lambda: _batch(loaded, collator_for(loaded), texts.records)
    }
    if loaded.model.layout == "packed":
        padded = collator_for(loaded, layout="padded")
        runs["rmjudge, one padded batch"] = lambda: _batch(loaded, padded, texts.records)
    return runs


# -- transformers and what stands on it -------------------------------------------------------------------------------


def _others(folder: Path, texts: _Texts, loaded: LoadedModel) -> dict[str, Callable[[], Rows]]:
    """The loaders of a whole model."""
    process = loaded.config.model.kind == "process"
    model = cache(lambda: _auto(folder, process, _dtype(loaded)))

    def scores(**options: Any) -> Callable[[], Rows]:
        return lambda: _transformers(model(), folder, texts, loaded, **options)

    runs = {
        "transformers, one text at a time": scores(size=1),
        f"transformers, {BATCH} a batch, padded right": scores(side="right"),
    }
    if not counts_positions(loaded.model.backbone):
        runs[f"transformers, {BATCH} a batch, padded left"] = scores(side="left")
        runs["transformers, padded to 64s"] = scores(multiple=64)
    if not process:
        runs["RewardBench's way"] = lambda: _rewardbench(model(), folder, texts)
    if loaded.config.model.kind in ("scalar", "outcome"):
        runs["TRL, RewardTrainer's loader and collator"] = lambda: _trl(folder, texts, _dtype(loaded))
    return runs


def _over_adapter(folder: Path, texts: _Texts, loaded: LoadedModel) -> dict[str, Check]:
    """The loaders of an adapter's directory; they take the padding token from the base's config."""
    conflict = loading_conflict(loaded.model, loaded.tokenizer)
    advice = f"{conflict}; `rmjudge export {folder} --out MERGED` mends it" if conflict else ""
    pads_with_nothing = loaded.model.backbone.config.get_text_config().pad_token_id is None
    checks: dict[str, Check] = {}
    for name, loader in (("peft", _peft), ("transformers", _auto_adapter)):
        model = cache(partial(loader, folder, loaded))
        for size, side in ((1, ""), (BATCH, "right"), (BATCH, "left")):
            if side == "left" and counts_positions(loaded.model.backbone):
                continue
            title = f"{name}, adapter over the base, {f'{size} a batch, padded {side}' if side else 'one at a time'}"
            run = partial(_run_adapter, model, folder, texts, loaded, size=size, side=side or "right")
            checks[title] = advice if advice and pads_with_nothing and size > 1 else run
    if loaded.config.model.kind in ("scalar", "outcome"):
        checks["TRL, RewardTrainer's loader, adapter over the base"] = lambda: _trl(folder, texts, _dtype(loaded))
    if advice and not pads_with_nothing:
        checks["adapter over the base, its padding"] = advice
    return checks


def _run_adapter(
    model: Callable[[], Any], folder: Path, texts: _Texts, loaded: LoadedModel, *, size: int, side: str
) -> Rows:
    return _transformers(model(), folder, texts, loaded, size=size, side=side)


def _dtype(loaded: LoadedModel) -> torch.dtype:
    dtype: torch.dtype = loaded.model.backbone.dtype
    return dtype


def _auto(folder: Path, process: bool, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    auto = AutoModelForTokenClassification if process else AutoModelForSequenceClassification
    return auto.from_pretrained(folder, dtype=dtype).eval()


@torch.no_grad()
def _transformers(
    model: Any,
    folder: Path,
    texts: _Texts,
    loaded: LoadedModel,
    *,
    size: int = BATCH,
    side: str = "right",
    multiple: int | None = None,
) -> Rows:
    """Texts tokenised by the directory's own tokenizer, in batches of `size`."""
    from transformers import AutoTokenizer

    process = loaded.config.model.kind == "process"
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side=side)
    ids = _ids(tokenizer, texts, process)
    rows: Rows = []
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        padded = tokenizer.pad({"input_ids": part}, return_tensors="pt", pad_to_multiple_of=multiple)
        logits = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits
        for row, (tokens, text) in enumerate(zip(part, texts.texts[start : start + size], strict=True)):
            shift = logits.shape[1] - len(tokens) if process and side == "left" else 0
            rows.append(_as_ours(logits[row], text, shift) if process else logits[row : row + 1])
    return rows


def _as_ours(logits: Tensor, text: Text, shift: int = 0) -> Tensor:
    """(T, C) in the order on the disk -> (S, C) at the steps' ends, as (right, wrong, neutral)."""
    order = [STEP_LABELS.index(name) for name in ("right", "wrong", "neutral")[: logits.shape[-1]]]
    return logits[[read + shift for read in text.reads]][:, order]


def _ids(tokenizer: Any, texts: _Texts, process: bool) -> list[list[int]]:
    """Token ids; of steps they are the prompt's, then each step's and the separator's (there is no text to give)."""
    if process:
        return [text.ids.tolist() for text in texts.texts]
    if tokenizer.chat_template:
        return [tokenizer.apply_chat_template(turns, tokenize=True)["input_ids"] for turns in texts.turns]
    return [tokenizer(text)["input_ids"] for text in _words(tokenizer, texts)]


def _words(tokenizer: Any, texts: _Texts) -> list[str]:
    """Each text as one string."""
    if not tokenizer.chat_template:
        return [f"{spoken(record.prompt)}\n\n{spoken(_response(record))}" for record in texts.records]
    return [str(tokenizer.apply_chat_template(turns, tokenize=False)) for turns in texts.turns]


@torch.no_grad()
def _rewardbench(model: Any, folder: Path, texts: _Texts) -> Rows:
    """What RewardBench does (its scripts/run_rm.py and RewardBenchPipeline), version 1 and 2.

    The chat template writes a string, the tokenizer reads it and may put its begin-of-text token before the template's
    own: then the first of both is masked.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, truncation_side="left")
    words, rows = _words(tokenizer, texts), list[Tensor]()
    for start in range(0, len(words), BATCH):
        inputs = tokenizer(words[start : start + BATCH], truncation=True, padding=True, return_tensors="pt")
        if tokenizer.bos_token is not None:
            tokens, mask = inputs["input_ids"], inputs["attention_mask"]
            every, first = torch.arange(len(tokens)), mask.argmax(dim=1)
            second = (first + 1).clamp(max=tokens.shape[1] - 1)
            twice = (tokens[every, first] == tokenizer.bos_token_id) & (tokens[every, second] == tokenizer.bos_token_id)
            mask[every[twice], first[twice]] = 0
        rows += model(**inputs).logits.split(1)
    return rows


@torch.no_grad()
def _trl(folder: Path, texts: _Texts, dtype: torch.dtype) -> Rows:
    """What RewardTrainer does with a path and a batch: its loader, its collator, and the forward of compute_loss."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    # By name: TRL is no dependency of ours, only one of the tools that are checked where they are.
    trainer, loading = import_module("trl.trainer.reward_trainer"), import_module("trl.trainer.utils")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = loading.create_model_from_path(
        str(folder), AutoModelForSequenceClassification, num_labels=1, dtype=dtype
    ).eval()
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    collate = trainer.DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id)
    ids = _ids(tokenizer, texts, False)
    pairs = [
        {"chosen_ids": chosen, "rejected_ids": rejected}
        for chosen, rejected in zip(ids, ids[1:] + ids[:1], strict=True)
    ]
    rewards = torch.cat(
        [
            model(**collate(pairs[start : start + BATCH]), use_cache=False).logits.chunk(2)[0]
            for start in range(0, len(pairs), BATCH)
        ]
    )
    return list(rewards.split(1))


def _peft(folder: Path, loaded: LoadedModel) -> Any:
    """The adapter's directory by peft's own class; the base model is told how many labels there are."""
    from peft import AutoPeftModelForSequenceClassification, AutoPeftModelForTokenClassification

    process = loaded.config.model.kind == "process"
    auto = AutoPeftModelForTokenClassification if process else AutoPeftModelForSequenceClassification
    return auto.from_pretrained(folder, **_adapter_options(loaded)).eval()


def _auto_adapter(folder: Path, loaded: LoadedModel) -> Any:
    """The adapter's directory by the plain class of transformers."""
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    process = loaded.config.model.kind == "process"
    auto = AutoModelForTokenClassification if process else AutoModelForSequenceClassification
    return auto.from_pretrained(folder, **_adapter_options(loaded)).eval()


def _adapter_options(loaded: LoadedModel) -> dict[str, Any]:
    """What the base's config does not know of the head."""
    options: dict[str, Any] = {"num_labels": loaded.config.model.outputs, "dtype": _dtype(loaded)}
    biased = hasattr(loaded.model.backbone.config, "token_classification_bias")  # else a bias is there, and is 0
    return options | ({"token_classification_bias": False} if biased else {})


# -- vLLM -------------------------------------------------------------------------------------------------------------


def _vllm(folder: Path, texts: _Texts, loaded: LoadedModel) -> tuple[str, Callable[[], Rows]]:
    process = loaded.config.model.kind == "process"
    task = "token_classify" if process else "classify"

    def run() -> Rows:
        from transformers import AutoTokenizer

        ids = _ids(AutoTokenizer.from_pretrained(folder), texts, process)
        outputs = [
            torch.tensor(rows) for rows in vllm_scores(folder, ids, task, str(_dtype(loaded)).removeprefix("torch."))
        ]
        return [_as_ours(rows, text) for rows, text in zip(outputs, texts.texts, strict=True)] if process else outputs

    return f"vLLM, {task}", run
