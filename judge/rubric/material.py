"""What a rubric is written from, prompt by prompt, and what is kept back to measure it on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from judge.records import Conversation, Pair, Record, Response, Rubric, responses_of, spoken
from judge.rubric.comparisons import comparisons, majority, prompt_id
from judge.tasks.views import as_response, responses

CONTRASTS = 3
"""How many pairs of answers an author is shown for one prompt, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMaterial:
    """One prompt, and what people said of answers to it.

    Attributes:
        id: of the prompt.
        prompt, reference: what an author reads.
        shown: pairs on which people prefer one answer, for the author and for telling which criteria separate.
        held_out: pairs that neither of these sees; a prompt with `unseen` has no others, and no critiques are shown.
        critiques: what people said in words.
    """

    id: str
    prompt: Conversation
    reference: str = ""
    shown: tuple[Pair, ...] = ()
    held_out: tuple[Pair, ...] = ()
    critiques: tuple[str, ...] = ()
    unseen: bool = False

    def brief(self, seed: int, *, general: bool) -> Response:
        """The record that an author writes a rubric for."""
        pairs = sorted(self.shown, key=lambda pair: _lot(seed, pair.id))[:CONTRASTS]
        contrasts = [
            dict(zip(("better", "worse"), map(spoken, responses_of(better_first(pair))), strict=True)) for pair in pairs
        ]
        critiques = [] if self.unseen else list(self.critiques)
        meta = {"contrasts": contrasts, "critiques": critiques, "general": general}
        return Response(prompt=self.prompt, response=(), reference=self.reference, meta=meta)

    def answers(self, rubric: Rubric) -> Iterator[Response]:
        """The answers of all its pairs, as records that are judged by a rubric."""
        for pair in (*self.shown, *self.held_out):
            for answer in responses(pair):
                yield replace(as_response(answer), rubric=rubric, meta={})


def gather_material(records: Iterable[Record], *, held_out: float, seed: int, shared: bool) -> list[PromptMaterial]:
    """The material of each prompt, in the order of the data.

    Where one rubric is wanted for all prompts (`shared`), a share of the prompts is held out, with all their pairs.
    Where each prompt gets its own, one pair of a prompt is held out, and those that share an answer with it are left
    aside; of the prompts on which that leaves nothing to show, a share is held out as a whole.
    """
    records = list(records)
    by_prompt: dict[str, list[Record]] = {}
    for record in records:
        by_prompt.setdefault(prompt_id(record), []).append(record)
    preferred = [pair for pair in comparisons(records) if majority(pair) != "tie"]
    pairs: dict[str, list[Pair]] = {name: [] for name in by_prompt}
    for pair in preferred:
        pairs[prompt_id(pair)].append(replace(pair, rubric=()))
    material = [_material(name, rows, pairs[name]) for name, rows in by_prompt.items()]
    if not held_out:
        return material
    if not shared:
        material = [_hold_one_pair(prompt, seed) for prompt in material]
    whole = [prompt for prompt in material if prompt.shown and not prompt.held_out]
    count = max(round(held_out * len(whole)), min(1, len(whole) - 1)) if len(whole) > 1 else 0
    chosen = {prompt.id for prompt in sorted(whole, key=lambda prompt: _lot(seed, prompt.id))[:count]}
    return [
        replace(prompt, shown=(), held_out=prompt.shown, unseen=True) if prompt.id in chosen else prompt
        for prompt in material
    ]


def better_first(pair: Pair) -> Pair:
    """The pair with the answer first that most people prefer."""
    return pair if majority(pair) == "first" else pair.swap()


def _material(name: str, rows: Sequence[Record], pairs: Sequence[Pair]) -> PromptMaterial:
    critiques = dict.fromkeys(text for row in rows for text in _critiques(row))
    return PromptMaterial(
        id=name,
        prompt=rows[0].prompt,
        reference=next((row.reference for row in rows if row.reference), ""),
        shown=tuple(pairs),
        critiques=tuple(critiques),
    )


def _hold_one_pair(prompt: PromptMaterial, seed: int) -> PromptMaterial:
    """The prompt with a pair held out that shares no answer with those that are shown, where there is one."""
    for kept_back in sorted(prompt.shown, key=lambda pair: _lot(seed, pair.id)):
        answers = {_text(answer) for answer in responses_of(kept_back)}
        rest = [pair for pair in prompt.shown if not answers & {_text(answer) for answer in responses_of(pair)}]
        if rest:
            return replace(prompt, shown=tuple(rest), held_out=(kept_back,))
    return prompt


def _text(answer: Conversation) -> str:
    return spoken(answer)


def _critiques(record: Record) -> Iterator[str]:
    for name in ("critiques", "critique", "feedback"):
        value = record.meta.get(name)
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and text.strip():
                yield text.strip()


def _lot(seed: int, name: str) -> bytes:
    return blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
