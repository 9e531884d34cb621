"""`tiny`: the judge that lies in the package, by vLLM where it is installed (`tiny:hf`, `tiny:vllm` choose)."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from judge.engines import load_engine
from judge.engines.base import Engine
from judge.errors import unknown

MODEL = Path(__file__).parent.parent / "tiny" / "model"
RUNNERS = ("vllm", "hf")


def tiny(by: str = "", **settings: Any) -> Engine:
    """The shipped judge, run by an engine; settings are those of that engine."""
    runner = by or ("vllm" if find_spec("vllm") is not None else "hf")
    if runner not in RUNNERS:
        raise unknown("engine for tiny", runner, RUNNERS)
    return load_engine(f"{runner}:{MODEL}", **{"name": "tiny", **settings})
