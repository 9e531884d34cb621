"""The judge of the trials' tests, by a spec."""

from collections.abc import Iterator

import pytest

from judge.engines import ENGINES
from judge.engines.scripted import ScriptedEngine
from tests.constitution_eval.support import knows_the_right


@pytest.fixture
def judge() -> Iterator[str]:
    """The spec of that judge."""
    ENGINES.register("knows", lambda anything: ScriptedEngine(knows_the_right, shuffle=True, seed=1))
    yield "knows:all"
    ENGINES.unregister("knows")
