"""Tokens, reads and shared prefixes by hand; what is cut or dropped is counted; batches keep groups whole."""

from collections import Counter

import numpy as np
import pytest
import torch

from judge.errors import InputError
from judge.rewards.data.collate import Apart, Collator, Document, Packed, Padded
from judge.rewards.data.examples import Example
from judge.rewards.data.grouping import batches
from judge.rewards.data.tokenize import CUT, EMPTY, REFUSED, TOO_LONG, ExampleTokenizer, common_prefix
from tests.rewards.models import example, pairs, said, tokenizer, words

PAIR = example(words(10, 11), words(20, 21), words(20, 30, 31))
CHAT_A = [2, 3, 10, 11, 1, 4, 20, 21, 1]  # <bos> <user> w10 w11 <eos> <assistant> w20 w21 <eos>
CHAT_B = [2, 3, 10, 11, 1, 4, 20, 30, 31, 1]


def test_texts_are_tokenised_whole_as_the_tokenizer_does_it() -> None:
    tokens = tokenizer()
    (made,) = ExampleTokenizer(tokens, "scalar", 100)([PAIR])
    turns = [{"role": "user", "content": "w10 w11"}, {"role": "assistant", "content": "w20 w21"}]
    assert list(made.texts[0].ids) == CHAT_A == tokens.apply_chat_template(turns, return_dict=True)["input_ids"]
    assert list(made.texts[1].ids) == CHAT_B
    assert [text.start for text in made.texts] == [6, 6]
    assert [text.reads for text in made.texts] == [(8,), (9,)]


def test_the_shared_prefix_lies_in_the_row_once() -> None:
    batch = Collator(tokenizer(), "scalar", 100)([PAIR])
    assert isinstance(batch, Packed)
    shared = CHAT_A[:7]  # the responses begin with the same word, so that is shared too
    assert batch.tokens.tolist() == [*shared, 21, 1, 30, 31, 1]
    assert batch.positions.tolist() == [*range(7), 7, 8, 7, 8, 9]
    assert batch.documents == (Document(0, 7, ((7, 9), (9, 12))),)
    assert batch.reads.tolist() == [8, 11]
    assert (batch.size, batch.longest) == (12, 10)


def test_without_sharing_every_text_is_a_document() -> None:
    batch = Collator(tokenizer(), "scalar", 100, shared_prefix=False)([PAIR])
    assert isinstance(batch, Packed)
    assert batch.tokens.tolist() == CHAT_A + CHAT_B
    assert batch.documents == (Document(0, 9, ()), Document(9, 19, ()))
    assert batch.reads.tolist() == [8, 18]


def test_padded_rows_hold_the_same_texts_and_reads() -> None:
    batch = Collator(tokenizer(), "scalar", 100, "padded")([PAIR])
    assert isinstance(batch, Padded)
    assert batch.tokens.tolist() == [[*CHAT_A, 0], CHAT_B]
    assert batch.mask.tolist() == [[1] * 9 + [0], [1] * 10]
    assert batch.reads.tolist() == [[0, 8], [1, 9]]


def test_pairs_of_one_ranking_share_prompt_and_responses() -> None:
    a, b, c = words(20), words(21), words(22)
    some = [example("w10", *two, group="g") for two in ((a, b), (a, c), (b, c))]
    batch = Collator(tokenizer(), "scalar", 100)(some)
    assert isinstance(batch, Packed)
    assert batch.size == 5 + 3 * 2  # <bos> <user> w10 <eos> <assistant>, then three responses of a word and <eos>
    assert batch.reads.tolist() == [6, 8, 6, 10, 8, 10]


def test_equal_responses_and_one_that_goes_on_from_another() -> None:
    plain = tokenizer(chat=False)
    some = [example("", "w20 w21", "w20 w21", group="a"), example("", "w30", "w30 w31", group="b")]
    batch = Collator(plain, "scalar", 100)(some)
    assert isinstance(batch, Packed)
    assert batch.tokens.tolist() == [20, 21, 30, 31]
    assert batch.documents == (Document(0, 2, ()), Document(2, 3, ((3, 4),)))
    assert batch.reads.tolist() == [1, 1, 2, 3]


