"""How `rmjudge rubric` draws what came out. Texts of data are plain: no markup and no control characters of theirs."""

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from judge.cli import constitution_view as shared
from judge.cli.drawing import draw, say

if TYPE_CHECKING:
    from judge import RubricAblation, RubricDiff, RubricExampleResults, RubricFile, RubricGeneration, RubricTrial

SHOWN = 10


def plain(text: str) -> str:
    """A text on one line without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def draw_rubric(rubric: "RubricFile") -> None:
    """As a person reads it."""
    say(plain(rubric.name) + (f"\n{plain(rubric.description)}" if rubric.description else ""))
    say(f"{len(rubric)} criteria, {sum(max(item.points, 0.0) for item in rubric):g} points. Hash: {rubric.hash}")
    for number, item in enumerate(rubric, start=1):
        notes = [plain(item.name), "gate" * item.gate, plain(", ".join(item.tags))]
        say(f"\n{number}. [{item.points:+g}] {plain(item.text)}{shared.brackets(notes)}")
        for example in rubric.examples.get(item.label, ()):
            say(shared.indented(f"Example: {plain(example.prompt)}"))
            mark = "✓" if example.verdict == "met" else "✗"
            say(shared.indented(f"{mark} {plain(example.response)}", by="     "))


def draw_rendered(prompts: Sequence[Mapping[str, Any]]) -> None:
    """The prompt of each criterion; what is the same for all up to the criterion, in each."""
    for prompt in prompts:
        say(f"──── {plain(prompt['criterion'])} · {prompt['prompt']}")
        for turn in prompt["messages"]:
            say(f"[{turn['role']}]")
            say("\n".join(map(plain, turn["content"].splitlines())), end="\n\n")


def draw_trial(trial: "RubricTrial") -> None:
    """One answer criterion by criterion, or a sample as a table of criteria."""
    if len(trial.answers) == 1:
        _draw_answer(trial)
        return
    mean = shared.share_of(trial.score)
    say(f"{plain(trial.rubric) or 'rubrics of the rows'}: {len(trial.answers)} answers, mean score {mean}")
    shared.draw_skipped(trial.skipped)
    table = shared.table_of("criterion", "points", "met", "not met", "abstained", "unreadable", "mean P(met)")
    for row in trial.criteria:
        total = row.met + row.unmet + row.abstained + row.unreadable
        counts = (shared.count_of(count, total) for count in (row.met, row.unmet, row.abstained, row.unreadable))
        table.add_row(_name(row.name), _points(row.points, row.gate), *counts, shared.share_of(row.p_met))
    draw(table)
    if without := len(trial.answers) - trial.scored:
        say(f"{without} answers have no score: a criterion could not be read, or none is decided")


def _draw_answer(trial: "RubricTrial") -> None:
    (answer,) = trial.answers
    table = shared.table_of("criterion", "points", "verdict", "P(met)")
    for row in trial.criteria:
        p_met = shared.share_of(answer.p_met.get(row.name))
        table.add_row(_name(row.name), _points(row.points, row.gate), answer.criteria[row.name], p_met)
    draw(table)
    reason = f" ({plain(answer.reason)})" if answer.reason else ""
    say(f"score {shared.share_of(answer.score)}, expected {shared.share_of(answer.expected)}{reason}")


def draw_ablation(ablation: "RubricAblation") -> None:
    """One line a criterion, the most useful first."""
    whole = f"agreement with people {shared.mean_of(ablation.whole)}"
    say(f"{plain(ablation.rubric)}: {whole} on {ablation.pairs} pairs of {ablation.prompts} prompts")
    table = shared.table_of("criterion", "gain", "alone", "without it", "")
    for row in ablation.criteria:
        means = (shared.mean_of(row.gain, signed=True), shared.mean_of(row.alone), shared.mean_of(row.without))
        table.add_row(_name(row.id), *means, shared.worth_of(row.gain))
    draw(table)
    say("gain: agreement of all together minus that without it; [95 % interval, paired by prompt]")
    if ablation.unreadable:
        say(f"{ablation.unreadable} pairs of which an answer has no score are left out")
    shared.draw_skipped(ablation.skipped)


def draw_difference(difference: "RubricDiff") -> None:
    """Words, then scores."""
    say(f"{plain(difference.before)} → {plain(difference.after)}")
    for change in difference.changes:
        what = f"{_name(change.what)}.{change.field}" if change.field else _name(change.what)
        say(shared.indented(f"{change.kind} {what}: {plain(change.words)}", by=""))
    if not difference.changes:
        say("no difference in words")
    if difference.answers is None:
        return
    say(f"\n{len(difference.score_changes)} of {difference.answers} scores changed")
    if difference.pairs:
        say(f"{len(difference.pair_changes)} of {difference.pairs} pairs have another better answer")
    shared.draw_skipped(difference.skipped)
    table = shared.table_of("answer", "before", "after", "prompt", "response")
    for turn in difference.score_changes[:SHOWN]:
        scores = (shared.share_of(turn.before), shared.share_of(turn.after))
        table.add_row(turn.id[:8], *scores, shorten(plain(turn.prompt), 40), shorten(plain(turn.response), 40))
    if difference.score_changes:
        draw(table)


def draw_examples(results: "RubricExampleResults") -> None:
    """One line an example, and how many came out as they should."""
    table = shared.table_of("criterion", "example", "expected", "judged", "P(met)", "")
    for result in results:
        judged = result.verdict + (f" ({plain(result.reason)})" if result.reason else "")
        mark = "passed" if result.passed else "FAILED"
        p_met = shared.share_of(result.p_met)
        table.add_row(_name(result.criterion), str(result.number), result.example.verdict, judged, p_met, mark)
    draw(table)
    passed = sum(result.passed for result in results)
    say(f"{plain(results.rubric)}: {passed} of {len(results)} examples come out as they say")
    if results.without:
        say(f"without an example: {', '.join(map(_name, results.without))}")


def draw_generation(result: "RubricGeneration") -> None:
    """What stayed, what did not and why, and how far it agrees with people."""
    say(f"{result.prompts} prompts: {len(result.candidates)} different criteria proposed, {len(result.kept)} kept")
    if result.unwritten:
        say(f"{result.unwritten} prompts for which no rubric could be read: {result.file.parent}/author/failures.jsonl")
    table = shared.table_of("kept", "points", "separation")
    for candidate in result.kept[:SHOWN]:
        points, separates = _points(candidate.item.points, candidate.item.gate), candidate.separation
        table.add_row(_name(candidate.item.label), points, shared.mean_of(separates, signed=True))
    if result.kept:
        draw(table)
    table = shared.table_of("dropped", "why")
    for candidate in result.dropped[:SHOWN]:
        table.add_row(_name(candidate.item.label), plain(candidate.dropped))
    if result.dropped:
        say()
        draw(table)
    if len(result.kept) > SHOWN or len(result.dropped) > SHOWN:
        say(f"all of them: {result.file.parent}/report.json")
    if result.agreement.pairs:
        before = shared.mean_of(result.before)
        say(f"agreement with people on {result.agreement.pairs} pairs held out: {shared.mean_of(result.agreement)}")
        say(f"with every criterion that was proposed: {before}")
    else:
        say("nothing that people said was held out, so nothing says how far the rubric agrees with them")
    if result.held_out_prompts:
        say(f"{result.held_out_prompts} prompts were held out as a whole")
    if result.unscored:
        say(f"{result.unscored} pairs held out have no verdict and are left out")
    if result.empty:
        say(f"{result.empty} prompts have no criterion left")
    shared.draw_skipped(result.skipped)
    say(f"Written: {result.file}")


def _name(label: str) -> str:
    return shorten(plain(label), 60, placeholder="…")


def _points(points: float, gate: bool) -> str:
    return f"{points:+g}" + " gate" * gate
