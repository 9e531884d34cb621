"""How a question is put: attempts until the reply can be read, then the probability of its label.

A question is one line of thought of one juror. `ask` is the program for one; `gather` runs many programs at once and
puts what they ask into one batch, so a task takes as many round trips as its slowest question.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from judge.engines.base import Completion, Request, without_loop
from judge.engines.thinking import split_thinking
from judge.judgements import Reading
from judge.prompting.template import Template
from judge.records import Conversation
from judge.tasks.base import RETRY_TEMPERATURE, Options, Program, T
from judge.verdicts import CUT, EMPTY, NO_VERDICT, REPEATED, Label, largest, probabilities, read_label


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing to ask one juror once.

    id: the record's id. asked: see Reading. labels: verdict -> label, in the record's own terms.
    read: how the reply is read, given its text and its finish. choose: the reply is one label and nothing else.
    prefix: what stands right before the label, or before the words that are asked for. opening: what the reply begins
    with.
    """

    id: str
    asked: str
    messages: Conversation
    labels: Mapping[str, str]
    read: Callable[[str, str], Label]
    choose: bool = False
    prefix: str = ""
    opening: str = ""
    max_tokens: int = 1024
    judge: int = 0
    vote: int = 0

    @property
    def key(self) -> str:
        """The name under which its completion is found again."""
        return f"{self.id}/{self.asked}/{self.judge}/{self.vote}"


def questions(
    record_id: str,
    asked: str,
    messages: Conversation,
    template: Template,
    options: Options,
    *,
    labels: Mapping[str, str] | None = None,
    read: Callable[[str, str], Label] | None = None,
) -> list[Question]:
    """The same question to every juror, K votes each; one vote when the verdict is one restricted token."""
    offered = template.labels if labels is None else labels
    choose = read is None and not template.verdict
    return [
        Question(
            id=record_id,
            asked=asked,
            messages=messages,
            labels=offered,
            read=read or _reader(template.verdict, offered),
            choose=choose,
            prefix=template.choice_prefix,
            opening=template.opening,
            max_tokens=options.max_tokens or template.max_tokens,
            judge=judge,
            vote=vote,
        )
        for judge in range(options.judges)
        for vote in range(1 if choose else options.votes)
    ]


def _reader(pattern: str, labels: Mapping[str, str]) -> Callable[[str, str], Label]:
    def read(text: str, finish: str) -> Label:
        return read_label(text, pattern, labels, finish=finish)

    return read


def ask(question: Question, options: Options) -> Program[Reading]:
    """Ask until the reply can be read, at most `retries` times more; then, after free text, ask for the probabilities.

    The second request stops the juror right before its own label and lets it choose again, so the probabilities are
    those behind the verdict that it gave. A reply that came after thinking is left as it is: without the thoughts
    before it, the probabilities would be those of another line of thought.

    An engine that goes on from a begun reply is not asked again for a form that a reply did not keep to: it goes on
    from that reply, also from one that was cut, and the reading's reason says so.
    """
    attempt = 0
    while True:
        (completion,) = yield (request_for(question, options, attempt),)
        label = read_completion(completion, question.read)
        attempt += 1
        tried = attempt > options.retries or completion.finish == "error"  # an engine has tried again by itself
        if label.verdict is not None or tried or _better_continued(question, completion, label):
            break
    shares: Mapping[str, float] = {}
    if label.verdict is None and _can_continue(completion):
        completion, label, shares = yield from continued(question, completion, label)
    elif label.verdict is not None and question.choose:
        shares = probabilities(completion.logprobs, question.labels)
    elif label.verdict is not None and may_be_soft(question, completion, options) and label.start >= 0:
        (answer,) = yield (soft_request(question, completion.text[: label.start], options),)
        greedy = options.temperature == 0 and attempt == 1
        shares, reason = behind(answer, question.labels, label.verdict, greedy=greedy)
        label = label._replace(reason=reason)
    return reading(question, completion, label, attempts=attempt, shares=shares)


def behind(
    answer: Completion, labels: Mapping[str, str], verdict: str, *, greedy: bool
) -> tuple[Mapping[str, float], str]:
    """The probabilities behind a verdict that was read, and why there are none.

    A greedy reply holds the likeliest label. Probabilities that say another were found at another place than the label,
    by a server that begins a new turn, or a tokenizer that cuts the text otherwise, and are dropped.
    """
    if answer.finish == "error":
        return {}, " ".join(answer.text.split())
    shares = probabilities(answer.logprobs, labels)
    if greedy and shares and shares.get(verdict, 0.0) < max(shares.values()):
        return {}, f"probabilities dropped: they say '{largest(shares) or 'neither'}'"
    return shares, ""


Continued = tuple[Completion, Label, Mapping[str, float]]


def continued(question: Question, completion: Completion, label: Label) -> Program[Continued]:
    """A reply that could not be read, gone on with: to its label, into its tag, or up to where its sentences are whole.

    What is returned as the completion's text is what the juror was given and what it wrote or chose after it.
    """
    text = without_loop(completion.text) if completion.finish == "repetition" else completion.text
    begun = question.prefix or question.opening
    lead = "\n\n".join(filter(None, (text.strip(), begun)))
    if question.labels and question.prefix:
        (answer,) = yield (soft_request(question, lead, Options()),)
        verdict = next((name for name, text in question.labels.items() if text == answer.text), None)
        if verdict is None or answer.finish == "error":
            return completion, label, {}
        shares = probabilities(answer.logprobs, question.labels)
        whole = f"{lead}{question.labels[verdict]}{_closing(question.prefix)}"
        reason = f"{label.reason}; chosen behind '{question.prefix}'"
        return replace(completion, text=whole), Label(verdict, reason), shares
    if question.labels:
        return completion, label, {}
    if begun and label.reason == NO_VERDICT:
        request = replace(request_for(question, Options(), 0), prefill=f"{lead}\n", stop=(_closing(begun),))
        (answer,) = yield (request,)
        if answer.finish == "error":
            return completion, label, {}
        completion = replace(answer, text=f"{lead}\n{answer.text}")
        label = read_completion(completion, question.read)
        text = without_loop(completion.text) if completion.finish == "repetition" else completion.text
    if label.verdict is None and completion.finish in ("length", "repetition"):
        words = question.read(text if completion.finish == "repetition" else whole_sentences(text), "stop")
        label = Label(words.verdict, f"{label.reason}; read up to there") if words.verdict else label
    return completion, label, {}


