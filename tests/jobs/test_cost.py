"""Money: what a run costs, by prices of the user's own, and where it stops."""

import json
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.engines.base import Completion, Request
from judge.engines.prices import Price, read_prices
from judge.runs.kept_replies import REPLIES
from tests.conftest import Cli

ROWS = [{"prompt": f"{n} + 1?", "chosen": f"GOOD {n}", "rejected": f"BAD {n}"} for n in range(6)]
PRICES = {"metered": {"prompt": 10, "cached": 1, "completion": 100}}
CALL = 0.00114  # 60 tokens at 10, 40 cached ones at 1 and 5 written ones at 100 dollars a million: 600 + 40 + 500
HARD: dict[str, Any] = {"task": "preference", "one_order": True, "hard": True, "max_tokens": 20, "progress": False}


class Metered:
    """Says that the first response is better, one request a step: 100 tokens read, 40 of them cached, 5 written."""

    def __init__(self, name: str = "metered") -> None:
        self.most_open = 0
        self._name = name
        self._open: list[int] = []

    def submit(self, ticket: int, request: Request) -> None:
        self._open.append(ticket)
        self.most_open = max(self.most_open, len(self._open))

    def step(self) -> list[tuple[int, Completion]]:
        answer = Completion(text="[[A]]", prompt_tokens=100, cached_tokens=40, output_tokens=5)
        return [(self._open.pop(0), answer)]

    def count_tokens(self, request: Request) -> int:
        return 100

    def describe(self) -> dict[str, Any]:
        return {"engine": "metered", "model": self._name}

    def close(self) -> None:
        pass


def test_a_run_says_what_it_cost(tmp_path: Path) -> None:
    run = judge.label(ROWS, judges=Metered(), out=tmp_path / "run", prices=PRICES, **HARD)
    assert run.counts.cost == pytest.approx(6 * CALL)
    entry = run.manifest["cost"]
    assert entry == {"dollars": 0.00684, "saved": 0.0, "models": [{"model": "metered", "dollars": 0.00684}]}
    assert judge.open_run(tmp_path / "run").counts.costs == {"metered": 0.00684}


def test_without_prices_nothing_is_said(tmp_path: Path) -> None:
    run = judge.label(ROWS[:1], judges=Metered(), out=tmp_path / "run", **HARD)
    assert ("cost" in run.manifest, run.counts.cost) == (False, 0)


def test_a_run_stops_before_it_costs_more_and_a_higher_limit_goes_on(tmp_path: Path) -> None:
    """The longest reply makes a call cost 100 x 10 + 20 x 100 = 0.003. Of 0.0085, two calls fit at first; after four
    calls 0.00456 are spent and a fifth fits, after five 0.0057 and a sixth would not."""
    engine = Metered()
    with pytest.raises(judge.CostLimitError, match=r"limit of \$0.01 is reached: \$0.0057 spent, 5 rows are judged"):
        judge.label(ROWS, judges=engine, out=tmp_path / "run", prices=PRICES, max_cost=0.0085, **HARD)
    stopped = judge.open_run(tmp_path / "run")
    assert (stopped.counts.rows, stopped.manifest["finished"], engine.most_open) == (5, None, 2)
    assert stopped.manifest["command"]["max_cost"] == 0.0085
    with pytest.raises(judge.CostLimitError, match="5 rows are judged"):
        judge.label(ROWS, judges=Metered(), out=tmp_path / "run", prices=PRICES, max_cost=0.0085, **HARD)
    assert judge.open_run(tmp_path / "run").counts.calls == 5
    run = judge.label(ROWS, judges=Metered(), out=tmp_path / "run", prices=PRICES, max_cost=1, **HARD)
    assert (run.counts.rows, run.counts.resumed, run.counts.cost) == (6, 5, pytest.approx(6 * CALL))


def test_replies_of_unfinished_rows_are_paid_for_once(tmp_path: Path) -> None:
    """Both orders of a pair are two calls: where the second does not fit, the first one's reply is kept."""
    asking = HARD | {"one_order": False}
    with pytest.raises(judge.CostLimitError, match="0 rows"):
        judge.label(ROWS[:1], judges=Metered(), out=tmp_path / "run", prices=PRICES, max_cost=0.004, **asking)
    assert len((tmp_path / "run" / REPLIES).read_text().splitlines()) == 1
    run = judge.label(ROWS[:1], judges=Metered(), out=tmp_path / "run", prices=PRICES, max_cost=0.006, **asking)
    assert (run.counts.calls, run.counts.cost) == (2, pytest.approx(2 * CALL))


def test_what_has_no_price_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(judge.UnknownNameError, match="'meterd'; did you mean 'metered'"):
        judge.label(ROWS, judges=Metered("meterd"), out=out, prices=PRICES, **HARD)
    with pytest.raises(judge.ConfigError, match="max_cost needs prices"):
        judge.label(ROWS, judges=Metered(), out=out, max_cost=1.0, **HARD)
    with pytest.raises(judge.ConfigError, match="above 0"):
        judge.label(ROWS, judges=Metered(), out=out, prices=PRICES, max_cost=-1.0, **HARD)
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m: {prompt: 1}", "m: lacks completion"),
        ("m: {prompt: 1, completion: cheap}", "completion is 'cheap'"),
        ("m: {prompt: 1, completion: -1}", "completion is -1"),
        ("m: {prompt: 1, completion: .nan}", "completion is nan"),
        ("m: {prompt: 1, complet: 2, completion: 1}", "'complet'; did you mean 'completion'"),
        ("m: 3", "found 3"),
        ("[]", "no prices"),
        ("m: {", ":1: not YAML|:2: not YAML"),
    ],
)
def test_a_broken_price_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises((judge.ConfigError, judge.InputError), match=words) as caught:
        read_prices(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cached_price_is_the_prompts_where_none_is_given() -> None:
    assert Price(prompt=2, completion=8).of(prompt_tokens=1_000_000, cached_tokens=500_000, output_tokens=0) == 2.0


def test_the_command_line_stops_with_one_line_and_goes_on(cli: Cli, tmp_path: Path) -> None:
    """A scripted call reads the words of its prompt and writes one: at 1,000 dollars a token none fits in a dollar."""
    (tmp_path / "rules.jsonl").write_text('{"match": ".", "text": "[[A]]"}\n')
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    model = judge.load_engine(f"scripted:{tmp_path / 'rules.jsonl'}").describe()["model"]
    (tmp_path / "prices.json").write_text(json.dumps({model: {"prompt": 1e9, "completion": 1e9}}))
    label = (
        "label",
        "pairs.jsonl",
        "--task",
        "preference",
        "--judge",
        "scripted:rules.jsonl",
        "--out",
        "run",
        "--quiet",
    )
    stopped = cli(*label, "--prices", "prices.json", "--max-cost", "1")
    assert (stopped.rc, stopped.stdout, len(stopped.stderr.splitlines())) == (1, "", 1)
    assert "the cost limit of $1.00 is reached: $0.0000 spent" in stopped.stderr
    done = cli(*label, "--prices", "prices.json", "--json")
    tokens = json.loads(done.stdout)["tokens"]
    dollars = 1000 * (tokens["prompt"] + tokens["output"])
    assert json.loads(done.stdout)["cost"]["dollars"] == pytest.approx(dollars)
    assert f"${dollars:,.4f}" in cli(*label, "--prices", "prices.json").stdout
    preview = json.loads(cli(*label, "--prices", "prices.json", "--dry-run", "--json").stdout)
    assert preview["cost"] == pytest.approx(1000 * preview["prompt_tokens"])
