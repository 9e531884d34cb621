"""A model's README.md: what it was made from, how, what it reaches, and what is wrong with it.

Everything on it was counted or measured; what is not known is left out.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judge.rewards.config import RewardConfig
from judge.rewards.evaluation.calibration import Calibration, CalibrationError
from judge.rewards.registry import KINDS

CARD = "README.md"
_MERGE_FIRST = "**For other tools, merge it first:**"

_WORDS = {  # what a figure or count is called on the card, where its key does not say it
    "best_step": "best step",
    "calibration_error": "calibration error",
    "label_contradictions": "labels against themselves",
    "label_length_correlation": "length correlation, labels",
    "label_longer_wins": "longer wins, labels",
    "length_correlation": "length correlation",
    "longer_wins": "longer wins",
    "member_spread": "members' spread, of the rewards' own",
    "memory_gib": "memory, GiB",
    "order_shift": "moved by order",
    "reward_max": "reward highest",
    "reward_mean": "reward mean",
    "reward_min": "reward lowest",
    "reward_std": "reward deviation",
    "tokens_per_second": "tokens/s",
    "train_validation_gap": "training/validation gap",
}
_SHARES = {
    "accuracy",
    "longer_wins",
    "label_longer_wins",
    "label_contradictions",
    "train_validation_gap",
    "member_spread",
}


def model_card(
    config: RewardConfig,
    counts: Mapping[str, Any],
    *,
    parents: Sequence[Mapping[str, Any]] = (),
    validation: Mapping[str, float] | None = None,
    calibration: Calibration | None = None,
    figures: Mapping[str, float] | None = None,
    flags: Sequence[str] | None = None,
    versions: Mapping[str, str] | None = None,
    name: str = "MODEL",
    curves: str = "",
    loading: str = "",
) -> str:
    """The card as Markdown with the front matter that the hub reads.

    Args:
        config: of the reward model.
        counts: of the training by their names (`Distilled.to_dict()`).
        parents: what the labels were, see checkpoint.save_load.save.
        validation: figures on examples that training never saw.
        calibration: fitted on the same examples.
        figures: of the red flags.
        flags: what is wrong, a sentence each; None where it was not looked for.
        versions: of the packages it was made with.
        name: of the directory, for the lines that use it.
        curves: the file of the picture, "" for none.
        loading: what other tools get wrong as the directory is, "" for nothing.
    """
    parts = [
        _front(config),
        f"# A reward model: {config.model.kind}",
        KINDS[config.model.kind].gives.format(members=config.model.members).capitalize()
        + f", on the backbone `{_backbone(config)}`. Made by rmjudge.",
        _flags(flags, counts.get("validation_examples")),
        _figures(validation or {}, calibration, figures or {}),
        _evaluations(counts.get("evaluations") or {}),
        f"![loss and accuracy over the steps]({curves})" if curves else "",
        _labels(counts, parents),
        _training(config, counts),
        _uncertainty(config),
        _use(config, name, loading),
        _versions(versions or {}),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(config: RewardConfig) -> str:
    lines = ["---", "library_name: transformers", "tags:", "- reward-model", f"- {config.model.kind}", "- rmjudge"]
    if config.model.backbone.count("/") == 1 and not config.model.backbone.startswith((".", "/", "~")):
        lines.append(f"base_model: {json.dumps(config.model.backbone)}")
    task = "token-classification" if config.model.kind == "process" else "text-classification"
    return "\n".join([*lines, f"pipeline_tag: {task}", "---"])


def _backbone(config: RewardConfig) -> str:
    """A hub's name as it is; of a path the last part, which says enough and no more than it should."""
    hub = config.model.backbone.count("/") == 1 and not config.model.backbone.startswith((".", "/", "~"))
    return config.model.backbone if hub else config.model.backbone.rstrip("/").rsplit("/", 1)[-1]


def _flags(flags: Sequence[str] | None, examined: int | None) -> str:
    """What is wrong. That nothing is can be said only of examples that were looked at."""
    if flags is None or (not flags and not examined):
        return "## Red flags\n\nNot examined."
    if not flags:
        return f"## Red flags\n\nNone was found in {examined:,} validation examples."
    return "## Red flags\n\n" + "\n".join(f"- **{_text(flag)}**" for flag in flags)


def _figures(validation: Mapping[str, float], calibration: Calibration | None, figures: Mapping[str, float]) -> str:
    rows = [
        (_WORDS.get(name, name), _number(name, value))
        for name, value in validation.items()
        if isinstance(value, int | float)
    ]
    if calibration is not None:
        statements = {"pair": "pairs", "outcome": "outcomes", "step": "steps"}[calibration.about]
        if calibration.before is not None:
            rows.append(
                (
                    f"calibration error as it was (ECE, 15 bins, {calibration.n:,} {statements})",
                    _ece(calibration.before),
                )
            )
        if calibration.after is not None:
            how = f"T = {calibration.temperature:.3g}" if calibration.method == "temperature" else calibration.method
            rows.append((f"calibration error out of fold, after calibration ({how})", _ece(calibration.after)))
    shown = {"calibration_error", *validation}
    rows += [(_WORDS.get(name, name), _number(name, value)) for name, value in figures.items() if name not in shown]
    return "## Figures on examples that training never saw\n\n" + _table(("figure", "value"), rows) if rows else ""


