"""Small random models on disk, made once."""

from pathlib import Path

import pytest

from tests.rewards.models import save


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal backbone with a chat template and fewer key heads than query heads."""
    return save(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bidirectional backbone."""
    return save(tmp_path_factory.mktemp("bert"), "bert")
