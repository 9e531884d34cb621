"""SmolLM2 in workers on a Ray cluster that the command starts by itself: the rows are those of one machine."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import Cli

pytestmark = [pytest.mark.real, pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")]

ROWS = [
    {"prompt": f"What is {n} + {n}?", "first": f"{n} + {n} is {2 * n}.", "second": f"It is {2 * n + 1}."}
    for n in range(12)
]


@pytest.mark.parametrize("engine", [pytest.param("vllm", marks=pytest.mark.vllm), "hf"])
def test_verdicts_are_those_of_one_machine(smollm2: Path, cli: Cli, tmp_path: Path, engine: str) -> None:
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    spec = f"{engine}:{smollm2}?dtype=float32" + ("&max_model_len=2048" if engine == "vllm" else "")
    command = ["label", "pairs.jsonl", "--task=preference", f"--judge={spec}", "--prompt=preference/verdict", "--quiet"]
    judged = {}
    for out, more in {"here": (), "ray": ("--runner=ray", "--workers=1", "--window=4")}.items():
        ran = cli(*command, f"--out={out}", *more, timeout=600)
        assert (ran.rc, ran.stderr) == (0, "")
        rows = map(json.loads, (tmp_path / out / "labels.jsonl").read_text().splitlines())
        judged[out] = {row["id"]: row["judgement"] for row in rows}
    assert len(judged["ray"]) == len(ROWS) and judged["ray"].keys() == judged["here"].keys()
    for content_id, judgement in judged["here"].items():
        other = judged["ray"][content_id]
        assert other["verdict"] == judgement["verdict"]
        assert other["p_first"] == pytest.approx(judgement["p_first"], abs=1e-4)
