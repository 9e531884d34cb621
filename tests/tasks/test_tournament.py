"""Tournaments: which pairs are compared, what is made of them, and what an unreadable comparison does."""

import math
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.engines.base import Completion, Request
from judge.engines.scripted import Rule, complete
from judge.errors import ConfigError, UnknownNameError
from judge.judgements import Preference
from judge.records import Message, Ranking
from judge.tasks import Options, play
from judge.tasks.tournament import Results, bradley_terry, groups_of, pair_up, swiss_rounds, tournament
from tests.tasks.support import CRITIQUE_FIRST, by_words, said

QUESTION = (Message("user", "?"),)


def ranking_of(words: str) -> Ranking:
    return Ranking(prompt=QUESTION, responses=tuple(said(word) for word in words.split()))


def longer(text: str) -> str:
    """Prefers the longer response, whichever stands first."""
    _, first, second = text.split("|")
    return "[[C]]" if len(first) == len(second) else "[[A]]" if len(first) > len(second) else "[[B]]"


EIGHT = ranking_of(" ".join("x" * length for length in (3, 7, 1, 8, 2, 6, 5, 4)))
BEST_FIRST = (3, 1, 5, 6, 7, 0, 4, 2)


def options(name: str, **more: int) -> Options:
    return Options(tournament=name, soft=False, retries=0, **more)  # type: ignore[arg-type]


def test_swiss_needs_sixteen_of_twenty_eight_pairs() -> None:
    judged = play(tournament(EIGHT, CRITIQUE_FIRST, options("swiss")), by_words(longer))
    assert judged.comparisons == 16  # four rounds of four
    assert len(judged.readings) == 32  # both orders
    assert len({frozenset(reading.asked.split(" or ")) for reading in judged.readings}) == 16  # no pair twice
    assert judged.verdict is not None
    assert (judged.verdict[0], judged.verdict[-1]) == (3, 2)
    assert (judged.unreadable, judged.groups, judged.reason) == (0, (), "")


def test_a_full_tournament_finds_the_whole_order_in_one_batch() -> None:
    program = tournament(EIGHT, CRITIQUE_FIRST, options("full"))
    assert len(next(program)) == 56  # 28 pairs in both orders
    judged = play(tournament(EIGHT, CRITIQUE_FIRST, options("full")), by_words(longer))
    assert (judged.verdict, judged.comparisons) == (BEST_FIRST, 28)


def test_a_knockout_finds_the_best_in_seven() -> None:
    judged = play(tournament(EIGHT, CRITIQUE_FIRST, options("knockout")), by_words(longer))
    assert judged.comparisons == 7
    assert judged.verdict is not None
    assert judged.verdict[0] == 3


@pytest.mark.parametrize("count", [2, 3, 5, 6, 7])
def test_a_knockout_of_any_number_has_one_comparison_less(count: int) -> None:
    record = ranking_of(" ".join("x" * (1 + length) for length in range(count)))
    judged = play(tournament(record, CRITIQUE_FIRST, options("knockout")), by_words(longer))
    assert judged.comparisons == count - 1
    assert judged.verdict is not None
    assert judged.verdict[0] == count - 1


def test_the_same_seed_plays_the_same_tournament() -> None:
    def asked(seed: int) -> list[str]:
        judged = play(tournament(EIGHT, CRITIQUE_FIRST, options("swiss", seed=seed)), by_words(longer))
        return [reading.asked for reading in judged.readings]

    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


def test_rounds_are_those_that_are_named() -> None:
    judged = play(tournament(EIGHT, CRITIQUE_FIRST, options("swiss", rounds=2)), by_words(longer))
    assert judged.comparisons == 8
    many = play(tournament(ranking_of("a bb ccc"), CRITIQUE_FIRST, options("swiss", rounds=9)), by_words(longer))
    assert many.comparisons == 3  # no pair twice


def test_rounds_by_default() -> None:
    # ceil(log2 N) + 1
    assert [swiss_rounds(count) for count in (2, 3, 4, 8, 9, 16)] == [2, 3, 3, 4, 5, 5]


