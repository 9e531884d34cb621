"""A reward model's directory pushed to the Hugging Face hub: its files, its card and its licence.

Trainings' states and logs stay where they are. The card that is pushed names the licence; the directory itself is not
changed. The token comes from the environment and is written nowhere.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from judge.errors import ConfigError, MissingExtraError, RunError
from judge.secrets import remember_secret
from judge.tiny import READER
from judge.yaml_input import YamlError, load_yaml

CARD = "README.md"
SCHEME = "hf://"
_NAME_IT = "name it, such as --license apache-2.0"
_NOT_PUSHED = {"state", "logs", "runs", "__pycache__"}  # folders: a training's states, its trackers' figures
_NOT_PUSHED_FILES = re.compile(r"(?i).*\.(log|tmp|lock|old)$|^events\.out\..*")
_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md")
_LICENCE_TEXTS = {  # how a licence's own text begins, and what the hub calls it
    r"Apache License\s+Version 2\.0": "apache-2.0",
    r"MIT License|Permission is hereby granted, free of charge, to any person obtaining a copy": "mit",
    r"BSD 3-Clause": "bsd-3-clause",
    r"BSD 2-Clause": "bsd-2-clause",
    r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3": "agpl-3.0",
    r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3": "lgpl-3.0",
    r"GNU GENERAL PUBLIC LICENSE\s+Version 3": "gpl-3.0",
    r"GNU GENERAL PUBLIC LICENSE\s+Version 2": "gpl-2.0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What was pushed to the hub, or would be.

    Attributes:
        target: the model's name on the hub.
        url: of the model's page.
        files: each file's path and size in bytes.
        licence: as the hub names it; "" where it is not known.
        source: where the licence was found.
        private: only its owner sees the model, if the hub made it now.
        dry_run: nothing was sent.
    """

    target: str
    url: str
    files: Mapping[str, int]
    licence: str
    source: str
    private: bool
    dry_run: bool

    @property
    def passed(self) -> bool:
        """Whether the model was pushed, or could be."""
        return bool(self.licence)

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def __repr__(self) -> str:
        what = "would be pushed" if self.dry_run else "pushed"
        licence = f"{self.licence} ({self.source})" if self.licence else f"not known ({_NAME_IT})"
        return "\n".join(
            [
                f"{what}: {self.url} ({'private' if self.private else 'public'})",
                f"  licence: {licence}",
                *(f"  {size:>13,} bytes  {path}" for path, size in self.files.items()),
                f"  {sum(self.files.values()):>13,} bytes  in {len(self.files)} files",
            ]
        )


def push_model(
    model: Path, target: str, *, backbone: str, licence: str = "", private: bool = False, dry_run: bool = False
) -> Pushed:
    """Push a model's directory to the hub that HF_ENDPOINT names, with the token of HF_TOKEN or `hf auth login`.

    Args:
        model: the directory.
        target: `hf://OWNER/NAME` or `hf://NAME`, of the token's owner.
        backbone: the directory or hub name of what it was trained from, whose licence it has.
        licence: the licence as the hub names it; by default the card's, else the backbone's.
        private: only its owner sees the model, if the hub makes it now.
        dry_run: send nothing, and say what would be sent.

    Raises:
        ConfigError: for a name that the hub cannot have, no token, or a licence that is not known.
        RunError: where the hub refuses the push or cannot be reached.
    """
    name = _hub_name(target)
    if licence and not _LICENCE.fullmatch(licence):
        raise ConfigError(
            f"--license '{licence}': not a licence as the hub names them (such as apache-2.0, mit, other)"
        )
    word, source = (licence.lower(), "--license") if licence else _known_licence(model, backbone)
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    if dry_run:
        with _staged(model, backbone, word) as (_, files):
            url = f"{endpoint}/{name}"
            return Pushed(target=name, url=url, files=files, licence=word, source=source, private=private, dry_run=True)
    api = _api(endpoint)
    if not word:
        word, source = _asked_licence(api, backbone), f"the hub's {backbone}"
    if not word:
        raise ConfigError(f"the licence of the backbone {Path(backbone).name} is not known: {_NAME_IT}")
    with _staged(model, backbone, word) as (folder, files):
        name, url = _upload(api, folder, name, private=private)
    return Pushed(target=name, url=url, files=files, licence=word, source=source, private=private, dry_run=False)


def card_with_licence(card: str, licence: str) -> str:
    """A card whose front matter names the licence; every other line of it stays as it is."""
    match = _FRONT.match(card)
    if match is None:
        return f"---\nlicense: {licence}\n---\n\n{card}"
    kept = [line for line in match[1].splitlines() if not line.startswith("license:")]
    return "\n".join(["---", f"license: {licence}", *kept, "---", ""]) + card[match.end() :]


def _hub_name(target: str) -> str:
    name = target.removeprefix(SCHEME).strip("/")
    if not target.startswith(SCHEME) or not _NAME.fullmatch(name):
        raise ConfigError(f"--push {target}: not a name on the hub (accepted: hf://OWNER/NAME or hf://NAME)")
    return name


