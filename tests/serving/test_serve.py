"""`rmjudge serve` and `judge.serve` with real reward models and a judge."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.engines.base import Request
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError, InputError, RunError, UnknownNameError
from judge.jobs.rewards.serve import sources_of
from judge.serving import create_app
from tests.conftest import Cli
from tests.rewards.models import save
from tests.serving.conftest import Live

SETTINGS: dict[str, Any] = {"epochs": 1, "learning_rate": 3e-3, "validation_fraction": 0.3, "progress": False}
YES, NO = "w10", "w20"


def pairs(count: int) -> list[dict[str, Any]]:
    human = [{"annotator": "ann", "verdict": "first"}]
    return [
        {"prompt": f"w{6 + n % 50} w{6 + n // 50}", "first": f"{YES} w{6 + n % 9}", "second": NO, "human": human}
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture(scope="module")
def ensemble(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> judge.RewardModel:
    out = tmp_path_factory.mktemp("models") / "ensemble"
    return judge.distill(pairs(40), kind="ensemble", members=3, backbone=str(llama), out=out, **SETTINGS)


@pytest.fixture(scope="module")
def process_model(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> judge.RewardModel:
    out = tmp_path_factory.mktemp("models") / "process"
    rows = [
        {
            "prompt": f"w{6 + n}",
            "steps": [YES, NO if n % 2 else YES],
            "human": [{"annotator": "a", "verdict": -1 + 2 * (n % 2)}],
        }
        for n in range(30)
    ]
    return judge.distill(rows, kind="process", labels="human", backbone=str(llama), out=out, **SETTINGS)


@pytest.fixture(scope="module")
def server(ensemble: judge.RewardModel, process_model: judge.RewardModel) -> Iterator[Live]:
    running = Live(create_app({"ensemble": ensemble, "process": process_model}, cache_size=0))
    yield running
    running.close()


ROWS = [(f"w{6 + n % 5} w7", " ".join(f"w{8 + (n * k) % 40}" for k in range(1 + n % 13))) for n in range(60)]


def test_a_score_is_the_offline_one_whatever_company_it_has(server: Live, ensemble: judge.RewardModel) -> None:
    alone = [ensemble.score(prompt, response) for prompt, response in ROWS]

    def asked(row: tuple[str, str]) -> dict[str, Any]:
        body = {"prompt": row[0], "response": row[1]}
        rewards: list[dict[str, Any]] = server.ask("/score", body).body["rewards"]
        return rewards[0]

    with ThreadPoolExecutor(16) as pool:
        rewards = list(pool.map(asked, ROWS))
    for reward, expected in zip(rewards, alone, strict=True):
        assert reward["value"] == pytest.approx(expected.value, abs=1e-5)
        assert reward["std"] == pytest.approx(expected.std, abs=1e-5)
        assert reward["members"] == pytest.approx(expected.members, abs=1e-5)


def test_a_response_that_is_too_long_harms_no_other_of_its_prompt(server: Live, ensemble: judge.RewardModel) -> None:
    long = " ".join(["w9"] * 3000)  # more than max_length
    rewards = server.ask("/score", {"prompt": "w7 w8", "responses": [YES, long]}).body["rewards"]
    assert rewards[0]["value"] == pytest.approx(ensemble.score("w7 w8", YES).value, abs=1e-5)
    assert rewards[1]["value"] is None
    assert "longer than max_length" in rewards[1]["reason"]
    refused = server.ask("/get_reward", {"query": [YES, long]})
    assert (refused.status, refused.body["error"]["param"]) == (422, "query.1")


def test_a_process_model_gives_its_steps(server: Live, process_model: judge.RewardModel) -> None:
    expected = process_model.score("w7", f"{YES}\n{NO}")
    body = {"model": "process", "prompt": "w7", "responses": [f"{YES}\n{NO}", YES]}
    reward = server.ask("/score", body).body["rewards"][0]
    assert reward["steps"] == pytest.approx(expected.steps, abs=1e-5)
    assert len(reward["steps"]) == 2
    pooled = server.ask("/pooling", {"model": "process", "input": f"<|user|>w7<|assistant|>{YES}\n{NO}"}).body
    assert pooled["data"][0]["data"] == [[pytest.approx(p, abs=1e-5)] for p in expected.steps]


def test_served_rewards_are_compared_with_those_of_the_calibration(server: Live, ensemble: judge.RewardModel) -> None:
    calibration = ensemble.metadata["calibration"]
    assert list(ensemble.deciles) == calibration["deciles"] == sorted(calibration["deciles"])
    assert len(ensemble.deciles) == 9
    normalized = judge.load_reward_model(ensemble, normalize=True)
    assert normalized.deciles[4] == pytest.approx((ensemble.deciles[4] - calibration["mean"]) / calibration["scale"])
    drift = {model["model"]: model["drift"]["reference"] for model in server.ask("/ready").body["models"]}
    assert drift == {"ensemble": "training", "process": "first rewards served"}


def test_models_are_named() -> None:
    assert sources_of(["a=one", "two", "vllm:org/three", Path("four")]) == {
        "a": "one",
        "two": "two",
        "vllm:org/three": "vllm:org/three",
        "four": Path("four"),
    }
    assert sources_of("tiny?votes=3") == {"tiny?votes=3": "tiny?votes=3"}
    with pytest.raises(ConfigError, match="two models are called 'a'"):
        sources_of(["a=one", "a=two"])


def test_what_cannot_be_served_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 can be reached by others, and there is no key"):
        judge.serve("nowhere", host="0.0.0.0")
    with pytest.raises(UnknownNameError, match="did you mean 'max_body'"):
        judge.serve("nowhere", max_bdy=3)
    with pytest.raises(UnknownNameError, match="unknown log level 'loud'"):
        judge.serve("nowhere", log_level="loud")
    with pytest.raises(InputError, match="nowhere"):
        judge.serve(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no model to serve"):
        judge.serve([])


def test_a_judge_is_served(live: Callable[..., Live]) -> None:
    with judge.open_reward("tiny:hf", task="outcome") as rewards:  # type: ignore[attr-defined]
        offline = rewards.score_batch([("2 + 3 * 4 =", "3 * 4 = 12. 2 + 12 = 14."), ("2 + 3 * 4 =", "5 * 4 = 20.")])
        server = live(create_app(rewards))
        responses = ["3 * 4 = 12. 2 + 12 = 14.", "5 * 4 = 20."]
        answer = server.ask("/score", {"prompt": "2 + 3 * 4 =", "responses": responses})
        assert answer.status == 200
        for reward, (expected,) in zip(answer.body["rewards"], offline, strict=True):
            assert reward["value"] == reward["probability"] == pytest.approx(expected.probability, abs=1e-5)


def test_a_tournament_is_of_one_requests_responses(live: Callable[..., Live]) -> None:
    def longer(request: Request) -> str:
        lines = [line.strip() for line in request.messages[-1].content.splitlines()]
        first, second = [line for line in lines if set(line) == {"x"}]
        return "[[A]]" if len(first) > len(second) else "[[B]]"

    rewards = judge.JudgeReward(ScriptedEngine(longer, name="test"), task="tournament", hard=True, tournament="full")
    server = live(create_app(rewards))
    answer = server.ask("/score", {"prompt": "Q", "responses": ["xxx", "x", "xx"]})
    values = [reward["value"] for reward in answer.body["rewards"]]
    assert values[0] > values[2] > values[1]
    assert sum(values) == pytest.approx(0, abs=1e-6)
    assert server.ask("/score", {"prompt": "Q", "response": "xxx"}).status == 422


class Served:
    """The command in a process of its own."""

    def __init__(self, *arguments: str | Path, env: dict[str, str] | None = None) -> None:
        command: Sequence[str] = [str(Path(sys.executable).with_name("rmjudge")), "serve", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
        )
        assert self.process.stderr is not None
        self.first = json.loads(self.process.stderr.readline())

    def lines(self) -> list[dict[str, Any]]:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            return [json.loads(line) for line in stream.read().splitlines()]


def test_the_command_serves_answers_and_ends_with_zero(ensemble: judge.RewardModel) -> None:
    import urllib.request

    served = Served(f"pairs={ensemble.path}", "--port", "0", env={"RMJUDGE_API_KEY": "the-key-of-this-test"})
    try:
        assert (served.first["event"], served.first["models"]) == ("serving", ["pairs"])
        body = json.dumps({"prompt": "w7 w8", "responses": [YES, NO]}).encode()
        url = f"http://127.0.0.1:{served.first['port']}/score"
        headers = {"content-type": "application/json", "x-api-key": "the-key-of-this-test"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as response:
            rewards = json.load(response)["rewards"]
        assert rewards[0]["value"] == pytest.approx(ensemble.score("w7 w8", YES).value, abs=1e-5)
        served.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert served.process.wait(30) == 0
        assert time.monotonic() - began < 10
    finally:
        served.process.kill()
    lines = served.lines()
    assert [line["event"] for line in lines] == ["request", "draining", "ended"]
    assert lines[0]["model"] == "pairs"
    assert lines[0]["responses"] == 2
    assert "the-key-of-this-test" not in json.dumps(lines)
    assert YES not in json.dumps(lines)


def test_the_command_refuses_in_one_line(cli: Cli, ensemble: judge.RewardModel, tmp_path: Path) -> None:
    for arguments, words in (
        (("nowhere",), "no such directory"),
        ((ensemble.path, ensemble.path), "two models are called 'ensemble'; give them names: NAME=MODEL"),
        ((ensemble.path, "--max-queue", "3"), "the queue must hold a request"),
        ((ensemble.path, "--clip", "3:1"), "clip is 3.0:1.0"),
        ((ensemble.path, "--task", "score"), "unknown setting of a reward model 'task'"),
        ((ensemble.path, "--api-key-file", "none"), "none: the key cannot be read"),
        ((ensemble.path, "--host", "256.0.0.1", "--no-key", "--port", "0"), "256.0.0.1: no address to listen on"),
    ):
        ran = cli("serve", *arguments)
        assert ran.rc == 2
        assert words in ran.stderr
        assert ran.stderr.count("\n") == 1


def test_a_port_that_is_taken(ensemble: judge.RewardModel, server: Live) -> None:
    with pytest.raises(RunError, match=f"127.0.0.1:{server.port}: cannot be listened on"):
        judge.serve(ensemble, port=server.port)
