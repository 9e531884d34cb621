"""`judge.robustness` on a function, a run, a real model and its card."""

from collections.abc import Sequence
from math import log2
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.errors import ConfigError, InputError, UnknownNameError
from judge.files import write_rows
from tests.rewards.models import save

WORDS = [f"w{number}" for number in range(25, 55)]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("llama"), "llama")


def rows(count: int, *, start: int = 0) -> list[dict[str, Any]]:
    """Pairs of which w10 is better than w20, beside words that say nothing; every second one in the other order."""
    made = []
    for number in range(start, start + count):
        filler = " ".join(WORDS[(number * step) % 30] for step in (3, 7, 11))
        better, worse = f"w10 {filler}", f"w20 {filler} {filler}" if number % 3 else f"w20 {filler}"
        first, second, verdict = (better, worse, "first") if number % 2 else (worse, better, "second")
        human = [{"annotator": "ann", "verdict": verdict}]
        meta = {"source": "xy"[number // 2 % 2]}
        prompt = f"{WORDS[number % 30]} {WORDS[number // 30]}"
        made.append({"prompt": prompt, "first": first, "second": second, "human": human, "meta": meta})
    return made


def longest(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """A reward function, as TRL calls one, that counts words."""
    assert len(prompts) == len(completions)
    return [float(len(completion.split())) for completion in completions]


QUIET: dict[str, Any] = {"progress": False, "resamples": 200}


def test_a_function_is_a_model() -> None:
    """The better response has four words, the worse one seven in two of three pairs, else four: accuracy is 0 in
    these, ½ in the others, so 1/6 of 60."""
    report = judge.robustness(longest, rows(60), **QUIET)
    assert report.data.name == "longest"
    assert report.figures["accuracy"].value == pytest.approx((40 * 0 + 20 * 0.5) / 60)
    assert {"likes_long", "chance_accuracy"} <= {finding.name for finding in report.findings} and report.wrong
    assert {part.field for part in report.slices} >= {"source"}
    assert "likes_long" not in {finding.name for finding in judge.robustness(len_of_none, rows(60), **QUIET).findings}


def len_of_none(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    return [float("w10" in completion.split()) for completion in completions]


def test_shifted_data_give_a_gap() -> None:
    """On the shifted data the better response has lost its word."""
    turned = [
        {**row, "first": row["second"], "second": row["first"]} for row in rows(60, start=60)
    ]  # the labels stay, so the model is always wrong there
    report = judge.robustness(len_of_none, rows(60), shifted=turned, probe="none", **QUIET)
    assert report.figures["gap"].value == 1.0
    assert [finding.name for finding in report.findings] == ["chance_accuracy_shifted", "gap"]
    assert report.findings[0].severity == "stop"
    assert report.findings[0].what == "On the shifted data it is worse than a coin: 0.0 % are told right"


@pytest.fixture(scope="module")
def model(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> judge.RewardModel:
    out = tmp_path_factory.mktemp("models") / "words"
    settings: dict[str, Any] = {"epochs": 4, "learning_rate": 3e-3, "validation_fraction": 0.2, "progress": False}
    return judge.distill(rows(60), kind="ensemble", members=2, backbone=str(llama), out=out, **settings)


def test_a_model_is_scored_in_batches_and_written_to_its_card_once(model: judge.RewardModel) -> None:
    """Trained to prefer w10; what is found goes to the card, and a second report takes the first one's place."""
    test = rows(40, start=100)
    report = judge.robustness(model, test, pairs=8, k=2, card=True, **QUIET)
    assert report.figures["accuracy"].value > 0.9  # type: ignore[operator]
    rewards = model.score_batch(test)
    right = sum(
        pair[0].value > pair[1].value if number % 2 else pair[1].value > pair[0].value  # type: ignore[operator]
        for number, pair in enumerate(rewards, start=100)
    )
    assert report.figures["accuracy"].value == right / 40
    card = model.card
    assert card.count("## Robustness") == 1 and "| Better response has the higher reward |" in card
    assert card.index("## Robustness") < card.index("## Labels") < card.index("## Training")
    judge.robustness(model.path, test, pairs=8, k=2, card=True, **QUIET)
    assert model.card == card
    judge.robustness(str(model.path), test, probe="none", card=True, **QUIET)
    assert model.card.count("## Robustness") == 1 and "Not examined: edits" in model.card
    assert model.card.count("## Labels") == 1


def test_a_lower_bound_is_the_mean_minus_deviations(model: judge.RewardModel) -> None:
    test = rows(20, start=100)
    rewards = [reward for pair in model.score_batch(test) for reward in pair]
    lower = [reward.value - 2 * reward.std for reward in rewards]  # type: ignore[operator]
    mean = sum(lower) / 40
    expected = (sum((value - mean) ** 2 for value in lower) / 40) ** 0.5
    report = judge.robustness(model, test, lower=2.0, probe="none", **QUIET)
    assert report.figures["reward_deviation"].value == pytest.approx(expected, rel=1e-4)


def test_a_run_gives_the_rewards_that_it_holds(model: judge.RewardModel, tmp_path: Path) -> None:
    test, other = rows(30, start=100), rows(30, start=140)
    run = judge.score(model, test, out=tmp_path / "run", progress=False)
    judge.score(model, other, out=tmp_path / "shifted", progress=False)
    by_run = judge.robustness(run, shifted=tmp_path / "shifted", **QUIET)
    by_model = judge.robustness(model, test, shifted=other, probe="none", **QUIET)
    for name in ("accuracy", "accuracy_shifted", "gap", "length_slope"):
        assert by_run.figures[name].value == pytest.approx(by_model.figures[name].value, abs=1e-6)
    assert (by_run.data.data, by_run.data.shifted) == ((str(tmp_path / "run"),), (str(tmp_path / "shifted"),))
    assert by_run.data.probes == () and any("read from a run" in reason for reason in by_run.data.not_examined)
    by_run.save(tmp_path / "robust.json")
    agreement = judge.agree(run, robustness=tmp_path / "robust.json", resamples=50)
    agreement.save(tmp_path / "page.html")
    assert agreement.robustness[0].data == by_run.data
    assert "Robustness of run" in (tmp_path / "page.html").read_text("utf-8")


def test_a_report_comes_back_from_its_file(tmp_path: Path) -> None:
    report = judge.robustness(longest, rows(60), shifted=rows(30, start=60), pairs=10, k=4, **QUIET)
    report.save(tmp_path / "report.json")
    again = judge.RobustnessReport.load(tmp_path / "report.json")
    assert again.data == report.data and again.to_row() == report.to_row()
    (tmp_path / "other.json").write_text('{"version": "rmjudge-report/2"}')
    with pytest.raises(InputError, match=r"other\.json: no saved robustness report of rmjudge: field 'version'"):
        judge.RobustnessReport.load(tmp_path / "other.json")


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(ConfigError, match="a judge gives verdicts, not rewards; `rmjudge audit`"):
        judge.robustness("vllm:Qwen/Qwen3-32B", rows(3))
    with pytest.raises(ConfigError, match=r"judge\.robustness needs data"):
        judge.robustness(longest)
    with pytest.raises(ConfigError, match="card needs a reward model's directory"):
        judge.robustness(longest, rows(3), card=True)
    with pytest.raises(UnknownNameError, match="did you mean 'keywords'"):
        judge.robustness(longest, rows(3), probe="keyword")
    with pytest.raises(InputError, match=r"no row has a field 'sauce' to slice by \(fields: file, source\)"):
        judge.robustness(longest, rows(3), slices=["sauce"])
    with pytest.raises(ConfigError, match="k: found -1"):
        judge.robustness(longest, rows(3), k=-1)
    with pytest.raises(InputError, match="gave 1 rewards for 6 texts"):
        judge.robustness(lambda prompts, completions: [1.0], rows(3), progress=False)


def test_bad_rows_are_left_out_where_asked(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    write_rows(file, [*rows(20), {"prompt": "w10", "first": 3}])
    with pytest.raises(InputError, match=r"rows\.jsonl:21"):
        judge.robustness(longest, file, probe="none", **QUIET)
    report = judge.robustness(longest, file, probe="none", skip_bad=True, **QUIET)
    assert (report.data.coverage.compared, report.data.coverage.skipped) == (20, 1)
    assert report.data.not_examined[-1] == f"1 rows that could not be read: {file}:21"
    assert judge.robustness(longest, file, probe="none", limit=10, **QUIET).data.coverage.compared == 10


def test_a_reward_of_length_on_real_texts(data_dir: Path) -> None:
    """r = log2(length): twice the length adds 1, and an edit adds what its length adds, in deviations."""

    def length(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        return [log2(max(len(completion), 1)) for completion in completions]

    report = judge.robustness(
        length, data_dir / "hh-rlhf" / "harmless-base-test.jsonl.gz", limit=300, pairs=40, **QUIET
    )
    slope, deviation = report.figures["length_slope"].value, report.figures["reward_deviation"].value
    assert slope is not None and slope * deviation == pytest.approx(1.0)  # type: ignore[operator]
    for probe in report.data.probes:
        assert probe.by_length == pytest.approx(probe.shift.value, abs=1e-9)
    assert report.figures["longer_wins"].value == 1.0
    assert report.figures["accuracy_balanced"].value == 0.5
    assert {"likes_long", "likes_pad", "likes_repeat", "worst_of_k"} <= {finding.name for finding in report.findings}
