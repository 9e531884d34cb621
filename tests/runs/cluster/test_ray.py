"""The whole way on one Ray cluster that all tests of this file share: six cores, and four GPUs that it believes in."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.engines import ENGINES
from judge.runs.cluster.ray_job import SHARDS, _connected
from judge.runs.cluster.ray_pool import RayPool, _share_of_cores
from judge.runs.journal import Journal
from tests.conftest import ROOT, Cli

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install 'rmjudge[ray]'")

ENGINE = ROOT / "benchmarks" / "latency_engine.py"
CLUSTER = """
import ray, sys
for last in (False, False, True):
    try:
        ray.init(num_cpus=6, num_gpus=4, include_dashboard=False, log_to_driver=False)
        break
    except Exception:  # a busy machine starts Ray too slowly for Ray's own patience
        ray.shutdown()
        if last:
            raise
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a process needs in its environment to use the cluster."""
    site = tmp_path_factory.mktemp("site")
    sys.path.insert(0, str(ENGINE.parent))
    try:
        from latency_engine import LatencyEngine, install
    finally:
        sys.path.remove(str(ENGINE.parent))
    install(site)
    env = {"PYTHONPATH": str(site), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    env["RAY_memory_monitor_refresh_ms"] = "0"  # else Ray kills workers where other programs fill the memory
    command = [sys.executable, "-c", CLUSTER]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, **env}, text=True, **pipes) as process:
        assert process.stdout is not None and process.stdin is not None
        ENGINES.register("latency", LatencyEngine)
        try:
            address = process.stdout.readline().strip()
            assert address, "Ray did not start"
            yield {**env, "RAY_ADDRESS": address}
        finally:
            ENGINES.unregister("latency")
            process.stdin.close()
            process.wait(60)


@pytest.fixture
def on_ray(cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    return cluster


def pairs(path: Path, count: int) -> Path:
    rows = (json.dumps({"prompt": f"{number}?", "chosen": "Yes.", "rejected": "No."}) for number in range(count))
    path.write_text("".join(row + "\n" for row in rows))
    return path


def lines(run: judge.Run | Path, name: str = "labels.jsonl") -> list[bytes]:
    directory = run if isinstance(run, Path) else run.directory
    return sorted((directory / name).read_bytes().splitlines())


def label(data: Path, out: Path, orders: Path, latency: float = 0.01, **keywords: Any) -> judge.Run:
    (orders / "workers").mkdir(exist_ok=True)
    judges = f"latency:{orders}?latency={latency}&slots=4"
    asking: dict[str, Any] = {"task": "preference", "hard": True, "window": 8, "progress": False}
    return judge.label(data, judges=judges, out=out, **{**asking, **keywords})


def test_rows_and_manifest_are_those_of_one_machine(on_ray: dict[str, str], tmp_path: Path) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 60)
    rows = data.read_text().splitlines(keepends=True)
    data.write_text("".join([*rows[:30], '{"prompt": \n', *rows[30:], '{"prompt": \n', rows[0]]))
    here = label(data, tmp_path / "here", tmp_path, skip_bad=True)
    out = tmp_path / "ray"
    part = label(data, out, tmp_path, skip_bad=True, limit=20, runner="ray", workers=2)
    assert part.counts.rows == 20
    with Journal(out / SHARDS / "0000") as shard:  # what a worker of an earlier version left
        shard.write(json.loads(lines(here)[0]), readable=True)
    run = label(data, out, tmp_path, skip_bad=True, runner="ray", workers="1:2")
    assert lines(run) == lines(here)
    assert lines(run, "failures.jsonl") == lines(here, "failures.jsonl")
    assert run.manifest["config"] == here.manifest["config"]
    assert run.manifest["counts"] == here.manifest["counts"]
    assert run.counts.resumed in (20, 21)  # whether the first of the sorted rows is among the first twenty
    # Sixty pairs in two orders; the row from the shard cost nothing now.
    assert here.counts.calls == 120
    assert run.counts.calls == 120 - 2 * (run.counts.resumed - 20)
    assert not (out / SHARDS).exists()


def test_workers_that_die_or_hang_cost_nothing(on_ray: dict[str, str], tmp_path: Path) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 120)
    here = label(data, tmp_path / "here", tmp_path)
    for order in ("die", "hang"):
        (tmp_path / order).touch()
    run = label(data, tmp_path / "ray", tmp_path, settings={"together": 3}, runner="ray", workers=3)
    taken = [name for order in ("die", "hang") for name in tmp_path.glob(f"{order}.*")]
    assert len(taken) == 2
    assert lines(run) == lines(here)
    assert run.counts.calls == 240


def test_workers_that_always_die_end_the_run(on_ray: dict[str, str], tmp_path: Path) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 4)
    with pytest.raises(judge.EngineError, match="a Ray worker died"):
        label(data, tmp_path / "ray", tmp_path, runner="ray", settings={"dies": True})
    assert lines(tmp_path / "ray") == []


def test_a_killed_driver_leaves_no_lock_and_the_same_command_goes_on(on_ray: dict[str, str], tmp_path: Path) -> None:
    data, out = pairs(tmp_path / "pairs.jsonl", 200), tmp_path / "ray"
    here = label(data, tmp_path / "here", tmp_path, latency=0.001)
    command = [sys.executable, "-m", "judge.cli.main", "label", str(data), "--task=preference", "--hard", "--window=8"]
    command += [
        f"--judge=latency:{tmp_path}?latency=0.1&slots=4",
        f"--out={out}",
        "--quiet",
        "--runner=ray",
        "--workers=2",
    ]
    with subprocess.Popen(command, env={**os.environ, **on_ray}, stderr=subprocess.DEVNULL) as driver:
        journal = out / "labels.jsonl"
        while not (journal.exists() and journal.stat().st_size):
            assert driver.poll() is None
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
    before = len(lines(out))
    run = label(data, out, tmp_path, latency=0.001, runner="ray", workers=2)
    assert 0 < before < 200
    assert run.counts.resumed == before
    assert lines(run) == lines(here)


def test_each_worker_has_gpus_of_its_own(on_ray: dict[str, str], tmp_path: Path) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 40)
    settings = {"tell": True, "tensor_parallel_size": 2, "together": 2}
    run = label(data, tmp_path / "ray", tmp_path, task="critique", settings=settings, runner="ray", workers=2)
    told = {reading["text"] for row in run.rows() for reading in row["judgement"]["readings"]}
    gpus = sorted(text.split()[1] for text in told)
    assert len(gpus) == 2 and sorted(",".join(gpus)) == sorted("0,1,2,3")


def test_the_pool_grows_with_the_work_and_shrinks_at_its_end(
    on_ray: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record takes 2.5 s: one worker has it, another tries it too, the third has nothing to do and goes."""
    sizes: list[int] = []

    class Watched(RayPool):
        def turn(self, seconds: float) -> None:
            super().turn(seconds)
            sizes.append(self.size)

    monkeypatch.setattr("judge.runs.cluster.ray_job.RayPool", Watched)
    monkeypatch.setattr("judge.runs.cluster.ray_pool._IDLE_SECONDS", 0.3)
    data = pairs(tmp_path / "pairs.jsonl", 30)
    data.write_text(data.read_text().replace('"7?"', '"take your time"'))
    run = label(data, tmp_path / "ray", tmp_path, latency=0.1, settings={"together": 3}, runner="ray", workers="1:3")
    assert run.counts.rows == 30
    assert max(sizes) == 3
    assert sizes[-1] == 2


