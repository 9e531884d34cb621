"""Twelve categories that begin alike on SmolLM2: the probabilities that transformers gives, on either engine."""

from pathlib import Path
from typing import Any

import pytest

import judge
from judge.judgements import Category
from judge.tasks import TASKS, Options
from tests.tasks.choice_enumeration import CATEGORIES, enumerated

pytestmark = pytest.mark.real

ROWS = [{"prompt": "Write an advert for yourself.", "response": "I am the best assistant there is. Tell your friends!"}]


@pytest.mark.parametrize("engine", [pytest.param("vllm", marks=pytest.mark.vllm), "hf"])
def test_probabilities_are_those_of_a_full_enumeration(smollm2: Path, tmp_path: Path, engine: str) -> None:
    spec = f"{engine}:{smollm2}?dtype=float32" + ("&max_model_len=2048" if engine == "vllm" else "")
    asked: dict[str, Any] = {"task": "classify", "category": list(CATEGORIES), "progress": False}
    run = judge.label(ROWS, judges=spec, out=tmp_path / "run", **asked)
    template, options = judge.load_template("classify", "default"), Options(categories=CATEGORIES)
    records = [record for _, record, _ in run]
    prompts = [next(TASKS["classify"].program(record, template, options))[0].messages for record in records]
    for (_, _, judgement), exact in zip(run, enumerated(smollm2, prompts), strict=True):
        assert isinstance(judgement, Category)
        assert judgement.probabilities == pytest.approx(exact, abs=1e-4)
        assert sum(judgement.probabilities.values()) == pytest.approx(1.0, abs=1e-9)
        assert judgement.verdict == max(exact, key=lambda name: exact[name])
