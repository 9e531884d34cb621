"""The same data judged by one model on vLLM and on transformers: how often the verdict is the same, how far apart p is.

python benchmarks/parity.py --model tiny --data pairs.jsonl --task preference --prompt preference/brief
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import judge
from judge.formats import to_row
from judge.records import Record

PROBABILITY = {"preference": "p_first", "outcome": "p_correct", "steps": "p_right"}


def main() -> None:
    """Read the options, judge twice, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="tiny, a model directory or a hub name")
    parser.add_argument("--data", help="a data file; without one, samples of the embedded judge's field")
    parser.add_argument("--task", default="preference", choices=PROBABILITY)
    parser.add_argument("--prompt", default="")
    parser.add_argument("--rows", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = asked.data or _sample(Path(folder), asked.task, asked.rows)
        runs = {}
        for kind in ("vllm", "hf"):
            run = judge.label(
                data,
                task=asked.task,
                judges=f"tiny:{kind}" if asked.model == "tiny" else f"{kind}:{asked.model}",
                out=Path(folder) / kind,
                prompt=asked.prompt,
                limit=asked.rows,
                progress=False,
            )
            runs[kind] = judged(run)
    print(json.dumps(compare(runs["vllm"], runs["hf"], asked.task), indent=2))


def judged(run: judge.Run) -> dict[str, Mapping[str, Any]]:
    """Record id -> judgement row, those that could not be read included."""
    rows = {row["id"]: row["judgement"] for row in run.rows()}
    failed = {failure.record.id: judge.judgement_to_row(failure.judgement) for failure in run.failures()}
    return rows | failed


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Share of rows with equal verdicts, and the differences of the probabilities that both gave."""
    same = [ours[key].get("verdict") == theirs[key].get("verdict") for key in ours]
    apart = [
        abs(p - q)
        for key in ours
        for p, q in zip(_probabilities(ours[key], task), _probabilities(theirs[key], task), strict=False)
        if p is not None and q is not None
    ]
    return {
        "rows": len(same),
        "same_verdict": round(sum(same) / len(same), 4),
        "probabilities": len(apart),
        "median_difference": round(median(apart), 6) if apart else None,
        "largest_difference": round(max(apart), 6) if apart else None,
    }


def _probabilities(judgement: Mapping[str, Any], task: str) -> Iterator[float | None]:
    value = judgement.get(PROBABILITY[task])
    yield from value if isinstance(value, list) else [value]


def _sample(folder: Path, task: str, rows: int) -> str:
    from judge.tiny.samples import pairs, responses, solutions

    makers: dict[str, Callable[..., Iterable[Record]]] = {"preference": pairs, "outcome": responses, "steps": solutions}
    path = folder / "data.jsonl"
    path.write_text(
        "".join(json.dumps(to_row(record)) + "\n" for record in makers[task](rows, seed=1)), encoding="utf-8"
    )
    return str(path)


if __name__ == "__main__":
    main()