def test_a_begin_of_text_token_is_never_doubled() -> None:
    chat = tokenizer(bos=True)  # the template writes one, and so does the tokenizer
    (made,) = ExampleTokenizer(chat, "scalar", 100)([PAIR])
    assert list(made.texts[0].ids[:3]) == [2, 3, 10]
    (plain,) = ExampleTokenizer(tokenizer(chat=False, bos=True), "scalar", 100)([example("w10", "w20")])
    assert list(plain.texts[0].ids) == [2, 10, 5, 5, 20]


def test_a_solution_is_read_at_the_newline_after_each_step() -> None:
    solved = Example(id="s", group="g", prompt=said("user", "w10"), steps=("w20 w21", "w30"))
    (made,) = ExampleTokenizer(tokenizer(), "process", 100)([solved])
    assert list(made.texts[0].ids) == [2, 3, 10, 1, 4, 20, 21, 5, 30, 5]
    assert made.texts[0].reads == (7, 9)
    batch = Collator(tokenizer(), "process", 100)([solved])
    assert isinstance(batch, Packed)
    assert batch.tokens[batch.reads].tolist() == [5, 5]


def test_solutions_of_one_problem_share_their_first_steps() -> None:
    prompt = said("user", "w10")
    some = [Example(id=name, group="g", prompt=prompt, steps=("w20", name)) for name in ("w30", "w31")]
    batch = Collator(tokenizer(), "process", 100)(some)
    assert isinstance(batch, Packed)
    assert batch.reads.tolist() == [6, 8, 6, 10]


def test_a_long_prompt_loses_its_left_and_keeps_its_first_special_token() -> None:
    collate = Collator(tokenizer(), "scalar", 8)
    fitted = collate.fit([PAIR, example("w10", "w20", "w21")])
    assert fitted.counts == Counter({CUT: 1})
    batch = collate([PAIR])
    assert isinstance(batch, Packed)  # the longer text has 10 tokens: 2 leave the prompt of both
    assert batch.tokens.tolist() == [2, 11, 1, 4, 20, 21, 1, 30, 31, 1]
    assert batch.reads.tolist() == [6, 9]


def test_a_response_that_is_too_long_alone_is_dropped_with_a_count() -> None:
    collate = Collator(tokenizer(), "scalar", 8)
    long = example("w10", "w20", words(*range(20, 30)), name="row 7")
    fitted = collate.fit([long, example("w10", "w20", "w21")])
    assert len(fitted.examples) == 1 and fitted.counts == Counter({TOO_LONG: 1})
    with pytest.raises(InputError, match=r"row 7: response longer than max_length \(8 tokens\)"):
        collate([long])


def test_texts_without_a_token_are_dropped_with_a_count() -> None:
    fitted = Collator(tokenizer(chat=False), "scalar", 8).fit([example("", "", "w20"), PAIR])
    assert fitted.counts[EMPTY] == 1


def test_prompt_and_response_apart() -> None:
    some = [example("w10 w11", "w20", "w21 w22"), example("w10 w11", "w23", "w24", name="other")]
    batch = Collator(tokenizer(chat=False), "scalar", 100, "apart")(some)
    assert isinstance(batch, Apart)
    assert batch.prompts.tokens.tolist() == [[10, 11]]
    assert batch.responses.tokens.tolist() == [[20, 0], [21, 22], [23, 0], [24, 0]]
    assert batch.which.tolist() == [0, 0, 0, 0]


def test_parts_name_each_response_token_in_either_layout() -> None:
    some = [example("w10", "w20 w21", "w20 w30")]
    packed = Collator(tokenizer(), "hierarchical", 100)(some)
    padded = Collator(tokenizer(), "hierarchical", 100, "padded")(some)
    assert isinstance(packed, Packed) and isinstance(padded, Padded) and packed.parts and padded.parts
    assert packed.tokens[packed.parts.tokens].tolist() == [20, 21, 1, 20, 30, 1]
    assert padded.tokens.flatten()[padded.parts.tokens].tolist() == [20, 21, 1, 20, 30, 1]
    assert packed.parts.reads.tolist() == [0, 0, 0, 1, 1, 1]
    assert packed.parts.ends.tolist() == [False, False, True] * 2


