"""Examples on the disk: what is read is what was written, in any part and order, and nothing is tokenized again."""

import gc
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge.errors import RunError
from judge.records import Message, content_id
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator
from judge.rewards.data.example_rows import from_row, pack, to_row, unpack
from judge.rewards.data.example_store import ExampleStore, StoredExamples, stored, write_examples
from judge.rewards.data.examples import Example
from judge.rewards.data.gate_pairs import by_scores
from judge.rewards.data.grouping import (
    BatchPlaces,
    batches,
    count_groups,
    group_keys,
    group_numbers,
    labels_alone,
    split,
    without,
)
from judge.rewards.data.tokenize import TOO_LONG, Text, Tokens
from judge.rewards.data.weights import weighted
from judge.rewards.evaluation.red_flags import reversed_order
from judge.rewards.preparation import load_tokenizer


def said(text: str, role: Any = "assistant") -> tuple[Message, ...]:
    return (Message(role, text),)


def pair(number: int, *, prompt: int | None = None, words: int = 1) -> Example:
    """Prompts of two neighbours are the same; both responses are `words` + 1 words long."""
    asked = said(f"w{6 + (number // 2 if prompt is None else prompt)} w7", "user")
    responses = tuple(said(" ".join([word] * words) + f" w{number % 50 + 10}") for word in ("w40", "w41"))
    return Example(
        id=content_id(number),
        group=content_id(asked[0].content),
        prompt=asked,
        responses=responses,
        p_first=(number % 4) / 4,
    )


@pytest.fixture
def collate(llama: Path) -> Collator:
    return Collator(load_tokenizer(str(llama)), "scalar", 64, cache_size=0)


def test_errors_of_reading_are_not_told_as_errors_of_writing(collate: Collator, tmp_path: Path) -> None:
    def made() -> Iterator[Example]:
        yield pair(1)
        raise RunError("runs/a: cannot be read")

    with pytest.raises(RunError, match=r"^runs/a: cannot be read$"):
        write_examples(made(), collate.tokenizer, tmp_path)


