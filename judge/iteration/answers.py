"""Prompts, what a policy answers to them, and what is known of the answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from judge.agreement.best_of.truth import truth_of
from judge.errors import InputError
from judge.files import read_rows, write_rows
from judge.formats.fields import conversation
from judge.iteration.config import IterationConfig
from judge.jobs.rewards.policy import Draft, Policy
from judge.judgements import Judgement, Outcome, Score, Steps
from judge.records import Conversation, Message, Record, Response, Solution, content_id, plain
from judge.runs.data import DataSource
from judge.runs.reader import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A prompt with the policy's answers.

    Attributes:
        prompt: the conversation.
        reference: the known answer, "" for none.
        answers: texts, empty ones too.
    """

    prompt: Conversation
    reference: str = ""
    answers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Of the prompt."""
        return content_id(plain(self.prompt))

    def responses(self) -> list[Response]:
        """The answers as records, with the reference."""
        return [
            Response(prompt=self.prompt, response=(Message("assistant", answer),), reference=self.reference)
            for answer in self.answers
        ]

    def truths(self) -> list[float | None]:
        """Of each answer 1 where its final answer is the reference's, else 0; None without a reference."""
        if not self.reference:
            return [None] * len(self.answers)
        answers = zip(self.answers, self.responses(), strict=True)
        return [truth_of(response)[0] if answer.strip() else 0.0 for answer, response in answers]


def split_prompts(
    sources: Sequence[DataSource], format: str | None, held_out: float, seed: int
) -> tuple[list[Answered], list[Answered]]:
    """The distinct prompts of data, those to learn from and those held out.

    Raises:
        InputError: for data with fewer than two of either.
    """
    prompts: dict[str, Answered] = {}
    for _, record in chain.from_iterable(source.records(format, None) for source in sources):
        entry = Answered(prompt=record.prompt, reference=getattr(record, "reference", ""))
        if record.prompt:
            prompts.setdefault(entry.id, entry)
    order = sorted(prompts, key=lambda key: content_id(seed, key))
    count = round(held_out * len(order))
    if min(count, len(order) - count) < 2:
        raise InputError(
            f"{', '.join(source.name for source in sources)}: {len(order)} prompts, {count} of them held out "
            "(accepted: two and more of either)"
        )
    held = set(order[:count])
    return (
        [entry for key, entry in prompts.items() if key not in held],
        [entry for key, entry in prompts.items() if key in held],
    )


def answers_to(
    prompts: Sequence[Answered], path: Path, policy: str | Path, config: IterationConfig, draw: str
) -> list[Answered]:
    """n answers of a policy to each prompt; read back where they are written already.

    Args:
        prompts: to answer.
        path: the file of the answers.
        policy: a model's directory or name.
        config: of the iteration.
        draw: names the sampling; its seeds follow from it.
    """
    if not path.exists():
        drafts = [
            Draft(entry.prompt, "", f"{draw}/{entry.id}/{place}") for entry in prompts for place in range(config.n)
        ]
        sampler = Policy(
            f"{config.engine}:{policy}",
            prompt=config.answer_prompt,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
            seed=config.seed,
        )
        with closing(sampler):
            texts = [completion.text.strip() for completion in sampler.write(drafts)]
        groups = [texts[start : start + config.n] for start in range(0, len(texts), config.n)]
        write_rows(
            path,
            (
                {"prompt": _row(entry.prompt), "reference": entry.reference, "answers": group}
                for entry, group in zip(prompts, groups, strict=True)
            ),
        )
    return list(_read(path))


def _read(path: Path) -> Iterator[Answered]:
    for _, row in read_rows(path):
        yield Answered(
            prompt=conversation(row["prompt"], "user", "prompt"),
            reference=row.get("reference", ""),
            answers=tuple(row["answers"]),
        )


def _row(turns: Conversation) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


# ---- labels ----------------------------------------------------------------------------------------------------------


def unlabelled(answered: Iterable[Answered], kind: str) -> list[dict[str, Any]]:
    """Rows to be labelled, each distinct answer once and without its reference, which is the measure."""
    rows: dict[str, dict[str, Any]] = {}
    for entry in answered:
        for answer in entry.answers:
            if answer.strip():
                body: dict[str, Any] = {"response": answer}
                if kind == "process":
                    body = {"steps": [line for line in answer.splitlines() if line.strip()]}
                rows.setdefault(content_id(entry.id, answer), {"prompt": _row(entry.prompt), **body})
    return list(rows.values())


def true_labels(answered: Iterable[Answered], kind: str) -> list[dict[str, Any]]:
    """Rows labelled by their references: outcomes, or for kinds that compare pairs of a right and a wrong answer.

    Raises:
        InputError: where no reference says anything.
    """
    rows: list[dict[str, Any]] = []
    for entry in answered:
        truth = dict(zip(entry.answers, entry.truths(), strict=True))
        known = {answer: value for answer, value in truth.items() if answer.strip() and value is not None}
        prompt = _row(entry.prompt)
        if kind == "outcome":
            rows += [{"prompt": prompt, "response": answer, "human": _human(value)} for answer, value in known.items()]
            continue
        right, wrong = ([answer for answer, value in known.items() if value == side] for side in (1.0, 0.0))
        pairs = zip(right, wrong, strict=False)
        rows += [
            {"prompt": prompt, "first": first, "second": second, "human": _human("first")} for first, second in pairs
        ]
    if not rows:
        raise InputError("no answer is labelled by the truth (rows need a reference, and right and wrong answers)")
    return rows


def _human(verdict: str | float) -> list[dict[str, Any]]:
    return [{"annotator": "truth", "verdict": verdict}]


def labelled_values(run: Run) -> Mapping[str, float]:
    """What a run of labels says of each answer, by the answer's `key`: 1 good, 0 bad, or a score."""
    return {key_of(record): value for _, record, judgement in run if (value := _value(judgement)) is not None}


def key_of(record: Record) -> str:
    """A prompt with its answer, the same for a response and for its lines as steps."""
    lines: Sequence[str] = ()
    if isinstance(record, Solution):
        lines = record.steps
    elif isinstance(record, Response):
        lines = [line for turn in record.response for line in turn.content.splitlines() if line.strip()]
    return content_id(plain(record.prompt), list(lines))


def _value(judgement: Judgement) -> float | None:
    match judgement:
        case Outcome():
            known = {"right": 1.0, "wrong": 0.0}.get(judgement.verdict or "")
            return known if judgement.p_correct is None else judgement.p_correct
        case Steps():
            return None if judgement.first_wrong is None else float(judgement.first_wrong == -1)
        case Score():
            values = [value for value in judgement.verdict.values() if value is not None]
            return sum(values) / len(values) if values else None
        case _:
            return None