def test_a_model_judges_in_a_worker_as_in_this_process(on_ray: dict[str, str], tmp_path: Path) -> None:
    """The embedded judge by transformers; `tests/real/test_ray.py` has vLLM and a real model."""
    data = tmp_path / "pairs.jsonl"
    row = {"prompt": "What is 2 + 2?", "chosen": "2 + 2 = 4", "rejected": "2 + 2 = 5"}
    data.write_text(json.dumps(row) + "\n")
    asking: dict[str, Any] = {"task": "preference", "judges": "tiny:hf", "one_order": True, "progress": False}
    here = judge.label(data, out=tmp_path / "here", **asking)
    ray = judge.label(data, out=tmp_path / "ray", runner="ray", **asking)
    (judgement,), (other,) = ([row["judgement"] for row in run.rows()] for run in (here, ray))
    assert other["verdict"] == judgement["verdict"]
    assert other["p_first"] == pytest.approx(judgement["p_first"], abs=1e-4)
    assert [reading["text"] for reading in other["readings"]] == [reading["text"] for reading in judgement["readings"]]


def test_a_worker_that_computes_has_its_share_of_free_cores(on_ray: dict[str, str]) -> None:
    """Six cores on one machine."""
    with _connected(1) as ray:
        deadline = time.monotonic() + 20
        while ray.available_resources().get("CPU") != 6 and time.monotonic() < deadline:
            time.sleep(0.1)  # workers of the test before are still going
        assert [_share_of_cores(ray, workers) for workers in (1, 2, 4, 9)] == [6, 3, 1, 1]


