"""The files as their authors published them: read without a flag, every row accounted for.

Expected counts are quoted from the README beside the data (and the papers it names), or were counted in the raw files.
"""

from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from judge.errors import InputError
from judge.formats import Placed, from_row, read_records, to_row
from judge.formats.survey import survey
from judge.records import Pair, Response, Solution

# file: format, rows, records, different ids
COUNTS = {
    "pandalm/testset-v1.json": ("pandalm", 999, 999, 900),
    "pandalm/gpt-3.5-turbo-testset-v1.json": ("pandalm-predictions", 999, 999, 999),
    "pandalm/pandalm-7b-testset-v1.json": ("pandalm-predictions", 999, 999, 999),
    "llmbar/natural.json": ("llmbar", 100, 100, 100),
    "llmbar/adversarial-gptinst.json": ("llmbar", 92, 92, 92),
    "llmbar/adversarial-gptout.json": ("llmbar", 47, 47, 47),
    "llmbar/adversarial-manual.json": ("llmbar", 46, 46, 46),
    "llmbar/adversarial-neighbor.json": ("llmbar", 134, 134, 134),
    "llmbar/gpt-4/natural/Metrics_Reference/result.json": ("llmbar", 100, 100, 100),
    "llmbar/gpt-4/natural/Swap_CoT/result.json": ("llmbar", 100, 100, 100),
    "llmbar/gpt-4/natural/Vanilla_NoRules/result.json": ("llmbar", 100, 100, 100),
    "mtbench/human.jsonl": ("mt-bench", 3355, 3355, 1814),
    "mtbench/gpt4_pair.jsonl": ("mt-bench", 2400, 2400, 2400),
    "hhh/hhh_alignment_eval.json": ("hhh", 221, 221, 221),
    "finegrained-rlhf/dev_feedback.json": ("finegrained-rlhf", 500, 3000, 3000),
    "hh-rlhf/harmless-base-test.jsonl.gz": ("hh-rlhf", 2312, 2312, 2312),
    "unieval/human/topical_chat.json": ("unieval", 360, 360, 360),
    "unieval/human/sfres.json": ("unieval", 1181, 1181, 1143),
    "unieval/predicted/topical_chat_result.json": ("unieval", 360, 360, 360),
    "unieval/predicted/sfres_result.json": ("unieval", 1181, 1181, 1143),
    "gsm8k/test.jsonl": ("gsm8k", 1319, 1319, 1319),
    "gsm8k/example_model_solutions.jsonl": ("gsm8k-examples", 1319, 5276, 5268),
    "big-bench-mistake/logical_deduction.dev.jsonl": ("big-bench-mistake", 150, 150, 150),
    "big-bench-mistake/multistep_arithmetic.dev.jsonl": ("big-bench-mistake", 150, 150, 150),
    "big-bench-mistake/tracking_shuffled_objects.dev.jsonl": ("big-bench-mistake", 150, 150, 150),
    "big-bench-mistake/word_sorting.dev.jsonl": ("big-bench-mistake", 150, 150, 150),
    "mr-ben/math.json": ("mr-ben", 918, 918, 918),
}


def records(file: Path) -> list[Placed]:
    return list(read_records(file))


@pytest.mark.parametrize("name", COUNTS)
def test_every_row_is_accounted_for(data_dir: Path, name: str) -> None:
    family, rows, count, ids = COUNTS[name]
    found = survey(data_dir / name)
    assert (found.format, found.rows, found.records) == (family, rows, count)
    assert found.records - found.duplicates == ids
    assert found.problems == []
    assert found.barren == 0
    assert found.labelled == (974 if "gpt-3.5" in name else count)


@pytest.mark.parametrize("name", COUNTS)
def test_every_record_comes_back_from_its_row(data_dir: Path, name: str) -> None:
    for _, record in records(data_dir / name):
        assert from_row(to_row(record)) == record


def test_pandalm_majority(data_dir: Path) -> None:
    """README: majority 105 ties / 422 first / 472 second. Where all three differ PandaLM's own code takes a tie."""
    majority: Counter[object] = Counter()
    for _, record in records(data_dir / "pandalm/testset-v1.json"):
        assert [label.annotator for label in record.human] == ["annotator1", "annotator2", "annotator3"]
        ((verdict, votes),) = Counter(label.verdict for label in record.human).most_common(1)
        majority[verdict if votes > 1 else "tie"] += 1
    assert majority == {"tie": 105, "first": 422, "second": 472}


def test_pandalm_predictions(data_dir: Path) -> None:
    """Counted in the raw file: '2' 476, '1' 460, 'Tie' 38, 'garbage' 25."""
    found = [record.human for _, record in records(data_dir / "pandalm/gpt-3.5-turbo-testset-v1.json")]
    verdicts = Counter(human[0].verdict if human else None for human in found)
    assert verdicts == {"second": 476, "first": 460, "tie": 38, None: 25}


def test_finegrained_has_2616_decided_pairs(data_dir: Path) -> None:
    found = records(data_dir / "finegrained-rlhf/dev_feedback.json")
    verdicts = Counter(record.human[0].verdict for _, record in found)
    assert verdicts == {"first": 1577, "second": 1039, "tie": 384}
    assert verdicts["first"] + verdicts["second"] == 2616


def test_mtbench_votes_are_of_65_judges_without_texts(data_dir: Path) -> None:
    found = [record for _, record in records(data_dir / "mtbench/human.jsonl")]
    assert len({record.human[0].annotator for record in found}) == 65
    assert not any(isinstance(record, Pair) and record.judgeable for record in found)