def test_a_file_that_is_missing_is_told_in_a_line(collate: Collator, tmp_path: Path) -> None:
    written = write_examples([pair(1)], collate.tokenizer, tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(RunError, match=f"^{tmp_path}: cannot be read: No such file or directory$"):
        ExampleStore(tmp_path, collate.tokenizer, written.rows, written.tokens)


def test_a_row_keeps_every_field_of_an_example() -> None:
    """All but `extra`, which no training reads: it holds what the data says of a turn for export."""
    call = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    example = Example(
        id="i",
        group=content_id("g"),
        prompt=(Message("user", "half a \ud83d letter, 日本", tools=({"name": "add"},), extra={"content": None}),),
        responses=(
            (Message("assistant", "", tool_calls=(call,)), Message("tool", "1\n2", tool_call_id="c", name="add")),
        ),
        steps=("a\nb", ""),
        p_first=0.1 + 0.2,
        p_tie=1 / 3,
        margin=-2.5,
        order=(1, 0),
        scores=({"help": 3, "harm": 0.5},),
        p_correct=1.0,
        step_probabilities=((0.5, 0.25, 0.25), None),
        weight=0.7,
        step_weights=(1.5, None),
        votes=(3, 1),
    )
    line = to_row(example)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    again = from_row(line)
    assert again == example  # `extra` is no part of this
    assert again.step_weights == (1.5, None) and again.votes == (3, 1)
    assert again.scores[0]["help"] == 3 and isinstance(again.scores[0]["help"], int)
    assert again.prompt[0].extra == {}


def test_tokens_are_the_numbers_that_their_comment_says() -> None:
    """Two texts, no prompt, 4 cut; lengths 3 and 1, starts 2 and 0, reads 1 and 1; then read and ids of each."""
    ids = np.array([7, 8, 9], dtype=np.int32)
    tokens = Tokens((Text(ids, 2, (2,)), Text(ids[:1], 0, (0,))), cut=4)
    assert pack(tokens).tolist() == [2, -1, 4, 3, 2, 1, 1, 0, 1, 2, 7, 8, 9, 0, 7]
    assert same(unpack(pack(tokens)), tokens)
    beside = Tokens((Text(ids, 0, (0, 2)),), prompt=ids[1:])
    assert pack(beside).tolist() == [1, 2, 0, 3, 0, 2, 0, 2, 7, 8, 9, 8, 9]
    assert same(unpack(pack(beside)), beside)
    assert same(unpack(pack(Tokens((Text(ids, 3, ()),), prompt=ids[:0]))), Tokens((Text(ids, 3, ()),), prompt=ids[:0]))


def same(first: Tokens, second: Tokens) -> bool:
    def plain(tokens: Tokens) -> Any:
        prompt = None if tokens.prompt is None else tokens.prompt.tolist()
        return [(text.ids.tolist(), text.start, text.reads) for text in tokens.texts], prompt, tokens.cut

    return bool(plain(first) == plain(second))


def test_stored_examples_are_a_sequence_like_a_list(collate: Collator) -> None:
    made = [pair(number) for number in range(9)]
    on_disk, counts = stored(iter(made), collate.tokenizer)
    assert not counts
    assert list(on_disk) == made and len(on_disk) == 9
    assert on_disk[3] == made[3] and on_disk[-1] == made[-1]
    assert list(on_disk[2:7:2]) == made[2:7:2] and list(on_disk[::-1]) == made[::-1]
    assert on_disk[2:7][1] == made[3]
    assert made[4] in on_disk and on_disk.index(made[4]) == 4
    with pytest.raises(IndexError):
        on_disk[9]


def test_what_does_not_fit_is_left_out_with_a_count(collate: Collator) -> None:
    """64 tokens: a response of 70 words has more."""
    made = [pair(0), pair(1, words=70), pair(2)]
    on_disk, counts = stored(made, collate.tokenizer)
    assert list(on_disk) == [made[0], made[2]] and dict(counts) == {TOO_LONG: 1}
    assert list(stored([], collate.tokenizer)[0]) == []


@pytest.mark.parametrize(("kind", "layout"), [("scalar", "packed"), ("scalar", "apart"), ("process", "packed")])
def test_tokens_on_the_disk_are_those_of_tokenizing(kind: str, layout: Any, llama: Path) -> None:
    tokenizer = load_tokenizer(str(llama))
    made = [replace(pair(number), steps=("w8", "w9 w10")) for number in range(6)]
    fresh, reading = (Collator(tokenizer, kind, 64, layout, cache_size=0) for _ in range(2))
    on_disk, _ = stored(made, reading.tokenizer)
    wanted, lengths = fresh(made), list(fresh.lengths(made))
    reading.tokenizer.__class__ = type("Closed", (type(reading.tokenizer),), {"__call__": closed})
    assert list(reading.lengths(on_disk)) == lengths == list(reading.lengths(list(on_disk)))
    assert repr(reading(on_disk)) == repr(wanted)
    assert on_disk.fingerprint() == stored(made, fresh.tokenizer)[0].fingerprint()


def closed(tokenizer: Any, examples: list[Example]) -> list[Tokens]:
    assert not examples, "tokenized again"
    return []


def test_another_collator_makes_its_own_tokens(collate: Collator, llama: Path) -> None:
    """Of at most 8 tokens, where the first collator took 64."""
    on_disk, _ = stored([pair(0, words=9)], collate.tokenizer)
    short = Collator(load_tokenizer(str(llama)), "scalar", 64, cache_size=0, unread=9999)
    assert list(short.lengths(on_disk)) == list(collate.lengths(on_disk))
    assert on_disk[0].stored is not None and on_disk[0].stored[0].tokenizer is not short.tokenizer


def test_a_change_keeps_the_tokens_of_the_same_texts_alone(collate: Collator) -> None:
    on_disk, _ = stored([pair(number) for number in range(3)], collate.tokenizer)
    heavy = on_disk.mapped(lambda example: replace(example, weight=2.0))
    assert [example.weight for example in heavy] == [2.0, 2.0, 2.0]
    assert heavy[1].stored == (on_disk.store, 1)
    backward = reversed_order(heavy)
    assert backward[1].stored is None and backward[1].weight == 2.0
    assert backward[1].responses == heavy[1].responses[::-1] and backward[1].p_first == 1 - 0.25
    again = [tokens.length for tokens in collate.tokenizer(list(backward)) if isinstance(tokens, Tokens)]
    assert list(collate.lengths(backward)) == again


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_the_files_may_be_gone(collate: Collator) -> None:
    """They are read by their descriptors, which are closed with the last one who reads them."""
    before = descriptors()
    on_disk, _ = stored([pair(0)], collate.tokenizer)
    assert on_disk[0] == pair(0)
    assert descriptors() == before + 2
    example = on_disk[0]
    del on_disk
    assert descriptors() == before + 2  # the example knows its tokens
    del example
    assert descriptors() == before


# ---- groups, parts, batches ------------------------------------------------------------------------------------------


def test_parts_and_batches_of_stored_examples_are_those_of_a_list(collate: Collator) -> None:
    made = [pair(number, prompt=number * 7 % 11) for number in range(40)]
    on_disk, _ = stored(made, collate.tokenizer)
    assert group_keys(on_disk).tolist() == group_keys(made).tolist()
    for seed in range(3):
        in_memory, from_disk = split(made, 0.3, seed), split(on_disk, 0.3, seed)
        assert [list(part) for part in from_disk] == list(in_memory)
        assert count_groups(*from_disk) == count_groups(*in_memory) == 11
        lengths = collate.lengths(made)
        assert list(batches(on_disk, 4, seed, 1, lengths=lengths)) == list(batches(made, 4, seed, 1, lengths=lengths))
        assert not {example.group for example in without(on_disk, from_disk[1])} & {e.group for e in from_disk[1]}


def test_groups_are_numbered_as_they_appear() -> None:
    keys = np.array([9, 2, 9, 5, 2], dtype=np.uint64)
    numbers, first = group_numbers(keys)
    assert numbers.tolist() == [0, 1, 0, 2, 1] and first.tolist() == [0, 1, 3]


def test_batches_hold_whole_groups_of_like_lengths() -> None:
    """Groups of 2, 2, 1 and 3 examples; the longest text of each is 5, 1, 9 and 2 long: by length 1, 3, 0, 2. In
    batches of 3: group 1 (2) and group 3 (3) do not fit together, nor do 3 and 0; 0 (2) and 2 (1) do."""
    numbers = np.array([0, 0, 1, 1, 2, 3, 3, 3])
    made = BatchPlaces(numbers, [5, 1, 1, 1, 9, 2, 1, 2], 3, seed=0, epoch=0)
    assert len(made) == 3
    assert sorted(made) == [[0, 1, 4], [2, 3], [5, 6, 7]]


def test_labels_alone_have_no_text(collate: Collator) -> None:
    on_disk, _ = stored([pair(number) for number in range(4)], collate.tokenizer)
    alone = labels_alone(on_disk)
    assert [example.p_first for example in alone] == [0.0, 0.25, 0.5, 0.75]
    assert [example.group for example in alone] == [example.group for example in on_disk]
    assert alone[0].prompt == () and alone[0].responses == ((), ())


def test_weights_of_stored_examples_are_those_of_a_list(collate: Collator) -> None:
    """|2p - 1| of 0, 1/4, 1/2, 3/4 is 1, 1/2, 0, 1/2; their mean is 1/2."""
    on_disk, _ = stored([pair(number) for number in range(4)], collate.tokenizer)
    heavy = weighted(on_disk, RewardConfig.of(example_weights="confidence"))
    assert [example.weight for example in heavy] == [2.0, 1.0, 0.0, 1.0]


def test_pairs_of_scored_responses_are_those_of_a_list(collate: Collator) -> None:
    """Scores 0, 1, 2 of one prompt and 5 of another: three pairs, in each of which the later one is better."""
    made = [
        Example(
            id=content_id(number),
            group=content_id(prompt),
            prompt=said(prompt, "user"),
            responses=(said(f"w{number + 10}"),),
            scores=({"help": score},),
        )
        for number, (prompt, score) in enumerate([("w6", 0), ("w7", 5), ("w6", 1), ("w6", 2)])
    ]
    on_disk, _ = stored(made, collate.tokenizer)
    config = RewardConfig.of(kind="multi", objectives=("help",))
    pairs = list(by_scores(on_disk, config))
    assert pairs == list(by_scores(made, config))
    assert [
        (first[0].content, second[0].content, example.p_first)
        for example in pairs
        for first, second in [example.responses]
    ] == [
        ("w10", "w12", 0.0),
        ("w10", "w13", 0.0),
        ("w12", "w13", 0.0),
    ]


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_an_example_takes_some_fifty_bytes_of_memory_whatever_its_texts(collate: Collator) -> None:
    """36 of the index and 8 of its place; texts of 60 words are 40 times that."""

    def growth(count: int) -> int:
        def made() -> Iterator[Example]:
            return (pair(number, words=25) for number in range(count))

        tracemalloc.start()
        on_disk, _ = stored(made(), collate.tokenizer)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert isinstance(on_disk, StoredExamples)
        return held

    growth(1_000)  # what is made once
    few, many = growth(1_000), growth(6_000)
    assert 43 < (many - few) / 5_000 < 60  # Python itself grows by some hundred bytes now and then
