"""Records through a reward model, batch by batch: sorted by length, shared prompts once, rows in the order of the data.

A batch's composition changes no score beyond the arithmetic's last digits (loader_parity.py measures it).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from judge.judgements import Judgement
from judge.records import (
    Conversation,
    Record,
    Solution,
    content_id,
    is_trajectory,
    plain,
    responses_of,
    spoken,
    turn_steps,
)
from judge.rewards.checkpoint.save_load import LoadedModel
from judge.rewards.data.collate import Collator, Layout
from judge.rewards.data.examples import Example
from judge.rewards.data.tokenize import Tokens
from judge.rewards.inference.judgements import (
    Judged,
    RawReward,
    RawRewards,
    Rule,
    Uncalibrated,
    judged,
    task_of,
    unreadable,
)

WINDOW = 1024
BATCH_TOKENS = 16384


class Scored(NamedTuple):
    """A record with its judgement.

    Attributes:
        record: what was scored.
        judgement: its verdict, or the reason why it has none.
        numbers: behind the verdict, for the row's meta.
        tokens: of all its texts.
        shared: those of them that were computed once for several texts.
        cut: how many of its prompts were cut.
    """

    record: Record
    judgement: Judgement
    numbers: dict[str, Any]
    tokens: int
    shared: int
    cut: int


class _Piece(NamedTuple):
    """A record of a window, as examples. place: its index in the window; prompt: tokens of its prompt."""

    place: int
    record: Record
    examples: list[Example]
    prompt: int
    tokens: int
    shared: int
    cut: int


def score(
    loaded: LoadedModel,
    records: Iterable[Record],
    *,
    rule: Rule | None = None,
    batch_tokens: int = BATCH_TOKENS,
    window: int = WINDOW,
) -> Iterator[list[Scored]]:
    """Judgements of all records, a list at a time, each list in the order of the records.

    Args:
        loaded: the model.
        records: read a window at a time.
        rule: how numbers become verdicts.
        batch_tokens: about how many tokens are computed at once; a record alone may have more.
        window: records that are read ahead and sorted by length.
    """
    rule = rule or Rule()
    stream = iter(records)
    while part := list(islice(stream, window)):
        collator = collator_for(loaded, cache_size=8 * len(part))
        pieces, done = _pieces(loaded, collator, part, rule)
        packed = collator.layout == "packed"
        shares = packed and collator.shared_prefix
        for batch in _batches(pieces, batch_tokens, padded=not packed, shares=shares):
            flat = [example for piece in batch for example in piece.examples]
            rewards = iter(compute_rewards(loaded, collator, flat))
            for piece, before in zip(batch, [None, *batch], strict=False):
                by_text = [text for example in piece.examples for text in _by_text(example, next(rewards))]
                judgement = _judged(loaded, piece.record, by_text, rule)
                shared = piece.shared + (piece.prompt if shares and _same_prompt(piece, before) else 0)
                counts = (piece.tokens, shared, piece.cut)
                done[piece.place] = Scored(piece.record, judgement.judgement, judgement.numbers, *counts)
        yield [done[place] for place in range(len(part))]


def collator_for(loaded: LoadedModel, *, cache_size: int = 0, layout: Layout | None = None) -> Collator:
    """How this model's texts become batches. layout: other than the model's own."""
    config = loaded.config
    return Collator(
        loaded.tokenizer,
        config.model.kind,
        min(loaded.model.max_tokens, config.data.max_length),
        layout or loaded.model.layout,
        shared_prefix=config.data.shared_prefix,
        cache_size=cache_size,
        every_token=config.model.head == "likelihood",
        unread=loaded.unread,
    )


@torch.inference_mode()
def compute_rewards(loaded: LoadedModel, collator: Collator, examples: Sequence[Example]) -> list[RawRewards]:
    """Rewards of a batch: of each example one a response, or one a step."""
    device = next(loaded.model.parameters()).device
    rewards = loaded.model.rewards(collator(examples).to(device))
    count = len(rewards.values)
    sizes = [len(example.steps) or len(example.responses) for example in examples]
    values = rewards.values if rewards.objectives is None else rewards.objectives
    parts = (values, rewards.combined, rewards.levels, rewards.novelty)
    columns = zip(*(_rows(part, count) for part in parts), _deviations(rewards.deviations, sizes), strict=True)
    raw_rewards = (
        RawReward(tuple(numbers), reward[0], tuple(levels), novelty[0] if novelty else None, *deviation)
        for numbers, reward, levels, novelty, deviation in columns
    )
    return [list(islice(raw_rewards, size)) for size in sizes]


def _deviations(deviations: Tensor | None, sizes: Sequence[int]) -> list[tuple[float | None, tuple[float, ...]]]:
    """Of each read its σ, and σ of its difference to each response of its example; nothing of a model without σ."""
    if deviations is None:
        return [(None, ())] * sum(sizes)
    stds: list[float] = deviations.norm(dim=-1).tolist()
    differences = [
        tuple(row) for part in deviations.split(list(sizes)) for row in torch.cdist(part, part).cpu().tolist()
    ]
    return list(zip(stds, differences, strict=True))


def _rows(values: Tensor | None, count: int) -> list[list[float]]:
    """(N, C) or (N,) as rows; nothing as empty ones."""
    if values is None:
        return [[]] * count
    rows: list[list[float]] = values.reshape(count, -1).float().cpu().tolist()
    return rows


def examples_of(record: Record, kind: str) -> list[Example]:
    """A record's texts as unlabelled examples: all its responses in one, or for a process model a solution each."""
    group = content_id(plain(record.prompt))
    if kind == "process":
        return [
            Example(id=record.id, group=group, prompt=record.prompt, steps=written) for written in solutions_of(record)
        ]
    return [Example(id=record.id, group=group, prompt=record.prompt, responses=responses_of(record))]


