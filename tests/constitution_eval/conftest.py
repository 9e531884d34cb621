"""The judge of the trials' tests, by a spec."""

import pytest

from judge.engines import ENGINES, OBJECTS
from judge.engines.scripted import ScriptedEngine
from tests.constitution_eval.support import knows_the_right


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> str:
    """The spec of that judge."""
    monkeypatch.setitem(ENGINES, "knows", lambda rest, settings: ScriptedEngine(knows_the_right, shuffle=True, seed=1))
    monkeypatch.setitem(OBJECTS, "knows", "ANYTHING")
    return "knows:all"
