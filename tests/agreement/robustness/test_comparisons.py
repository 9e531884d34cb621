"""What of labelled records can be compared: better and worse by people, ties and rows without labels counted."""

from typing import Any

from judge.agreement.robustness.comparisons import compare, values_of
from judge.records import HumanLabel, Message, Pair, Ranking, Record, Response, Solution, spoken

PROMPT = (Message("user", "Name a prime."),)


def said(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


def labels(*verdicts: Any, criterion: str = "") -> tuple[HumanLabel, ...]:
    return tuple(
        HumanLabel(annotator=f"ann {number}", verdict=verdict, criterion=criterion)
        for number, verdict in enumerate(verdicts)
    )


def compared(*records: Record) -> list[tuple[str, str]]:
    """(better, worse) of each comparison."""
    found = compare(("rows", record) for record in records)
    return [
        (spoken(found.answers[better].response), spoken(found.answers[worse].response))
        for better, worse in zip(found.better, found.worse, strict=True)
    ]


def two(*verdicts: str) -> Pair:
    return Pair(prompt=PROMPT, first=said("7"), second=said("9"), human=labels(*verdicts))


def test_a_pair_goes_by_most_votes_and_is_a_tie_where_none_leads() -> None:
    assert compared(two("first")) == [("7", "9")]
    assert compared(two("second", "second", "first")) == [("9", "7")]
    found = compare(("rows", record) for record in (two("first", "second"), two("tie"), two(), two("first", "tie")))
    assert (found.better, found.ties, found.unlabelled) == ([], 3, 1)


def test_a_ranking_gives_all_its_pairs() -> None:
    """By an order (b, c, a): b > c, b > a, c > a. By the right ones {0}: a > b, a > c, and b, c tie."""
    responses = (said("a"), said("b"), said("c"))
    ordered = Ranking(prompt=PROMPT, responses=responses, human=labels((1, 2, 0)))
    assert set(compared(ordered)) == {("b", "c"), ("b", "a"), ("c", "a")}
    right = Ranking(prompt=PROMPT, responses=responses, human=labels((0,), criterion="correct"))
    assert set(compared(right)) == {("a", "b"), ("a", "c")}


def test_two_orders_are_averaged() -> None:
    """(0, 1, 2) and (0, 2, 1): places 0, 1.5, 1.5, so 1 and 2 tie."""
    ranking = Ranking(prompt=PROMPT, responses=(said("a"), said("b"), said("c")), human=labels((0, 1, 2), (0, 2, 1)))
    assert values_of(ranking) == [0.0, -1.5, -1.5]


def test_responses_of_one_prompt_meet() -> None:
    """Scores 4, 2 and (4 + 2) / 2 = 3: three comparisons; one of another prompt has no partner."""
    scored = [
        Response(prompt=PROMPT, response=said("a"), human=labels(4.0)),
        Response(prompt=PROMPT, response=said("b"), human=labels(2.0)),
        Response(prompt=PROMPT, response=said("c"), human=labels(4.0, 2.0)),
        Response(prompt=(Message("user", "Another."),), response=said("d"), human=labels(1.0)),
    ]
    assert set(compared(*scored)) == {("a", "b"), ("a", "c"), ("c", "b")}


def test_a_solution_without_a_wrong_step_is_better() -> None:
    right = Solution(prompt=PROMPT, steps=("1", "2"), human=labels(-1))
    wrong = Solution(prompt=PROMPT, steps=("1", "3"), human=labels(1))
    assert compared(right, wrong) == [("1\n2", "1\n3")]


def test_texts_that_are_not_there_are_counted() -> None:
    empty = Pair(prompt=PROMPT, first=said(" "), second=said("9"), human=labels("second"))
    votes = Pair(prompt=(), first=(), second=(), human=labels("first"), meta={"key": ["a", 1]})
    found = compare(("rows", record) for record in (empty, votes))
    assert (found.better, found.unlabelled) == ([], 2)


def test_fields_of_a_few_values_make_slices() -> None:
    pairs = [
        Pair(
            prompt=(Message("user", f"{number}?"),),
            first=said("7"),
            second=said("9"),
            human=labels("first"),
            meta={"source": "ab"[number % 2], "id": f"id {number}", "one": "same", "list": [1]},
        )
        for number in range(30)
    ]
    found = compare(("rows", record) for record in pairs)
    assert set(found.columns(())) == {"source"}
    assert found.columns(("id",))["id"][3] == "id 3"
