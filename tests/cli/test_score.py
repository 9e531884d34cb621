"""`rmjudge score` and `rmjudge export MODEL`: a run like a judge's, and loaders that agree."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaModel

import judge
from judge.cli.main import main
from judge.rewards.checkpoint.save_load import save
from judge.rewards.config import RewardConfig
from judge.rewards.modeling.reward_model import build_reward_model

TINY = Path(judge.__file__).parent / "tiny" / "model"
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Saved models over one random causal backbone, each made once."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 0, "eos_token_id": 1}
    # Two heads of 32: vLLM's attention on a CPU knows no smaller ones.
    config = LlamaConfig(vocab_size=458, hidden_size=64, intermediate_size=64, bos_token_id=None, **heads)
    LlamaModel(config).save_pretrained(folder / "backbone")
    AutoTokenizer.from_pretrained(TINY).save_pretrained(folder / "backbone")

    def made(name: str, **given: Any) -> Path:
        if not (folder / name).exists():
            config = RewardConfig.of(backbone=str(folder / "backbone"), **{"max_length": 512, **given})
            tokenizer = AutoTokenizer.from_pretrained(folder / "backbone")
            model = build_reward_model(config, tokenizer).eval()
            torch.manual_seed(1)
            with torch.no_grad():
                for part, weight in model.named_parameters():
                    if ".lora_" in part or part.startswith("head."):
                        weight.normal_(std=0.1)
            save(model, tokenizer, config, None, [], folder / name)
        return folder / name

    return made


def turn(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [{"prompt": f"{n} + 1?", "first": f"{n + 1}", "second": f"{n}, I think"} for n in range(12)]
    return write(tmp_path / "pairs.jsonl", rows)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(*args: str | Path) -> int:
    return main([*map(str, args)])


def test_a_run_of_scores_is_read_like_a_judges(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "prompt": f"{n} + 1?",
            "first": f"{n + 1}",
            "second": f"{n}",
            "human": [{"annotator": "a", "verdict": "first"}],
        }
        for n in range(12)
    ]
    data = write(tmp_path / "pairs.jsonl", rows)
    assert run("score", make("scalar"), data, "--out", tmp_path / "run", "--quiet", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["task"], shown["rows"], shown["unreadable"]) == ("preference", 12, 0)
    assert shown["tokens"]["cached"] > 0  # prompts are computed once
    row = rows_of(tmp_path / "run" / "labels.jsonl")[0]
    assert row["judgement"]["task"] == "preference" and 0 < row["judgement"]["p_first"] < 1
    assert len(row["meta"]["reward"]["scores"]) == 2
    assert run("agree", tmp_path / "run", "--json", "--resamples", "10") in (0, 1)
    assert json.loads(capsys.readouterr().out)


def test_a_run_is_taken_up_again_and_another_one_refused(
    make: Make, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run("score", make("ensemble", kind="ensemble", members=3), pairs, "-o", out, "--limit", "5", "--quiet") == 0
    assert len(rows_of(out / "labels.jsonl")) == 5
    assert run("score", make("ensemble"), pairs, "-o", out, "--quiet", "--json") == 0
    whole = rows_of(out / "labels.jsonl")
    assert len(whole) == 12 and len({row["id"] for row in whole}) == 12
    before = (out / "labels.jsonl").read_bytes()
    capsys.readouterr()
    for changed in (["--lower", "1"], ["--dtype", "bfloat16"]):
        assert run("score", make("ensemble"), pairs, "-o", out, "--quiet", *changed) == 2
        assert "made by another configuration" in capsys.readouterr().err
    assert run("score", make("scalar"), pairs, "-o", out, "--quiet") == 2
    assert "model.kind: ensemble → scalar" in capsys.readouterr().err
    assert (out / "labels.jsonl").read_bytes() == before


def test_the_best_of_several_responses(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"prompt": f"{n % 3}?", "response": f"It is {n}" + "." * n} for n in range(9)]
    data = write(tmp_path / "responses.jsonl", rows)
    assert run("score", make("scalar"), data, "-o", tmp_path / "run", "--best-of", "--quiet") == 0
    assert "3 best responses" in capsys.readouterr().out
    scored = rows_of(tmp_path / "run" / "labels.jsonl")
    best = rows_of(tmp_path / "run" / "best.jsonl")
    assert [row["of"] for row in best] == [3, 3, 3]
    for row in best:
        own = [one for one in scored if one["prompt"] == row["prompt"]]
        top = max(own, key=lambda one: one["judgement"]["verdict"][""])
        assert row["completion"] == top["response"]
        assert row["reward"] == top["judgement"]["verdict"][""]


def test_steps_and_whole_solutions(make: Make, tmp_path: Path) -> None:
    rows = [{"prompt": f"{n} + 1 + 1?", "steps": [f"{n} + 1 = {n + 1}", f"so {n + 2}"]} for n in range(4)]
    data = write(tmp_path / "solutions.jsonl", rows)
    model = make("process", kind="process")
    assert run("score", model, data, "-o", tmp_path / "steps", "--quiet") == 0
    assert run("score", model, data, "-o", tmp_path / "whole", "--aggregate", "product", "--quiet") == 0
    steps = {row["id"]: row["judgement"]["p_right"] for row in rows_of(tmp_path / "steps" / "labels.jsonl")}
    for row in rows_of(tmp_path / "whole" / "labels.jsonl"):
        one, two = steps[row["id"]]
        assert row["judgement"]["p_correct"] == pytest.approx(one * two)


def test_someone_elses_process_model(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory without reward.json, read by TRL's convention; ours are written so that it fits them, too."""
    from shutil import copytree, ignore_patterns

    copytree(make("process", kind="process"), tmp_path / "theirs", ignore=ignore_patterns("reward.json"))
    rows = [{"prompt": f"{n} + 1 + 1?", "steps": [f"{n} + 1 = {n + 1}", f"so {n + 2}"]} for n in range(4)]
    data, out = write(tmp_path / "solutions.jsonl", rows), tmp_path / "run"
    assert run("score", tmp_path / "theirs", data, "-o", out, "--convention", "trl", "--quiet") == 0
    assert all(len(row["judgement"]["p_right"]) == 2 for row in rows_of(out / "labels.jsonl"))
    capsys.readouterr()
    assert run("score", tmp_path / "theirs", data, "-o", out, "--convention", "qwn") == 2
    assert "did you mean 'qwen'" in capsys.readouterr().err
    assert run("score", tmp_path / "nothing", data, "-o", out, "--convention", "trl") == 2
    assert "nothing: no such directory" in capsys.readouterr().err