def test_gpt4_and_the_people_of_mtbench_meet_under_one_id(data_dir: Path) -> None:
    people = {record.id for _, record in records(data_dir / "mtbench/human.jsonl")}
    judge = {record.id for _, record in records(data_dir / "mtbench/gpt4_pair.jsonl")}
    assert len(people - judge) == 0


def test_multistep_arithmetic_without_a_mistake(data_dir: Path) -> None:
    """62 of all 300 (README); every second row of them is here, and 31 of these have none."""
    found = [record for _, record in records(data_dir / "big-bench-mistake/multistep_arithmetic.dev.jsonl")]
    assert sum(record.human[0].verdict == -1 for record in found) == 31
    assert all(isinstance(record, Solution) and record.reference for record in found)


def test_gsm8k_shares_of_right_solutions(data_dir: Path) -> None:
    """README: 21.68, 39.04, 34.72, 56.25 %."""
    right: Counter[str] = Counter()
    for _, record in records(data_dir / "gsm8k/example_model_solutions.jsonl"):
        right[record.meta["model"]] += int(float(str(record.human[0].verdict)))
    shares = [round(100 * count / 1319, 2) for count in sorted(right.values())]
    assert shares == [21.68, 34.72, 39.04, 56.25]


def test_mr_ben_first_wrong_steps(data_dir: Path) -> None:
    """Raw file: 149 correct, 769 incorrect, each of those with the number of a step that is in its text."""
    right = 0
    for _, record in records(data_dir / "mr-ben/math.json"):
        assert isinstance(record, Solution)
        where, correct = record.human
        assert (where.verdict == -1) == (correct.verdict == 1.0)
        right += correct.verdict == 1.0
        if where.verdict != -1 and record.steps[0].startswith("Step 1"):
            index = int(float(str(where.verdict)))
            assert record.steps[index].lstrip().startswith(f"Step {index + 1}")
    assert right == 149


def test_hh_prompts_end_with_a_human_turn(data_dir: Path) -> None:
    found = survey(data_dir / "hh-rlhf/harmless-base-test.jsonl.gz")
    assert found.empty == 4  # "Assistant:" and nothing after it
    for _, record in records(data_dir / "hh-rlhf/harmless-base-test.jsonl.gz"):
        assert isinstance(record, Pair)
        assert record.prompt[0].role == record.prompt[-1].role == "user"
        assert record.first[0].role == record.second[0].role == "assistant"
        roles = [message.role for message in (*record.prompt, *record.first)]
        assert all(one != other for one, other in pairwise(roles))


def test_hhh_keeps_nothing_of_the_grading_prompt(data_dir: Path) -> None:
    found = [record for _, record in records(data_dir / "hhh/hhh_alignment_eval.json")]
    assert Counter(record.meta["source"] for record in found) == {
        "honest": 61,
        "helpful": 59,
        "harmless": 58,
        "other": 43,
    }
    for record in found:
        assert isinstance(record, Pair)
        texts = [message.content for message in (*record.prompt, *record.first, *record.second)]
        assert not any("###" in text for text in texts)
        assert record.meta["rubric"].startswith("[")


def test_unieval_means(data_dir: Path) -> None:
    found = [record for _, record in records(data_dir / "unieval/human/topical_chat.json")]
    assert all(isinstance(record, Response) and len(record.human) == 6 for record in found)
    assert {label.annotator for record in found for label in record.human} == {"mean"}


def test_places_are_true_lines(data_dir: Path) -> None:
    """The line that a record's place names is the one its row begins on."""
    for name, key in (("llmbar/natural.json", "{"), ("mr-ben/math.json", "{"), ("gsm8k/test.jsonl", '{"question"')):
        lines = (data_dir / name).read_text("utf-8").split("\n")
        numbers = [int(place.rpartition(":")[2]) for place, _ in records(data_dir / name)]
        assert all(lines[number - 1].lstrip().startswith(key) for number in numbers)
        assert all(one < other for one, other in pairwise(numbers))


def test_statistics_are_no_data(data_dir: Path) -> None:
    with pytest.raises(InputError, match=r"statistics\.json:1: no format fits the fields correct_False, "):
        records(data_dir / "llmbar/gpt-4/natural/Swap_CoT/statistics.json")


def test_six_pairs_a_question(data_dir: Path) -> None:
    found = records(data_dir / "finegrained-rlhf/dev_feedback.json")
    order = [list(pair) for pair in combinations((1, 2, 3, 4), 2)]
    for start in range(0, len(found), 6):
        group = found[start : start + 6]
        assert [record.meta["answers"] for _, record in group] == order
        assert len({place for place, _ in group}) == 1


@pytest.mark.parametrize(
    ("turn", "all_votes", "without_ties"), [(1, (886, 1343), (727, 859)), (2, (871, 1325), (731, 864))]
)
def test_gpt4_agrees_with_the_experts_of_mtbench_as_published(
    data_dir: Path, turn: int, all_votes: tuple[int, int], without_ties: tuple[int, int]
) -> None:
    """Zheng et al. 2023, Table 5: setups S1 (ties are a label of their own) and S2 (votes without ties)."""
    judge = {record.id: record.human[0].verdict for _, record in records(data_dir / "mtbench/gpt4_pair.jsonl")}
    votes = [
        (judge[record.id], record.human[0].verdict)
        for _, record in records(data_dir / "mtbench/human.jsonl")
        if record.meta["turn"] == turn and record.human[0].annotator.startswith("expert")
    ]
    decided = [vote for vote in votes if "tie" not in vote]
    assert (sum(one == other for one, other in votes), len(votes)) == all_votes
    assert (sum(one == other for one, other in decided), len(decided)) == without_ties
