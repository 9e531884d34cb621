"""Batch endpoints: files up, batches polled, rows as without batches; nothing is paid for twice, whatever is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import judge
from tests.engines.batch_api import BatchApi, judged

HARD: dict[str, Any] = {"task": "preference", "hard": True, "progress": False}


def rows(count: int) -> list[dict[str, str]]:
    return [{"prompt": f"Say it, {n}.", "chosen": f"GOOD {n}", "rejected": f"BAD {n}"} for n in range(count)]


@pytest.fixture
def api() -> Iterator[BatchApi]:
    served = BatchApi()
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def spec(api: BatchApi, **settings: Any) -> str:
    words = "".join(f"&{name}={value}" for name, value in {"poll": 0.05, **settings}.items())
    return f"openai:{api.url}#m?batch=true{words}"


def same_rows(directory: Path) -> list[str]:
    return sorted((directory / "labels.jsonl").read_text().splitlines())


def test_rows_are_those_of_ordinary_requests_and_each_is_billed_once(api: BatchApi, tmp_path: Path) -> None:
    run = judge.label(rows(7), judges=spec(api), out=tmp_path / "batched", **HARD)
    assert (run.counts.labelled, run.counts.calls, dict(run.counts.verdicts)) == (7, 14, {"first": 7})
    assert (run.counts.prompt_tokens, run.counts.cached_tokens, run.counts.output_tokens) == (126, 56, 28)
    assert (len(api.batches), len(api.chats)) == (1, 1)  # one ordinary request goes before
    assert (len(api.billed), set(api.billed.values())) == (14, {1})
    assert not (tmp_path / "batched" / "batches").exists()
    judge.label(rows(7), judges=f"openai:{api.url}#m?server=plain", out=tmp_path / "plain", **HARD)
    assert same_rows(tmp_path / "batched") == same_rows(tmp_path / "plain")


def test_rows_are_alike_also_where_probabilities_are_asked_for(api: BatchApi, tmp_path: Path) -> None:
    soft = HARD | {"hard": False}
    judge.label(rows(3), judges=spec(api), out=tmp_path / "batched", **soft)
    judge.label(rows(3), judges=f"openai:{api.url}#m?server=plain", out=tmp_path / "plain", **soft)
    assert same_rows(tmp_path / "batched") == same_rows(tmp_path / "plain")
    assert len(api.batches) == 1


def test_nonsense_of_a_server_is_one_line_or_a_failed_row(api: BatchApi, tmp_path: Path) -> None:
    """Lines of other shapes, ids that are none, errors and metadata of the wrong kind."""
    look = api.look

    def nonsense(name: str) -> dict[str, Any]:
        batch = look(name)
        if file := batch["output_file_id"]:
            api.files[file] = b'[1]\n{"custom_id": [1]}\n{"custom_id": {}, "response": 3}\nhalf {\n' + api.files[file]
        return batch | {"metadata": 3, "errors": {"data": 5}}

    api.look = nonsense  # type: ignore[method-assign]
    assert judge.label(rows(3), judges=spec(api), out=tmp_path / "run", **HARD).counts.labelled == 3
    api.line = lambda body, number: (200, [body])
    with pytest.raises(judge.EngineError, match="all 2 rows failed for one reason: an answer without choices"):
        judge.label(rows(2), judges=spec(api), out=tmp_path / "odd", **HARD)


def test_a_run_may_change_between_batches_and_requests(api: BatchApi, tmp_path: Path) -> None:
    judge.label(rows(9), judges=spec(api), out=tmp_path / "run", limit=4, **HARD)
    run = judge.label(rows(9), judges=f"openai:{api.url}#m?server=plain", out=tmp_path / "run", **HARD)
    assert (run.counts.rows, run.counts.resumed) == (9, 4)


def test_costs_are_halved_and_shown(api: BatchApi, tmp_path: Path) -> None:
    """14 calls of 5 fresh, 4 cached and 2 written tokens: 14 (5 x 10 + 4 x 1 + 2 x 100) / 10^6 = 0.003556 dollars."""
    prices = {"m": {"prompt": 10, "cached": 1, "completion": 100}}
    run = judge.label(rows(7), judges=spec(api), out=tmp_path / "run", prices=prices, **HARD)
    assert run.counts.cost == pytest.approx(0.003556 / 2)
    assert run.counts.saved == pytest.approx(0.003556 / 2)
    from judge.cli.drawing import cost_words

    assert cost_words(run.counts) == "$0.0018, $0.0018 less than without batches"


def test_files_hold_so_many_requests_and_so_many_bytes(api: BatchApi, tmp_path: Path) -> None:
    run = judge.label(rows(6), judges=spec(api, batch_requests=5), out=tmp_path / "a", **HARD)
    sizes = [len(api.files[batch["input_file_id"]].splitlines()) for batch in api.batches.values()]
    assert (run.counts.labelled, sizes) == (6, [5, 5, 2])
    longest = max(len(line) + 1 for data in api.files.values() for line in data.splitlines() if b'"method"' in line)
    before = len(api.batches)
    judge.label(rows(6), judges=spec(api, batch_bytes=3 * longest), out=tmp_path / "b", **HARD)
    made = list(api.batches.values())[before:]
    assert len(made) == 4
    assert all(len(api.files[batch["input_file_id"]]) <= 3 * longest for batch in made)


def test_what_a_batch_leaves_unanswered_is_asked_again(api: BatchApi, tmp_path: Path) -> None:
    """The first batch expires with half of its lines, of the second one every line is refused for the moment."""
    api.fate = lambda number: "expired" if number == 0 else "completed"
    api.line = lambda body, number: (500, {"error": {"message": "boom"}}) if number == 1 else (200, judged(body))
    run = judge.label(rows(10), judges=spec(api), out=tmp_path / "run", **HARD)
    sizes = [len(api.files[batch["input_file_id"]].splitlines()) for batch in api.batches.values()]
    assert sizes == [20, 10, 10]
    assert (run.counts.labelled, set(api.billed.values()), len(api.billed)) == (10, {1}, 20)


def test_a_request_that_never_will_do_is_a_failed_row_with_its_cause(api: BatchApi, tmp_path: Path) -> None:
    def line(body: dict[str, Any], number: int) -> tuple[int, Any] | None:
        if "Say it, 3." in str(body):
            return 400, {"error": {"message": "too long for me", "code": "context_length_exceeded"}}
        return None if "Say it, 4." in str(body) else (200, judged(body))

    api.line = line
    run = judge.label(rows(6), judges=spec(api), out=tmp_path / "run", **HARD)
    assert (run.counts.labelled, run.counts.unreadable) == (4, 2)
    reasons = sorted(failure.judgement.readings[0].reason for failure in run.failures())
    assert reasons == [
        "engine error: This request could not be executed",
        "engine error: status 400: too long for me",
    ]
    sizes = [len(api.files[batch["input_file_id"]].splitlines()) for batch in api.batches.values()]
    assert sizes == [12, 2, 2]  # refused once for good, unanswered three times


def test_a_full_queue_is_waited_out_and_a_broken_file_ends_the_run(api: BatchApi, tmp_path: Path) -> None:
    api.fate = lambda number: "failed:token_limit_exceeded" if number < 5 else "completed"
    run = judge.label(rows(3), judges=spec(api), out=tmp_path / "run", **HARD)
    assert (run.counts.labelled, len(api.batches)) == (3, 6)
    assert sum(call == "POST /v1/files" for call in api.calls) == 1
    api.fate = lambda number: "failed:invalid_json_line"
    with pytest.raises(judge.EngineError, match="failed: invalid_json_line: no"):
        judge.label(rows(3), judges=spec(api), out=tmp_path / "other", **HARD)
    assert len(api.batches) == 9


def test_a_batch_whose_answer_was_lost_is_adopted(api: BatchApi, tmp_path: Path) -> None:
    """The server makes the batch, the line breaks; it is found by its metadata, on the second page of the list."""
    api.page = 2
    for _ in range(3):
        api.create(
            {"endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": "x", "metadata": {}}
        )
    for batch in api.batches.values():
        batch["status"] = "cancelled"
    cuts = iter([True])
    api.cut = lambda method, path: method == "POST" and path == "/v1/batches" and next(cuts, False)
    newer = api.create

    def create(body: dict[str, Any]) -> dict[str, Any]:
        batch = newer(body)
        for _ in range(2):
            newer(body | {"metadata": {}})["status"] = "cancelled"
        return batch

    api.create = create  # type: ignore[method-assign]
    run = judge.label(rows(5), judges=spec(api), out=tmp_path / "run", **HARD)
    assert (run.counts.labelled, set(api.billed.values())) == (5, {1})
    assert sum(call == "POST /v1/batches" for call in api.calls) == 1


def test_a_cancelled_batch_ends_the_run_and_the_next_go_asks_the_rest(api: BatchApi, tmp_path: Path) -> None:
    api.fate = lambda number: "cancelled" if number == 0 else "completed"
    api.line = lambda body, number: None if number == 0 and "Say it, 2." in str(body) else (200, judged(body))
    with pytest.raises(judge.EngineError, match="batch_0 was cancelled"):
        judge.label(rows(4), judges=spec(api), out=tmp_path / "run", **HARD)
    run = judge.label(rows(4), judges=spec(api), out=tmp_path / "run", **HARD)
    assert (run.counts.labelled, run.counts.calls, set(api.billed.values())) == (4, 8, {1})


def test_equal_requests_are_told_apart(api: BatchApi) -> None:
    """The engine by itself: the same request three times under way, and once more when all are answered."""
    engine = judge.load_engine(spec(api))
    request = judge.Request(messages=(judge.Message("user", "GOOD or BAD?"),))
    for ticket in range(3):
        engine.submit(ticket, request)
    done = engine.step()
    engine.submit(3, request)
    done += engine.step()
    engine.close()
    assert [(ticket, completion.text) for ticket, completion in done] == [(n, "[[A]]") for n in range(4)]
    assert sorted(api.billed.values()) == [1, 1, 2]


def test_a_jury_of_a_batch_and_a_quick_judge(api: BatchApi, tmp_path: Path) -> None:
    rules = tmp_path / "rules.jsonl"
    rules.write_text('{"match": ".", "text": "[[A]]"}\n')
    api.seconds = 0.3
    run = judge.label(rows(3), judges=[spec(api), f"scripted:{rules}"], out=tmp_path / "run", **HARD)
    assert (run.counts.labelled, run.counts.calls, len(api.billed)) == (3, 12, 6)


def test_a_server_that_is_not_there_costs_no_reply_of_the_other_juror(tmp_path: Path) -> None:
    rules = tmp_path / "rules.jsonl"
    rules.write_text('{"match": ".", "text": "[[A]]"}\n')
    away = "openai:http://127.0.0.1:9/v1#m?batch=true&patience=1s"
    with pytest.raises(judge.EngineError, match=r"judge 2 gave out: no good answer .* of 3 unfinished rows is kept"):
        judge.label(rows(3), judges=[f"scripted:{rules}", away], out=tmp_path / "run", **HARD)


def test_wrong_settings_are_named_at_once(api: BatchApi) -> None:
    with pytest.raises(judge.UnknownNameError, match="did you mean 'batch_requests'"):
        judge.load_engine(f"openai:{api.url}#m?batch=true&batch_request=3")
    with pytest.raises(judge.ConfigError, match="poll: of a batch endpoint"):
        judge.load_engine(f"openai:{api.url}#m?poll=3")
    with pytest.raises(judge.ConfigError, match="leave out server"):
        judge.load_engine(f"openai:{api.url}#m?batch=true&server=vllm")


def test_a_server_without_batches_is_named_at_once(api: BatchApi, tmp_path: Path) -> None:
    api.has_batches = False
    with pytest.raises(judge.EngineError, match="takes no file: does not know this model or path"):
        judge.label(rows(2), judges=spec(api), out=tmp_path / "run", **HARD)


def label(folder: Path, api: BatchApi, number: int, **settings: Any) -> "subprocess.Popen[bytes]":
    """`rmjudge label` in a process of its own."""
    code = "from judge.cli.main import run; run()"
    command = [sys.executable, "-c", code, "label", str(folder / "pairs.jsonl"), "--task", "preference", "--hard"]
    command += ["--judge", spec(api, **settings), "--out", str(folder / f"run{number}"), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ})


def finish(process: "subprocess.Popen[bytes]") -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


def kill_and_resume(folder: Path, api: BatchApi, draw: random.Random, number: int) -> int:
    """Kill a run at random moments until it has come to its end; how often it was killed."""
    kills = 0
    while True:
        process = label(folder, api, number, batch_requests=7, attempts=9)  # a line in ten is left unanswered
        try:
            _, errors = process.communicate(timeout=0.4 + draw.random() * 1.6)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
        else:
            assert process.returncode == 0, errors.decode()
            return kills


def check_killed(folder: Path, api: BatchApi, wanted: int, seed: int) -> None:
    draw, kills, number = random.Random(seed), 0, 0
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(15)))
    finish(label(folder, api, 0))
    expected = same_rows(folder / "run0")
    while kills < wanted:
        number += 1
        api.billed.clear()
        draw_server = random.Random(seed + number)
        api.seconds = draw.random() * 1.5
        api.line = lambda body, number: None if draw_server.random() < 0.1 else (200, judged(body))  # noqa: B023
        made = len(api.batches)
        kills += kill_and_resume(folder, api, draw, number)
        assert same_rows(folder / f"run{number}") == expected
        assert api.billed == Counter(dict.fromkeys(api.billed, 1)), "asked twice"
        assert (len(api.billed), len(api.batches) > made) == (30, True)
        assert not (folder / f"run{number}" / "batches").exists()


def test_kills_at_random_moments_lose_nothing_and_pay_nothing_twice(api: BatchApi, tmp_path: Path) -> None:
    check_killed(tmp_path, api, wanted=8, seed=3)


@pytest.mark.soak
def test_two_hundred_kills(api: BatchApi, tmp_path: Path) -> None:
    check_killed(tmp_path, api, wanted=200, seed=4)


def test_an_interrupt_ends_the_command_while_a_batch_goes_on(api: BatchApi, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(3)))
    api.seconds = 3600
    process = label(tmp_path, api, 1)
    while not api.batches:
        time.sleep(0.05)
    time.sleep(0.3)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, time.monotonic() - sent < 2.5) == (130, True)
    assert b"To go on" in errors
    api.seconds = 0
    finish(label(tmp_path, api, 1))
    assert (len(api.batches), set(api.billed.values()), len(api.billed)) == (1, {1}, 6)
