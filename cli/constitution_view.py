"""How `rmjudge constitution` draws what came out: tables and paragraphs for people."""

from collections.abc import Mapping, Sequence
from textwrap import fill, shorten
from typing import TYPE_CHECKING, Any

from judge.cli.drawing import draw, say

if TYPE_CHECKING:
    from rich.table import Table

    from judge import Ablation, Constitution, ConstitutionDiff, ConstitutionTrial, ExampleResults, Principle

Mean = tuple[float | None, float | None, float | None, int]
"""A mean, the ends of its interval, and of how many pairs it is."""

WIDTH = 100


def draw_list(constitutions: Sequence["Constitution"]) -> None:
    """One line a constitution."""
    table = table_of("constitution", "principles", "what it is for")
    for constitution in constitutions:
        table.add_row(constitution.name, str(len(constitution.principles)), constitution.description)
    draw(table)


def draw_constitution(constitution: "Constitution") -> None:
    """As a person reads it."""
    version = f", version {constitution.version}" if constitution.version else ""
    say(f"{constitution.name}{version}\n{constitution.description}")
    say(f"Asked: {constitution.sampling}. Hash: {constitution.hash}")
    for number, principle in enumerate(constitution.principles, start=1):
        notes = [f"weight {principle.weight:g}"] * (principle.weight != 1) + [", ".join(principle.tags)]
        say(f"\n{number}. {principle.text}\n   {principle.id}{brackets(notes)}")
        _requests(principle)
        for example in principle.examples:
            say(indented(f"Example: {example.prompt}"))
            for side in ("first", "second"):
                mark = "✓" if side == example.verdict else "=" if example.verdict == "tie" else "✗"
                say(indented(f"{mark} {getattr(example, side)}", by="     "))


def _requests(principle: "Principle") -> None:
    for name, text in (("Critique", principle.critique_request), ("Revision", principle.revision_request)):
        if text:
            say(indented(f"{name}: {text}"))


def draw_rendered(prompts: Sequence[Mapping[str, Any]]) -> None:
    """The prompt of each principle; the system message, which is the same for all, once."""
    system = ""
    for prompt in prompts:
        say(f"──── {prompt['principle']} · {prompt['prompt']}")
        for turn in prompt["messages"]:
            if turn["role"] == "system" and turn["content"] == system:
                say("[system]\n(as above)\n")
                continue
            system = turn["content"] if turn["role"] == "system" else system
            say(f"[{turn['role']}]\n{turn['content']}\n")


def draw_trial(trial: "ConstitutionTrial", shown: int) -> None:
    """What `try` found: a table of principles, the conflicts, and so many pairs side by side."""
    verdicts = ", ".join(f"{count} {name}" for name, count in trial.verdicts.items() if count)
    say(f"{trial.constitution}: {trial.pairs} pairs; all together: {verdicts}")
    draw_skipped(trial.skipped)
    say()
    table = table_of("principle", "weight", "speaks", "abstains", "decides", "opposed", "unreadable")
    for row in trial.principles:
        counts = (row.speaks, row.abstains, row.decides, row.opposed, row.unreadable)
        table.add_row(row.id, f"{row.weight:g}", *(count_of(count, trial.pairs) for count in counts))
    draw(table)
    say("speaks: prefers a response. abstains: does not tell them apart. decides: without it the verdict of all")
    say("together would be another one. opposed: it speaks, and all together say otherwise.")
    if trial.conflicts:
        say("\nwhere both speak and prefer different responses:")
        for conflict in trial.conflicts[:10]:
            say(f"  {conflict.principle} / {conflict.other}: {conflict.disagree} of {conflict.both}")
    for pair in trial.disputed[:shown]:
        say(f"\n{pair.id[:8]}  {shorten(pair.prompt, WIDTH)}")
        say(f"  first:  {shorten(pair.first, WIDTH)}\n  second: {shorten(pair.second, WIDTH)}")
        for label, names in (("prefer first", pair.prefer_first), ("prefer second", pair.prefer_second)):
            say(f"  {label}: {', '.join(f'{name} ({share_of(pair.principles[name])})' for name in names)}")
        say(f"  all together: {pair.verdict} ({share_of(pair.p_first)})")
    if len(trial.disputed) > shown:
        say(f"\n{len(trial.disputed) - shown} more pairs on which principles disagree (--show, --json)")


