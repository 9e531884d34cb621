"""Every kind of directory that `rmjudge distill` writes of a real language model, scored by every loader.

    python benchmarks/loader_parity.py                       SmolLM2 as `make real` makes it, in fp32
    python benchmarks/loader_parity.py --dtype bfloat16
    python benchmarks/loader_parity.py --only scalar-lora --no-vllm

Each model is trained for two steps (so that heads and adapters have moved), then `judge.export(..., check=True)` runs
on its directory; `scalar-merged` is the LoRA directory merged. Prints JSON: seconds, the number of loaders that ran,
the largest difference and its loader.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import judge

REAL = Path(__file__).resolve().parents[1] / "build" / "real" / "SmolLM2-135M-Instruct"
LORA = {"lora_rank": 8, "batch_size": 4}
FULL = {"lora_rank": 0, "batch_size": 4, "learning_rate": 1e-5}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "scalar-lora": ("scalar", LORA),
    "scalar-full": ("scalar", FULL),
    "ensemble-lora": ("ensemble", LORA),
    "process-lora": ("process", LORA),
    "multi-lora": ("multi", LORA),
}


def main() -> None:
    """Train, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", type=Path, default=REAL)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--no-vllm", action="store_true")
    asked = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in [asked.only] if asked.only else KINDS:
            model = trained(kind, asked.backbone, Path(name) / kind)
            results[kind] = checked(model, asked)
            print(json.dumps({kind: results[kind]}), flush=True)
        if not asked.only:
            merged = Path(name) / "merged"
            judge.load_reward_model(Path(name) / "scalar-lora").export(merged)
            print(json.dumps({"scalar-merged": checked(merged, asked)}), flush=True)


def trained(name: str, backbone: Path, out: Path) -> Path:
    """A model of two steps."""
    kind, settings = KINDS[name]
    judge.distill(
        rows(kind), kind=kind, backbone=str(backbone), out=out, settings={**settings, "max_length": 256}, progress=False
    )
    return out


def rows(kind: str) -> list[dict[str, Any]]:
    """Ten labelled rows that a kind learns from."""
    questions = [(f"What is {number} plus {number}?", number) for number in range(10)]
    if kind == "process":
        return [
            {
                "prompt": question,
                "completions": [f"Twice {number}.", f"It is {2 * number}."],
                "labels": [True, bool(number % 2)],
            }
            for question, number in questions
        ]
    if kind == "multi":
        return [
            {
                "kind": "response",
                "prompt": [{"role": "user", "content": question}],
                "response": [{"role": "assistant", "content": f"It is {2 * number}."}],
                "human": [
                    {"annotator": "a", "verdict": number % 5, "criterion": "helpful"},
                    {"annotator": "a", "verdict": (number + 2) % 5, "criterion": "brief"},
                ],
            }
            for question, number in questions
        ]
    return [
        {"prompt": question, "chosen": f"It is {2 * number}.", "rejected": "I do not know, ask someone else."}
        for question, number in questions
    ]


def checked(model: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """What the check of a directory came to."""
    began = time.perf_counter()
    result = judge.export(model, check=True, vllm=not asked.no_vllm, dtype=asked.dtype)
    assert isinstance(result, judge.ExportedModel)
    ran = [loader for loader in result.loaders if loader.largest is not None]
    worst = max(ran, key=lambda loader: loader.largest or 0.0)
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "loaders": len(ran),
        "passed": result.passed,
        "largest": worst.largest,
        "by": worst.loader,
        "not run": [f"{loader.loader}: {loader.note}" for loader in result.loaders if loader.largest is None],
    }


if __name__ == "__main__":
    main()