def test_a_cluster_without_room_is_named(
    on_ray: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge.runs.cluster.ray_pool.ROOM_SECONDS", 1.0)
    data = pairs(tmp_path / "pairs.jsonl", 4)
    with pytest.raises(judge.EngineError, match=r"one takes 1 CPU, 8 GPU, the cluster has 6 CPU, 4 GPU"):
        label(data, tmp_path / "ray", tmp_path, settings={"tensor_parallel_size": 8}, runner="ray")


def test_a_cluster_that_is_not_there_is_one_line(
    on_ray: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nothing at all")
    with pytest.raises(judge.EngineError, match=r"Ray: the cluster at nothing at all cannot be joined: .+"):
        label(pairs(tmp_path / "pairs.jsonl", 4), tmp_path / "ray", tmp_path, runner="ray")


def test_a_cost_limit_holds_and_a_higher_one_goes_on(on_ray: dict[str, str], cli: Cli, tmp_path: Path) -> None:
    """A call costs a dollar, and three at most: the eighth is asked when seven of ten are spent, and no ninth."""
    data = pairs(tmp_path / "pairs.jsonl", 12)
    (tmp_path / "rules.jsonl").write_text('{"match": "", "text": "[[A]]"}\n')
    model = judge.load_engine(f"scripted:{tmp_path / 'rules.jsonl'}").describe()["model"]
    (tmp_path / "prices.json").write_text(json.dumps({model: {"prompt": 0, "completion": 1_000_000}}))
    command = [
        "label",
        data.name,
        "--task=preference",
        "--hard",
        "--one-order",
        "--max-tokens=3",
        "--window=4",
        "--quiet",
    ]
    command += ["--judge=scripted:rules.jsonl", "--prices=prices.json", "--runner=ray", "--workers=2", "--out=ray"]
    for _ in range(2):  # what is spent stays spent
        stopped = cli(*command, "--max-cost=10", env=on_ray)
        assert (stopped.rc, stopped.stdout) == (1, "")
        assert stopped.stderr.endswith(
            "the cost limit of $10.00 is reached: $8.0000 spent, 8 rows are judged; "
            "the same command with a higher limit goes on\n"
        )
    assert len(lines(tmp_path / "ray")) == 8
    finished = json.loads(cli(*command, "--max-cost=20", "--json", env=on_ray).stdout)
    assert (finished["rows"], finished["cost"]["dollars"]) == (12, 12.0)
    here = cli(*command[:-3], "--out=here")
    assert here.rc == 0
    assert lines(tmp_path / "ray") == lines(tmp_path / "here")


def test_rubrics_are_generated_as_on_one_machine(on_ray: dict[str, str], tmp_path: Path) -> None:
    """The author proposes two criteria; good answers meet both, bad ones neither, so both separate and stay."""
    rules = [
        {"match": "You write rubrics", "text": "<rubric>\n[+5] It is right.\n[+1] It has words.\n</rubric>"},
        {"match": "<candidate_response>\\s*good", "text": "yes"},
        {"match": "", "text": "no"},
    ]
    (tmp_path / "rules.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    data = [
        {
            "prompt": f"{n}?",
            "first": f"good {n}",
            "second": f"bad {n}",
            "human": [{"annotator": "p", "verdict": "first"}],
        }
        for n in range(8)
    ]
    written = []
    for runner in ("here", "ray"):
        out, judges = tmp_path / runner, f"scripted:{tmp_path / 'rules.jsonl'}"
        made = judge.generate_rubrics(data, judges=judges, out=out, runner=runner, held_out=0.25, progress=False)
        assert [candidate.item.text for candidate in made.kept[:2]] == ["It is right.", "It has words."]
        assert (made.prompts, made.agreement.value) == (8, 1.0)
        written.append(made.file.read_bytes())
    assert written[0] == written[1]


def test_revise_audit_and_score_are_those_of_one_machine(on_ray: dict[str, str], tmp_path: Path) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 12)
    judges = f"latency:{tmp_path}?latency=0.001"
    runs: dict[str, list[judge.Run]] = {"revise": [], "audit": [], "score": []}
    model = small_model(tmp_path / "model")
    for runner in ("here", "ray"):
        where: dict[str, Any] = {"runner": runner, "progress": False}
        out = tmp_path / runner
        runs["revise"].append(judge.revise(data, judge=judges, constitution="harmless", out=out / "revise", **where))
        audited = judge.audit(data, task="preference", judges=judges, probe="swap", out=out / "audit", **where)
        runs["audit"].append(audited.run)
        runs["score"].append(judge.score(model, data, out=out / "score", device="cpu", **where))
    for here, ray in runs.values():
        assert here.counts.rows == ray.counts.rows > 0
        assert lines(ray) == lines(here)
        assert ray.manifest["tokens"] == here.manifest["tokens"]
    written = [(tmp_path / runner / "revise" / "supervised.jsonl").read_bytes() for runner in ("here", "ray")]
    assert sorted(written[0].splitlines()) == sorted(written[1].splitlines())


def small_model(folder: Path) -> Path:
    """A random classifier with one output over the embedded judge's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(Path(judge.__file__).parent / "tiny" / "model")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=len(tokenizer), num_labels=1, pad_token_id=0, eos_token_id=1, bos_token_id=None, **sizes
    )
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
