"""SmolLM2-135M-Instruct as `make real` writes it: a plain directory that answers, and that judges rows."""

import json
from pathlib import Path

import pytest

from judge.cli.main import main

pytestmark = pytest.mark.real


def test_the_directory_is_plain_and_holds_bfloat16_weights(smollm2: Path) -> None:
    import torch
    from safetensors import safe_open

    config = json.loads((smollm2 / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "bfloat16"
    assert config["pad_token_id"] == config["eos_token_id"] == 2
    with safe_open(str(smollm2 / "model.safetensors"), "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.bfloat16}  # noqa: SIM118


def test_it_answers_a_question(smollm2: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    tokens = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    reply = tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert reply.startswith("The capital of France is Paris.")


def test_it_labels_rows(smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`preference/verdict` asks for a restricted choice alone, which any model can answer."""
    pairs = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": "What is the capital of France?", "first": "It is Paris.", "second": "It is a kind of cheese."},
        {"prompt": "What is 2 + 2?", "first": "Blue.", "second": "2 + 2 is 4."},
    ]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tmp_path / "run"
    command = [
        "label",
        str(pairs),
        "--task",
        "preference",
        "--judge",
        f"hf:{smollm2}",
        "--prompt",
        "preference/verdict",
    ]
    assert main([*command, "--out", str(run), "--quiet", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["rows"], counts["labelled"], counts["unreadable"]) == (2, 2, 0)
    judgements = [json.loads(line)["judgement"] for line in (run / "labels.jsonl").read_text().splitlines()]
    assert all(0 < judgement["p_first"] < 1 for judgement in judgements)
