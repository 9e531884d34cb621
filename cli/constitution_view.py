"""How `rmjudge constitution` draws what it found: tables and paragraphs for people. Nothing here computes a number."""

from collections.abc import Sequence
from textwrap import fill, shorten
from typing import TYPE_CHECKING, Any

from judge.constitution.constitution import Constitution, Principle

if TYPE_CHECKING:
    from rich.table import Table

    from judge.constitution_eval.ablation import Ablation, PairMean
    from judge.constitution_eval.difference import ConstitutionDiff
    from judge.constitution_eval.example_tests import ExampleResult
    from judge.constitution_eval.trial import ConstitutionTrial

WIDTH = 100
EXAMPLE = {
    "prompt": "(the prompt)",
    "first": "(the response that stands first)",
    "second": "(the response that stands second)",
}


def facts(constitution: Constitution, *, whole: bool = False) -> dict[str, Any]:
    """A constitution as JSON values; with its principles, or their number."""
    from dataclasses import asdict

    plain = asdict(constitution)
    principles = plain.pop("principles")
    return {**plain, "hash": constitution.hash, "principles": principles if whole else len(principles)}


def draw_list(constitutions: Sequence[Constitution]) -> None:
    """One line a constitution."""
    table = _table("constitution", "principles", "what it is for")
    for one in constitutions:
        table.add_row(one.name, str(len(one.principles)), one.description)
    _print(table)


def draw_constitution(constitution: Constitution) -> None:
    """As a person reads it."""
    version = f", version {constitution.version}" if constitution.version else ""
    print(f"{constitution.name}{version}\n{constitution.description}")
    print(f"Asked: {constitution.sampling}. Hash: {constitution.hash}")
    for number, principle in enumerate(constitution.principles, start=1):
        notes = [f"weight {principle.weight:g}"] * (principle.weight != 1) + [", ".join(principle.tags)]
        print(f"\n{number}. {principle.text}\n   {principle.id}{_brackets(notes)}")
        _requests(principle)
        for example in principle.examples:
            print(_indented(f"Example: {example.prompt}"))
            for side in ("first", "second"):
                mark = "✓" if side == example.verdict else "=" if example.verdict == "tie" else "✗"
                print(_indented(f"{mark} {getattr(example, side)}", by="     "))


def _requests(principle: Principle) -> None:
    for name, text in (("Critique", principle.critique_request), ("Revision", principle.revision_request)):
        if text:
            print(_indented(f"{name}: {text}"))


def rendering(constitution: Constitution, prompt: str | None) -> list[dict[str, Any]]:
    """What a judge is given under each principle: the messages, with its first example where it has one."""
    from judge.prompting.template import load_template
    from judge.records import spoken
    from judge.tasks.constitution_preference import PROMPT, check_principle, held

    template = load_template("preference", prompt or PROMPT)
    check_principle(template)
    shown = []
    for principle in constitution.principles:
        pair = principle.examples[0].pair if principle.examples else None
        texts = {name: spoken(getattr(pair, name)) for name in EXAMPLE} if pair else EXAMPLE
        turns = held(template, principle).render(**texts)
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        shown.append({"principle": principle.id, "prompt": template.name, "messages": messages})
    return shown


def draw_rendered(prompts: Sequence[dict[str, Any]]) -> None:
    """The prompt of each principle; the system message, which is the same for all, once."""
    said = ""
    for prompt in prompts:
        print(f"──── {prompt['principle']} · {prompt['prompt']}")
        for turn in prompt["messages"]:
            if turn["role"] == "system" and turn["content"] == said:
                print("[system]\n(as above)\n")
                continue
            said = turn["content"] if turn["role"] == "system" else said
            print(f"[{turn['role']}]\n{turn['content']}\n")


