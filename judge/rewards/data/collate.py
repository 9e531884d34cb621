"""Examples to batches: all texts of a batch in one row without padding, or the plain padded rows.

    N reads (places where the head reads), T tokens, B rows, M response tokens.

Reads come in the order of example, response, step, whatever the layout. In a packed batch the responses of a group
share the tokens that they begin with: those are computed once. Documents are told apart by the attention
(modeling/attention.py).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from judge.errors import InputError
from judge.rewards.data.example_store import CHUNK, StoredExamples, fitting
from judge.rewards.data.examples import Example
from judge.rewards.data.tokenize import ExampleTokenizer, Ids, Text, Tokens, common_prefix

Layout = Literal["packed", "padded", "apart"]
BatchType = TypeVar("BatchType")


class Document(NamedTuple):
    """A prefix [start, prefix_end) and the branches [start, end) that go on from it, each seeing prefix and itself."""

    start: int
    prefix_end: int
    branches: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        return self.branches[-1][1] if self.branches else self.prefix_end

    @property
    def longest(self) -> int:
        """Tokens of its longest text."""
        return self.prefix_end - self.start + max((end - start for start, end in self.branches), default=0)


@dataclass(frozen=True, slots=True)
class Parts:
    """The tokens of each response (or step), for heads that read all of them, in the order of the reads.

    Attributes:
        tokens: (M,) index into a batch's flattened tokens.
        reads: (M,) the read, of N, that a token belongs to.
        ends: (M,) bool, where a sentence or line ends.
        before: (M,) index of the token before each.
    """

    tokens: Tensor
    reads: Tensor
    ends: Tensor
    before: Tensor


@dataclass(frozen=True, slots=True)
class Packed:
    """All texts of a batch in one row, for causal backbones.

    Attributes:
        tokens: (T,) int64.
        positions: (T,) int64, a branch's positions going on from its prefix's.
        documents: of the row, in its order.
        reads: (N,) int64, where the head reads.
        parts: for heads that read every token.
    """

    tokens: Tensor
    positions: Tensor
    documents: tuple[Document, ...]
    reads: Tensor
    parts: Parts | None = None

    @property
    def size(self) -> int:
        """Tokens that are computed."""
        return self.tokens.numel()

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(document.longest for document in self.documents)

    def to(self, device: torch.device | str) -> "Packed":
        return _moved(self, device)


@dataclass(frozen=True, slots=True)
class Padded:
    """A row a text, filled up on the right.

    Attributes:
        tokens: (B, T) int64.
        mask: (B, T) int64, 1 where there is a token.
        reads: (N, 2) int64, row and column where the head reads.
        parts: for heads that read every token.
    """

    tokens: Tensor
    mask: Tensor
    reads: Tensor
    parts: Parts | None = None

    @property
    def size(self) -> int:
        return self.tokens.numel()

    @property
    def longest(self) -> int:
        return self.tokens.shape[1]

    def to(self, device: torch.device | str) -> "Padded":
        return _moved(self, device)


@dataclass(frozen=True, slots=True)
class Apart:
    """Prompts and responses in rows of their own, for two encoders.

    Attributes:
        prompts: (Q, P) rows, each prompt once.
        responses: (N, T) rows.
        which: (N,) the prompt's row of each response.
    """

    prompts: Padded
    responses: Padded
    which: Tensor

    @property
    def size(self) -> int:
        return self.prompts.size + self.responses.size

    @property
    def longest(self) -> int:
        return max(self.prompts.longest, self.responses.longest)

    def to(self, device: torch.device | str) -> "Apart":
        return _moved(self, device)


@dataclass(frozen=True, slots=True)
class Features:
    """What a frozen backbone gave, computed before: the head alone reads it.

    Attributes:
        values: (N, F).
    """

    values: Tensor

    @property
    def size(self) -> int:
        """No token is computed; a read counts as one."""
        return len(self.values)

    @property
    def longest(self) -> int:
        return 0

    def to(self, device: torch.device | str) -> "Features":
        return _moved(self, device)


Batch = Packed | Padded | Apart | Features


class BatchMaker(Protocol):
    """Makes batches of examples."""

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """A batch of all the examples."""

    def lengths(self, examples: Sequence[Example]) -> Sequence[int]:
        """Tokens of each example."""

    def fit(self, examples: Sequence[Example]) -> "Fitted":
        """The examples that fit max_length, and counts of those that were cut or dropped."""


def _moved(batch: BatchType, device: torch.device | str) -> BatchType:
    """The batch with every tensor on a device."""
    changes: dict[str, Any] = {}
    for field in fields(batch):  # type: ignore[arg-type]
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            changes[field.name] = value.to(device, non_blocking=True)
        elif isinstance(value, Parts | Padded):
            changes[field.name] = _moved(value, device)
    return replace(batch, **changes)  # type: ignore[type-var]


class Fitted(NamedTuple):
    """The examples that fit max_length, and how many did not or were cut, by reason."""

    examples: list[Example]
    counts: "Counter[str]"


class Collator:
    """Makes batches of examples. Tokens are kept from call to call: an example is tokenized once.

    Args:
        tokenizer: of the backbone.
        kind: of the reward model.
        max_length: tokens of prompt and response together.
        layout: "packed" (causal backbones), "padded" (any) or "apart" (two encoders).
        shared_prefix: whether the responses of a group share the tokens that they begin with, in packed batches.
        cache_size: how many examples' tokens are remembered.
        every_token: whether the head reads every token, see Parts.
        unread: a token that is taken away from the ends of texts, see ExampleTokenizer.
    """

    def __init__(
        self,
        tokenizer: Any,
        kind: str,
        max_length: int,
        layout: Layout = "packed",
        *,
        shared_prefix: bool = True,
        cache_size: int = 200_000,
        every_token: bool = False,
        unread: int | None = None,
    ) -> None:
        self.every_token = every_token or kind == "hierarchical"
        self.layout, self.kind, self.shared_prefix, self._cache_size = layout, kind, shared_prefix, cache_size
        self.tokenizer = ExampleTokenizer(tokenizer, kind, max_length, apart=layout == "apart", unread=unread)
        pad = tokenizer.pad_token_id
        self._pad = int(pad if pad is not None else tokenizer.eos_token_id or 0)  # the mask decides, never this token
        self._cache: dict[Any, Tokens] = {}
        self._ends: dict[int, bool] = {}

    def fit(self, examples: Sequence[Example]) -> Fitted:
        """The examples that fit max_length, and counts of those that were cut or dropped; call it before `batches`."""
        kept: list[Example] = []
        counts: Counter[str] = Counter()
        for example, tokens in fitting(examples, self.tokenizer, counts):
            self._remember(example, tokens)
            kept.append(example)
        return Fitted(kept, +counts)

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """A batch of all the examples.

        Raises:
            InputError: for an example that does not fit max_length.
        """
        tokens = self._tokens(examples)
        texts = [text for tokenized in tokens for text in tokenized.texts]
        parts = self._parts_of(texts) if self.every_token else None
        match self.layout:
            case "packed":
                groups = [
                    example.group for example, tokenized in zip(examples, tokens, strict=True) for _ in tokenized.texts
                ]
                return self._packed(texts, groups if self.shared_prefix else None, parts)
            case "padded":
                return self._padded(texts, parts)
            case "apart":
                return self._two(tokens, texts)

    def lengths(self, examples: Sequence[Example]) -> Sequence[int]:
        """Tokens of each example, its prompt counted once: what a packed batch computes."""
        if isinstance(examples, StoredExamples) and examples.store.tokenizer is self.tokenizer:
            return examples.lengths
        parts = (examples[start : start + CHUNK] for start in range(0, len(examples), CHUNK))
        return [tokenized.length for part in parts for tokenized in self._tokens(part)]

    def fingerprint(self, examples: Sequence[Example]) -> str:
        """A hash of the examples' tokens and of where they are read: it tells tokenizers and chat templates apart."""
        digest = blake2b(digest_size=16)
        for tokenized in self._tokens(examples):
            for text in tokenized.texts:
                digest.update(np.asarray(text.ids, dtype=np.int64).tobytes() + repr((text.start, text.reads)).encode())
        return digest.hexdigest()

    def _tokens(self, examples: Sequence[Example]) -> list[Tokens]:
        known = [self._known(example) for example in examples]
        missing = [example for example, tokens in zip(examples, known, strict=True) if tokens is None]
        fresh: dict[Any, Tokens] = {}
        for example, tokenized in zip(missing, self.tokenizer(missing), strict=True):
            if isinstance(tokenized, str):
                raise InputError(f"{example.id}: {tokenized} ({self.tokenizer.max_length} tokens)")
            fresh[_key(example)] = tokenized
            self._remember(example, tokenized)
        return [tokens or fresh[_key(example)] for example, tokens in zip(examples, known, strict=True)]

    def _known(self, example: Example) -> Tokens | None:
        """Tokens that lie on the disk with the example, or that are remembered."""
        if example.stored is not None and example.stored[0].tokenizer is self.tokenizer:
            store, place = example.stored
            return store.tokens(place)
        return self._cache.get(_key(example)) if self._cache else None

    def _remember(self, example: Example, tokens: Tokens) -> None:
        if len(self._cache) < self._cache_size:
            self._cache[_key(example)] = tokens

    def _packed(self, texts: list[Text], groups: list[str] | None, parts: "_Spans | None") -> Packed:
        families: dict[Any, list[int]] = {}
        for number in range(len(texts)):
            families.setdefault(number if groups is None else groups[number], []).append(number)
        row = _Row()
        places: list[_Place] = [_Place(0, 0, 0)] * len(texts)
        for members in families.values():
            added = row.add([texts[number].ids for number in members])
            for number, place in zip(members, added, strict=True):
                places[number] = place
        reads = [place.locate(offset) for text, place in zip(texts, places, strict=True) for offset in text.reads]
        return Packed(
            tokens=torch.from_numpy(np.concatenate(row.tokens).astype(np.int64)),
            positions=torch.from_numpy(np.concatenate(row.positions).astype(np.int64)),
            documents=tuple(row.documents),
            reads=torch.tensor(reads),
            parts=parts and parts.located(lambda text, offset: places[text].locate(offset)),
        )

    def _padded(self, texts: list[Text], parts: "_Spans | None") -> Padded:
        width = max(len(text.ids) for text in texts)
        tokens = np.full((len(texts), width), self._pad, dtype=np.int64)
        mask = np.zeros((len(texts), width), dtype=np.int64)
        for row, text in enumerate(texts):
            tokens[row, : len(text.ids)] = text.ids
            mask[row, : len(text.ids)] = 1
        return Padded(
            tokens=torch.from_numpy(tokens),
            mask=torch.from_numpy(mask),
            reads=torch.tensor([(row, column) for row, text in enumerate(texts) for column in text.reads]),
            parts=parts and parts.located(lambda text, offset: text * width + offset),
        )

    def _two(self, tokens: list[Tokens], texts: list[Text]) -> Apart:
        """A prompt of several examples is one row."""
        rows: dict[bytes, int] = {}
        prompts: list[Text] = []
        which: list[int] = []
        for tokenized in tokens:
            assert tokenized.prompt is not None
            key = tokenized.prompt.tobytes()
            if key not in rows:
                rows[key] = len(prompts)
                prompts.append(Text(tokenized.prompt, 0, (len(tokenized.prompt) - 1,)))
            which += [rows[key]] * len(tokenized.texts)
        return Apart(
            prompts=self._padded(prompts, None), responses=self._padded(texts, None), which=torch.tensor(which)
        )

    def _parts_of(self, texts: list[Text]) -> "_Spans":
        spans = _Spans([], [], [], [])
        number = 0
        for place, text in enumerate(texts):
            start = text.start
            for end in text.reads:
                for offset in range(min(start, end), end + 1):
                    spans.texts.append(place)
                    spans.reads.append(number)
                    spans.offsets.append(offset)
                    spans.ends.append(offset == end or self._ends_sentence(int(text.ids[offset])))
                start, number = end + 1, number + 1
        return spans

    def _ends_sentence(self, token: int) -> bool:
        if token not in self._ends:
            decoded = self.tokenizer.tokenizer.decode([token])
            self._ends[token] = "\n" in decoded or decoded.rstrip().endswith((".", "!", "?", "。", "！", "？"))
        return self._ends[token]