def test_what_cannot_be_read_is_left_out_and_counted() -> None:
    def silent(text: str) -> str:
        return "?" if {"a", "bb"} == set(text.split("|")[1:]) else longer(text)

    judged = play(tournament(ranking_of("a bb ccc"), CRITIQUE_FIRST, options("full")), by_words(silent))
    assert (judged.comparisons, judged.unreadable) == (3, 1)
    assert judged.verdict is not None
    assert judged.verdict[0] == 2
    # 1 and 2 both lost to 3 and were never compared: alike, and not by half a win each
    expected = bradley_terry({(0, 2): 0.0, (1, 2): 0.0}, 3)
    assert judged.strengths == pytest.approx(expected, abs=1e-9)


def test_a_response_that_nothing_is_said_of_leaves_no_order() -> None:
    silent = by_words(lambda text: "?" if "ccc" in text else longer(text))
    judged = play(tournament(ranking_of("a bb ccc"), CRITIQUE_FIRST, options("full")), silent)
    assert (judged.verdict, judged.groups, judged.unreadable) == (None, (0, 0, 1), 2)
    assert judged.reason == "no comparison joins 1,2 and 3; 2 could not be read: 1 or 3: no verdict; 3 or 1: no verdict"


def test_a_bias_for_a_place_cancels() -> None:
    """A judge that gives the first place two units of logit gives the strengths of one without a bias."""

    def biased(bias: float) -> tuple[float, ...]:
        def answer(request: Request) -> Completion:
            _, first, second = request.messages[-1].content.split("|")
            p = 1 / (1 + math.exp(-(len(first) - len(second)) / 3 - bias))
            shares = {"A": math.log(p), "B": math.log1p(-p), "C": -50.0}
            return complete(Rule(match="", text="[[A]]" if p > 0.5 else "[[B]]", logprobs=shares), request)

        judged = play(tournament(EIGHT, CRITIQUE_FIRST, Options(tournament="full")), answer)
        assert judged.strengths is not None
        return judged.strengths

    assert biased(2.0) == pytest.approx(biased(0.0), abs=1e-3)


def test_groups_by_size() -> None:
    assert groups_of(5, [(3, 4), (4, 1)]) == (1, 0, 2, 0, 0)
    assert groups_of(3, [(0, 1), (1, 2)]) == (0, 0, 0)
    assert groups_of(4, [(2, 3), (0, 1)]) == (0, 0, 1, 1)


def test_pairs_are_neighbours_and_new() -> None:
    assert pair_up([0, 1, 2, 3], set()) == [(0, 1), (2, 3)]
    assert pair_up([0, 1, 2, 3], {frozenset((0, 1))}) == [(0, 2), (1, 3)]
    # two triangles are left of six: at most one pair of each
    left = {frozenset(pair) for pair in combinations(range(6), 2)} - {
        frozenset(pair) for three in ((0, 1, 2), (3, 4, 5)) for pair in combinations(three, 2)
    }
    assert len(pair_up(list(range(6)), left)) == 2


@given(st.integers(2, 24), st.integers(0, 1000))
def test_a_swiss_tournament_repeats_no_pair_and_rests_fairly(count: int, seed: int) -> None:
    results, drawn = Results(count), list(range(count))
    for number in range(swiss_rounds(count)):
        pairs = results.next_round(drawn)
        shares = [((seed * 31 + first * 7 + second * 13 + number) % 100) / 100 for first, second in pairs]
        results.add(pairs, [Preference(verdict="first", p_first=share) for share in shares])
    games = Counter(response for pair in results.wins for response in pair)
    assert len({frozenset(pair) for pair in results.wins}) == len(results.wins)
    if count > 4:
        assert max(games.values()) - min(games.values()) <= 1 + count % 2


def test_old_names_and_wrong_ones() -> None:
    assert Options(pairwise=True).tournament == "full"
    assert Options(pairwise=True, tournament="swiss").tournament == "swiss"
    assert Options(pairwise=True).manifest_entry()["pairwise"] is True
    assert "tournament" not in Options(pairwise=True).manifest_entry()
    swiss = Options(tournament="swiss", rounds=3)
    assert Options(**swiss.manifest_entry()) == swiss
    with pytest.raises(UnknownNameError, match="did you mean 'swiss'"):
        Options(tournament="swis")
    with pytest.raises(ConfigError, match="rounds: found 3"):
        Options(tournament="full", rounds=3)
