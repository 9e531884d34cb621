"""Published figures, computed again from the published files to the last printed digit (README beside the data)."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.vote_agreement import among_people, kept_votes, with_judge
from judge.agreement.build import AgreementConfig, agreement, report
from judge.agreement.data.columns import READ, UNREADABLE
from judge.agreement.data.table import TIE, Table, build
from judge.agreement.schema import Figure
from judge.agreement.statistics.bootstrap import Resampler
from judge.cli.main import main
from judge.jobs.agree import read_inputs as read

PLAIN = AgreementConfig(resamples=0)


def by_name(figures: Sequence[Figure]) -> dict[str, float | None]:
    return {f"{figure.name} {figure.of}".strip(): figure.value for figure in figures}


def measured(table: Table, number: int = 0) -> dict[str, float | None]:
    return by_name(agreement(Measure(table, table.judges[number], Resampler(table.group, resamples=0, seed=0))))


def pandalm(data_dir: Path, name: str) -> Table:
    folder = data_dir / "pandalm"
    inputs = read([str(folder / f"{name}-testset-v1.json")], [str(folder / "testset-v1.json")], key="idx")
    return build(inputs.columns)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("gpt-3.5-turbo", (0.7107, 0.5879, 0.5736, 0.5755)),
        ("pandalm-7b", (0.6677, 0.5738, 0.5750, 0.5743)),
    ],
)
def test_pandalm_judges_against_the_majority(data_dir: Path, name: str, published: tuple[float, ...]) -> None:
    """Their figures count the 25 outputs that hold no verdict as ties; ours keep them apart."""
    table = pandalm(data_dir, name)
    (judge,) = table.judges
    unread = judge.state == UNREADABLE
    assert unread.sum() == (25 if name == "gpt-3.5-turbo" else 0)
    as_theirs = replace(judge, state=np.where(unread, READ, judge.state), verdict=np.where(unread, TIE, judge.verdict))
    found = measured(replace(table, judges=(as_theirs,)))
    names = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
    assert tuple(round(float(found[figure] or 0), 4) for figure in names) == published


def test_pandalm_annotators(data_dir: Path) -> None:
    """Cohen's κ .8520, .8789, .8617 between each two; majority 105 ties, 422 first, 472 second."""
    table = pandalm(data_dir, "pandalm-7b")
    assert [int((table.truth == code).sum()) for code in (TIE, 0, 1)] == [105, 422, 472]
    votes = table.votes
    kappas = []
    for one, other in ((0, 1), (0, 2), (1, 2)):
        truth = votes.value[votes.who == one]
        judge = replace(table.judges[0], verdict=votes.value[votes.who == other])
        kappas.append(measured(replace(table, truth=truth, judges=(judge,)))["cohen_kappa"])
    assert sorted(round(float(kappa or 0), 4) for kappa in kappas) == [0.8520, 0.8617, 0.8789]


@pytest.mark.parametrize(
    ("way", "accuracy", "same"),
    [("Vanilla_NoRules", 93.5, 97.0), ("Swap_CoT", 94.0, 100.0), ("Metrics_Reference", 96.0, 96.0)],
)
def test_llmbar(data_dir: Path, tmp_path: Path, way: str, accuracy: float, same: float) -> None:
    """GPT-4 on Natural, from its stored completions: accuracy over both orders, and the same verdict in both."""
    file = data_dir / "llmbar/gpt-4/natural" / way / "result.json"
    run = tmp_path / "run"
    asked = ["label", str(file), "--task", "preference", "--judge", f"recorded:{file}", "--out", str(run), "--quiet"]
    assert main([*asked, "--prompt", "preference/llmbar"]) == 0
    inputs = read([str(run)], [str(data_dir / "llmbar/natural.json")], key="")
    (judge,) = (done := report(inputs, PLAIN)).judges
    assert done.rows_total == 100
    assert round(100 * float(by_name(judge.agreement)["accuracy_orders"] or 0), 1) == accuracy
    assert judge.bias is not None
    flips = by_name(judge.bias.position)["flips"]
    assert flips is not None
    assert round(100 * (1 - flips), 1) == same


# turn: GPT-4 with people (S1, S2), people with people (S1, S2); Zheng et al. 2023, Table 5.
TABLE_5 = {
    1: ((886, 1343), (727, 859), (454, 721), (388, 479)),
    2: ((871, 1325), (731, 864), (471, 707), (388, 474)),
}


@pytest.mark.parametrize("turn", [1, 2])
def test_mt_bench_table_5(data_dir: Path, turn: int) -> None:
    """Experts only."""
    folder = data_dir / "mtbench"
    inputs = read([str(folder / "gpt4_pair.jsonl")], [str(folder / "human.jsonl")], wanted=["turn"])
    table = build(inputs.columns)
    experts = np.array([name.startswith("expert") for name in table.votes.names])
    rows = np.array([value == str(turn) for value in table.fields["turn"]])
    kept = kept_votes(table, experts, rows)
    (judge,) = table.judges
    found = [
        *(tuple(with_judge(table, judge, kept, ties=ties)) for ties in (True, False)),
        *(tuple(among_people(table, kept, ties=ties)) for ties in (True, False)),
    ]
    assert tuple(found) == TABLE_5[turn]


UNIEVAL = {
    "naturalness": (0.443666, 0.513986, 0.373973),
    "coherence": (0.595143, 0.612942, 0.465915),
    "engagingness": (0.556510, 0.604739, 0.455941),
    "groundedness": (0.536209, 0.574954, 0.451533),
    "understandability": (0.380038, 0.467807, 0.360741),
    "overall": (0.632796, 0.662583, 0.487272),
}


def test_unieval(data_dir: Path, tmp_path: Path) -> None:
    """Pearson, Spearman and Kendall's τ-b of UniEval's predictions with the mean ratings of topical_chat."""
    from judge.formats import read_records, to_row

    file = data_dir / "unieval/predicted/topical_chat_result.json"
    lines = []
    for _, record in read_records(file):
        said = {"task": "score", "verdict": record.meta["predict_scores"]}
        lines.append(json.dumps({**to_row(record), "human": [], "judgement": said}))
    (tmp_path / "labels.jsonl").write_text("\n".join(lines) + "\n")
    inputs = read([str(tmp_path)], [str(data_dir / "unieval/human/topical_chat.json")])
    found = measured(build(inputs.columns))
    for criterion, published in UNIEVAL.items():
        got = [found[f"{name} {criterion}"] for name in ("pearson", "spearman", "kendall")]
        assert tuple(round(float(value or 0), 6) for value in got) == published
