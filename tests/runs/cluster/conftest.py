"""A judge for workers that are no processes of their own."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def rules(tmp_path: Path) -> str:
    """The spec of a scripted judge that always finds the first response better."""
    path = tmp_path / "rules.jsonl"
    path.write_text(json.dumps({"match": "", "text": "[[A]]"}) + "\n")
    return f"scripted:{path}"
