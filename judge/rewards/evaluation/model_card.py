"""A model's README.md: what it was made from, how, what it reaches, and what is wrong with it.

Everything on it was counted or measured; what is not known is left out. This module refuses to know how a figure is
made and where the card is written.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judge.rewards.config import Settings
from judge.rewards.evaluation.calibration import Calibration, Ece

CARD = "README.md"

_MADE_OF = {
    "scalar": "one reward for a response",
    "multi": "a reward for each objective",
    "outcome": "the logit of P(the answer is correct)",
    "process": "a verdict after each step of a solution",
    "ensemble": "{members} rewards for a response; their mean is the reward, their deviation its uncertainty",
    "hierarchical": "a reward from token, segment and response level",
}


def card(
    settings: Settings,
    account: Mapping[str, Any],
    *,
    parents: Sequence[Mapping[str, Any]] = (),
    validation: Mapping[str, float] | None = None,
    calibration: Calibration | None = None,
    figures: Mapping[str, float] | None = None,
    flags: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
    name: str = "MODEL",
    curves: str = "",
) -> str:
    """The card as Markdown with the front matter that the hub reads.

    account: counts of the training by their names (`Distilled.account()`). parents: what the labels were, see
    checkpoint.save. validation: figures on examples that training never saw. figures, flags: of a diagnosis. name: the
    directory, for the lines that use it. curves: the file of the picture, "" for none.
    """
    parts = [
        _front(settings),
        f"# A reward model: {settings.kind}",
        _MADE_OF[settings.kind].format(members=settings.members).capitalize()
        + f", on the backbone `{_backbone(settings)}`. Made by rmjudge.",
        _flags(flags),
        _figures(validation or {}, calibration, figures or {}),
        f"![loss and accuracy over the steps]({curves})" if curves else "",
        _labels(account, parents),
        _training(settings, account),
        _use(settings, name),
        _versions(versions or {}),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(settings: Settings) -> str:
    lines = ["---", "library_name: transformers", "tags:", "- reward-model", f"- {settings.kind}", "- rmjudge"]
    if settings.backbone.count("/") == 1 and not settings.backbone.startswith((".", "/", "~")):
        lines.append(f"base_model: {json.dumps(settings.backbone)}")
    task = "token-classification" if settings.kind == "process" else "text-classification"
    return "\n".join([*lines, f"pipeline_tag: {task}", "---"])


def _backbone(settings: Settings) -> str:
    """A hub's name as it is; of a path the last part, which says enough and no more than it should."""
    hub = settings.backbone.count("/") == 1 and not settings.backbone.startswith((".", "/", "~"))
    return settings.backbone if hub else settings.backbone.rstrip("/").rsplit("/", 1)[-1]


def _flags(flags: Sequence[str]) -> str:
    if not flags:
        return "## Red flags\n\nNone was found."
    return "## Red flags\n\n" + "\n".join(f"- **{_text(flag)}**" for flag in flags)


def _figures(validation: Mapping[str, float], calibration: Calibration | None, figures: Mapping[str, float]) -> str:
    rows = [(name, _number(name, value)) for name, value in validation.items() if isinstance(value, int | float)]
    if calibration is not None:
        told = {"pair": "pairs", "outcome": "outcomes", "step": "steps"}[calibration.about]
        if calibration.before is not None:
            rows.append(
                (f"calibration error as it was (ECE, 15 bins, {calibration.n:,} {told})", _ece(calibration.before))
            )
        if calibration.after is not None:
            how = f"T = {calibration.temperature:.3g}" if calibration.method == "temperature" else calibration.method
            rows.append((f"calibration error out of fold, after calibration ({how})", _ece(calibration.after)))
    told_already = {"calibration error", *validation}
    rows += [(name, _number(name, value)) for name, value in figures.items() if name not in told_already]
    return "## Figures on examples that training never saw\n\n" + _table(("figure", "value"), rows) if rows else ""


def _labels(account: Mapping[str, Any], parents: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (title, f"{account[name]:,}")
        for name, title in (
            ("examples", "training examples"),
            ("validation examples", "held out, by prompt"),
            ("prompts", "prompts"),
        )
        if isinstance(account.get(name), int)
    ]
    dropped = account.get("dropped") or {}
    rows += [(f"left out: {_text(reason)}", f"{count:,}") for reason, count in dropped.items()]
    said = {"judge": "by a judge", "human": "by people"}.get(str(account.get("labels")), "")
    parts = ["## Labels" + (f", {said}" if said else ""), _table(("what", "how many"), rows) if rows else ""]
    return "\n\n".join(part for part in [*parts, *(_parent(parent) for parent in parents)] if part)


def _parent(parent: Mapping[str, Any]) -> str:
    """One source, with what traces it: its hash, and of a run the judges and the prompt."""
    rows = [(name, _plain(value)) for name, value in parent.items() if name not in ("kind", "counts") and value]
    counts = parent.get("counts")
    if isinstance(counts, Mapping):
        rows += [(name, _plain(value)) for name, value in counts.items() if isinstance(value, int | float | str)]
    return _table((str(parent.get("kind", "source")), ""), rows)


def _training(settings: Settings, account: Mapping[str, Any]) -> str:
    default = Settings()
    changed = {
        name: value
        for name, value in settings.to_dict().items()
        if value != getattr(default, name)
        and value not in ([], {}, "")
        and name not in ("kind", "backbone", "trackers")
    }
    loss = {"loss": settings.loss_name + _arguments(settings.loss_arguments)}
    changed = loss | {name: value for name, value in changed.items() if name not in ("loss", "loss_arguments")}
    rows = [(name, _plain(value)) for name, value in changed.items()]
    for name in ("steps", "best step", "seconds", "tokens/s", "memory, GiB"):
        if name in account:
            rows.append((name, _plain(account[name])))
    return "## Training\n\nWhat is not named here is as rmjudge has it.\n\n" + _table(("setting", "value"), rows)


def _arguments(arguments: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{name} {value}' for name, value in arguments.items())})" if arguments else ""


def _use(settings: Settings, name: str) -> str:
    lines = ["## Use", "```sh", f"rmjudge score {name} DATA --out RUN", f"rmjudge export {name} --check", "```"]
    return "\n".join([lines[0], "", *lines[1:]])


def _versions(versions: Mapping[str, str]) -> str:
    return "Made with " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "." if versions else ""


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {_text(name)} | {_text(value)} |" for name, value in rows)])


def _ece(value: Ece) -> str:
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


_SHARES = ("accuracy", "longer wins", "labels against themselves", "training/validation gap", "members' spread")


def _number(name: str, value: float) -> str:
    return f"{value:.1%}" if name.startswith(_SHARES) else f"{value:.3g}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: str) -> str:
    """Data's own words as one cell: no line breaks, no bars, no markup of Markdown or HTML."""
    joined = " ".join(value.split())
    for sign in ("\\", "|", "<", ">", "`", "*", "[", "]"):
        joined = joined.replace(sign, "\\" + sign if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return joined
