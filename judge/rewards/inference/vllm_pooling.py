"""Scores by vLLM's pooling runner, in a process of its own.

One process can hold several engines of vLLM only while none of them is shut down, and a check must not take another
one's engine with it. `python -m judge.rewards.inference.vllm_pooling REQUEST REPLY` is that process: JSON in, JSON out,
its output shown only when it fails.
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


def vllm_scores(
    folder: Path, ids: Sequence[Sequence[int]], task: str, dtype: str = "float32"
) -> list[list[list[float]]]:
    """Raw outputs of each text.

    Args:
        folder: the model directory.
        ids: tokens of each text.
        task: `classify` (one row a text) or `token_classify` (one a token).
        dtype: of the weights.

    Returns:
        Of each text rows of C numbers.

    Raises:
        ImportError: where vLLM is not installed.
        EngineError: when it cannot load or score.
    """
    if find_spec("vllm") is None:
        raise ModuleNotFoundError("vllm", name="vllm")
    with tempfile.TemporaryDirectory(prefix="rmjudge-vllm-") as name:
        request, reply = Path(name) / "request.json", Path(name) / "reply.json"
        request.write_text(
            json.dumps({"model": str(folder), "ids": [list(text) for text in ids], "task": task, "dtype": dtype})
        )
        process = subprocess.run(
            [sys.executable, "-m", "judge.rewards.inference.vllm_pooling", str(request), str(reply)],
            env={**QUIET, **os.environ},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if process.returncode or not reply.is_file():
            lines = [line.strip() for line in process.stderr.splitlines() if line.strip()]
            raise EngineError(f"vllm could not score '{folder}': {lines[-1] if lines else 'no output'}")
        outputs: list[list[list[float]]] = json.loads(reply.read_text())
        return outputs


def serve(request: Any) -> list[list[list[float]]]:
    """What the process does: load the model and score every text of a request."""
    import torch

    if not torch.cuda.is_available():
        for name, value in ON_CPU.items():
            os.environ.setdefault(name, value)
    from vllm import LLM, PoolingParams

    engine = LLM(
        model=request["model"],
        runner="pooling",
        dtype=request["dtype"],
        enforce_eager=True,
        max_model_len=max(map(len, request["ids"])) + 16,
        max_num_seqs=8,
        disable_log_stats=True,
        use_tqdm_on_load=False,
    )
    prompts = [{"prompt_token_ids": ids} for ids in request["ids"]]
    params = PoolingParams(use_activation=False)
    outputs = engine.encode(prompts, pooling_task=request["task"], pooling_params=params, use_tqdm=False)
    rows = [output.outputs.data.float().cpu() for output in outputs]
    return [row.reshape(1, -1).tolist() if row.dim() == 1 else row.tolist() for row in rows]


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(serve(json.loads(Path(sys.argv[1]).read_text()))))
