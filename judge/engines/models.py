"""What can be known of a model without loading it: where it is, what it is, and the number type it runs in."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from judge.errors import EngineError
from judge.json_input import load_json
from judge.pretrained import check_directory, pretrained

SMALL = 256 * 2**20  # bytes of weights up to which float32 costs nothing worth saving
WHOLE = 64 * 2**20  # bytes up to which a file is hashed whole, beyond which by its size and both ends
END = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model directory or a hub name. name: as it is shown. location: what transformers and vLLM are given."""

    name: str
    location: str
    revision: str = ""

    @property
    def path(self) -> Path | None:
        """The directory, None for a hub model."""
        path = Path(self.location)
        return path if path.is_dir() else None


def locate(model: str, *, revision: str = "", name: str = "") -> Source:
    """A model by its directory or hub name; an error where it can be neither."""
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise EngineError(f"'{model}' holds no config.json; a model directory or a hub name is expected")
        return Source(name=name or model, location=str(path), revision="")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", model):
        raise EngineError(f"model path '{model}' not found; a model directory or a hub name (owner/name) is expected")
    return Source(name=name or model, location=model, revision=revision)


def config_of(source: Source) -> dict[str, Any]:
    """The model's config.json as a dict; of a hub model through transformers."""
    if source.path is not None:
        check_directory(source.path, weights=True)
        config: dict[str, Any] = load_json((source.path / "config.json").read_text(encoding="utf-8"))
        return config
    from transformers import AutoConfig

    try:
        loaded = pretrained(AutoConfig, source.location, revision=source.revision or None)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EngineError(f"'{source.name}' is neither a directory here nor a loadable hub model: {reason}") from error
    return {**loaded.to_dict(), "_commit_hash": getattr(loaded, "_commit_hash", "")}


def fingerprint(source: Source, config: dict[str, Any]) -> str:
    """The hub's commit, or a hash of a directory's weights, configuration and tokenizer.

    Files beyond 64 MiB count by their size and their first and last MiB: a 140 GB model is told from another without
    being read for minutes.
    """
    if source.path is None:
        return str(config.get("_commit_hash") or source.revision or "unknown")
    digest = blake2b(digest_size=16)
    for path in sorted(source.path.iterdir()):
        if path.suffix in {".safetensors", ".bin", ".json", ".model", ".jinja", ".txt", ".gguf"}:
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(_content(path))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size <= WHOLE:
            return stream.read()
        head = stream.read(END)
        stream.seek(size - END)
        return head + stream.read()


def weights_size(source: Source) -> int:
    """Bytes of the weight files of a directory; 0 for a hub model, which is not known before it is fetched."""
    if source.path is None:
        return 0
    return sum(path.stat().st_size for path in source.path.iterdir() if path.suffix in {".safetensors", ".bin"})


def choose_dtype(source: Source, config: dict[str, Any], *, asked: str = "auto", cpu: bool) -> str:
    """The number type a model runs in, alike in every engine: "float32", "bfloat16" or "float16".

    What was asked for; float32 for a small model, where exactness is free; else the checkpoint's own, with bfloat16 for
    a half-precision checkpoint on a CPU that computes in it, and float32 on one that does not.
    """
    if asked != "auto":
        return asked
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
    if stored == "float32" or 0 < weights_size(source) <= SMALL:
        return "float32"
    if not cpu:
        return stored
    return "bfloat16" if _cpu_has_bfloat16() else "float32"


def _cpu_has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux: Apple's and Arm's chips of the last years have it, but nothing says so here
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16"))


def versions(*packages: str) -> dict[str, str]:
    """package -> installed version, those that are installed. vLLM's CPU build goes by another name and counts too."""
    installed = {}
    for package in packages:
        for name in (package, f"{package}-cpu"):
            try:
                installed[name] = version(name)
                break
            except PackageNotFoundError:
                continue
    return installed