def _evaluations(figures: Mapping[str, float]) -> str:
    """Figures on evaluation data beside the validation part, of the weights that were kept."""
    rows = [(name.replace("_", " "), f"{value:.3f}") for name, value in figures.items()]
    return "## Evaluation data\n\n" + _table(("data, figure", "value"), rows) if rows else ""


def _labels(counts: Mapping[str, Any], parents: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (title, f"{counts[name]:,}")
        for name, title in (
            ("examples", "training examples"),
            ("validation_examples", "held out, by prompt"),
            ("prompts", "prompts"),
        )
        if isinstance(counts.get(name), int)
    ]
    dropped = counts.get("dropped") or ()
    rows += [(f"left out: {_text(entry['reason'])}", f"{entry['count']:,}") for entry in dropped]
    labelled_by = {"judge": "by a judge", "human": "by people"}.get(str(counts.get("labels")), "")
    parts = [
        "## Labels" + (f", {labelled_by}" if labelled_by else ""),
        _table(("what", "how many"), rows) if rows else "",
    ]
    return "\n\n".join(part for part in [*parts, *(_parent(parent) for parent in parents)] if part)


def _parent(parent: Mapping[str, Any]) -> str:
    """One source, with what traces it: its hash, and of a run the judges and the prompt."""
    rows = [(name, _plain(value)) for name, value in parent.items() if name not in ("kind", "counts") and value]
    counts = parent.get("counts")
    if isinstance(counts, Mapping):
        rows += [(name, _plain(value)) for name, value in counts.items() if isinstance(value, int | float | str)]
    return _table((str(parent.get("kind", "source")), ""), rows)


def _training(config: RewardConfig, counts: Mapping[str, Any]) -> str:
    defaults = RewardConfig().flat()
    changed = {
        name: value
        for name, value in config.flat().items()
        if value != defaults[name] and value not in ([], {}, "") and name not in ("kind", "backbone", "report_to")
    }
    loss_name = str(counts.get("loss") or config.loss_name)
    loss = {"loss": loss_name + (_arguments(config.loss.arguments) if loss_name == config.loss_name else "")}
    changed = loss | {name: value for name, value in changed.items() if name not in ("loss", "loss_arguments")}
    rows = [(name, _plain(value)) for name, value in changed.items()]
    for name in ("steps", "best_step", "seconds", "tokens_per_second", "memory_gib"):
        if name in counts:
            rows.append((_WORDS.get(name, name), _plain(counts[name])))
    return "## Training\n\nWhat is not named here is as rmjudge has it.\n\n" + _table(("setting", "value"), rows)


_SIGMA = {
    "members": "the deviation of the trained members, their levels taken out",
    "refit": "the deviation of last layers refitted by bootstraps over prompts",
    "laplace": "the deviation of the last layer's posterior (Laplace), on the features as they are",
    "dropout": "the deviation of the head under masks of its features",
}


def _uncertainty(config: RewardConfig) -> str:
    """What σ is, what it is for and what it is not; nothing of a model without."""
    method = config.model.saved_uncertainty
    if method not in _SIGMA:
        return ""
    return (
        f"## Uncertainty\n\nσ ({method}) is {_SIGMA[method]}. It is for cautious scores (reward − K·σ) and for "
        "choosing what to label next: texts that lie apart from everything that was compared in training have more of "
        "it. It is no probability of error, knows nothing of wrong labels or of what the backbone does not see, and "
        "does not say that a verdict is wrong better than the smallness of the rewards' difference does."
    )


def _arguments(arguments: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{name} {value}' for name, value in arguments.items())})" if arguments else ""


def _use(config: RewardConfig, name: str, loading: str) -> str:
    lines = ["## Use", "", "```sh", f"rmjudge score {name} DATA --out RUN", f"rmjudge export {name} --check", "```"]
    if loading:
        merged = f"`rmjudge export {name} --out MERGED` writes a model that they load as it is."
        lines += ["", f"{_MERGE_FIRST} {loading}. {merged}"]
    return "\n".join(lines)


def merged_card(card: str, name: str, merged: str) -> str:
    """The card of a model whose adapter was added to its weights: under its new name, without the advice to do so.

    Args:
        card: of the model that kept its adapter.
        name: of its directory.
        merged: name of the directory with the merged weights.
    """
    lines = [line for line in card.splitlines() if not line.startswith(_MERGE_FIRST)]
    text = "\n".join(lines).replace(f"rmjudge score {name} ", f"rmjudge score {merged} ")
    text = text.replace(f"rmjudge export {name} ", f"rmjudge export {merged} ").rstrip()
    return f"{text}\n\nIts low-rank adapter was added to the backbone's weights in fp32.\n"


def _versions(versions: Mapping[str, str]) -> str:
    return "Made with " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "." if versions else ""


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {_text(name)} | {_text(value)} |" for name, value in rows)])


def _ece(error: CalibrationError) -> str:
    return f"{error.value:.3f} ({error.low:.3f} to {error.high:.3f})"


def _number(name: str, value: float) -> str:
    return f"{value:.1%}" if name in _SHARES else f"{value:.3g}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: str) -> str:
    """Text of the data as one cell: no line breaks, no bars, no markup of Markdown or HTML."""
    joined = " ".join(value.split())
    for sign in ("\\", "|", "<", ">", "`", "*", "[", "]"):
        joined = joined.replace(sign, "\\" + sign if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return joined