def _can_continue(completion: Completion) -> bool:
    """Whether the engine can go on from a reply; one that came after thinking is left as it is."""
    return completion.continues and completion.finish != "error" and not completion.thinking


def _better_continued(question: Question, completion: Completion, label: Label) -> bool:
    """Whether an unreadable reply is gone on with at once: another attempt would hardly keep to the form either."""
    if not _can_continue(completion) or question.choose:
        return False
    if question.labels:
        return bool(question.prefix) and label.reason in (CUT, REPEATED, NO_VERDICT, EMPTY)
    return label.reason == REPEATED or (bool(question.prefix or question.opening) and label.reason == NO_VERDICT)


def _closing(prefix: str) -> str:
    """What closes the brackets or the tag that a prefix ends with."""
    tag = re.search(r"<(\w+)>\Z", prefix)
    if tag:
        return f"</{tag[1]}>"
    brackets = re.search(r"[\[(]*\Z", prefix)
    return brackets[0][::-1].translate({ord("["): "]", ord("("): ")"}) if brackets else ""


# The full stops of Chinese and Japanese need no blank behind them; those of Arabic and Urdu are marks of their own.
_WHOLE = re.compile(
    r"(?:[.!?]|[\u3002\uff01\uff1f\uff61\u061f\u06d4])[\"')\]*_\u201d\u300d\u300f]*(?:(?=\s)|(?<=[\u3002\uff01\uff1f\uff61\u300d\u300f]))|\n"
)


def whole_sentences(text: str) -> str:
    """A text that was cut, up to the end of its last whole sentence or line."""
    ends = [match.end() for match in _WHOLE.finditer(text)]
    return text[: ends[-1]] if ends else ""


def gather(programs: Sequence[Program[T]]) -> Program[list[T]]:
    """Run programs side by side, one batch for all of them in each round; their results in the order given."""
    results: dict[int, T] = {}
    waiting: list[tuple[int, Program[T], Sequence[Request]]] = []
    for index, program in enumerate(programs):
        try:
            waiting.append((index, program, next(program)))
        except StopIteration as stop:
            results[index] = stop.value
    while waiting:
        completions = yield [request for _, _, requests in waiting for request in requests]
        still, start = [], 0
        for index, program, requests in waiting:
            end = start + len(requests)
            try:
                still.append((index, program, program.send(completions[start:end])))
            except StopIteration as stop:
                results[index] = stop.value
            start = end
        waiting = still
    return [results[index] for index in range(len(programs))]


def request_for(question: Question, options: Options, attempt: int) -> Request:
    """The request for an attempt (0 is the first). A restricted token is never sampled: its probabilities are exact."""
    temperature = options.temperature if attempt == 0 else max(options.temperature, RETRY_TEMPERATURE)
    key = question.key
    return Request(
        messages=question.messages,
        prefill=question.prefix if question.choose else "",
        opening=f"{question.opening}\n" if question.opening else "",
        stop=(_closing(question.opening),) if question.opening else (),
        choices=tuple(question.labels.values()) if question.choose else (),
        max_tokens=question.max_tokens,
        temperature=0.0 if question.choose else temperature,
        top_p=options.top_p,
        seed=seed_for(options.seed, key, attempt) if temperature and not question.choose else options.seed,
        judge=question.judge,
        key=key,
    )


def soft_request(question: Question, prefill: str, options: Options, *, asked: str = "") -> Request:
    """The request for the label's probabilities behind text that the juror has already written."""
    return Request(
        messages=question.messages,
        prefill=prefill,
        choices=tuple(question.labels.values()),
        max_tokens=question.max_tokens,
        seed=options.seed,
        judge=question.judge,
        key=replace(question, asked=asked).key if asked else question.key,
    )


def may_be_soft(question: Question, completion: Completion, options: Options) -> bool:
    """Whether the probability behind a reply's label can be asked for."""
    return options.soft and bool(question.labels) and not question.choose and not completion.thinking


def read_completion(completion: Completion, read: Callable[[str, str], Label]) -> Label:
    """What a completion says; the text of an engine's error is never read as a reply."""
    if completion.finish == "error":
        return Label(None, f"engine error: {' '.join(completion.text.split())}")
    thought = split_thinking(completion.text, None)
    if thought.thinking and not thought.reply:
        return Label(None, "thinking that never ends")
    return read(thought.reply, completion.finish)


def reading(
    question: Question,
    completion: Completion,
    label: Label,
    *,
    attempts: int = 1,
    shares: Mapping[str, float] | None = None,
) -> Reading:
    """A completion with what was read from it."""
    return Reading(
        asked=question.asked,
        verdict=label.verdict,
        reason=label.reason,
        probabilities=shares or {},
        text=completion.text,
        thinking=completion.thinking,
        finish=completion.finish,
        judge=question.judge,
        vote=question.vote,
        attempts=attempts,
    )


def seed_for(seed: int, key: str, attempt: int) -> int:
    """A seed of 31 bits from the run's seed, what is asked and the attempt: the same in whatever order work is done."""
    digest = blake2b(f"{seed}/{key}/{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