def solutions_of(record: Record) -> list[tuple[str, ...]]:
    """Steps: a solution's own, the agent's turns of a trajectory, else the lines of a response that are not empty."""
    if isinstance(record, Solution):
        return [record.steps]
    return [_steps(response) for response in responses_of(record)]


def _steps(response: Conversation) -> tuple[str, ...]:
    if is_trajectory(response):
        return turn_steps(response)
    return tuple(line for line in spoken(response).splitlines() if line.strip())


def _pieces(
    loaded: LoadedModel, collator: Collator, part: Sequence[Record], rule: Rule
) -> tuple[list[_Piece], dict[int, Scored]]:
    """The records of a window that the model can read, and the others judged as unreadable with the reason."""
    pieces: list[_Piece] = []
    done: dict[int, Scored] = {}
    for place, record in enumerate(part):
        examples = examples_of(record, loaded.config.model.kind)
        tokenized = collator.tokenizer(examples)
        reason = next((entry for entry in tokenized if isinstance(entry, str)), "")
        tokens = [entry for entry in tokenized if isinstance(entry, Tokens)]
        count = sum(len(text.ids) for entry in tokens for text in entry.texts)
        if reason:
            judgement = unreadable(task_of(record, loaded.config, rule), reason, record)
            done[place] = Scored(record, judgement, {}, count, 0, 0)
        else:
            shares = collator.layout == "packed" and collator.shared_prefix
            shared = count - sum(collator.lengths(examples)) if shares else 0
            prompt = max((text.start for entry in tokens for text in entry.texts), default=0)
            cut = sum(entry.cut > 0 for entry in tokens)
            pieces.append(_Piece(place, record, examples, prompt, count, shared, cut))
    return pieces, done


def _batches(
    pieces: Sequence[_Piece], batch_tokens: int, *, padded: bool, shares: bool = False
) -> Iterator[list[_Piece]]:
    """Records of like length together, longest first (so that memory fails at once).

    Where prompts are shared, the records of one stand side by side, and each after the first counts without it.
    """
    longest: dict[str, int] = {}
    for piece in pieces:
        key = piece.examples[0].group if shares else str(piece.place)
        longest[key] = max(longest.get(key, 0), piece.tokens)

    def order(piece: _Piece) -> tuple[int, str, int]:
        group = piece.examples[0].group
        return -longest[group if shares else str(piece.place)], group, piece.place

    batch: list[_Piece] = []
    used = 0
    for piece in sorted(pieces, key=order):
        size = max(piece.tokens, batch[0].tokens) if padded and batch else piece.tokens
        if shares and batch and _same_prompt(piece, batch[-1]):
            size = piece.tokens - piece.shared - piece.prompt
        if batch and used + size > batch_tokens:
            yield batch
            batch, used, size = [], 0, piece.tokens
        batch.append(piece)
        used += size
    if batch:
        yield batch


def _same_prompt(piece: _Piece, before: _Piece | None) -> bool:
    return before is not None and piece.examples[0].group == before.examples[0].group


def _by_text(example: Example, rewards: RawRewards) -> list[RawRewards]:
    """The rewards of each text: of a solution all its steps', of a response its one."""
    return [rewards] if example.steps else [[reward] for reward in rewards]


def _judged(loaded: LoadedModel, record: Record, rewards: Sequence[RawRewards], rule: Rule) -> Judged:
    return judged(record, rewards, loaded.config, rule, loaded.calibration or Uncalibrated())
