"""A rubric of eight criteria in one run, beside eight runs of one criterion each, on one loaded vLLM.

    python benchmarks/checklist.py --judge vllm:Qwen/Qwen3-8B --data answers.jsonl --rows 200
    python benchmarks/checklist.py --judge vllm:build/real/SmolLM2-135M-Instruct

Before each run the prefix cache is emptied, and loading the model counts for neither side. `computed_share` is what the
manifest of the one run says: prompt tokens that were computed of those that were sent. Without --data the responses are
those of HH-RLHF's harmless dialogues, from RMJUDGE_DATA or shared/data.
"""

import argparse
import json
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from reward_real import FILES, data_folder

import judge
from judge.engines.vllm import VllmEngine
from judge.formats import read_records, to_row
from judge.records import Pair, Response

WANTED = {"computed_share": 0.3, "speedup": 3.0}
CRITERIA = (
    "The response answers the question that was asked.",
    "The response is polite.",
    "The response advises to do something that is against the law.",
    "The response says where its knowledge ends.",
    "The response insults a person or a group.",
    "The response asks the person a question.",
    "The response gives an example.",
    "The response repeats itself.",
)


def main() -> None:
    """Read the options, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="vllm:build/real/SmolLM2-135M-Instruct")
    parser.add_argument("--data", help="a file of responses; without one, HH-RLHF's")
    parser.add_argument("--rows", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = asked.data or sample(Path(folder), asked.rows)
        print(json.dumps(measure(data, asked.judge, Path(folder), asked.rows), indent=2))


def measure(data: str, spec: str, folder: Path, rows: int) -> dict[str, Any]:
    """Seconds and tokens of the one run and of the separate ones."""
    engine = judge.load_engine(spec)
    assert isinstance(engine, VllmEngine)

    def attempt(name: str, criteria: tuple[str, ...], limit: int = rows) -> dict[str, Any]:
        """One run with an empty prefix cache on a model that is loaded; its manifest."""
        engine.engine.reset_prefix_cache()
        began = time.perf_counter()
        run = judge.label(
            data, task="checklist", judges=engine, rubric=criteria, out=folder / name, limit=limit, progress=False
        )
        return {**run.manifest, "seconds": round(time.perf_counter() - began, 3)}

    attempt("warm", CRITERIA, limit=2)
    whole = attempt("whole", CRITERIA)
    alone = [attempt(f"criterion-{number}", (criterion,)) for number, criterion in enumerate(CRITERIA)]
    engine.close()
    seconds = sum(run["seconds"] for run in alone)
    share = whole["tokens"]["computed"] / whole["tokens"]["prompt"]
    return {
        "rows": whole["counts"]["rows"],
        "criteria": len(CRITERIA),
        "verdicts": whole["counts"]["verdicts"],
        "prompt_tokens": whole["tokens"]["prompt"],
        "computed_share": round(share, 3),
        "seconds": {"one run": whole["seconds"], "eight runs": round(seconds, 3)},
        "rows_per_second": round(whole["counts"]["rows"] / whole["seconds"], 2),
        "speedup": round(seconds / whole["seconds"], 2),
        "wanted": WANTED,
    }


def sample(folder: Path, rows: int) -> str:
    """A file of responses that people chose."""
    records = (record for _, record in read_records(data_folder() / FILES["hh"]) if isinstance(record, Pair))
    path = folder / "responses.jsonl"
    with path.open("w") as file:
        for pair in islice(records, rows):
            file.write(json.dumps(to_row(Response(prompt=pair.prompt, response=pair.first))) + "\n")
    return str(path)


if __name__ == "__main__":
    main()
