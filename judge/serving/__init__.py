"""Rewards over HTTP: `create_app(sources)` is an ASGI app, `run(app)` serves it. Needs the extra `serve`."""

from importlib.util import find_spec

from judge.errors import MissingExtraError

_NEEDED = ("fastapi", "uvicorn", "httptools", "prometheus_client")

if any(find_spec(name) is None for name in _NEEDED):
    raise MissingExtraError(f"serving needs {', '.join(_NEEDED)}: pip install 'rmjudge[serve]'")

from judge.serving.app import create_app  # noqa: E402
from judge.serving.limits import Limits  # noqa: E402
from judge.serving.server import run  # noqa: E402

__all__ = ["Limits", "create_app", "run"]
