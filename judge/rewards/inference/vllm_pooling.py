"""Scores by vLLM's pooling runner, in a process of its own.

One process can hold several engines of vLLM only while none of them is shut down, and a check must not take another
one's engine with it. `python -m judge.rewards.inference.vllm_pooling ASKED SAID` is that process: JSON in, JSON out,
its words shown only when it fails. This module refuses to know what the numbers mean.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from judge.errors import EngineError

QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
    "GLOO_LOG_LEVEL": "ERROR",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "PYTHONWARNINGS": "ignore",
}
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}


def vllm_scores(folder: Path, ids: Sequence[Sequence[int]], task: str) -> list[list[list[float]]]:
    """Raw outputs (rows of C) of each text's tokens by the task `classify` (one row) or `token_classify` (one a token).

    Raises ImportError where vLLM is not installed, EngineError when it cannot load or score.
    """
    if find_spec("vllm") is None:
        raise ModuleNotFoundError("vllm", name="vllm")
    with tempfile.TemporaryDirectory(prefix="rmjudge-vllm-") as name:
        asked, said = Path(name) / "asked.json", Path(name) / "said.json"
        asked.write_text(json.dumps({"model": str(folder), "ids": [list(one) for one in ids], "task": task}))
        given = {**QUIET, **os.environ}
        done = subprocess.run(
            [sys.executable, "-m", "judge.rewards.inference.vllm_pooling", str(asked), str(said)],
            env=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode or not said.is_file():
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise EngineError(f"vllm could not score '{folder}': {lines[-1] if lines else 'it said nothing'}")
        found: list[list[list[float]]] = json.loads(said.read_text())
        return found


def answer(asked: Any) -> list[list[list[float]]]:
    """What the process is for."""
    import torch

    if not torch.cuda.is_available():
        for name, value in ON_CPU.items():
            os.environ.setdefault(name, value)
    from vllm import LLM, PoolingParams

    engine = LLM(
        model=asked["model"],
        runner="pooling",
        dtype="float32",
        enforce_eager=True,
        max_model_len=max(map(len, asked["ids"])) + 16,
        max_num_seqs=8,
        disable_log_stats=True,
        use_tqdm_on_load=False,
    )
    prompts = [{"prompt_token_ids": ids} for ids in asked["ids"]]
    given = PoolingParams(use_activation=False)
    said = engine.encode(prompts, pooling_task=asked["task"], pooling_params=given, use_tqdm=False)
    rows = [one.outputs.data.float().cpu() for one in said]
    return [row.reshape(1, -1).tolist() if row.dim() == 1 else row.tolist() for row in rows]


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(answer(json.loads(Path(sys.argv[1]).read_text()))))
