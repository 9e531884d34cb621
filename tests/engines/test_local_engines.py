"""vLLM and transformers on one small real model: both against a forward pass done by hand, and against each other."""

import json
from collections.abc import Callable
from math import exp
from pathlib import Path
from typing import Any

import pytest

from judge.engines import Completion, Engine, Request
from judge.engines.chat import Chat

Ask = Callable[..., Request]
Answers = Callable[[Engine, list[Request]], list[Completion]]
CHOICES = ("A", "B", "C")


@pytest.fixture(
    params=[pytest.param("vllm_engine", id="vllm", marks=pytest.mark.vllm), pytest.param("hf_engine", id="hf")]
)
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def by_hand(small_model: Path, tokenizer: Any) -> Callable[..., dict[str, float]]:
    """Probabilities of choices by one plain forward pass over prompt + choice for each, in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(small_model, dtype=torch.float32).eval()

    def probabilities(text: str, choices: tuple[str, ...]) -> dict[str, float]:
        start = len(tokenizer(text, add_special_tokens=False)["input_ids"])
        found = {}
        for choice in choices:
            ids = tokenizer(text + choice, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            found[choice] = sum(float(logprobs[at - 1, ids[at]]) for at in range(start, len(ids)))
        total = sum(exp(value) for value in found.values())
        return {choice: exp(value) / total for choice, value in found.items()}

    return probabilities


@pytest.mark.parametrize("choices", [CHOICES, ("right", "wrong", "neutral"), ("better", "[[A]]")])
@pytest.mark.parametrize("prefill", ["", "Verdict: [["])
def test_choice_probabilities_are_exact(
    engine: Engine, by_hand: Any, tokenizer: Any, ask: Ask, answers: Answers, prefill: str, choices: tuple[str, ...]
) -> None:
    requests = [ask(f"Which response is better? Number {n}.", prefill=prefill, choices=choices) for n in range(5)]
    chat = Chat(tokenizer, name="small")
    for request, completion in zip(requests, answers(engine, requests), strict=True):
        expected = by_hand(chat.prompt(request).text, choices)
        found = {choice: exp(value) for choice, value in completion.logprobs.items()}
        assert found == pytest.approx(expected, abs=1e-4)
        assert sum(found.values()) == pytest.approx(1.0)
        assert completion.text == max(expected, key=lambda choice: expected[choice])


def test_a_choice_that_begins_another_is_told_from_it(engine: Engine, ask: Ask, answers: Answers) -> None:
    [completion] = answers(engine, [ask("Score it.", choices=("1", "10", "2"))])
    assert sum(exp(value) for value in completion.logprobs.values()) == pytest.approx(1.0)
    assert set(completion.logprobs) == {"1", "10", "2"}


def test_batches_answer_as_single_requests_do(engine: Engine, ask: Ask, answers: Answers) -> None:
    requests = [ask("better " * n, choices=CHOICES) for n in (1, 9, 40)] + [
        ask("x " * n, max_tokens=9) for n in (2, 30)
    ]
    together = answers(engine, requests)
    for request, completion in zip(requests, together, strict=True):
        [alone] = answers(engine, [request])
        assert alone.text == completion.text
        assert dict(alone.logprobs) == pytest.approx(dict(completion.logprobs), abs=1e-4)


def test_tokens_are_counted(engine: Engine, ask: Ask, answers: Answers) -> None:
    request = ask("Count these.", max_tokens=7)
    [completion] = answers(engine, [request])
    assert completion.prompt_tokens == engine.count_tokens(request)
    assert completion.output_tokens <= 7
    assert completion.finish in ("stop", "length")


def test_a_seed_makes_a_sampled_reply_repeatable(engine: Engine, ask: Ask, answers: Answers) -> None:
    how = {"max_tokens": 12, "temperature": 1.0}
    first, again, other = answers(engine, [ask("Go on.", seed=seed, **how) for seed in (1, 1, 2)])
    assert first.text == again.text != other.text


def test_seeded_replies_to_many_long_prompts(engine: Engine, ask: Ask, answers: Answers) -> None:
    # More prompt tokens than one step takes: vLLM's CPU build breaks when a seeded prompt is computed in chunks.
    requests = [ask("word " * 80 + f"{n} right" * 9, max_tokens=2, temperature=1.0, seed=n) for n in range(40)]
    assert all(completion.finish in ("stop", "length") for completion in answers(engine, requests))


def test_a_stop_string_ends_the_reply_before_it(engine: Engine, ask: Ask, answers: Answers) -> None:
    [whole] = answers(engine, [ask("Go on.", max_tokens=12)])
    middle = whole.text[len(whole.text) // 2]
    [cut] = answers(engine, [ask("Go on.", max_tokens=12, stop=(middle,))])
    assert cut.text == whole.text[: whole.text.index(middle)]
    assert cut.finish == "stop"


def test_an_opening_is_the_beginning_of_the_reply(engine: Engine, ask: Ask, answers: Answers) -> None:
    opened, begun = answers(
        engine, [ask("Go on.", opening="Better: [[", max_tokens=8), ask("Go on.", prefill="Better: [[", max_tokens=8)]
    )
    assert opened.text == "Better: [[" + begun.text
    assert opened.continues and begun.continues


def test_a_prompt_that_is_too_long_is_a_completion_that_says_so(engine: Engine, ask: Ask, answers: Answers) -> None:
    long, fine, choice = answers(
        engine, [ask("word " * 600), ask("Hi", max_tokens=3), ask("word " * 600, choices=CHOICES)]
    )
    for completion in (long, choice):
        assert completion.finish == "error"
        assert "the model takes 512 with the reply" in completion.text
        assert completion.logprobs == {}
    assert fine.finish in ("stop", "length")


def test_nothing_pending_is_an_empty_step(engine: Engine) -> None:
    assert engine.step() == []


def test_describe_is_plain_json_and_names_what_changes_answers(engine: Engine) -> None:
    described = engine.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["dtype"] == "float32"
    assert {"engine", "model", "weights", "versions", "chat_template"} <= described.keys()


@pytest.mark.vllm
def test_vllm_and_hf_agree(vllm_engine: Engine, hf_engine: Engine, ask: Ask, answers: Answers) -> None:
    requests = [ask(f"Is step {n} right?", choices=("right", "wrong")) for n in range(20)]
    requests += [ask(f"Say something about {n}.", max_tokens=8) for n in range(20)]
    for ours, theirs in zip(answers(vllm_engine, requests), answers(hf_engine, requests), strict=True):
        assert ours.text == theirs.text
        assert dict(ours.logprobs) == pytest.approx(dict(theirs.logprobs), abs=1e-3)


@pytest.mark.vllm
def test_vllm_reuses_a_shared_prefix(vllm_engine: Engine, ask: Ask, answers: Answers) -> None:
    shared = "Read the question and both responses. " * 6
    completions = answers(vllm_engine, [ask(shared + f"Step {n}", choices=CHOICES) for n in range(8)])
    assert sum(completion.cached_tokens for completion in completions) >= 7 * 64
    assert all(completion.cached_tokens < completion.prompt_tokens for completion in completions)


@pytest.mark.vllm
def test_vllm_follows_a_schema(vllm_engine: Engine, ask: Ask, answers: Answers) -> None:
    score = {"type": "integer", "minimum": 1, "maximum": 5}
    schema = {"type": "object", "properties": {"score": score}, "required": ["score"], "additionalProperties": False}
    good, bad = answers(
        vllm_engine, [ask("Score it.", schema=schema, max_tokens=60), ask("x", schema={"type": "oops"})]
    )
    assert json.loads(good.text)["score"] in range(1, 6)
    assert bad.finish == "error"
    assert "oops" in bad.text


def test_hf_says_that_it_follows_no_schema(hf_engine: Engine, ask: Ask, answers: Answers) -> None:
    [completion] = answers(hf_engine, [ask("x", schema={"type": "object"})])
    assert completion.finish == "error"
    assert "cannot follow a JSON schema" in completion.text


@pytest.mark.vllm
def test_a_model_on_several_gpus_runs_in_processes_of_its_own(small_model: Path) -> None:
    """Else vLLM would look for a placement group of its own kind inside a worker of Ray's."""
    from judge.engines.vllm import VllmEngine

    assert "distributed_executor_backend" not in VllmEngine(str(small_model)).arguments()
    several = VllmEngine(str(small_model), tensor_parallel_size=2)
    assert several.arguments()["distributed_executor_backend"] == "mp"
    spread = VllmEngine(str(small_model), tensor_parallel_size=2, distributed_executor_backend="ray")
    assert spread.arguments()["distributed_executor_backend"] == "ray"


@pytest.mark.vllm
def test_one_juror_that_closes_leaves_the_other_running(
    vllm_engine: Engine, small_model: Path, ask: Ask, answers: Answers
) -> None:
    from judge.engines.vllm import VllmEngine

    other = VllmEngine(str(small_model), max_num_seqs=4)
    request = ask("Which?", choices=CHOICES)
    [theirs] = answers(other, [request])
    other.close()
    other.close()
    [ours] = answers(vllm_engine, [request])
    assert dict(ours.logprobs) == pytest.approx(dict(theirs.logprobs), abs=1e-4)
