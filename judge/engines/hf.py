"""A model run by transformers, on a CPU or one GPU: slower than vLLM, and it runs wherever torch does.

`step` takes what is pending as one batch: requests of one kind, near in length, left-padded, bounded in tokens.
Decoding is a visible loop, because every row has its own seed, temperature and limits, which `generate` does not know.
JSON schemas are beyond it.

Shapes: B rows of a batch, T tokens, V the vocabulary.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

from judge.engines.base import Completion, Request, loops
from judge.engines.chat import Chat
from judge.engines.choices import ChoiceTree, Node, likeliest
from judge.engines.models import choose_dtype, config_of, fingerprint, locate, versions
from judge.engines.thinking import split_thinking
from judge.errors import EngineError
from judge.pretrained import pretrained

THINKING_TOKENS = 8192  # how much longer than max_tokens a reply of a model that thinks aloud may be
MOST_ROWS = 64


@dataclass(slots=True)
class _Row:
    """One sequence to run. node: of the choice tree, None for text. begun: what the reply was given to begin with.
    out: the tokens written so far."""

    ticket: int
    ids: list[int]
    request: Request
    node: Node | None = None
    opened: bool = False
    begun: str = ""
    limit: int = 1
    out: list[int] = field(default_factory=list)
    generator: Any = None


class HfEngine:
    """`hf:MODEL`."""

    def __init__(
        self,
        model: str,
        *,
        name: str = "",
        revision: str = "",
        dtype: str = "auto",
        device: str = "auto",
        chat_template: str = "",
        template_kwargs: Mapping[str, Any] | None = None,
        thinking_tokens: int | None = None,
        max_model_len: int | None = None,
        batch_tokens: int = 16384,
        trust_remote_code: bool = False,
    ) -> None:
        """model: a directory or a hub name. batch_tokens: padded tokens (prompt and reply) of one batch at most; it
        changes speed and memory, not answers. The others: see VllmEngine."""
        self._source = locate(model, revision=revision, name=name)
        self._config = config_of(self._source)
        self._template_kwargs = dict(template_kwargs or {})
        self._chat = Chat.load(
            self._source,
            chat_template=chat_template,
            template_kwargs=self._template_kwargs,
            trust_remote_code=trust_remote_code,
        )
        thinks = self._chat.marks is not None
        self._thinking_tokens = (THINKING_TOKENS if thinks else 0) if thinking_tokens is None else thinking_tokens
        self._longest = max_model_len or int(self._config.get("max_position_embeddings") or 2**20)
        self._asked_dtype, self._asked_device = dtype, device
        self._batch_tokens = batch_tokens
        self._trust_remote_code = trust_remote_code
        self._model: Any = None
        self._rows: OrderedDict[tuple[int, Node | None], _Row] = OrderedDict()
        self._trees: dict[int, tuple[ChoiceTree, dict[Node, Mapping[int, float]], int]] = {}
        self._done: list[tuple[int, Completion]] = []

    # -- the two verbs ------------------------------------------------------------------------------------------------

    def submit(self, ticket: int, request: Request) -> None:
        """See Engine. A prompt that is too long and a schema finish with "error"."""
        try:
            rows = self._choice_rows(ticket, request) if request.choices else [self._text_row(ticket, request)]
        except ValueError as error:
            self._done.append((ticket, Completion(text=str(error), finish="error")))
            return
        for row in rows:
            self._rows[ticket, row.node] = row

    def step(self) -> list[tuple[int, Completion]]:
        """See Engine."""
        while self._rows and not self._done:
            batch = self._take()
            if batch[0].node is None:
                self._write(batch)
            else:
                self._score(batch)
        done, self._done = self._done, []
        return done

    def count_tokens(self, request: Request) -> int:
        """See Engine."""
        return len(self._chat.prompt(request).ids)

    def describe(self) -> dict[str, Any]:
        """See Engine."""
        described = {
            "engine": "hf",
            "model": self._source.name,
            "weights": fingerprint(self._source, self._config),
            "dtype": self.dtype,
            "max_model_len": self._longest,
            "chat_template": blake2b(self._chat.template.encode(), digest_size=8).hexdigest(),
            "template_kwargs": self._template_kwargs,
            "thinking_tokens": self._thinking_tokens,
            "versions": versions("transformers", "torch"),
        }
        return {key: value for key, value in described.items() if value not in (None, "", {})}

    def close(self) -> None:
        """See Engine."""
        self._model = None
        self._rows.clear()

    # -- requests -----------------------------------------------------------------------------------------------------

    def _text_row(self, ticket: int, request: Request) -> _Row:
        if request.schema is not None:
            raise ValueError("the hf engine cannot follow a JSON schema; use vllm or a server")
        request, begun = self._chat.begin(request, thinks=self._chat.marks is not None)
        prompt = self._chat.prompt(request)
        self._check_length(len(prompt.ids))
        thinking = 0 if request.prefill else self._thinking_tokens
        limit = min(request.max_tokens + thinking, self._longest - len(prompt.ids))
        return _Row(ticket, prompt.ids, request, opened=prompt.thinking, begun=begun, limit=limit)

    def _choice_rows(self, ticket: int, request: Request) -> list[_Row]:
        ids, tree = self._chat.choices(request)
        self._check_length(len(ids) + tree.depth)
        self._trees[ticket] = (tree, {}, 0)
        return [_Row(ticket, [*ids, *node], request, node=node) for node in tree.ends]

    def _check_length(self, tokens: int) -> None:
        if tokens >= self._longest:
            raise ValueError(f"the prompt has {tokens} tokens, the model takes {self._longest} with the reply")

    def _take(self) -> list[_Row]:
        """A batch: rows of the oldest one's kind, longest first, as many as fit into `batch_tokens`."""
        kind = next(iter(self._rows.values())).node is None
        alike = [row for row in self._rows.values() if (row.node is None) == kind]
        alike.sort(key=lambda row: len(row.ids), reverse=True)
        longest = len(alike[0].ids) + min(alike[0].limit, 256)
        batch = alike[: max(1, min(MOST_ROWS, self._batch_tokens // longest))]
        for row in batch:
            del self._rows[row.ticket, row.node]
        return batch

    # -- the model ----------------------------------------------------------------------------------------------------

    def _score(self, batch: list[_Row]) -> None:
        """Log-probabilities of the tokens at each row's node and at those on the way to it: one forward pass,
        log_softmax over V in float32."""
        kept = 1 + max(len(row.node or ()) for row in batch)
        logits, _, _ = self._prefill(batch, kept)  # (B, kept, V)
        for row, row_logits in zip(batch, logits, strict=True):
            tree, scores, cost = self._trees[row.ticket]
            assert row.node is not None
            for depth in range(len(row.node) + 1):
                logprobs = row_logits[depth - len(row.node) - 1].float().log_softmax(-1)
                children = tree.nodes[row.node[:depth]]
                scores[row.node[:depth]] = dict(zip(children, logprobs[children].tolist(), strict=True))
            self._trees[row.ticket] = (tree, scores, cost + len(row.ids))
            if len(scores) == len(tree.nodes):
                self._finish_choices(row.ticket)

    def _finish_choices(self, ticket: int) -> None:
        tree, scores, cost = self._trees.pop(ticket)
        logprobs = tree.logprobs(scores)
        answer = likeliest(logprobs)
        completion = Completion(text=answer, logprobs=logprobs, prompt_tokens=cost, output_tokens=len(scores))
        self._done.append((ticket, completion))

    def _write(self, batch: list[_Row]) -> None:
        """Decode until every row has ended; rows that have are dropped from the batch."""
        import torch

        logits, cache, mask = self._prefill(batch, 1)
        logits, rows = logits[:, -1], batch
        while True:
            tokens = [self._next_token(row, row_logits) for row, row_logits in zip(rows, logits, strict=True)]
            alive = []
            for index, (row, token) in enumerate(zip(rows, tokens, strict=True)):
                row.out.append(token)
                if not self._finish_text(row):
                    alive.append(index)
            if not alive:
                return
            if len(alive) < len(rows):
                kept = torch.tensor(alive, device=self.device)
                cache.batch_select_indices(kept)
                mask, rows = mask[kept], [rows[index] for index in alive]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)  # (B, T + 1)
            last = torch.tensor([[row.out[-1]] for row in rows], device=self.device)  # (B, 1)
            place = mask.sum(1, keepdim=True) - 1
            logits, cache = self._forward(last, mask, place, cache)
            logits = logits[:, -1]

    def _prefill(self, batch: list[_Row], kept: int) -> tuple[Any, Any, Any]:
        """Logits (B, kept, V) after each row's last `kept` tokens, the cache, and the mask (B, T); rows are padded on
        the left."""
        import torch

        longest = max(len(row.ids) for row in batch)
        ids = torch.tensor([[0] * (longest - len(row.ids)) + row.ids for row in batch], device=self.device)
        mask = torch.tensor([[0] * (longest - len(row.ids)) + [1] * len(row.ids) for row in batch], device=self.device)
        place = (mask.cumsum(1) - 1).clamp(min=0)
        logits, cache = self._forward(ids, mask, place, None, kept)
        return logits, cache, mask

    def _forward(self, ids: Any, mask: Any, place: Any, cache: Any, kept: int = 1) -> tuple[Any, Any]:
        """Logits (B, kept, V) and the cache."""
        import torch

        with torch.inference_mode():
            output = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=place,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=kept,
            )
        return output.logits, output.past_key_values

    def _next_token(self, row: _Row, logits: Any) -> int:
        """Greedy at temperature 0; else a draw from the nucleus of mass top_p with the row's own generator."""
        import torch

        request = row.request
        if request.temperature <= 0:
            return int(logits.argmax())
        if row.generator is None:
            row.generator = torch.Generator().manual_seed(request.seed)
        probabilities = (logits.float().cpu() / request.temperature).softmax(-1)
        ordered, order = probabilities.sort(descending=True)
        before = ordered.cumsum(0) - ordered
        ordered[before >= request.top_p] = 0.0
        return int(order[torch.multinomial(ordered, 1, generator=row.generator)])

    def _finish_text(self, row: _Row) -> bool:
        """Whether a row has ended, in which case its completion is put out."""
        ended = row.out[-1] in self._ends
        full = len(row.out) >= row.limit
        looping = not ended and loops(row.out)
        if not (ended or full or looping or row.request.stop):
            return False
        text, stopped = _cut(self._decode(row.out[:-1] if ended else row.out), row.request.stop)
        if not (ended or full or looping or stopped):
            return False
        thought = split_thinking(text, self._chat.marks, opened=row.opened)
        completion = Completion(
            text=row.begun + thought.reply,
            thinking=thought.thinking,
            finish="stop" if ended or stopped else "repetition" if looping else "length",
            continues=True,
            prompt_tokens=len(row.ids),
            output_tokens=len(row.out),
        )
        self._done.append((row.ticket, completion))
        return True

    def _decode(self, ids: list[int]) -> str:
        text: str = self._chat.tokenizer.decode(
            ids, skip_special_tokens=not self._chat.marks_are_special, clean_up_tokenization_spaces=False
        )
        return text.rstrip("\ufffd")  # the first bytes of a character that was cut

    # -- loading ------------------------------------------------------------------------------------------------------

    @cached_property
    def device(self) -> str:
        """Where the model runs: what was asked for, else a GPU where there is one."""
        import torch

        if self._asked_device != "auto":
            return self._asked_device
        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def dtype(self) -> str:
        """The number type that the model runs in."""
        return choose_dtype(self._source, self._config, asked=self._asked_dtype, cpu=self.device == "cpu")

    @cached_property
    def _ends(self) -> set[int]:
        """Tokens that end a turn: the tokenizer's EOS and those of the generation configuration."""
        ends = getattr(self.model.generation_config, "eos_token_id", None)
        end_tokens = set(ends) if isinstance(ends, list) else {ends}
        return {token for token in end_tokens | {self._chat.tokenizer.eos_token_id} if token is not None}

    @property
    def model(self) -> Any:
        """The transformers model, loaded at the first use."""
        if self._model is None:
            self._model = self._load()
        return self._model

    def _load(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        quiet: Any = logging
        quiet.disable_progress_bar()
        try:
            model: Any = pretrained(
                AutoModelForCausalLM,
                self._source.location,
                weights=True,
                revision=self._source.revision or None,
                dtype=getattr(torch, self.dtype),
                trust_remote_code=self._trust_remote_code,
            )
            return model.to(self.device).eval()
        except (OSError, ValueError, RuntimeError) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            raise EngineError(f"transformers could not load '{self._source.name}': {lines[0]}") from error


def _cut(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """The text before the first stop string, and whether there was one."""
    starts = [index for index in map(text.find, stops) if index >= 0]
    return (text[: min(starts)], True) if starts else (text, False)
