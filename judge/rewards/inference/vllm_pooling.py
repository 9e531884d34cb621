"""Scores by vLLM's pooling runner, in a process of its own.

One process can hold several engines of vLLM only while none of them is shut down, and a check must not take another
one's engine with it. `python -m judge.rewards.inference.vllm_pooling` is that process: it loads a model and then
answers requests, a line of JSON each on its standard input and output; what it says besides is shown only when it
fails.
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

from judge.errors import EngineError, MissingExtraError

QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
    "GLOO_LOG_LEVEL": "ERROR",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "PYTHONWARNINGS": "ignore",
}
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
Outputs = list[list[list[float]]]


class VllmPooling:
    """A model held by vLLM; a context manager, whose process ends with it.

    Args:
        folder: the model directory.
        max_length: tokens of the longest text.
        dtype: of the weights.
        sequences: texts computed at once.

    Raises:
        MissingExtraError: where vLLM is not installed.
    """

    def __init__(self, folder: Path, *, max_length: int, dtype: str = "float32", sequences: int = 8) -> None:
        if find_spec("vllm") is None:
            raise MissingExtraError("the engine vllm is not installed: pip install 'rmjudge[vllm]'")
        self.folder = folder
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "judge.rewards.inference.vllm_pooling"],
            env={**QUIET, **os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )
        self._settings = {"model": str(folder), "max_length": max_length, "dtype": dtype, "sequences": sequences}
        self._loaded = False

    def scores(self, ids: Sequence[Sequence[int]], task: str) -> Outputs:
        """Raw outputs of each text.

        Args:
            ids: tokens of each text.
            task: `classify` (one row a text) or `token_classify` (one a token).

        Returns:
            Of each text rows of C numbers.

        Raises:
            EngineError: when it cannot load or score.
        """
        if not self._loaded:
            self._ask(self._settings)
            self._loaded = True
        outputs: Outputs = self._ask({"ids": [list(text) for text in ids], "task": task})
        return outputs

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> "VllmPooling":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise EngineError(f"vllm could not score '{self.folder}': {self._last_words()}")
        return json.loads(line)

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return lines[-1] if lines else "no output"


def vllm_scores(folder: Path, ids: Sequence[Sequence[int]], task: str, dtype: str = "float32") -> Outputs:
    """Raw outputs of each text by a model that is loaded for them alone, see `VllmPooling.scores`.

    Args:
        folder: the model directory.
        ids: tokens of each text.
        task: `classify` or `token_classify`.
        dtype: of the weights.

    Raises:
        ImportError: where vLLM is not installed.
        EngineError: when it cannot load or score.
    """
    if find_spec("vllm") is None:
        raise ModuleNotFoundError("vllm", name="vllm")
    with VllmPooling(folder, max_length=max(map(len, ids)) + 16, dtype=dtype) as engine:
        return engine.scores(ids, task)


# -- the process ------------------------------------------------------------------------------------------------------


def serve() -> None:
    """What the process does: load the model that the first line names, then score the texts of each further line."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # vLLM's own words go to the log
    engine = load(json.loads(sys.stdin.readline()))
    print(json.dumps("loaded"), file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(engine, json.loads(line))), file=replies, flush=True)


def load(settings: Any) -> Any:
    """vLLM's engine for pooling."""
    import torch

    if not torch.cuda.is_available():
        for name, value in ON_CPU.items():
            os.environ.setdefault(name, value)
    from vllm import LLM

    return LLM(
        model=settings["model"],
        runner="pooling",
        dtype=settings["dtype"],
        enforce_eager=True,
        max_model_len=settings["max_length"],
        max_num_seqs=settings["sequences"],
        disable_log_stats=True,
        use_tqdm_on_load=False,
    )


def answer(engine: Any, request: Any) -> Outputs:
    """The outputs of a request's texts."""
    from vllm import PoolingParams

    prompts = [{"prompt_token_ids": ids} for ids in request["ids"]]
    params = PoolingParams(use_activation=False)
    outputs = engine.encode(prompts, pooling_task=request["task"], pooling_params=params, use_tqdm=False)
    rows = [output.outputs.data.float().cpu() for output in outputs]
    return [row.reshape(1, -1).tolist() if row.dim() == 1 else row.tolist() for row in rows]


if __name__ == "__main__":
    serve()
