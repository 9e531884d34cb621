"""What the tests of tasks share: plain records, small prompts, and an answer by a list of strings."""

from collections.abc import Callable, Iterable

from judge.engines.base import Completion, Request
from judge.engines.scripted import Rule, complete
from judge.prompting.template import Template
from judge.records import Message, Pair


def template(
    task: str, body: str, *, labels: dict[str, str] | None = None, verdict: str = "", prefix: str = ""
) -> Template:
    """A prompt of one user message."""
    names = {
        "preference": ("prompt", "first", "second"),
        "steps": ("prompt", "steps", "index"),
        "ranking": ("prompt", "responses"),
        "critique": ("prompt", "response"),
        "outcome": ("prompt", "response", "reference"),
        "score": ("prompt", "response", "reference", "criterion", "rubric", "low", "high"),
    }
    return Template(
        name=f"{task}/test",
        task=task,
        source="test.jinja",
        hash="0",
        body=f"{{% user %}}{body}{{% enduser %}}",
        labels=labels or {},
        verdict=verdict,
        variables=names[task],
        choice_prefix=prefix,
    )


ABC = {"first": "A", "second": "B", "tie": "C"}
PAIR = "{{ prompt }}|{{ first }}|{{ second }}"
CRITIQUE_FIRST = template("preference", PAIR, labels=ABC, verdict=r"\[\[([ABC])\]\]")
VERDICT_ALONE = template("preference", PAIR, labels=ABC)


def said(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


def pair(first: str = "x", second: str = "y", prompt: str = "?") -> Pair:
    return Pair(prompt=(Message("user", prompt),), first=said(first), second=said(second))


class Script:
    """Answers each request with the next text (or completion) and keeps what was asked."""

    def __init__(self, answers: Iterable[str | Completion]) -> None:
        self._answers = iter(answers)
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Completion:
        self.asked.append(request)
        answer = next(self._answers)
        return answer if isinstance(answer, Completion) else complete(Rule(match="", text=answer), request)


def by_words(function: Callable[[str], str | Completion]) -> Callable[[Request], Completion]:
    """Answers by the last message's text."""

    def answer(request: Request) -> Completion:
        reply = function(request.messages[-1].content)
        return reply if isinstance(reply, Completion) else complete(Rule(match="", text=reply), request)

    return answer
