"""Ids come from content alone, and swapping is its own inverse."""

import pickle
import subprocess
import sys
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from judge.records import HumanLabel, Message, Pair, Ranking, Response, Solution, spoken

roles = st.sampled_from(["system", "user", "assistant", "tool"])
conversations = st.lists(st.builds(Message, roles, st.text()), min_size=1, max_size=3).map(tuple)
pairs = st.builds(Pair, prompt=conversations, first=conversations, second=conversations)

PAIR = Pair(
    prompt=(Message("user", "2 + 2?"),),
    first=(Message("assistant", "4"),),
    second=(Message("assistant", "5"),),
)


def test_labels_and_meta_stay_out_of_the_id() -> None:
    label = HumanLabel(annotator="a", verdict="first")
    assert replace(PAIR, human=(label,), meta={"source": "x"}).id == PAIR.id
    assert len(PAIR.id) == 32


def test_the_id_is_the_same_in_another_process() -> None:
    code = (
        "from judge.records import *; print(Pair(prompt=(Message('user', '2 + 2?'),), "
        "first=(Message('assistant', '4'),), second=(Message('assistant', '5'),)).id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == PAIR.id


@given(pairs)
def test_swap_twice_is_the_same_pair(pair: Pair) -> None:
    assert pair.swap().swap() == pair
    assert (pair.swap().id == pair.id) == (pair.first == pair.second)


def test_a_swapped_pair_loses_its_labels() -> None:
    assert replace(PAIR, human=(HumanLabel(annotator="a", verdict="first"),)).swap().human == ()


def test_kinds_with_the_same_text_have_different_ids() -> None:
    prompt, answer = PAIR.prompt, PAIR.first
    records = (
        Response(prompt=prompt, response=answer),
        Solution(prompt=prompt, steps=("4",)),
        Ranking(prompt=prompt, responses=(answer, PAIR.second)),
        PAIR,
    )
    assert len({record.id for record in records}) == len(records)


def test_the_reference_is_content() -> None:
    response = Response(prompt=PAIR.prompt, response=PAIR.first)
    assert response.id != replace(response, reference="4").id


def test_votes_without_texts_are_told_apart_by_their_key() -> None:
    vote = Pair(prompt=(), first=(), second=(), meta={"key": ["mt-bench", 81, 1, "a", "b"]})
    other = replace(vote, meta={"key": ["mt-bench", 81, 2, "a", "b"]})
    assert not vote.judgeable
    assert PAIR.judgeable
    assert vote.id != other.id
    assert vote.id == replace(vote, meta={**vote.meta, "winner": "tie"}).id


def test_a_pair_of_a_ranking() -> None:
    ranking = Ranking(prompt=PAIR.prompt, responses=(PAIR.second, PAIR.first))
    assert ranking.pair(1, 0).id == PAIR.id


def test_spoken_text() -> None:
    assert spoken(PAIR.prompt) == "2 + 2?"
    assert spoken((*PAIR.prompt, *PAIR.first)) == "User: 2 + 2?\n\nAssistant: 4"


def test_an_id_is_that_of_the_content_after_any_copy() -> None:
    """It is computed once, and neither a changed copy nor a pickled one takes another record's."""
    record = replace(PAIR)
    first = record.id
    assert record.id is record.id
    changed = replace(record, second=(Message("assistant", "other"),))
    assert changed.id != first
    assert replace(changed, second=record.second).id == first
    assert pickle.loads(pickle.dumps(record)) == record
    assert pickle.loads(pickle.dumps(record)).id == first
    assert replace(PAIR) == record  # asked for its id or not
