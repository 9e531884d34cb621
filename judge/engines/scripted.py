r"""The fake that stands beside the protocol: answers from a function or from a file of rules.

A rule file is JSONL; the first rule whose `match` (a regular expression) is found in the conversation answers:

    {"match": "2 \\+ 2", "text": "4 is right. [[A]]", "logprobs": {"A": -0.1, "B": -2.4}}

Further fields: `thinking`, `finish` ("stop", "length", "error"). A restricted choice is answered with the rule's
`logprobs`; without any, with the label that the rule's text gives at that place, at probability 0.99.

It can answer out of order, slowly, or fail, as real engines do.
"""

import json
import math
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

from judge.engines.base import Completion, Request
from judge.errors import EngineError, InputError
from judge.json_input import load_json

Answer = Callable[[Request], Completion | str]

SURE = 0.99
"""The probability of the choice that a rule's text gives when the rule states none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is answered when `match` is found in the conversation; see the module's docstring."""

    match: str
    text: str
    logprobs: Mapping[str, float] = field(default_factory=dict)
    thinking: str = ""
    finish: str = "stop"


class ScriptedEngine:
    """Answers a request as a function says.

    shuffle: hand completions back out of order, a few at a time (drawn by `seed`). delay: seconds a step takes.
    fail_every: every n-th request is answered with finish "error". crash_after: raise EngineError after so many.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        name: str = "function",
        seed: int = 0,
        shuffle: bool = False,
        delay: float = 0.0,
        fail_every: int = 0,
        crash_after: int | None = None,
    ) -> None:
        self._answer = answer
        self._name = name
        self._draw = random.Random(seed)
        self._shuffle = shuffle
        self._delay = delay
        self._fail_every = fail_every
        self._crash_after = crash_after
        self._pending: list[tuple[int, Request]] = []
        self._taken = 0

    @classmethod
    def from_spec(cls, file: str) -> "ScriptedEngine":
        """`scripted:FILE`."""
        return cls.from_file(file)

    @classmethod
    def from_file(cls, path: str | Path, **settings: Any) -> "ScriptedEngine":
        """An engine from a rule file. Raises InputError with file:line for a rule that cannot be read."""
        rules = read_rules(Path(path))
        stated = json.dumps([[rule.match, rule.text, dict(rule.logprobs), rule.finish] for rule in rules])
        name = f"rules {blake2b(stated.encode(), digest_size=8).hexdigest()}"
        return cls(answer_by(rules), **{"name": name, **settings})

    def submit(self, ticket: int, request: Request) -> None:
        self._pending.append((ticket, request))

    def step(self) -> list[tuple[int, Completion]]:
        if self._delay and self._pending:
            time.sleep(self._delay)
        ready, self._pending = self._pending, []
        if self._shuffle and ready:
            self._draw.shuffle(ready)
            count = self._draw.randint(1, len(ready))
            ready, self._pending = ready[:count], ready[count:]
        return [(ticket, self._complete(request)) for ticket, request in ready]

    def _complete(self, request: Request) -> Completion:
        self._taken += 1
        if self._crash_after is not None and self._taken > self._crash_after:
            raise EngineError(f"scripted: told to fail after {self._crash_after} requests")
        if self._fail_every and self._taken % self._fail_every == 0:
            return Completion(text="told to fail", finish="error")
        answer = self._answer(request)
        if isinstance(answer, Completion):
            return answer
        return complete(Rule(match="", text=answer), request)

    def count_tokens(self, request: Request) -> int:
        return count_words(request)

    def describe(self) -> dict[str, Any]:
        return {"engine": "scripted", "model": self._name}

    def close(self) -> None:
        self._pending.clear()


def answer_by(rules: Sequence[Rule]) -> Answer:
    """The function that answers by the first rule that fits; an error when none does."""
    compiled = [(re.compile(rule.match), rule) for rule in rules]

    def answer(request: Request) -> Completion:
        conversation = "\n\n".join(message.content for message in request.messages)
        for pattern, rule in compiled:
            if pattern.search(conversation):
                return complete(rule, request)
        return Completion(text="no rule matches", finish="error")

    return answer


def complete(rule: Rule, request: Request) -> Completion:
    """A rule's answer to a request: its text, what follows the prefill, or one choice with log-probabilities."""
    text = rule.text.removeprefix(request.prefill)
    prompt_tokens = count_words(request)
    if not request.choices:
        output_tokens = len(text.split())
        return Completion(
            text=text,
            thinking=rule.thinking,
            finish=rule.finish,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
        )
    scores = dict(rule.logprobs) or _sure_of(text, request.choices)
    kept = {choice: scores.get(choice, -math.inf) for choice in request.choices}
    total = math.fsum(math.exp(value) for value in kept.values())
    if not total:
        return Completion(text="the rule answers with none of the choices", finish="error")
    logprobs = {choice: value - math.log(total) for choice, value in kept.items()}
    best = max(request.choices, key=lambda choice: logprobs[choice])
    return Completion(text=best, logprobs=logprobs, prompt_tokens=prompt_tokens, output_tokens=1)


def _sure_of(text: str, choices: Sequence[str]) -> dict[str, float]:
    """Nearly all probability on the longest choice with which the text begins; {} when it begins with none."""
    chosen = max((choice for choice in choices if text.strip().startswith(choice)), key=len, default=None)
    if chosen is None:
        return {}
    rest = (1.0 - SURE) / max(len(choices) - 1, 1)
    return {choice: math.log(SURE if choice == chosen else rest) for choice in choices}


def count_words(request: Request) -> int:
    """Words of the conversation and the prefill: what stands for tokens where there is no tokenizer."""
    return sum(len(message.content.split()) for message in request.messages) + len(request.prefill.split())


def read_rules(path: Path) -> list[Rule]:
    """The rules of a JSONL file. Raises InputError with file:line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a file of rules: {error}") from None
    return [_rule(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]


def _rule(line: str, place: str) -> Rule:
    accepted = [field.name for field in fields(Rule)]
    try:
        row = load_json(line)
    except ValueError as error:
        raise InputError(f"{place}: not JSON: {error}") from None
    if not isinstance(row, dict) or not isinstance(row.get("match"), str) or not isinstance(row.get("text"), str):
        raise InputError(f"{place}: a rule needs the texts 'match' and 'text'")
    strange = [name for name in row if name not in accepted]
    if strange:
        raise InputError(f"{place}: unknown field '{strange[0]}' (accepted: {', '.join(accepted)})")
    try:
        re.compile(row["match"])
    except re.error as error:
        raise InputError(f"{place}: 'match' is not a regular expression: {error}") from None
    return Rule(**row)
