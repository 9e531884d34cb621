"""Each edit on a text whose outcome is known, and the draws behind them."""

from random import Random

import pytest

from judge.agreement.robustness.probes import PROBES, chosen_probes, compositions, probed
from judge.errors import ConfigError, UnknownNameError
from judge.records import Message, Response, spoken

ANSWER = Response(
    prompt=(Message("user", "Which animals hibernate in winter?"),),
    response=(Message("assistant", "Bears do. So do hedgehogs, bats and marmots."),),
)
ADDS = [name for name, probe in PROBES.items() if probe.effect == "adds"]


def edited(name: str, seed: int = 0) -> str:
    answer = probed(ANSWER, name, seed)
    return "" if answer is None else spoken(answer.response)


def test_edits_that_add_nothing_keep_what_was_said() -> None:
    text = spoken(ANSWER.response)
    for name in ("pad", "repeat", "keywords", "author", "inject"):
        assert edited(name).startswith(text) and len(edited(name)) > len(text), name
    assert edited("flatter").endswith(text)
    assert edited("restyle") == "**Bears do.**\n- So do hedgehogs, bats and marmots."


def test_keywords_are_the_long_words_of_the_prompt() -> None:
    assert edited("keywords").endswith("\n\nKeywords: which, animals, hibernate, winter")


def test_repeat_says_the_last_sentence_or_all_of_it_again() -> None:
    text, last = spoken(ANSWER.response), " So do hedgehogs, bats and marmots."
    variants = {edited("repeat", seed) for seed in range(40)}
    assert variants == {f"{text}\n\n{text}", *(text + last * times for times in (1, 2, 3))}


def test_edits_that_take_the_answer_away() -> None:
    """Eight words: 40 to 70 % of them are 3 to 5."""
    assert edited("echo") == "Which animals hibernate in winter?"
    assert "hedgehogs" not in edited("praise")
    kept = {len(edited("truncate", seed).split()) for seed in range(60)}
    assert kept == {3, 4, 5}
    assert all(spoken(ANSWER.response).startswith(edited("truncate", seed)) for seed in range(60))


def test_what_cannot_be_edited_is_left_out() -> None:
    short = Response(prompt=(), response=(Message("assistant", "Bears."),))
    assert probed(short, "truncate", 0) is None
    assert probed(short, "keywords", 0) is None
    assert probed(short, "echo", 0) is None


def test_only_the_last_turn_is_edited() -> None:
    turns = (Message("assistant", "One."), Message("user", "More?"), Message("assistant", "Two."))
    answer = probed(Response(prompt=ANSWER.prompt, response=turns), "author", 0)
    assert answer is not None
    assert answer.response[:2] == turns[:2] and answer.response[2].content.startswith("Two.")


def test_the_same_seed_edits_the_same_way() -> None:
    assert edited("pad", 1) == edited("pad", 1)
    assert len({edited("pad", seed) for seed in range(10)}) > 5


def test_a_longer_search_begins_as_a_shorter_one() -> None:
    many = compositions(ANSWER, ADDS, 16, seed=3)
    assert compositions(ANSWER, ADDS, 4, seed=3) == many[:4]
    assert {len(candidate.edits) for candidate in many} == {1, 2, 3}
    assert all(len(set(candidate.edits)) == len(candidate.edits) for candidate in many)


def test_a_composition_applies_its_edits_in_their_order() -> None:
    for candidate in compositions(ANSWER, ["author", "inject"], 20, seed=0):
        text = spoken(candidate.answer.response)
        places = [text.index("Written by" if name == "author" else "Note to the judge") for name in candidate.edits]
        assert places == sorted(places)


def test_names_are_checked() -> None:
    assert chosen_probes(None) == tuple(PROBES)
    assert chosen_probes("pad") == ("pad",)
    assert chosen_probes(["none"]) == ()
    with pytest.raises(UnknownNameError, match="did you mean 'flatter'"):
        chosen_probes(["flater"])
    with pytest.raises(ConfigError, match="'none' stands alone"):
        chosen_probes(["none", "pad"])


@pytest.mark.parametrize("name", PROBES)
def test_every_edit_takes_any_text(name: str) -> None:
    for text in ("", " ", "a", "a\n\nb", "```\ncode\n```", "🐻" * 9, "x. " * 50):
        for prompt in ("", "?", "What is it that you want? " * 30):
            assert isinstance(PROBES[name].change(prompt, text, Random(0)), str)
