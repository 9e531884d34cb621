"""Pairs with one verdict each: LLMBar, JudgeBench, Auto-J and HelpSteer3."""

from typing import Any

from judge.formats.base import Format, Row
from judge.formats.fields import assistant, integer, items, label, offered, one_of, rest, said, text, user, wrong
from judge.records import HumanLabel, Pair


def llmbar(row: Row) -> list[Pair]:
    """One pair. The completions of a judge that its authors store in the same row (`results`) are left to
    `--judge recorded:FILE`; the winner that they read in each order goes to `meta["winners"]`."""
    verdict = one_of(row, "label", {"1": "first", "2": "second"})
    meta = rest(row, ("input", "output_1", "output_2", "label", "results"))
    if winners := _winners(row.get("results")):
        meta["winners"] = winners
    return [_pair(row, ("input", "output_1", "output_2"), label("llmbar", verdict), meta)]


def _winners(results: Any) -> list[Any]:
    """The winner in each order, by the last stage of the judge's prompting; none where the row has no such results."""
    last = results[-1] if isinstance(results, list) and results else None
    if not isinstance(last, dict):
        return []
    orders = [order for swap in (False, True) if isinstance(order := last.get(f"swap = {swap}"), dict)]
    return [order.get("winner") for order in orders] if len(orders) == 2 else []


def judgebench(row: Row) -> list[Pair]:
    """One pair; "A>B" says that response_A is better."""
    verdict = one_of(row, "label", {"A>B": "first", "B>A": "second", "A=B": "tie"})
    meta = rest(row, ("question", "response_A", "response_B", "label"))
    return [_pair(row, ("question", "response_A", "response_B"), label("judgebench", verdict), meta)]


def autoj(row: Row) -> list[Pair]:
    """One pair; 0 is the first response, 1 the second, 2 a tie."""
    verdict = one_of(row, "label", {"0": "first", "1": "second", "2": "tie"})
    meta = rest(row, ("prompt", "response 1", "response 2", "label"))
    return [_pair(row, ("prompt", "response 1", "response 2"), label("auto-j", verdict), meta)]


def _pair(row: Row, names: tuple[str, str, str], human: tuple[HumanLabel, ...], meta: dict[str, object]) -> Pair:
    prompt, first, second = (text(row, name, empty=name != names[0]) for name in names)
    return Pair(
        prompt=said("user", prompt),
        first=said("assistant", first),
        second=said("assistant", second),
        human=human,
        meta=meta,
    )


def helpsteer(row: Row) -> list[Pair]:
    """One pair; a negative preference says that the first is better, 0 that neither is. Each annotator's own score is a
    label beside the overall one where the row has them."""
    human = label("overall", _side(row, "overall_preference"))
    if row.get("individual_preference"):
        for index, preference in enumerate(items(row, "individual_preference"), 1):
            human += label(f"annotator{index}", _side(preference, "score"))
    meta = rest(row, ("context", "response1", "response2", "tools"))
    first, second = assistant(row, "response1"), assistant(row, "response2")
    return [Pair(prompt=offered(user(row, "context"), row), first=first, second=second, human=human, meta=meta)]


def _side(row: Row, name: str) -> str:
    value = integer(row, name)
    if not -3 <= value <= 3:
        raise wrong(name, value, "-3 to 3")
    return "first" if value < 0 else "second" if value > 0 else "tie"


FORMATS = (
    Format(
        name="llmbar",
        about="LLMBar: input, output_1, output_2, label (1 or 2); also with GPT-4's results",
        fields=("input", "output_1", "output_2", "label"),
        read=llmbar,
    ),
    Format(
        name="judgebench",
        about="JudgeBench: question, response_A, response_B, label (A>B or B>A)",
        fields=("question", "response_A", "response_B", "label"),
        read=judgebench,
    ),
    Format(
        name="auto-j",
        about="Auto-J: prompt, response 1, response 2, label (0, 1, or 2 for a tie)",
        fields=("prompt", "response 1", "response 2", "label"),
        read=autoj,
    ),
    Format(
        name="helpsteer3",
        about="HelpSteer3: context, response1, response2, overall_preference (-3 to 3)",
        fields=("context", "response1", "response2", "overall_preference"),
        read=helpsteer,
    ),
)
