"""`rmjudge label` beside the same requests handed straight to vLLM's LLM.generate, in one process on one model.

    python benchmarks/throughput.py --judge tiny --data pairs.jsonl --task preference --prompt preference/brief

Both go through one loaded vLLM, turn about, with its prefix cache emptied before each go. A warm-up go of `label` notes
the requests that reach vLLM; the straight goes hand exactly these, as text, to LLM.generate in a single call. `label`
does everything a user's run does: reading, prompts, both orders, verdicts, the run directory with its fsyncs.

Programs that ask again after an answer (critique, then the verdict's probabilities) reach vLLM in waves in the straight
goes: a second call for what the first one's answers led to.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import judge
from judge.engines.vllm import VllmEngine
from judge.formats import to_row


class Recorder:
    """Notes what reaches vLLM while it listens. Requests that begin after the first answers are the second wave."""

    def __init__(self, engine: Any) -> None:
        self._add, self._step = engine.add_request, engine.step
        self._answered: set[str] = set()
        self.waves: list[list[tuple[list[int], Any]]] = [[], []]
        engine.add_request = self.add_request

    def add_request(self, request_id: str, prompt: Any, params: Any, **more: Any) -> Any:
        wave = 1 if params.max_tokens == 1 and self.waves[0] and self.waves[0][0][1].max_tokens > 1 else 0
        self.waves[wave].append((prompt["prompt_token_ids"], params.clone()))
        return self._add(request_id, prompt, params, **more)

    def stop(self, engine: Any) -> None:
        engine.add_request = self._add


def main() -> None:
    """Read the options, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="tiny", help="tiny or vllm:MODEL")
    parser.add_argument("--data", help="a data file; without one, pairs or solutions of the embedded judge's field")
    parser.add_argument("--task", default="preference")
    parser.add_argument("--prompt", default="")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-process", choices=("yes", "no"), help="run the model in this process or its own")
    asked = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        data = asked.data or _sample(Path(folder), asked.task, asked.rows)
        settings = {} if asked.in_process is None else {"in_process": asked.in_process == "yes"}
        engine = judge.load_engine(asked.judge, **settings)
        assert isinstance(engine, VllmEngine)
        label = partial(
            judge.label,
            data,
            task=asked.task,
            judges=engine,
            prompt=asked.prompt,
            limit=asked.rows,
            progress=False,
        )
        print(json.dumps(measure(engine, label, Path(folder), asked.rounds), indent=2))


def measure(engine: VllmEngine, label: Callable[..., judge.Run], folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds of each go and the ratios of the medians, straight / label: by the clock, and in CPU time."""
    arguments = engine.arguments()
    from vllm import LLM

    llm = LLM(**arguments)
    engine.attach(llm.llm_engine)
    recorder = Recorder(llm.llm_engine)
    _label(label, folder / "run0")
    recorder.stop(llm.llm_engine)
    waves = [
        ([llm.get_tokenizer().decode(ids) for ids, _ in wave], [params for _, params in wave])
        for wave in recorder.waves
        if wave
    ]
    ours, straight = [], []  # (seconds, CPU seconds)
    for number in range(rounds):
        llm.reset_prefix_cache()
        ours.append(_label(label, folder / f"run{number + 1}"))
        llm.reset_prefix_cache()
        clock = _Clock()
        for prompts, params in waves:
            llm.generate(prompts, params, use_tqdm=False, tokenization_kwargs={"add_special_tokens": False})
        straight.append(clock.read())
    return {
        "requests": sum(len(prompts) for prompts, _ in waves),
        "label_seconds": [go.wall for go in ours],
        "straight_seconds": [go.wall for go in straight],
        "throughput_ratio": round(median(go.wall for go in straight) / median(go.wall for go in ours), 3),
        "cpu_ratio": round(median(go.cpu for go in straight) / median(go.cpu for go in ours), 3),
    }


class Seconds(NamedTuple):
    """What a go took. cpu: of this process's threads, which other processes' load does not lengthen."""

    wall: float
    cpu: float


class _Clock:
    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Seconds:
        return Seconds(round(time.perf_counter() - self._wall, 3), round(time.process_time() - self._cpu, 3))


def _label(label: Callable[..., judge.Run], out: Path) -> Seconds:
    clock = _Clock()
    label(out=out)
    return clock.read()


def _sample(folder: Path, task: str, rows: int) -> str:
    from judge.tiny.samples import pairs, solutions

    records = pairs(rows, seed=1) if task == "preference" else solutions(rows, seed=1)
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(to_row(record)) + "\n" for record in records), encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    main()
