"""A random Llama with a byte-level tokenizer and a chat template, made in a second, and one vLLM for all tests."""

import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from judge.engines import Completion, Engine, Request, load_engine
from judge.records import Message
from tests.engines.openai_server import Server

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
CORPUS = [
    "Which response is better? Verdict: [[A]] or [[B]], a tie is [[C]].",
    "Step 1 is right. Step 2 is wrong: 12 - 5 = 7, not 10.",
    "You are a fair judge. Read the question and both responses, then give a score from 1 to 10.",
] * 4


def build_tokenizer() -> Any:
    """A byte-level BPE of about 400 tokens that knows the special tokens above."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="<|im_end|>", pad_token="</s>"
    )
    fast.chat_template = TEMPLATE
    return fast


def build_model(directory: Path, *, seed: int = 0) -> Path:
    """Write model and tokenizer into the directory."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(directory)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.convert_tokens_to_ids("<s>"),
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.convert_tokens_to_ids("</s>"),
        initializer_range=0.3,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(config).to(torch.float32).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a random Llama of 0.1 M parameters that takes 512 tokens."""
    return build_model(tmp_path_factory.mktemp("small_model"))


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The tokenizer of `small_model`; its markers are <s>, </s>, <|im_start|> and <|im_end|>."""
    return build_tokenizer()


@pytest.fixture(scope="session")
def vllm_engine(small_model: Path) -> Iterator[Any]:
    """One vLLM over `small_model` for the whole session: it takes 20 s to load."""
    if find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    from judge.engines.vllm import VllmEngine

    engine = VllmEngine(str(small_model), max_num_seqs=32)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def hf_engine(small_model: Path) -> Iterator[Any]:
    from judge.engines.hf import HfEngine

    engine = HfEngine(str(small_model))
    yield engine
    engine.close()


def ask(text: str, **how: Any) -> Request:
    """A request of a system and a user turn."""
    return Request(messages=(Message("system", "You are a judge."), Message("user", text)), **how)


def answers(engine: Engine, requests: list[Request]) -> list[Completion]:
    """Hand all requests to the engine and wait for all of them, in their order."""
    for ticket, request in enumerate(requests):
        engine.submit(ticket, request)
    found: dict[int, Completion] = {}
    while done := engine.step():
        found.update(done)
    return [found[ticket] for ticket in range(len(requests))]


@pytest.fixture(name="ask", scope="session")
def _ask() -> Callable[..., Request]:
    return ask


@pytest.fixture(name="answers", scope="session")
def _answers() -> Callable[[Engine, list[Request]], list[Completion]]:
    return answers


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    engine = load_engine(f"openai:{server.url}#judge-7b", attempts=3)
    yield engine
    engine.close()