def test_a_text_that_is_too_long_is_counted_as_unreadable(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": "1?", "first": "1", "second": "2"}, {"prompt": "1?", "first": "so " * 600, "second": "2"}]
    data = write(tmp_path / "pairs.jsonl", rows)
    assert run("score", make("scalar"), data, "-o", tmp_path / "run", "--quiet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["unreadable"] == 1
    failed = rows_of(tmp_path / "run" / "failures.jsonl")[0]["judgement"]
    assert failed["verdict"] is None and "longer than max_length" in failed["reason"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(model="nowhere"), "nowhere: no such directory"),
        (lambda a: a.update(model="."), "not a reward model (it has neither reward.json nor config.json)"),
        (lambda a: a.update(data="nothing.jsonl"), "nothing.jsonl: no such file"),
        (lambda a: a.update(extra=["--lower", "2"]), "a lower bound needs an uncertainty"),
        (lambda a: a.update(extra=["--aggregate", "min"]), "steps are aggregated of a process model"),
        (lambda a: a.update(data="mixed.jsonl"), "mixed.jsonl:2: a response, whose task is score"),
        (lambda a: a.update(out=None), "rmjudge score needs --out"),
    ],
    ids=["no model", "no model in it", "no data", "no members", "no steps", "two tasks", "no out"],
)
def test_mistakes_are_one_line(
    change: Callable[[dict[str, Any]], None],
    message: str,
    make: Make,
    pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mixed.jsonl", [{"prompt": "1?", "first": "1", "second": "2"}, {"prompt": "1?", "response": "1"}])
    given: dict[str, Any] = {"model": make("scalar"), "data": pairs, "out": "run", "extra": []}
    change(given)
    out = ["--out", given["out"]] if given["out"] else []
    args = ["score", given["model"], given["data"], *out, "--quiet", *given["extra"]]
    assert run(*args, *(["--format", "rmjudge"] if given["data"] == "mixed.jsonl" else [])) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not (tmp_path / "run").exists()


# -- export -----------------------------------------------------------------------------------------------------------

EXPORTED: dict[str, dict[str, Any]] = {
    "scalar": {},
    "process3": {"kind": "process", "classes": 3},
    "ensemble": {"kind": "ensemble", "members": 3},
    "lora": {"lora_rank": 4},
}


@pytest.mark.parametrize("name", EXPORTED)
def test_every_loader_gives_the_same_scores(name: str, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", make(name, **EXPORTED[name]), "--check", "--no-vllm", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    found = {one["loader"]: one["largest"] for one in shown["loaders"] if one["largest"] is not None}
    assert shown["passed"] and len(found) >= 7 and max(found.values()) < 1e-4
    assert any("padded left" in loader for loader in found) and any("padded right" in loader for loader in found)
    if name in ("scalar", "lora"):
        assert any("TRL" in loader for loader in found) and any("RewardBench" in loader for loader in found)
    if name == "lora":
        assert any("peft" in loader for loader in found)


@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.parametrize("name", ["ensemble", "process3"])
def test_vllm_gives_the_same_scores(name: str, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", make(name, **EXPORTED[name]), "--check", "--json") == 0
    found = {one["loader"]: one["largest"] for one in json.loads(capsys.readouterr().out)["loaders"]}
    largest = found["vLLM, token_classify" if name == "process3" else "vLLM, classify"]
    assert largest is not None and largest < 1e-4


def test_a_model_that_others_would_misread_is_found(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Padding that is the end of text: the classes of transformers then read another token than the last."""
    from shutil import copytree

    copytree(make("scalar"), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["pad_token_id"] = config["eos_token_id"]
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    assert run("export", tmp_path / "model", "--check", "--no-vllm") == 1
    assert "DIFFERENT" in capsys.readouterr().out


def test_an_adapter_is_written_merged(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", make("lora", lora_rank=4), "--out", tmp_path / "merged") == 0
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert run("export", make("lora"), "--out", tmp_path / "merged") == 2
    assert "holds a reward model already" in capsys.readouterr().err


def test_our_own_texts_can_be_given(make: Make, pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", make("scalar"), "--check", "--no-vllm", "--json", "--data", pairs) == 0
    assert "24 texts" in json.loads(capsys.readouterr().out)["loaders"][0]["note"]


def test_exporting_a_model_needs_to_know_what_for(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", make("scalar")) == 2
    assert "--check" in capsys.readouterr().err
    assert run("export", tmp_path, "--check") == 2
    assert "not a reward model" in capsys.readouterr().err
    assert run("export", tmp_path) == 2
    assert "rmjudge export needs --to, --out" in capsys.readouterr().err


def test_shaped_scores_stand_beside_those_before(make: Make, tmp_path: Path) -> None:
    rows = [
        {
            "prompt": "1 + 1?",
            "first": "2",
            "second": "2, as everybody knows",  # 21 characters, 11 beyond the target
            "human": [{"annotator": "a", "verdict": "first"}],
        }
    ]
    data, model = write(tmp_path / "pairs.jsonl", rows), make("scalar")
    assert run("score", model, data, "--out", tmp_path / "plain", "-q") == 0
    (plain,) = rows_of(tmp_path / "plain" / "labels.jsonl")
    first, second = plain["meta"]["reward"]["scores"]
    options = ["--truth-weight", "0.5", "--length-penalty", "0.1", "--length-target", "10", "--clip", "-100:100"]
    assert run("score", model, data, "--out", tmp_path / "shaped", "-q", *options) == 0
    (shaped,) = rows_of(tmp_path / "shaped" / "labels.jsonl")
    assert shaped["meta"]["reward"]["unshaped"] == [first, second]
    assert shaped["meta"]["reward"]["scores"] == pytest.approx([0.5 * first + 0.5, 0.5 * second - 1.1])
    assert shaped["judgement"] == plain["judgement"]
    manifest = json.loads((tmp_path / "shaped" / "manifest.json").read_text())
    assert manifest["config"]["rule"]["shaping"]["truth_weight"] == 0.5
    assert "shaping" not in json.loads((tmp_path / "plain" / "manifest.json").read_text())["config"]["rule"]


def test_a_clip_that_is_none_is_refused(
    make: Make, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("score", make("scalar"), pairs, "--out", tmp_path / "run", "--clip", "3") == 2
    assert "clip is '3' (accepted: LOW:HIGH, such as -3:3)" in capsys.readouterr().err