def test_common_prefix() -> None:
    rows = [np.array(row, dtype=np.int32) for row in ([1, 2, 3], [1, 2, 4, 5], [1, 2])]
    assert common_prefix(rows) == 2
    assert common_prefix(rows[:1]) == 3


def test_batches_keep_groups_whole_and_depend_on_seed_and_epoch_alone() -> None:
    some = [example(f"w{10 + at // 3}", "w20", f"w{20 + at}", name=str(at), group=str(at // 3)) for at in range(30)]
    made = list(batches(some, 8, seed=1, epoch=0))
    assert sorted(one.id for batch in made for one in batch) == sorted(one.id for one in some)
    assert all(len(batch) <= 8 for batch in made)
    where = {
        group: {at for at, batch in enumerate(made) for one in batch if one.group == group} for group in "0123456789"
    }
    assert all(len(places) == 1 for places in where.values())
    assert made == list(batches(some, 8, seed=1, epoch=0))
    assert made != list(batches(some, 8, seed=1, epoch=1))
    assert made != list(batches(some, 8, seed=2, epoch=0))


def test_batches_hold_texts_of_like_length() -> None:
    some = pairs(200, most=30)
    lengths = Collator(tokenizer(), "scalar", 200).lengths(some)
    at = {one.id: length for one, length in zip(some, lengths, strict=True)}
    spread = [np.std([at[one.id] for one in batch]) for batch in batches(some, 8, 0, 0, lengths=lengths)]
    assert np.mean(spread) < 0.2 * np.std(lengths)


def test_a_group_larger_than_a_batch_is_one_batch() -> None:
    some = [example("w10", "w20", f"w{20 + at}", name=str(at), group="g") for at in range(12)]
    assert [len(batch) for batch in batches(some, 8, 0, 0)] == [12]


def test_batches_move_between_devices_as_a_whole() -> None:
    batch = Collator(tokenizer(), "hierarchical", 100)([PAIR]).to("meta")
    assert isinstance(batch, Packed) and batch.parts
    assert {batch.tokens.device.type, batch.reads.device.type, batch.parts.tokens.device.type} == {"meta"}
    assert torch.device("meta").type == batch.positions.device.type


def test_a_special_token_in_the_data_is_plain_text() -> None:
    """The tokens of the template's own markers and no others, with a chat template, without one, and in steps."""
    marker = "w20 <eos> <user> w21"
    for chat in (True, False):
        tokens = tokenizer(chat=chat, bos=True)
        (plain,) = ExampleTokenizer(tokens, "scalar", 100)([example("w10", "w20 w21")])
        (made,) = ExampleTokenizer(tokens, "scalar", 100)([example("w10", marker)])
        for ids in (plain.texts[0].ids, made.texts[0].ids):
            assert (list(ids).count(3), list(ids).count(2)) == (int(chat), 1)  # <user>, <bos>
    solved = Example(id="s", group="g", prompt=said("user", "w10"), steps=("w20 <user> w21",))
    (made,) = ExampleTokenizer(tokenizer(), "process", 100)([solved])
    assert list(made.texts[0].ids).count(3) == 1


def test_a_template_without_system_turns_gets_them_atop_the_user_turn() -> None:
    tokens = tokenizer()
    tokens.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' or (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('no') }}{% endif %}<{{ m.role }}> {{ m.content }} <eos> {% endfor %}"
    )
    answer = said("assistant", "w20")
    asked = said("system", "w11") + said("user", "w10")
    made, twice, refused = ExampleTokenizer(tokens, "scalar", 100)(
        [
            Example(id="a", group="a", prompt=asked, responses=(answer,)),
            Example(id="b", group="b", prompt=said("user", "w12") + said("user", "w10"), responses=(answer,)),
            Example(id="c", group="c", prompt=said("assistant", "w12"), responses=(answer,)),
        ]
    )
    assert not isinstance(made, str) and not isinstance(twice, str)
    assert [token for token in made.texts[0].ids if token >= 10] == [11, 10, 20]
    assert [token for token in twice.texts[0].ids if token >= 10] == [12, 10, 20]
    assert refused == f"{REFUSED}: no"
