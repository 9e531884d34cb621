"""A judge that answers criteria from a table, and records for it."""

import math
from collections.abc import Callable, Mapping

from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from judge.records import HumanLabel, Message, Pair, Response


def shown(request: Request, tag: str) -> str:
    """What stands inside a tag of the user's message."""
    return request.messages[-1].content.partition(f"<{tag}>\n")[2].partition(f"\n</{tag}>")[0]


def choice(yes: float, unsure: float = 0.0) -> Completion:
    """A restricted choice of yes, no and unsure with these probabilities."""
    shares = {"yes": yes, "no": 1.0 - yes - unsure, "unsure": unsure}
    best = max(shares, key=lambda label: shares[label])
    return Completion(
        text=best, logprobs={label: math.log(share) if share else -math.inf for label, share in shares.items()}
    )


def judge_by(says: Callable[[str, str], Completion]) -> ScriptedEngine:
    """A judge that is asked (criterion, response)."""
    return ScriptedEngine(
        lambda request: says(shown(request, "judging_criterion"), shown(request, "candidate_response")),
        shuffle=True,
    )


def judge_of(table: Mapping[tuple[str, str], float]) -> ScriptedEngine:
    """A judge that says P(yes) of (criterion, response), and is unsure of what the table does not have."""
    return judge_by(
        lambda criterion, response: (
            choice(table[criterion, response]) if (criterion, response) in table else choice(0.0, 1.0)
        )
    )


def response(text: str, *, prompt: str = "Q") -> Response:
    return Response(prompt=(Message("user", prompt),), response=(Message("assistant", text),))


def pair(first: str, second: str, verdict: str = "first", *, prompt: str = "Q", by: str = "person") -> Pair:
    return Pair(
        prompt=(Message("user", prompt),),
        first=(Message("assistant", first),),
        second=(Message("assistant", second),),
        human=(HumanLabel(annotator=by, verdict=verdict),),
    )