def draw_skipped(count: int) -> None:
    """How many rows are left out."""
    if count:
        say(f"{count} rows of the data that could not be read are left out")


def draw_ablation(ablation: "Ablation") -> None:
    """What `ablate` found: one line a principle, the most useful first."""
    whole = f"agreement with people {mean_of(ablation.whole)}"
    say(f"{ablation.constitution}: {whole} on {ablation.pairs} pairs of {ablation.prompts} prompts")
    table = table_of("principle", "gain", "alone", "without it", "")
    for row in ablation.principles:
        means = (mean_of(row.gain, signed=True), mean_of(row.alone), mean_of(row.without))
        table.add_row(row.id, *means, worth_of(row.gain))
    draw(table)
    say("gain: agreement of all together minus that without it; [95 % interval, paired by prompt]")
    for count, what in ((ablation.unlabelled, "without a human label"), (ablation.unreadable, "not readable")):
        if count:
            say(f"{count} pairs {what} are left out")
    draw_skipped(ablation.skipped)


def worth_of(gain: Mean) -> str:
    """What an interval of a gain says."""
    _, low, high, _ = gain
    if low is None or high is None:
        return "too few prompts"
    if low > 0:
        return "earns its place"
    return "does harm" if high < 0 else "no difference"


def draw_difference(difference: "ConstitutionDiff") -> None:
    """What `diff` found: words, then verdicts."""
    say(f"{difference.before} → {difference.after}" if difference.before != difference.after else difference.before)
    for change in difference.changes:
        what = f"{change.what}.{change.field}" if change.field else change.what
        say(fill(f"{change.kind} {what}: {change.words}", WIDTH, subsequent_indent="    "))
    if not difference.changes:
        say("no difference in words")
    if difference.pairs is None:
        return
    say(f"\n{len(difference.verdict_changes)} of {difference.pairs} verdicts changed")
    draw_skipped(difference.skipped)
    if difference.verdict_changes:
        table = table_of("pair", "before", "after", "prompt")
        for turn in difference.verdict_changes:
            before = f"{turn.before or 'unreadable'} ({share_of(turn.p_before)})"
            after = f"{turn.after or 'unreadable'} ({share_of(turn.p_after)})"
            table.add_row(turn.id[:8], before, after, shorten(turn.prompt, 50))
        draw(table)


def draw_examples(results: "ExampleResults") -> None:
    """What `test` found: one line an example, and how many came out as they should."""
    table = table_of("principle", "example", "expected", "judged", "P(first)", "")
    for result in results:
        judged = result.verdict or f"unreadable ({result.reason})"
        mark = "passed" if result.passed else "FAILED"
        expected = result.example.verdict
        table.add_row(result.principle, str(result.number), expected, judged, share_of(result.p_first), mark)
    draw(table)
    passed = sum(result.passed for result in results)
    say(f"{results.constitution}: {passed} of {len(results)} examples come out as they say")
    if results.without:
        say(f"without an example: {', '.join(results.without)}")


def table_of(*columns: str) -> "Table":
    """A table without lines under these heads."""
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    return table


def count_of(count: int, total: int) -> str:
    """A count and its share."""
    return f"{count} ({count / total:.0%})" if total else "0"


def share_of(value: float | None) -> str:
    """A probability."""
    return "–" if value is None else f"{value:.2f}"


def mean_of(mean: Mean, *, signed: bool = False) -> str:
    """A mean with its interval."""
    value, low, high, _ = mean
    if value is None:
        return "–"
    sign = "+" if signed else ""
    if low is None or high is None:
        return f"{value:{sign}.2f}"
    return f"{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def brackets(notes: Sequence[str]) -> str:
    """Notes behind a name."""
    text = "; ".join(note for note in notes if note)
    return f" ({text})" if text else ""


def indented(text: str, by: str = "   ") -> str:
    """A paragraph, moved to the right."""
    return fill(text, WIDTH, initial_indent=by, subsequent_indent=by + "  ")