class _Place(NamedTuple):
    """Where a text lies in a row: its first `shared` tokens from `start`, the others from `branch`."""

    start: int
    shared: int
    branch: int

    def locate(self, offset: int) -> int:
        """Where the token at an offset of the text stands in the row."""
        return self.start + offset if offset < self.shared else self.branch + offset - self.shared


class _Spans(NamedTuple):
    """Response tokens by text and offset."""

    texts: list[int]
    reads: list[int]
    offsets: list[int]
    ends: list[bool]

    def located(self, index: Any) -> Parts:
        """The tokens as a batch indexes them; index: (text, offset) to a place."""
        places = list(zip(self.texts, self.offsets, strict=True))
        return Parts(
            tokens=torch.tensor([index(text, offset) for text, offset in places]),
            reads=torch.tensor(self.reads),
            ends=torch.tensor(self.ends),
            before=torch.tensor([index(text, max(0, offset - 1)) for text, offset in places]),
        )


class _Row:
    """A row that grows by one family of texts at a time."""

    def __init__(self) -> None:
        self.tokens: list[Ids] = []
        self.positions: list[Ids] = []
        self.documents: list[Document] = []
        self._length = 0

    def add(self, family: list[Ids]) -> list[_Place]:
        """One document: the prefix that all texts share, then the rest of each; equal texts stand in it once."""
        start, shared = self._length, common_prefix(family)
        self._put(family[0][:shared], 0)
        branches: dict[bytes, int] = {}
        for ids in family:
            rest = ids[shared:]
            if len(rest) and rest.tobytes() not in branches:
                branches[rest.tobytes()] = self._length
                self._put(rest, shared)
        ends = [*list(branches.values())[1:], self._length]
        spans = tuple(zip(branches.values(), ends, strict=False))
        self.documents.append(Document(start, start + shared, spans))
        return [_Place(start, shared, branches.get(ids[shared:].tobytes(), 0)) for ids in family]

    def _put(self, ids: Ids, position: int) -> None:
        self.tokens.append(ids)
        self.positions.append(np.arange(position, position + len(ids), dtype=np.int32))
        self._length += len(ids)


def _key(example: Example) -> Any:
    return (example.prompt, example.responses, example.steps)
