"""Reward models that others trained, from their directories: their library's numbers, and one line for what fails."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import judge
from judge.errors import ConfigError, EngineError, InputError, RmjudgeError, UnknownNameError
from judge.jobs.reward_source import open_scoring_model
from judge.jobs.scoring.published import PublishedRewardModel
from tests.rewards.models import WORDS, tokenizer, words

CPU: dict[str, Any] = {"dtype": "float32", "device": "cpu"}
SMALL: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "initializer_range": 0.2,
}
PROMPT = words(7, 8, 9)
ANSWERS = (words(10), words(10, 11, 12), words(30, 31, 32, 33, 34, 35, 36))


def save(folder: Path, name: str = "Llama", *, words_of: Any = None, **config: Any) -> Path:
    """A random …ForSequenceClassification of a family with its tokenizer."""
    import transformers

    torch.manual_seed(0)
    if name == "GPT2":
        small = {"vocab_size": WORDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "pad_token_id": 0, "bos_token_id": 2}
        made = transformers.GPT2Config(**small | {"eos_token_id": 1, "initializer_range": 0.2} | config)
    else:
        made = getattr(transformers, f"{name}Config")(**SMALL | config)
    getattr(transformers, f"{name}ForSequenceClassification")(made).save_pretrained(folder)
    (words_of or tokenizer()).save_pretrained(folder)
    return folder


def by_transformers(folder: Path, prompt: str, answer: str) -> list[float]:
    """The logits of one text by transformers alone, as a user of it would get them."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32").eval()
    tokens = AutoTokenizer.from_pretrained(folder)
    if tokens.chat_template:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        encoded = tokens.apply_chat_template(turns, tokenize=True, return_tensors="pt", return_dict=True)
        inputs = {"input_ids": encoded["input_ids"]}
    else:
        inputs = dict(tokens(prompt, answer, return_tensors="pt"))
    with torch.no_grad():
        logits: list[float] = model(**inputs).logits[0].tolist()
    return logits