def draw_sample(sample: "ConstitutionTrial", shown: int) -> None:
    """What `try` found: a table of principles, the conflicts, and pairs side by side."""
    verdicts = ", ".join(f"{count} {name}" for name, count in sample.verdicts.items() if count)
    print(f"{sample.constitution}: {sample.pairs} pairs; all together: {verdicts}\n")
    table = _table("principle", "weight", "speaks", "abstains", "decides", "opposed", "unreadable")
    for one in sample.principles:
        counts = (one.speaks, one.abstains, one.decides, one.opposed, one.unreadable)
        table.add_row(one.id, f"{one.weight:g}", *(_of(count, sample.pairs) for count in counts))
    _print(table)
    print("speaks: prefers a response. abstains: does not tell them apart. decides: without it the verdict of all")
    print("together would be another one. opposed: it speaks, and all together say otherwise.")
    if sample.conflicts:
        print("\nwhere both speak and prefer different responses:")
        for conflict in sample.conflicts[:10]:
            print(f"  {conflict.principle} / {conflict.other}: {conflict.disagree} of {conflict.both}")
    for side in sample.disputed[:shown]:
        print(f"\n{side.id[:8]}  {shorten(side.prompt, WIDTH)}")
        print(f"  first:  {shorten(side.first, WIDTH)}\n  second: {shorten(side.second, WIDTH)}")
        for label, names in (("prefer first", side.prefer_first), ("prefer second", side.prefer_second)):
            print(f"  {label}: {', '.join(f'{name} ({_share(side.principles[name])})' for name in names)}")
        print(f"  all together: {side.verdict} ({_share(side.p_first)})")
    if len(sample.disputed) > shown:
        print(f"\n{len(sample.disputed) - shown} more pairs on which principles disagree (--show, --json)")


def draw_ablation(ablation: "Ablation") -> None:
    """What `ablate` found: one line a principle, the most useful first."""
    whole = f"agreement with people {_estimate(ablation.whole)}"
    print(f"{ablation.constitution}: {whole} on {ablation.pairs} pairs of {ablation.prompts} prompts")
    table = _table("principle", "gain", "alone", "without it", "")
    for use in ablation.principles:
        judged = _worth(use.gain)
        table.add_row(use.id, _estimate(use.gain, signed=True), _estimate(use.alone), _estimate(use.without), judged)
    _print(table)
    print("gain: agreement of all together minus that without it; [95 % interval, paired by prompt]")
    for count, what in ((ablation.unlabelled, "without a human label"), (ablation.unreadable, "not readable")):
        if count:
            print(f"{count} pairs {what} are left out")


def _worth(gain: "PairMean") -> str:
    if gain.low is None or gain.high is None:
        return "too few prompts"
    if gain.low > 0:
        return "earns its place"
    return "does harm" if gain.high < 0 else "no difference"


def draw_difference(found: "ConstitutionDiff") -> None:
    """What `diff` found: words, then verdicts."""
    print(f"{found.before} → {found.after}" if found.before != found.after else found.before)
    for change in found.changes:
        what = f"{change.what}.{change.field}" if change.field else change.what
        print(fill(f"{change.kind} {what}: {change.words}", WIDTH, subsequent_indent="    "))
    if not found.changes:
        print("no difference in words")
    if found.pairs is None:
        return
    print(f"\n{len(found.verdict_changes)} of {found.pairs} verdicts changed")
    if found.verdict_changes:
        table = _table("pair", "before", "after", "prompt")
        for turn in found.verdict_changes:
            before = f"{turn.before or 'unreadable'} ({_share(turn.p_before)})"
            after = f"{turn.after or 'unreadable'} ({_share(turn.p_after)})"
            table.add_row(turn.id[:8], before, after, shorten(turn.prompt, 50))
        _print(table)


def draw_examples(constitution: Constitution, outcomes: Sequence["ExampleResult"]) -> None:
    """What `test` found: one line an example, and how many came out as they should."""
    table = _table("principle", "example", "expected", "judged", "P(first)", "")
    for outcome in outcomes:
        judged = outcome.verdict or f"unreadable ({outcome.reason})"
        mark = "passed" if outcome.passed else "FAILED"
        expected = outcome.example.verdict
        table.add_row(outcome.principle, str(outcome.number), expected, judged, _share(outcome.p_first), mark)
    _print(table)
    passed = sum(outcome.passed for outcome in outcomes)
    print(f"{constitution.name}: {passed} of {len(outcomes)} examples come out as they say")
    bare = [principle.id for principle in constitution.principles if not principle.examples]
    if bare:
        print(f"without an example: {', '.join(bare)}")


def _table(*columns: str) -> "Table":
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    return table


def _print(table: "Table") -> None:
    from rich.console import Console

    Console(markup=False, highlight=False).print(table)


def _of(count: int, total: int) -> str:
    return f"{count} ({count / total:.0%})" if total else "0"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _estimate(estimate: "PairMean", *, signed: bool = False) -> str:
    if estimate.value is None:
        return "–"
    sign = "+" if signed else ""
    value = f"{estimate.value:{sign}.2f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{estimate.low:{sign}.2f}, {estimate.high:{sign}.2f}]"


def _brackets(notes: Sequence[str]) -> str:
    said = "; ".join(note for note in notes if note)
    return f" ({said})" if said else ""


def _indented(text: str, by: str = "   ") -> str:
    return fill(text, WIDTH, initial_indent=by, subsequent_indent=by + "  ")
