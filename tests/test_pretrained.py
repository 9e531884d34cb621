"""Directories of models that nobody should load: refused in a line before a weight is read."""

import ast
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judge.cli.main import main
from judge.errors import InputError
from judge.pretrained import check_directory, pretrained
from judge.tiny import READER

ROOT = Path(__file__).resolve().parent.parent
Change = Callable[[Path], object]


def config(**values: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def written(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def header(content: bytes) -> Change:
    return written("model.safetensors", struct.pack("<Q", len(content)) + content)


def cut(length: int) -> Change:
    return lambda folder: (folder / "model.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes()[:length]
    )


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


SHARDS = json.dumps({"weight_map": {"a": "../../secret.safetensors"}}).encode()
HOSTILE: dict[str, tuple[Change, str]] = {
    "a pickle": (pickled, "its weights are a pickle (pytorch_model.bin), which can run any code when it is opened"),
    "empty": (cut(0), "model.safetensors: cut off: it has 0 bytes"),
    "cut in the header": (cut(100), "model.safetensors: cut off: it has 100 bytes"),
    "cut in the weights": (cut(2_000_000), "model.safetensors: cut off: it has 2,000,000 bytes"),
    "a header of 2^64 bytes": (written("model.safetensors", b"\xff" * 8), "cut off: it has 8 bytes"),
    "a header that is a list": (header(b"[]"), "no safetensors file (its header cannot be read)"),
    "a header without end": (header(b"[" * 100_000), "no safetensors file (its header cannot be read)"),
    "a header of other things": (header(b'{"a": 5}'), "no safetensors file (its header cannot be read)"),
    "a shard elsewhere": (
        written("model.safetensors.index.json", SHARDS),
        "names '../../secret.safetensors', which is no file of the directory",
    ),
    "half a config": (written("config.json", b"{"), "config.json: cannot be read"),
    "a config without end": (written("config.json", b"[" * 100_000), "config.json: cannot be read: nested deeper"),
    "a config that is a list": (written("config.json", b"[]"), "no model's config"),
    "a config of bytes": (written("config.json", b"\xff\xfe"), "config.json: cannot be read"),
    "a type that is a list": (config(model_type=[]), "no model's config"),
    "a billion layers": (config(num_hidden_layers=10**9), "'num_hidden_layers' is 1000000000"),
    "ten thousand layers": (config(num_hidden_layers=10**4), "'num_hidden_layers' is 10000, more than a model has"),
    "no layers": (config(num_hidden_layers=-1), "'num_hidden_layers' is -1 (accepted: a whole number from 1"),
    "a width in words": (config(hidden_size="wide"), "'hidden_size' is wide (accepted: a whole number"),
    "a billion labels": (config(num_labels=10**9), "'num_labels' is 1000000000, more than a model has"),
    "all the positions": (config(max_position_embeddings=10**15), "'max_position_embeddings' is 1000000000000000"),
    "a number of 400 digits": (config(rope_theta=int("9" * 400)), "'rope_theta' has 400 digits"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_directory_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    change, message = HOSTILE[name]
    shutil.copytree(READER, tmp_path / "model")
    change(tmp_path / "model")
    with pytest.raises(InputError) as refusal:
        check_directory(tmp_path / "model", weights=True)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_command_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(READER, tmp_path / "model")
    pickled(tmp_path / "model")
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n')
    words = ["--task", "preference", "--judge", f"hf:{tmp_path / 'model'}", "--out", str(tmp_path / "run"), "--quiet"]
    assert main(["label", str(data), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "its weights are a pickle" in error


def test_a_longest_text_in_words(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": "long"}')
    with pytest.raises(InputError, match="'model_max_length' is 'long'"):
        pretrained(Loader, tmp_path)


def test_a_good_directory_passes() -> None:
    check_directory(Path(READER), weights=True)


class Loader:
    """A class of transformers, as far as `pretrained` sees it."""

    given: dict[str, Any]

    @classmethod
    def from_pretrained(cls, location: Any, **options: Any) -> str:
        cls.given = options
        if location == "panics":
            raise Exception("data did not match any variant of untagged enum ModelWrapper\nmore")
        if location == "lacks":
            raise KeyError("added_tokens")
        return "loaded"


def test_no_code_is_run_or_asked_for_and_no_pickle_opened() -> None:
    assert pretrained(Loader, "owner/name", weights=True) == "loaded"
    assert Loader.given == {"trust_remote_code": False, "use_safetensors": True}
    pretrained(Loader, "owner/name", trust_remote_code=True)
    assert Loader.given == {"trust_remote_code": True}


def test_whatever_a_loader_raises_is_a_line() -> None:
    with pytest.raises(OSError, match=r"panics: Exception: data did not match any variant of untagged enum \w+$"):
        pretrained(Loader, "panics")
    with pytest.raises(OSError, match="lacks: KeyError: 'added_tokens'"):
        pretrained(Loader, "lacks")


# The embedded model's own tokenizer; a check of what other tools do with a directory of ours.
ELSEWHERE = {"judge/pretrained.py", "judge/tiny/tokenizer.py", "judge/rewards/inference/loader_parity.py"}


def test_everything_is_loaded_parsed_and_compiled_in_one_place() -> None:
    """`from_pretrained`, YAML, JSON of others and pickles: one module each, so that its bounds hold everywhere."""
    around = []
    for path in sorted((ROOT / "judge").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            match owner, node.func.attr:
                case _, "from_pretrained" if name not in ELSEWHERE:
                    around.append(f"{name}:{node.lineno} from_pretrained")
                case "yaml", "safe_load" | "load" | "compose" | "load_all":
                    around.append(f"{name}:{node.lineno} yaml")
                case "pickle" | "marshal" | "dill", _:
                    around.append(f"{name}:{node.lineno} {owner}")
                case "torch", "load" if not any(
                    word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords
                ):
                    around.append(f"{name}:{node.lineno} torch.load")
    assert around == []
