"""A constitution of eight principles in one run, beside eight runs of one principle each, on one loaded vLLM.

    python benchmarks/constitution.py --judge vllm:Qwen/Qwen3-8B --data pairs.jsonl --rows 200

Before each run the prefix cache is emptied, and loading the model counts for neither side. `computed_share` is what the
manifest of the one run says: prompt tokens that were computed of those that were sent. The embedded judge, which is
taken where no other is named, has not learnt to judge under principles: its verdicts mean nothing, its tokens count.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import judge
from judge.engines.vllm import VllmEngine
from judge.formats import to_row

WANTED = {"computed_share": 0.45, "speedup": 2.0}


def main() -> None:
    """Read the options, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="tiny:vllm", help="tiny:vllm or vllm:MODEL")
    parser.add_argument("--data", help="a file of pairs; without one, pairs of the embedded judge's field")
    parser.add_argument("--constitution", default="helpful", help="one with eight principles")
    parser.add_argument("--prompt", default="preference/principle-verdict")
    parser.add_argument("--rows", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = asked.data or sample(Path(folder), asked.rows)
        options = {"task": "preference", "prompt": asked.prompt, "limit": asked.rows, "progress": False}
        print(json.dumps(measure(data, asked.judge, asked.constitution, Path(folder), options), indent=2))


def measure(data: str, spec: str, named: str, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Seconds and tokens of the one run and of the separate ones."""
    engine = judge.load_engine(spec)
    assert isinstance(engine, VllmEngine)
    constitution = judge.load_constitution(named)

    def attempt(name: str, constitution: str, **more: Any) -> dict[str, Any]:
        """One run with an empty prefix cache on a model that is loaded; its manifest."""
        engine.engine.reset_prefix_cache()
        started = time.perf_counter()
        run = judge.label(data, judges=engine, out=folder / name, constitution=constitution, **{**options, **more})
        return {**run.manifest, "seconds": round(time.perf_counter() - started, 3)}

    attempt("warm", named, limit=2)
    whole = attempt("whole", named)
    alone = []
    for principle in constitution.principles:
        file = folder / f"{principle.id}.yaml"
        texts = {"id": principle.id, "text": principle.text}
        file.write_text(json.dumps({"name": principle.id, "principles": [texts]}), encoding="utf-8")  # JSON is YAML
        alone.append(attempt(principle.id, str(file)))
    engine.close()
    tokens, apart = whole["tokens"], sum(run["seconds"] for run in alone)
    return {
        "benchmark": "constitution",
        "judge": spec,
        "rows": whole["counts"]["rows"],
        "principles": len(constitution.principles),
        "tokens": tokens,
        "computed_share": round(tokens["computed"] / tokens["prompt"], 3),
        "seconds": whole["seconds"],
        "seconds_apart": round(apart, 3),
        "computed_apart": sum(run["tokens"]["computed"] for run in alone),
        "speedup": round(apart / whole["seconds"], 2),
        "wanted": WANTED,
    }


def sample(folder: Path, rows: int) -> str:
    """A file of pairs."""
    from judge.tiny.samples import pairs

    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(to_row(pair)) + "\n" for pair in pairs(rows, seed=1)), encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    main()
