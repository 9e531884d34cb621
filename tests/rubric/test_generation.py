"""Rubrics that a model writes: what an author sees, which criteria stay, and the agreement with people held out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import judge
from judge.constitution_eval.ablation import PairMean
from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from judge.judgements import Checklist
from judge.records import RubricItem
from judge.rubric.criterion_votes import CriterionVotes
from judge.rubric.material import gather_material
from judge.rubric.selection import deduplicate, fate, held_out_agreement, separations
from judge.tasks.authoring.rubric import criteria_of
from tests.rubric.support import choice, pair, shown


def test_a_written_rubric_is_read_line_by_line() -> None:
    text = """Here it is:
[+5] Names the capital.
- [-2.5] Invents a source
3. [ 4 ]: Is short.
(−1) Is rude.
[gate] Is safe.
[+5] Names the capital.
[0] Says nothing.
[+900] Is everything.
Is kind."""
    assert [(item.text, item.points, item.gate) for item in criteria_of(text)] == [
        ("Names the capital.", 5.0, False),
        ("Invents a source", -2.5, False),
        ("Is short.", 4.0, False),
        ("Is rude.", -1.0, False),
        ("Is safe.", 1.0, True),
    ]


def test_what_says_nearly_the_same_is_dropped_and_counted() -> None:
    items = [RubricItem(text=text) for text in ("Is short.", "Names the capital.", "Names a capital", "Is rude.")]
    candidates = deduplicate(items)
    assert [(candidate.item.text, candidate.proposed, candidate.dropped) for candidate in candidates] == [
        ("Names the capital.", 2, ""),
        ("Is short.", 1, ""),
        ("Is rude.", 1, ""),
        ("Names a capital", 1, "says nearly the same as: Names the capital."),
    ]


def votes(margins: list[tuple[float, float]], points: float = 1.0) -> list[CriterionVotes]:
    """Pairs of which people prefer the first answer in even rows, with P(met | first) and P(met | second)."""
    item = RubricItem(text="c", points=points)
    return [
        CriterionVotes(
            pair(f"a{row}", f"b{row}", "second" if row % 2 else "first", prompt=f"Q{row}"),
            (item,),
            Checklist(verdict={"": 1.0, "c": 1}, expected={"": first, "c": first}),
            Checklist(verdict={"": 1.0, "c": 1}, expected={"": second, "c": second}),
        )
        for row, (first, second) in enumerate(margins)
    ]


def test_separation_is_the_mean_margin_of_the_better_answer() -> None:
    item = RubricItem(text="c", points=2.0)
    (measured,) = separations([item], votes([(0.9, 0.1), (0.3, 0.9)]), seed=0, resamples=100)
    assert measured.value == pytest.approx((0.8 + 0.6) / 2) and measured.pairs == 2 and measured.low is None
    fault = votes([(0.9, 0.1), (0.3, 0.9)], points=-1.0)
    assert separations(fault[0].rubric, fault, seed=0, resamples=100)[0].value == pytest.approx(-0.7)
    # The same in six prompts: every draw of them has the mean 0.7 and more or less of either margin, 0.8 and 0.6.
    (many,) = separations([item], votes([(0.9, 0.1), (0.3, 0.9)] * 3), seed=0, resamples=100)
    assert many.value == pytest.approx(0.7) and many.low is not None and 0.6 <= many.low < 0.7


def test_why_a_criterion_is_dropped() -> None:
    assert fate(PairMean(0.3, None, None, 2), 0.1) == ""
    assert fate(PairMean(0.3, 0.1, 0.5, 20), 0.1) == ""
    assert fate(PairMean(0.3, -0.1, 0.7, 20), 0.1) == "does not separate (+0.30, 95 % interval -0.10 to +0.70)"
    assert fate(PairMean(0.05, 0.01, 0.09, 20), 0.1).startswith("does not separate (+0.05")
    assert fate(PairMean(-0.4, None, None, 2), 0.1) == "speaks for the worse answers (-0.40)"
    assert fate(PairMean(None, None, None, 0), 0.1) == "decided for no pair of answers"


def test_agreement_held_out_by_hand() -> None:
    rows = votes([(0.9, 0.1), (0.9, 0.1), (0.4, 0.4)])
    measured, unscored = held_out_agreement([(vote, vote.rubric) for vote in rows], seed=0, resamples=100)
    assert (measured.value, measured.pairs, unscored) == (pytest.approx((1 + 0 + 0.5) / 3), 3, 0)
    nothing, unscored = held_out_agreement([(rows[0], ())], seed=0, resamples=100)
    assert (nothing.value, unscored) == (None, 1)


def test_whole_prompts_are_held_out_where_a_rubric_is_for_all() -> None:
    records = [pair(f"a{row}{side}", f"b{row}{side}", prompt=f"Q{row}") for row in range(10) for side in range(2)]
    material = gather_material(records, held_out=0.3, seed=0, shared=True)
    held = [prompt for prompt in material if prompt.unseen]
    assert len(material) == 10 and len(held) == 3
    assert all(len(prompt.held_out) == 2 and not prompt.shown for prompt in held)
    assert all(len(prompt.shown) == 2 and not prompt.held_out for prompt in material if not prompt.unseen)
    again = gather_material(records[::-1], held_out=0.3, seed=0, shared=True)
    assert {prompt.id for prompt in again if prompt.unseen} == {prompt.id for prompt in held}


def test_a_pair_that_shares_no_answer_is_held_out_where_each_prompt_has_its_own() -> None:
    chain = [pair("a", "b"), pair("b", "c"), pair("c", "d")]  # only a > b and c > d share nothing
    (prompt,) = gather_material(chain, held_out=0.3, seed=0, shared=False)
    texts = [{turn[0].content for turn in (p.first, p.second)} for p in (*prompt.shown, *prompt.held_out)]
    assert sorted(map(sorted, texts)) == [["a", "b"], ["c", "d"]] and len(prompt.held_out) == 1
    # One pair a prompt: whole prompts, at least one of two; and one prompt alone is never held out.
    two = gather_material([pair("a", "b", prompt="1"), pair("a", "b", prompt="2")], held_out=0.1, seed=0, shared=False)
    assert sum(prompt.unseen for prompt in two) == 1
    (alone,) = gather_material([pair("a", "b")], held_out=0.9, seed=0, shared=False)
    assert alone.shown and not alone.held_out
    assert not any(p.held_out for p in gather_material(chain, held_out=0.0, seed=0, shared=False))


AUTHOR = """<rubric>
[+5] It is right.
[+4] The answer is right
[-2] It is rude.
[+1] It has words.
[+3] It is wrong.
[+3] It is odd.
</rubric>"""


def answers(request: Request) -> Completion | str:
    """Writes six criteria; knows right from wrong nine times in ten, by the number of the prompt; finds every answer
    with words, none rude, and half of them odd whichever they are."""
    criterion, text = shown(request, "judging_criterion"), shown(request, "candidate_response")
    if not criterion:
        return AUTHOR
    number, good = int(text.split()[1]), text.startswith("good")
    known = {"It is right.": 0.9 if good != (number % 10 == 9) else 0.1, "It has words.": 0.95, "It is rude.": 0.02}
    known["It is wrong."] = 1.0 - known["It is right."]
    known["It is odd."] = 0.9 if (number % 4 < 2) == good else 0.2
    return choice(known[criterion])


def pairs(count: int) -> list[judge.Pair]:
    return [
        pair(f"good {row}", f"bad {row}", prompt=f"Q{row}")
        if row % 2
        else pair(f"bad {row}", f"good {row}", "second", prompt=f"Q{row}")
        for row in range(count)
    ]


def test_one_rubric_for_all_keeps_what_separates_and_is_measured_on_prompts_held_out(tmp_path: Path) -> None:
    engine = ScriptedEngine(answers, shuffle=True)
    made = judge.generate_rubrics(
        pairs(100), judges=engine, out=tmp_path / "made", shared=True, held_out=0.3, resamples=500, progress=False
    )
    assert [(candidate.item.text, candidate.proposed) for candidate in made.kept] == [("It is right.", 140)]
    reasons = {
        candidate.item.text: candidate.dropped.partition(" (")[0]
        for candidate in made.dropped
        if candidate.separation.pairs
    }
    assert reasons == {
        "It is rude.": "does not separate",
        "It has words.": "does not separate",
        "It is wrong.": "speaks for the worse answers",
        "It is odd.": "does not separate",
    }
    assert (made.prompts, made.held_out_prompts, made.agreement.pairs, made.unscored) == (70, 30, 30, 0)
    # The judge errs where the number ends with 9; how many of these are held out is a matter of the draw.
    held = set(range(100)) - _numbers(tmp_path / "made" / "author" / "labels.jsonl")
    assert len(held) == 30
    expected = sum(row % 10 != 9 for row in held) / 30
    assert made.agreement.value == pytest.approx(expected)
    assert made.agreement.low is not None and made.agreement.low <= expected <= made.agreement.high  # type: ignore[operator]
    # With all criteria "odd" outweighs "right" and "wrong": 3 · 0.7 points against (5 - 3) · 0.8.
    assert made.before.value == pytest.approx(sum(row % 4 < 2 for row in held) / 30)
    rubric = judge.load_rubric(made.file)
    assert made.file == tmp_path / "made" / "rubric.yaml" and made.rubric is not None
    assert rubric.criteria == made.rubric.criteria == (RubricItem(text="It is right.", points=5.0),)
    assert json.loads((tmp_path / "made" / "report.json").read_text("utf-8")) == json.loads(json.dumps(made.to_row()))


def _numbers(labels: Path) -> set[int]:
    """The numbers of the prompts that an author was asked for."""
    return {int(json.loads(line)["prompt"][0]["content"][1:]) for line in labels.read_text("utf-8").splitlines()}


def test_a_rubric_for_each_prompt_is_data_that_the_task_checklist_reads(tmp_path: Path) -> None:
    engine = ScriptedEngine(answers)
    data = pairs(20)
    made = judge.generate_rubrics(data, judges=engine, out=tmp_path / "made", held_out=0.25, progress=False)
    assert (made.prompts, made.held_out_prompts, made.agreement.pairs, made.rubric) == (20, 5, 5, None)
    records = [record for _, record in judge.read_records(made.file)]
    assert [replace(record, rubric=()) for record in records] == data  # labels and all
    for record in records:
        number = int(record.prompt[0].content[1:])
        kept = {item.text for item in record.rubric}
        assert ("It is right." in kept) is (number % 10 != 9) and ("It is wrong." in kept) is (number % 10 == 9)
        assert not kept & {"It has words.", "It is rude.", "The answer is right"}
    run = judge.label(made.file, task="checklist", judges=engine, out=tmp_path / "run", progress=False)
    assert run.counts.rows == 40 and not run.counts.unreadable


def test_the_same_call_resumes_and_asks_nothing_again(tmp_path: Path) -> None:
    def make(engine: ScriptedEngine) -> judge.RubricGeneration:
        return judge.generate_rubrics(pairs(12), judges=engine, out=tmp_path / "made", progress=False)

    with pytest.raises(judge.EngineError):
        make(ScriptedEngine(answers, crash_after=40))  # in the middle of the checks
    resumed = make(ScriptedEngine(answers))
    assert make(ScriptedEngine(answers, crash_after=0)) == resumed
    whole = judge.generate_rubrics(pairs(12), judges=ScriptedEngine(answers), out=tmp_path / "again", progress=False)
    assert whole.candidates == resumed.candidates and whole.agreement == resumed.agreement
    with pytest.raises(judge.RunChangedError):
        judge.generate_rubrics(pairs(12), judges=ScriptedEngine(answers), out=tmp_path / "made", seed=1, progress=False)


def test_the_author_sees_contrasts_references_and_critiques_and_none_of_what_is_held_out(tmp_path: Path) -> None:
    asked: dict[str, str] = {}

    def answer(request: Request) -> Completion | str:
        text = request.messages[-1].content
        if "judging_criterion" not in text:
            asked[shown(request, "user_prompt")] = text
        return answers(request)

    data = [
        replace(record, reference=f"ref {row}", meta={"critique": f"words {row}"})
        for row, record in enumerate(pairs(10))
    ]
    made = judge.generate_rubrics(
        data, judges=ScriptedEngine(answer), out=tmp_path / "made", held_out=0.2, progress=False
    )
    assert made.held_out_prompts == 2
    unseen = [name for name, text in asked.items() if "better_answer_1" not in text.partition("Write four")[0]]
    assert len(asked) == 10 and len(unseen) == 2
    for name, text in asked.items():
        row = name[1:]
        assert f"<reference_answer>\nref {row}\n" in text
        assert (f"<better_answer_1>\ngood {row}\n" in text and f"<worse_answer_1>\nbad {row}\n" in text) is (
            name not in unseen
        )
        assert (f"<critique_1>\nwords {row}\n" in text) is (name not in unseen)


def test_prompts_without_peoples_words_get_a_rubric_and_no_figure(tmp_path: Path) -> None:
    prompts = [{"prompt": f"Q{row}"} for row in range(3)]
    made = judge.generate_rubrics(prompts, judges=ScriptedEngine(answers), out=tmp_path / "made", progress=False)
    assert (made.agreement.value, made.agreement.pairs, len(made.kept)) == (None, 0, 15)  # six of each less a twin
    assert not (tmp_path / "made" / "checks").exists()


def test_an_author_who_writes_no_criteria_is_counted(tmp_path: Path) -> None:
    def answer(request: Request) -> Completion | str:
        return "<rubric>\nBe good.\n</rubric>" if shown(request, "user_prompt") == "Q0" else answers(request)

    made = judge.generate_rubrics(pairs(8), judges=ScriptedEngine(answer), out=tmp_path / "made", progress=False)
    assert (made.unwritten, made.empty, made.prompts) == (1, 1, 8)
    (failure,) = judge.open_run(tmp_path / "made" / "author").failures()
    assert failure.judgement.reason == "rubric: no criterion of the form [+POINTS] TEXT"


def test_an_author_of_its_own_and_what_must_be_given(tmp_path: Path) -> None:
    author, checker = ScriptedEngine(lambda request: AUTHOR), ScriptedEngine(answers)
    made = judge.generate_rubrics(pairs(6), judges=checker, author=author, out=tmp_path / "made", progress=False)
    assert made.kept
    with pytest.raises(judge.ConfigError, match="needs judges, out"):
        judge.generate_rubrics(pairs(2))
    with pytest.raises(judge.ConfigError, match=r"held_out 1\.0"):
        judge.generate_rubrics(pairs(2), judges=checker, out=tmp_path / "x", held_out=1.0)


def test_nothing_is_left_where_no_criterion_separates(tmp_path: Path) -> None:
    def make(margin: float) -> judge.RubricGeneration:
        return judge.generate_rubrics(
            pairs(20), judges=ScriptedEngine(answers), out=tmp_path / "made", shared=True, margin=margin, progress=False
        )

    assert make(0.1).file.name == "rubric.yaml"
    none = make(0.95)  # asks nothing again
    assert (none.rubric, none.kept, none.file.name, none.agreement.value) == (None, (), "report.json", None)
    assert none.unscored == 4 and none.empty == 20 and not (tmp_path / "made" / "rubric.yaml").exists()


def test_at_most_so_many_criteria_stay(tmp_path: Path) -> None:
    def answer(request: Request) -> Completion | str:
        text = "<rubric>\n[+1] Says alpha.\n[+1] Says beta.\n[+1] Says gamma.\n</rubric>"
        criterion, good = shown(request, "judging_criterion"), shown(request, "candidate_response").startswith("good")
        shares = {"Says alpha.": 0.6, "Says beta.": 0.9, "Says gamma.": 0.8}
        return choice(shares[criterion] if good else 0.1) if criterion else text

    made = judge.generate_rubrics(
        pairs(10),
        judges=ScriptedEngine(answer),
        out=tmp_path / "made",
        shared=True,
        most=2,
        held_out=0.0,
        progress=False,
    )
    assert [(c.item.text, round(c.separation.value or 0.0, 6)) for c in made.kept] == [
        ("Says beta.", 0.8),
        ("Says gamma.", 0.7),
    ]
    assert [c.dropped for c in made.dropped if c.item.text == "Says alpha." and c.separation.pairs] == [
        "others separate better"
    ]
