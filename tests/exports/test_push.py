"""A reward model pushed to a hub: a local server that speaks the hub's HTTP API, and the real client against it."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import pytest

import judge
from judge.cli.main import main
from judge.exports.push import card_with_licence
from judge.rewards.checkpoint.metadata import write_metadata
from judge.rewards.config import RewardConfig

# The client's own upload of large files warns of its HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TOKEN = "hf_" + "s3cretTokenOfTheTest"
CARD = "---\nlibrary_name: transformers\ntags:\n- reward-model\n---\n\n# A reward model: scalar\n"
WEIGHTS = bytes(range(256)) * 3


class Hub(ThreadingHTTPServer):
    """What one model of the hub holds: requests that came, files that were committed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.paths: list[str] = []
        self.authorizations: set[str | None] = set()
        self.created: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.large: dict[str, bytes] = {}
        self.tags: list[str] = []
        self.status = 200


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def _answer(self, value: object, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.git-lfs+json" if "lfs" in self.path else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _content(self) -> bytes:
        path = self.path.partition("?")[0]
        self.server.paths.append(f"{self.command} {path}")
        if not path.startswith("/storage/"):
            self.server.authorizations.add(self.headers.get("Authorization"))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self) -> None:
        self._content()
        if self.server.status != 200:
            self._answer({"error": "You don't have the rights\nto create a model here"}, self.server.status)
        elif self.path.startswith("/api/models/"):
            name = self.path.removeprefix("/api/models/").partition("?")[0]
            self._answer({"id": name, "modelId": name, "tags": self.server.tags})
        else:
            self._answer({"error": "Entry not found"}, 404)

    def do_PUT(self) -> None:
        self.server.large[self.path.rpartition("/")[2]] = self._content()
        self._answer({})

    def do_POST(self) -> None:
        hub, content, path = self.server, self._content(), self.path.partition("?")[0]
        if hub.status != 200:
            self._answer({"error": "You don't have the rights\nto create a model here"}, hub.status)
        elif path == "/api/repos/create":
            hub.created = json.loads(content)
            name = f"{hub.created['organization'] or 'me'}/{hub.created['name']}"
            self._answer({"url": f"{hub.url}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            asked = json.loads(content)["files"]
            modes = {True: "lfs", False: "regular"}
            rows = [{"path": row["path"], "shouldIgnore": False} for row in asked]
            self._answer({"files": [row | {"uploadMode": modes["safetensors" in row["path"]]} for row in rows]})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                row | {"actions": {"upload": {"href": f"{hub.url}/storage/{row['oid']}"}}}
                for row in json.loads(content)["objects"]
            ]
            self._answer({"transfer": "basic", "objects": objects})
        elif path.endswith("/commit/main"):
            for row in map(json.loads, content.splitlines()):
                if row["key"] == "file":
                    hub.files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
                elif row["key"] == "lfsFile":
                    hub.files[row["value"]["path"]] = hub.large[row["value"]["oid"]]
            self._answer({"commitUrl": f"{hub.url}/me/reward/commit/1", "commitOid": "1"})
        else:
            self._answer({"error": f"not of this hub: {path}"}, 404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def reward_model(folder: Path, backbone: str, card: str = CARD) -> Path:
    """A model's directory after a training, with what a training leaves beside it; its weights are no tensors."""
    for name, content in {
        "model.safetensors": WEIGHTS,
        "config.json": b"{}",
        "README.md": card.encode(),
        "state/last/optimizer.bin": b"moments",
        "logs/run/events.out.tfevents.1": b"events",
        "train.log": b"lines",
        ".env": b"HF_TOKEN=",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    nothing: dict[str, Any] = {"outputs": ["reward"], "calibration": None, "figures": {}, "parents": [], "history": []}
    config = RewardConfig.of(kind="scalar", backbone=backbone)
    write_metadata(folder, config, loads_as="AutoModelForSequenceClassification", **nothing)
    return folder


@pytest.fixture
def model(tmp_path):
    """A reward model whose backbone has an MIT licence in its directory."""
    backbone = tmp_path / "backbone"
    backbone.mkdir()
    (backbone / "LICENSE").write_text("MIT License\n\nCopyright (c) somebody\n")
    return reward_model(tmp_path / "reward", str(backbone))


def test_the_model_its_card_and_its_licence_are_pushed_and_the_state_is_not(hub, model, capsys):
    assert main(["export", str(model), "--push", "hf://team/reward", "--private"]) == 0
    told = capsys.readouterr().out
    assert hub.created["organization"] == "team" and hub.created["name"] == "reward"
    assert hub.created.get("visibility") == "private" or hub.created.get("private") is True
    assert sorted(hub.files) == ["LICENSE", "README.md", "config.json", "model.safetensors", "reward.json"]
    assert hub.files["model.safetensors"] == WEIGHTS
    assert list(hub.large) == [hashlib.sha256(WEIGHTS).hexdigest()]
    assert hub.files["README.md"].decode() == CARD.replace("---\n", "---\nlicense: mit\n", 1)
    assert hub.files["LICENSE"].startswith(b"MIT License")
    assert f"pushed: {hub.url}/team/reward (private)" in told and "licence: mit (the backbone's LICENSE)" in told


def test_the_token_is_sent_and_written_nowhere(hub, model, tmp_path, capfd):
    pushed = judge.load_reward_model(model).push("hf://reward")
    print(pushed, json.dumps(pushed.to_row()))
    told = capfd.readouterr()
    assert hub.authorizations == {f"Bearer {TOKEN}"}
    assert pushed.target == "me/reward" and "(public)" in told.out
    assert hub.created.get("visibility") is None and not hub.created.get("private")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert TOKEN not in told.out + told.err
    assert not any(TOKEN.encode() in content for content in [*(p.read_bytes() for p in files), *hub.files.values()])
    assert (model / "README.md").read_text() == CARD


def test_a_dry_run_lists_files_and_sends_nothing(hub, model, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert main(["export", str(model), "--push", "hf://team/reward", "--dry-run", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["pushed"]
    assert hub.paths == []
    assert (row["target"], row["licence"], row["dry_run"]) == ("team/reward", "mit", True)
    # Three times 256 bytes of weights; the card gains the line "license: mit\n", 13 bytes.
    assert row["files"]["model.safetensors"] == 768 and row["files"]["README.md"] == len(CARD) + 13
    assert sorted(row["files"]) == ["LICENSE", "README.md", "config.json", "model.safetensors", "reward.json"]


def test_a_licence_that_is_not_known_must_be_named(hub, tmp_path, capsys):
    model = reward_model(tmp_path / "reward", str(tmp_path / "gone"))
    assert main(["export", str(model), "--push", "hf://team/reward", "--dry-run"]) == 1
    assert "licence: not known (name it, such as --license apache-2.0)" in capsys.readouterr().out
    assert main(["export", str(model), "--push", "hf://team/reward"]) == 2
    told = capsys.readouterr()
    assert "the licence of the backbone gone is not known: name it" in told.err and told.err.count("\n") == 1
    assert hub.paths == []
    assert main(["export", str(model), "--push", "hf://team/reward", "--license", "CC-BY-4.0"]) == 0
    assert b"\nlicense: cc-by-4.0\n" in hub.files["README.md"]


def test_the_licence_of_a_hub_backbone_is_asked_of_the_hub(hub, tmp_path):
    hub.tags = ["pytorch", "license:apache-2.0"]
    pushed = judge.export(reward_model(tmp_path / "reward", "team/base"), push="hf://team/reward").pushed
    assert (pushed.licence, pushed.source) == ("apache-2.0", "the hub's team/base")
    assert hub.paths[0] == "GET /api/models/team/base"


@pytest.mark.parametrize(
    ("card", "named", "expected"),
    [
        ("---\nlicense: llama3\n---\n", "", "llama3"),  # the model's own card comes before the backbone
        ("---\nlicense: llama3\n---\n", "other", "other"),  # and the option before both
        ("---\nlicense: unknown\n---\n", "", "mit"),
        ("no front matter\n", "", "mit"),
        ("---\nlicense: [mit\n---\n", "", "mit"),
    ],
)
def test_where_the_licence_comes_from(model, card, named, expected):
    (model / "README.md").write_text(card)
    assert judge.load_reward_model(model).push("hf://reward", licence=named, dry_run=True).licence == expected


def test_tiny_has_the_licence_of_rmjudge(tmp_path):
    from judge.tiny import READER

    model = judge.load_reward_model(reward_model(tmp_path / "reward", str(READER)))
    assert model.push("hf://reward", dry_run=True).licence == "apache-2.0"


def test_a_card_keeps_its_other_lines():
    assert card_with_licence("---\na: 1\nlicense: mit\nb: 2\n---\ntext\n---\n", "gpl-3.0") == (
        "---\nlicense: gpl-3.0\na: 1\nb: 2\n---\ntext\n---\n"
    )
    assert card_with_licence("text\n", "mit") == "---\nlicense: mit\n---\n\ntext\n"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "the hub refuses the token (401): You don't have the rights to create a model here"),
        (403, "the token may not write here (403): You don't have the rights to create a model here"),
    ],
)
def test_a_refusal_is_one_line(hub, model, capsys, status, said):
    hub.status = status
    assert main(["export", str(model), "--push", "hf://team/reward"]) == 2
    told = capsys.readouterr()
    assert f"hf://team/reward cannot be pushed at {hub.url}: {said}" in told.err
    assert told.err.count("\n") == 1 and told.out == "" and TOKEN not in told.err


def test_a_hub_that_is_away_is_one_line(hub, model, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["export", str(model), "--push", "hf://team/reward"]) == 2
    told = capsys.readouterr().err
    assert "hf://team/reward cannot be pushed at http://127.0.0.1:9: " in told and told.count("\n") == 1


def test_no_token_is_one_line(hub, model, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert main(["export", str(model), "--push", "hf://team/reward"]) == 2
    told = capsys.readouterr().err
    assert "set HF_TOKEN, or run `hf auth login`" in told and told.count("\n") == 1 and hub.paths == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--push", "team/reward"], "--push team/reward: not a name on the hub (accepted: hf://OWNER/NAME"),
        (["--push", "hf://a/b/c"], "--push hf://a/b/c: not a name on the hub"),
        (["--push", "hf://reward", "--license", "my own"], "--license 'my own': not a licence"),
        (["--private"], "--private and --dry-run go with --push"),
    ],
)
def test_what_is_refused(model, capsys, words, said):
    assert main(["export", str(model), *words]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_directory_that_is_no_model_is_not_pushed(tmp_path, capsys):
    assert main(["export", str(tmp_path), "--push", "hf://reward"]) == 2
    assert "--push is for reward models, and this directory has no reward.json" in capsys.readouterr().err