def _known_licence(model: Path, backbone: str) -> tuple[str, str]:
    """The licence and where it stands: on the model's card, in the backbone's directory or the hub's cache."""
    if word := _front_licence(model / CARD):
        return word, "the model's card"
    folder = Path(backbone)
    if folder.resolve() == READER.resolve():
        return "apache-2.0", "that of rmjudge, whose tiny it was trained from"
    if word := _front_licence(folder / CARD):
        return word, "the backbone's card"
    for path in _licence_files(folder):
        text = path.read_text("utf-8", "replace")[:3000]
        for pattern, word in _LICENCE_TEXTS.items():
            if re.search(pattern, text):
                return word, f"the backbone's {path.name}"
    return _cached_licence(backbone), f"the card of {backbone}"


def _front_licence(card: Path) -> str:
    if not card.is_file() or (match := _FRONT.match(card.read_text("utf-8", "replace"))) is None:
        return ""
    try:
        front = load_yaml(match[1])
    except YamlError:
        return ""
    word = front.get("license") if isinstance(front, dict) else None
    return word if isinstance(word, str) and word != "unknown" and _LICENCE.fullmatch(word) else ""


def _licence_files(folder: Path) -> Iterator[Path]:
    return (folder / name for name in _LICENCE_FILES if (folder / name).is_file())


def _cached_licence(backbone: str) -> str:
    """The licence on the card of a hub's model, where the card was loaded before."""
    if not _is_hub_name(backbone):
        return ""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(backbone, CARD)
    return _front_licence(Path(path)) if isinstance(path, str) else ""


def _is_hub_name(backbone: str) -> bool:
    return bool(_NAME.fullmatch(backbone)) and not Path(backbone).exists()


def _asked_licence(api: Any, backbone: str) -> str:
    """The licence that the hub has for a backbone; "" where it has none or does not know the model."""
    from huggingface_hub.errors import HfHubHTTPError

    if not _is_hub_name(backbone):
        return ""
    try:
        with _one_line_errors(api.endpoint, backbone, "read"):
            tags = api.model_info(backbone).tags or []
    except RunError as error:
        if isinstance(error.__cause__, HfHubHTTPError):
            return ""
        raise
    return next((tag.partition(":")[2] for tag in tags if tag.startswith("license:")), "")


def _api(endpoint: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtraError("--push needs the package huggingface_hub: pip install huggingface_hub") from None
    token = os.environ.get("HF_TOKEN") or huggingface_hub.get_token()
    if not token:
        raise ConfigError("--push needs a token of the hub that may write: set HF_TOKEN, or run `hf auth login`")
    remember_secret(token)
    return huggingface_hub.HfApi(endpoint=endpoint, token=token, library_name="rmjudge")


@contextmanager
def _staged(model: Path, backbone: str, licence: str) -> Iterator[tuple[Path, dict[str, int]]]:
    """A temporary folder of links to what is pushed, with the card that names the licence; and the files' sizes."""
    with tempfile.TemporaryDirectory(prefix="rmjudge-push-") as name:
        folder = Path(name)
        for path in _pushed_files(model):
            link = folder / path.relative_to(model)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
        if licence:
            card = folder / CARD
            text = card.read_text("utf-8") if card.is_file() else f"# {model.resolve().name}\n"
            card.unlink(missing_ok=True)
            card.write_text(card_with_licence(text, licence), "utf-8")
        if not any(_licence_files(folder)):
            for path in _licence_files(Path(backbone)):
                shutil.copyfile(path, folder / path.name)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        yield folder, {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _pushed_files(model: Path) -> Iterator[Path]:
    for path in sorted(model.rglob("*")):
        parts = path.relative_to(model).parts
        hidden = any(part.startswith(".") for part in parts)
        if (
            path.is_file()
            and not hidden
            and not _NOT_PUSHED & set(parts[:-1])
            and not _NOT_PUSHED_FILES.match(path.name)
        ):
            yield path


def _upload(api: Any, folder: Path, name: str, *, private: bool) -> tuple[str, str]:
    """The full name and the address of the model that was made, or brought up to date, from a folder."""
    with _one_line_errors(api.endpoint, name, "pushed"):
        made = api.create_repo(name, private=private or None, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message="Push the model from rmjudge")
    return made.repo_id, f"{api.endpoint}/{made.repo_id}"


@contextmanager
def _one_line_errors(endpoint: str, name: str, doing: str) -> Iterator[None]:
    """Whatever the hub or the network answers becomes one line of RunError."""
    from huggingface_hub import errors

    transport: type[Exception] = getattr(errors, "HTTPError", OSError)  # of httpx or requests, by the version
    try:
        yield
    except (transport, OSError, ValueError, RuntimeError, KeyError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = (
            getattr(error, "server_message", None) or (str(error).strip().splitlines() or [type(error).__name__])[0]
        )
        refusals = {401: "the hub refuses the token", 403: "the token may not write here"}
        told = f"{refusals[status]} ({status}): {reason}" if status in refusals else reason
        told = " ".join(told.split())
        raise RunError(f"{SCHEME}{name} cannot be {doing} at {endpoint}: {told}") from error
