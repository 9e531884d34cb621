"""`judge.export`: a run as training data, or a reward model checked, merged or pushed to the hub."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from judge.errors import ConfigError, unknown
from judge.exports.export import Exported, ExportOptions, export_run
from judge.runs.data import Data, open_data
from judge.runs.reader import Run

if TYPE_CHECKING:
    from judge.exports.push import Pushed
    from judge.rewards.inference.loader_parity import LoaderDifference

ALLOWED = {"float32": 2e-5, "bfloat16": 1e-3, "float16": 1e-3}
"""The largest difference between loaders that passes, by what weights are rounded to."""
TEXTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """What the export of a reward model came to.

    Attributes:
        model: its directory; where it was written anew, the new one.
        written: whether it was written anew.
        loaders: the largest difference of each loader's scores from ours; empty where nothing was checked.
        dtype: what the weights were rounded to before the loaders were compared.
        pushed: what went to the hub, or would go; None where nothing was pushed.
    """

    model: Path
    written: bool = False
    loaders: "tuple[LoaderDifference, ...]" = ()
    dtype: str = "float32"
    pushed: "Pushed | None" = None

    @property
    def allowed(self) -> float:
        """The largest difference that passes."""
        return ALLOWED[self.dtype]

    @property
    def passed(self) -> bool:
        """Whether every loader that ran gives the same scores, and what was to be pushed could be."""
        return self.loaders_agree and (self.pushed is None or self.pushed.passed)

    @property
    def loaders_agree(self) -> bool:
        """Whether every loader that ran gives the same scores."""
        return all(self.is_same(loader) is not False for loader in self.loaders)

    def is_same(self, loader: "LoaderDifference") -> bool | None:
        """Whether a loader gives the same scores; None where it was not run."""
        return None if loader.largest is None else loader.largest <= self.allowed

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        loaders = [
            {"loader": each.loader, "largest": _finite(each.largest), "note": each.note} for each in self.loaders
        ]
        row = {
            "model": str(self.model),
            "allowed": self.allowed,
            "dtype": self.dtype,
            "loaders": loaders,
            "passed": self.passed,
        }
        return row if self.pushed is None else row | {"pushed": self.pushed.to_row()}

    def __repr__(self) -> str:
        lines = [f"written: {self.model}"] if self.written else []
        if self.loaders:
            lines.append(f"{self.model}: scores of weights in {self.dtype}, at most {self.allowed:g} apart")
        for each in self.loaders:
            verdict = {True: "same", False: "DIFFERENT", None: "not run"}[self.is_same(each)]
            difference = "" if each.largest is None else f"{each.largest:.1e} "
            lines.append(f"  {each.loader}: {difference}{each.note or verdict}")
        if self.pushed is not None:
            lines.append(repr(self.pushed))
        return "\n".join(lines)


def export(
    run: str | Path | Run,
    *,
    to: str = "",
    out: str | Path | None = None,
    kind: str = "",
    min_margin: float = 0.0,
    agree: bool = False,
    ties: bool = True,
    validation: float = 0.1,
    seed: int = 0,
    licence: str = "unknown",
    force: bool = False,
    check: bool = False,
    data: Data | None = None,
    vllm: bool = True,
    dtype: Literal["float32", "bfloat16", "float16"] | str = "float32",
    push: str = "",
    private: bool = False,
    dry_run: bool = False,
    progress: bool = True,
) -> Exported | ExportedModel:
    """Turn a run into training data; check a reward model's loaders, merge its adapters, push it to the hub.

    Args:
        run: a run of `label` or `revise`, or the directory of a reward model.
        to: the format of a run's data: trl, openrlhf, nemo, openai, sharegpt, ultrafeedback, healthbench,
            rubrics-as-rewards or rmjudge.
        out: the directory to write; of a model, where it is written with its adapter merged.
        kind: preference, unpaired, stepwise or sft; the usual one of the run's task where none is given.
        min_margin: leave out examples below this margin, |2p - 1|.
        agree: keep only what both orders agree on.
        ties: keep ties, where the format has a word for them.
        validation: the share of prompts to hold out, drawn by `seed`.
        seed: which prompts are held out follows from it.
        licence: what the data card says; of a model that is pushed, its own, where no card names it.
        force: replace a directory that is there.
        check: score texts of a reward model by every loader.
        data: the texts to check with; some of our own where none are given.
        vllm: whether vLLM is among the loaders.
        dtype: what weights are rounded to for the check, whose arithmetic is fp32: scores may differ by 2e-5 in
            float32, by 1e-3 in bfloat16 and float16, and by so much of the largest score where that is above 1.
        push: the name on the hub that a reward model is pushed to, hf://OWNER/NAME; not if `check` finds a difference.
        private: a model that the hub makes now is seen by its owner only.
        dry_run: push nothing, and say what would be pushed.
        progress: name each loader on stderr while it is checked.

    Returns:
        `Exported` for a run, `ExportedModel` for a reward model; both say in their repr what was done.

    Raises:
        ConfigError: for options that are missing, or that the run's task or the format cannot give.
        RunError: for a directory that is no run, or that is there already; where the hub refuses a push.
    """
    directory = run.directory if isinstance(run, Run) else Path(run)
    if dtype not in ALLOWED:
        raise unknown("dtype", dtype, ALLOWED)
    if check or (directory / "reward.json").is_file():
        if not push and (private or dry_run):
            raise ConfigError("--private and --dry-run go with --push hf://OWNER/NAME")
        exported, target = ExportedModel(model=directory), None if out is None else Path(out)
        if check or target is not None or not push:
            exported = _export_model(
                directory, out=target, check=check, data=data, vllm=vllm, dtype=dtype, progress=progress
            )
        return _push_model(exported, push, licence, private=private, dry_run=dry_run) if push else exported
    if push or private or dry_run:
        raise ConfigError(f"{directory}: --push is for reward models, and this directory has no reward.json")
    missing = [name for name, value in {"--to": to, "--out": out}.items() if not value]
    if out is None or missing:
        raise ConfigError(f"rmjudge export needs {', '.join(missing)}; see `rmjudge export --help`")
    options = ExportOptions(
        to=to,
        kind=kind,
        margin=min_margin,
        agree=agree,
        ties=ties,
        validation=validation,
        seed=seed,
        licence=licence,
    )
    return export_run(directory, out, options, force=force)


def _push_model(exported: ExportedModel, target: str, licence: str, *, private: bool, dry_run: bool) -> ExportedModel:
    """The model on the hub, unless its loaders differ."""
    if not exported.loaders_agree:
        return exported
    from judge.jobs.reward_model import RewardModel

    named = "" if licence == "unknown" else licence
    pushed = RewardModel(exported.model).push(target, licence=named, private=private, dry_run=dry_run)
    return replace(exported, pushed=pushed)


def _export_model(
    model: Path, *, out: Path | None, check: bool, data: Data | None, vllm: bool, dtype: str, progress: bool
) -> ExportedModel:
    if not check and out is None:
        raise ConfigError(
            f"{model} is a reward model: --check compares its loaders, --out writes it with adapters merged, "
            "--push sends it to the hub"
        )
    if out is not None:
        from judge.rewards.checkpoint.save_load import export_merged

        export_merged(model, out)
    written = model if out is None else out
    loaders = _differences(written, data, vllm=vllm, dtype=dtype, progress=progress) if check else ()
    return ExportedModel(model=written, written=out is not None, loaders=tuple(loaders), dtype=dtype)


def _differences(
    model: Path, data: Data | None, *, vllm: bool, dtype: str, progress: bool
) -> "Sequence[LoaderDifference]":
    from judge.jobs.check_progress import check_progress
    from judge.rewards.inference.loader_parity import check_loaders

    records = () if data is None else (record for source in open_data(data) for _, record in source.records())
    with check_progress(shown=progress) as watch:
        return check_loaders(model, list(islice(records, TEXTS)), vllm=vllm, dtype=dtype, watch=watch)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
