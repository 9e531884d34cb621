"""What every test may ask for: the real data sets, the real command."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest
from hypothesis import settings

os.environ["RAY_AUTH_MODE"] = "disabled"  # Ray reads it once, at its import, which vLLM brings about

ROOT = Path(__file__).resolve().parent.parent

# No network and no telemetry, here and in every process that a test starts.
for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
    os.environ.setdefault(name, "1")

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets: RMJUDGE_DATA, else shared/data in or beside the repository."""
    named = os.environ.get("RMJUDGE_DATA")
    if named:
        return Path(named)
    places = [folder / "shared" / "data" for folder in (ROOT, ROOT.parent, ROOT.parent.parent)]
    for place in places:
        if place.is_dir():
            return place
    pytest.skip("no data sets: RMJUDGE_DATA is not set and there is no shared/data in or beside the repository")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The directory of SmolLM2-135M-Instruct that `make real` makes; RMJUDGE_REAL names another place."""
    directory = Path(os.environ.get("RMJUDGE_REAL") or ROOT / "build" / "real" / "SmolLM2-135M-Instruct")
    if not directory.is_dir():
        pytest.skip(f"no SmolLM2-135M-Instruct in {directory}: make real")
    return directory


class Ran(NamedTuple):
    """How a command ended."""

    rc: int
    stdout: str
    stderr: str


class Cli(Protocol):
    def __call__(
        self,
        *args: str | Path,
        stdin: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Ran: ...


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run the installed `rmjudge` in a process of its own, in `tmp_path`, 120 columns wide and without colour."""

    def run(
        *args: str | Path,
        stdin: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Ran:
        command: Sequence[str] = [str(Path(sys.executable).with_name("rmjudge")), *map(str, args)]
        plain = {"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
        done = subprocess.run(
            command,
            input=stdin,
            cwd=cwd or tmp_path,
            env={**os.environ, **plain, **(env or {})},
            timeout=timeout,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