def bert_tokenizer() -> Any:
    """[CLS] prompt [SEP] response [SEP], with token types: what an encoder's tokenizer does with a pair."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    vocabulary = {word: number for number, word in enumerate(special)}
    vocabulary |= {f"w{number}": number for number in range(len(special), WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Llama", {"num_labels": 1}),
        ("GPT2", {"num_labels": 1}),
        ("Qwen3", {"num_labels": 1, "head_dim": 8}),
        ("Llama", {"num_labels": 1, "pad_token_id": 1}),  # padding ends every text: it is read before it
        ("Llama", {"num_labels": 1, "pad_token_id": None}),
    ],
    ids=["llama", "gpt2", "qwen3", "pad is eos", "no pad"],
)
def test_a_decoder_gives_what_transformers_gives(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    folder = save(tmp_path, name, **config)
    model = judge.open_reward(folder, **CPU)
    rewards = model.score_batch([(PROMPT, answer) for answer in ANSWERS])
    for (reward,), answer in zip(rewards, ANSWERS, strict=True):
        assert reward.value == pytest.approx(by_transformers(folder, PROMPT, answer)[0], abs=1e-4)


def test_padding_that_ends_texts_is_said_in_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = save(tmp_path, num_labels=1, pad_token_id=1)
    judge.open_reward(folder, **CPU).score_batch([(PROMPT, ANSWERS[0])])
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("judge")]
    assert line.endswith("pads with <eos>, which ends its texts: the token before is read, as by transformers")


def test_responses_to_one_prompt_share_it(tmp_path: Path) -> None:
    """A ranking's three responses in one packed row: the prompt's 5 tokens (<bos> <user> w7 w8 w9 <eos> <assistant>
    less the response's own) are computed once, and the scores are those of single texts."""
    model = open_scoring_model(save(tmp_path, num_labels=1), **CPU)
    row = {"prompt": PROMPT, "responses": list(ANSWERS)}
    from judge.jobs.reward_rows import records_of
    from judge.rewards.inference.judgements import Rule

    ((scored,),) = list(model.score_records(records_of([row], process=False), rule=Rule()))
    # <bos> <user> w7 w8 w9 <eos> <assistant>: 7 tokens that all three begin with, two of three times not computed.
    # Two of the answers also begin with w10, but the third does not.
    assert scored.shared == 2 * 7
    for value, answer in zip(scored.numbers["scores"], ANSWERS, strict=True):
        assert value == pytest.approx(by_transformers(tmp_path, PROMPT, answer)[0], abs=1e-4)


@pytest.mark.parametrize("types", [True, False], ids=["with token types", "without"])
def test_an_encoder_reads_prompt_and_response_as_a_pair(types: bool, tmp_path: Path) -> None:
    name = "Bert" if types else "DistilBert"
    more = {} if types else {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4}
    folder = save(tmp_path, name, num_labels=1, words_of=bert_tokenizer(), **more)
    if not types:
        saved = json.loads((folder / "tokenizer_config.json").read_text())
        saved["model_input_names"] = ["input_ids", "attention_mask"]
        (folder / "tokenizer_config.json").write_text(json.dumps(saved))
    rewards = judge.open_reward(folder, **CPU).score_batch([(PROMPT, answer) for answer in ANSWERS])
    for (reward,), answer in zip(rewards, ANSWERS, strict=True):
        assert reward.value == pytest.approx(by_transformers(folder, PROMPT, answer)[0], abs=1e-4)


def test_an_encoders_prompt_is_cut_on_its_left(tmp_path: Path) -> None:
    """64 places: [CLS], 58 of the prompt's 70 words, [SEP], 3 of the response, [SEP]."""
    folder = save(tmp_path, "Bert", num_labels=1, words_of=bert_tokenizer())
    model = judge.open_reward(folder, **CPU)
    long = words(*(10 + number % 40 for number in range(70)))
    kept = " ".join(long.split()[-58:])
    ((reward,),) = model.score_batch([(long, ANSWERS[1])])
    assert reward.value == pytest.approx(by_transformers(folder, kept, ANSWERS[1])[0], abs=1e-4)
    ((unread,),) = model.score_batch([(PROMPT, words(*([10] * 70)))])
    assert unread.value is None and "longer than max_length" in unread.reason
    # What looks like a separator in the data is text, never [SEP].
    ((marked,),) = model.score_batch([("w7[SEP]w9", "w10")])
    # "w7", "[", "SEP]" and "w9" are encoded apart; two of them are no words of the vocabulary.
    assert marked.value == pytest.approx(by_transformers(folder, "w7 ? ? w9", "w10")[0], abs=1e-4)


LABELS = {0: "help", 1: "truth", 2: "brevity"}


def multi(folder: Path, **config: Any) -> Path:
    return save(folder, num_labels=3, id2label=LABELS, **config)


def test_several_outputs_make_one_reward_by_a_stated_rule(tmp_path: Path) -> None:
    folder = multi(tmp_path, problem_type="regression")
    logits = by_transformers(folder, PROMPT, ANSWERS[1])
    ((mean,),) = judge.open_reward(folder, **CPU).score_batch([(PROMPT, ANSWERS[1])])
    assert mean.objectives == pytest.approx(dict(zip(LABELS.values(), logits, strict=True)), abs=1e-4)
    assert mean.value == pytest.approx(sum(logits) / 3, abs=1e-4)
    ((one,),) = judge.open_reward(folder, objective="truth", **CPU).score_batch([(PROMPT, ANSWERS[1])])
    assert one.value == pytest.approx(logits[1], abs=1e-4)
    weights = ["help=2", "brevity=-1"]
    ((both,),) = judge.open_reward(folder, objective=weights, **CPU).score_batch([(PROMPT, ANSWERS[1])])
    assert both.value == pytest.approx((2 * logits[0] - logits[2]) / 3, abs=1e-4)


def test_a_model_that_is_open_scores_data(tmp_path: Path) -> None:
    folder = multi(tmp_path / "model", problem_type="regression")
    model = judge.open_reward(folder, objective="truth", **CPU)
    row = {"prompt": PROMPT, "first": ANSWERS[0], "second": ANSWERS[1]}
    assert isinstance(model, PublishedRewardModel)
    run = judge.score(model, [row], out=tmp_path / "run", progress=False)
    (scored,) = run.rows()
    wanted = [by_transformers(folder, PROMPT, answer)[1] for answer in ANSWERS[:2]]
    assert scored["meta"]["reward"]["scores"] == pytest.approx(wanted, abs=1e-4)
    assert run.config["model"]["objectives"] == [["help", 0.0], ["truth", 1.0], ["brevity", 0.0]]
    with pytest.raises(ConfigError, match="was opened with settings of its own"):
        judge.score(model, [row], out=tmp_path / "other", chat_template="plain")


def test_an_encoders_outputs_are_weighted_by_the_same_rule(tmp_path: Path) -> None:
    folder = save(tmp_path, "Bert", num_labels=3, id2label=LABELS, words_of=bert_tokenizer())
    logits = by_transformers(folder, PROMPT, ANSWERS[1])
    ((both,),) = judge.open_reward(folder, objective={"help": 2, "brevity": -1}, **CPU).score_batch(
        [(PROMPT, ANSWERS[1])]
    )
    assert both.value == pytest.approx((2 * logits[0] - logits[2]) / 3, abs=1e-4)


def test_classes_of_one_softmax_need_a_word(tmp_path: Path) -> None:
    folder = multi(tmp_path, problem_type="single_label_classification")
    with pytest.raises(ConfigError, match=r"3 classes.*--objective brevity.*classes: help, truth, brevity"):
        judge.open_reward(folder)
    with pytest.raises(UnknownNameError, match="did you mean 'truth'"):
        judge.open_reward(folder, objective="thruth")
    with pytest.raises(ConfigError, match="the weight is no number"):
        judge.open_reward(folder, objective="truth=much")
    assert isinstance(judge.open_reward(folder, objective="truth"), PublishedRewardModel)


# -- texts as their makers write them ---------------------------------------------------------------------------------


def test_begin_of_text_stands_there_once(tmp_path: Path) -> None:
    """The template writes <bos>, and the tokenizer would add one: RewardBench and apply_chat_template give one."""
    double = tokenizer(bos=True)
    folder = save(tmp_path, num_labels=1, words_of=double)
    ((reward,),) = judge.open_reward(folder, **CPU).score_batch([(PROMPT, ANSWERS[0])])
    assert reward.value == pytest.approx(by_transformers(folder, PROMPT, ANSWERS[0])[0], abs=1e-4)


def test_a_decoder_without_a_chat_template_needs_one(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", num_labels=1, words_of=tokenizer(chat=False))
    with pytest.raises(ConfigError, match=r"no chat template.*--chat-template FILE"):
        judge.open_reward(folder, **CPU).score_batch([(PROMPT, ANSWERS[0])])
    from transformers import AutoModelForSequenceClassification

    # plain, as TRL's trainer writes plain texts: prompt, response, end-of-text; w7 w8 w9 and then <eos> w10 apart.
    ids = [7, 8, 9, 10, 1]
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = float(model(torch.tensor([ids])).logits[0, 0])
    plain = judge.open_reward(folder, chat_template="plain", **CPU)
    ((reward,),) = plain.score_batch([(PROMPT + " ", ANSWERS[0] + " ")])
    assert reward.value == pytest.approx(wanted, abs=1e-4)
    (tmp_path / "t.jinja").write_text("{% for m in messages %}{{ m['content'] }} <eos>{% endfor %}")
    with torch.no_grad():
        wanted = float(model(torch.tensor([[7, 8, 9, 1, 10, 1]])).logits[0, 0])
    ((other,),) = judge.open_reward(folder, chat_template=tmp_path / "t.jinja", **CPU).score_batch(
        [(PROMPT, ANSWERS[0])]
    )
    assert other.value == pytest.approx(wanted, abs=1e-4)


# -- heads of their makers --------------------------------------------------------------------------------------------


def headed(folder: Path, architecture: str, head: dict[str, torch.Tensor], **config: Any) -> Path:
    """A plain Llama with further tensors under a class that transformers does not know."""
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    LlamaModel(LlamaConfig(**SMALL)).save_pretrained(folder)
    weights = {f"model.{key}": value for key, value in load_file(folder / "model.safetensors").items()}
    save_file(weights | head, folder / "model.safetensors", metadata={"format": "pt"})
    saved = json.loads((folder / "config.json").read_text())
    saved |= {"architectures": [architecture], "auto_map": {"AutoModel": "theirs.Model"}} | config
    (folder / "config.json").write_text(json.dumps(saved))
    tokenizer().save_pretrained(folder)
    return folder


def state(folder: Path, prompt: str, answer: str) -> torch.Tensor:
    """The last state of a text, by transformers."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaModel

    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    ids = AutoTokenizer.from_pretrained(folder).apply_chat_template(turns, tokenize=True)["input_ids"]
    weights = load_file(folder / "model.safetensors")
    model = LlamaModel(LlamaConfig(**SMALL))
    model.load_state_dict({key[6:]: value for key, value in weights.items() if key.startswith("model.")})
    with torch.no_grad():
        hidden: torch.Tensor = model.eval()(torch.tensor([ids])).last_hidden_state[0, -1]
    return hidden


def test_heads_of_their_makers_are_read_without_their_code(tmp_path: Path) -> None:
    torch.manual_seed(1)
    weight = torch.randn(1, 32)
    ultra = headed(tmp_path / "ultra", "LlamaRewardModel", {"regression_head.weight": weight})
    ((reward,),) = judge.open_reward(ultra, **CPU).score_batch([(PROMPT, ANSWERS[1])])
    assert reward.value == pytest.approx(float(weight @ state(ultra, PROMPT, ANSWERS[1])), abs=1e-4)
    bias = torch.tensor([0.5])
    cost = {"score_head.weight": weight, "score_head.bias": bias}
    beaver = headed(
        tmp_path / "beaver", "LlamaForScore", cost, score_type="cost", do_normalize=True, mean=[3.0], var=[4.0]
    )
    ((reward,),) = judge.open_reward(beaver, **CPU).score_batch([(PROMPT, ANSWERS[1])])
    raw = float(weight @ state(beaver, PROMPT, ANSWERS[1])) + 0.5
    assert reward.value == pytest.approx(-raw / 2, abs=1e-4)  # a cost is scaled by its deviation, 2, and is no reward
    first, second = torch.randn(8, 32), torch.randn(1, 8)
    mlp = {"v_head.summary.0.weight": first, "v_head.summary.0.bias": torch.ones(8), "v_head.summary.2.weight": second}
    grm = headed(tmp_path / "grm", "LlamaForCausalLM", mlp, vhead_layer_type="mlp")
    ((reward,),) = judge.open_reward(grm, **CPU).score_batch([(PROMPT, ANSWERS[1])])
    wanted = float(second @ (first @ state(grm, PROMPT, ANSWERS[1]) + 1).relu())
    assert reward.value == pytest.approx(wanted, abs=1e-4)


def test_process_models_are_recognised_where_that_is_certain(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForTokenClassification

    LlamaForTokenClassification(LlamaConfig(**SMALL, num_labels=2)).save_pretrained(tmp_path / "trl")
    tokenizer().save_pretrained(tmp_path / "trl")
    model = open_scoring_model(tmp_path / "trl", **CPU)
    assert isinstance(model, PublishedRewardModel)
    assert (model.kind, model.published.convention) == ("process", "trl")
    (rewards,) = model.score_batch([{"prompt": PROMPT, "steps": ["w10 w11", "w12"]}])
    assert len(rewards[0].steps) == 2
    by_class = headed(tmp_path / "qwen", "Qwen2ForProcessRewardModel", {})
    assert PublishedRewardModel(by_class).published.convention == "qwen"


# -- the hub ----------------------------------------------------------------------------------------------------------


def in_cache(cache: Path, name: str, made: Callable[[Path], Path]) -> Path:
    """A model in a cache as the hub's client lays it out."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    return made(folder / "snapshots" / commit)


def test_a_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = in_cache(tmp_path, "someone/reward-1b", lambda to: save(to, num_labels=1))
    for name in ("someone/reward-1b", "hf://someone/reward-1b", "someone/reward-1b@main"):
        model = judge.open_reward(name, **CPU)
        assert model.name == name
        ((reward,),) = model.score_batch([(PROMPT, ANSWERS[0])])
        assert reward.value == pytest.approx(by_transformers(folder, PROMPT, ANSWERS[0])[0], abs=1e-4)
    with pytest.raises(InputError, match="nobody/nothing: no such directory, nor is it in the hub's cache"):
        judge.open_reward("nobody/nothing")


def test_a_convention_by_the_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    in_cache(tmp_path, "RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", lambda to: causal(to))
    model = judge.open_reward("RLHFlow/Llama3.1-8B-PRM-Deepseek-Data")
    assert isinstance(model, PublishedRewardModel) and model.published.convention == "rlhflow"


# -- what goes wrong --------------------------------------------------------------------------------------------------


def causal(folder: Path) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    LlamaForCausalLM(LlamaConfig(**SMALL)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def changed(folder: Path, **config: Any) -> None:
    saved = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(saved | config))


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def without_head(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("score.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        (lambda f: (f / "config.json").write_text("{"), InputError, "config.json: cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), InputError, "no model's config"),
        (lambda f: (f / "config.json").unlink(), InputError, "neither reward.json nor config.json"),
        (cut_off, InputError, "model.safetensors: cut off: it has "),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), InputError, "cut off|header cannot be read"),
        (lambda f: (f / "model.safetensors").unlink(), InputError, "it has no weights"),
        (pickled, InputError, r"a pickle \(pytorch_model.bin\), which can run any code"),
        (without_head, EngineError, "lack score.weight"),
        (lambda f: (f / "tokenizer.json").write_text("{"), EngineError, "its tokenizer cannot be loaded"),
        (lambda f: changed(f, model_type="lama"), EngineError, "cannot be loaded as a reward model.*lama"),
        (lambda f: changed(f, hidden_size=48), EngineError, "cannot be loaded as a reward model"),
        (
            lambda f: changed(f, architectures=["TheirsForScores"], auto_map={"AutoModel": "theirs.Scores"}),
            ConfigError,
            "TheirsForScores is code that lies in the directory.*--trust-remote-code",
        ),
        (
            lambda f: (shutil.rmtree(f), causal(f)),
            ConfigError,
            r"a language model \(LlamaForCausalLM\), which gives no rewards.*--judge hf:",
        ),
    ],
    ids=[
        *["broken config", "config of nothing", "no config", "cut off", "no header", "no weights", "pickle"],
        *["no head", "tokenizer", "model type", "other shapes", "remote code", "language model"],
    ],
)
def test_a_harmed_directory_is_one_line(
    harm: Callable[[Path], Any], error: type[RmjudgeError], message: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", num_labels=1)
    harm(folder)
    with pytest.raises(error, match=message) as raised:
        judge.open_reward(folder, **CPU).score_batch([(PROMPT, ANSWERS[0])])
    assert "\n" not in str(raised.value)


def test_ours_has_no_settings_of_others(tmp_path: Path) -> None:
    (tmp_path / "reward.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"objective: .* is a model of rmjudge"):
        judge.open_reward(tmp_path, objective="truth")
    with pytest.raises(UnknownNameError, match="did you mean 'objective'"):
        judge.open_reward(tmp_path, objectives="truth")


def test_code_of_a_directory_runs_only_when_asked(tmp_path: Path) -> None:
    """A class that doubles the score of transformers' own, in a file beside the weights."""
    folder = save(tmp_path / "model", num_labels=1)
    single = by_transformers(folder, PROMPT, ANSWERS[0])[0]
    (folder / "theirs.py").write_text(
        "from transformers import LlamaForSequenceClassification\n\n"
        "class Doubled(LlamaForSequenceClassification):\n"
        "    def forward(self, *args, **more):\n"
        "        out = super().forward(*args, **more)\n"
        "        out.logits = 2 * out.logits\n"
        "        return out\n"
    )
    code = {"AutoModelForSequenceClassification": "theirs.Doubled"}
    changed(folder, architectures=["Doubled"], auto_map=code)
    with pytest.raises(ConfigError, match="--trust-remote-code"):
        judge.open_reward(folder)
    ((reward,),) = judge.open_reward(folder, trust_remote_code=True, **CPU).score_batch([(PROMPT, ANSWERS[0])])
    assert reward.value == pytest.approx(2 * single, abs=1e-4)
