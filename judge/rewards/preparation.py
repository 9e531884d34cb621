"""From labelled records to what a training learns from: examples on the disk, their split, their tokens and steps.

Everything that can be refused is refused here, before any weight is loaded. The records are read once, and no more than
a thousand of them are in memory at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from judge.errors import ConfigError, EngineError, InputError, RunError, unknown
from judge.pretrained import pretrained
from judge.records import content_id
from judge.rewards.checkpoint.metadata import REWARD_FILE, refuse_finished
from judge.rewards.config import RewardConfig
from judge.rewards.data.chat_template import pin_date
from judge.rewards.data.collate import Collator, Layout
from judge.rewards.data.example_store import ExampleStore, StoredExamples, stored, write_examples
from judge.rewards.data.examples import Example, ExampleStream, Labelled, LabelSummary
from judge.rewards.data.gate_pairs import NO_PAIRS, PairsBeside, by_scores
from judge.rewards.data.grouping import count_groups, group_keys, split, without
from judge.rewards.data.tokenize import CUT, ExampleTokenizer
from judge.rewards.data.weights import weighted
from judge.rewards.losses.pairwise import Loss
from judge.rewards.losses.registry import default_loss, loss_name_of, training_loss
from judge.rewards.modeling.states import longest_text
from judge.rewards.training.claim import SAVING, backbone_fingerprint, refuse_other, remove_state, was_saving
from judge.rewards.training.example_folder import ExampleFolder, example_folder
from judge.rewards.training.loop import LOGS, count_steps
from judge.rewards.training.preflight import empty_backbone, preflight
from judge.rewards.training.resume import STATE

SKIPPED = "could not be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTraining:
    """What a training will learn from.

    Attributes:
        config: with its loss and objectives filled in.
        labels: "judge" or "human".
        parents: what the labels were made from.
        tokenizer: of the backbone.
        collate: makes batches.
        examples: to train on.
        validation: held out, whole prompts at a time.
        dropped: rows that were left out, by reason.
        cut: examples whose prompt was too long.
        tokens: of all training examples, a prompt counted once for all its responses.
        steps: of the optimizer, on one device.
        gate_pairs: what the gate of a gated model is fitted to, of prompts that are not held out.
        loss: the caller's own, instead of the configuration's.
        discard: removes the examples from the model directory, where no training began.
    """

    config: RewardConfig
    labels: str
    parents: Sequence[Mapping[str, Any]]
    tokenizer: Any
    collate: Collator
    examples: Sequence[Example]
    validation: Sequence[Example]
    dropped: "Counter[str]"
    cut: int
    tokens: int
    steps: int
    gate_pairs: Sequence[Example] = ()
    loss: Loss | None = None
    discard: Callable[[], object] = lambda: None

    @property
    def loss_name(self) -> str:
        """The configuration's loss, or where the caller's own stands: `module.function`."""
        return self.config.loss_name if self.loss is None else loss_name_of(self.loss)

    def to_dict(self) -> dict[str, Any]:
        """Counts as plain values."""
        left_out = sorted(self.collate.tokenizer.template.leaves_out)
        return {
            "kind": self.config.model.kind,
            "backbone": self.config.model.backbone,
            "loss": self.loss_name,
            "labels": self.labels,
            "examples": len(self.examples),
            "validation_examples": len(self.validation),
            "prompts": count_groups(self.examples, self.validation),
            "prompts_cut": self.cut,
            "tokens_per_epoch": self.tokens,
            "steps": self.steps,
            "dropped": [{"reason": reason, "count": count} for reason, count in sorted(self.dropped.items())],
            **({"template_leaves_out": left_out} if left_out else {}),
        }

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for an interrupted training to go on."""
        parts = (self.examples, self.validation, self.gate_pairs)
        hashes = [_fingerprint(part, self.collate) for part in parts if part]
        told = {} if self.loss is None else {"loss": self.loss_name}
        return {
            "config": self.config.to_dict(),
            "labels": self.labels,
            "examples": content_id([rows for rows, _ in hashes]),
            "tokens": content_id([tokens for _, tokens in hashes]),
            "backbone": backbone_fingerprint(self.config.model.backbone),
            **told,
        }


def prepare(
    labelled: Iterable[Labelled],
    config: RewardConfig,
    *,
    labels: str = "judge",
    parents: Sequence[Mapping[str, Any]] = (),
    out: Path | None = None,
    skipped: Sequence[object] = (),
    validation: Iterable[Labelled] | None = None,
    validation_labels: str = "human",
    loss: Loss | None = None,
    source: str = "",
) -> PreparedTraining:
    """Read, drop with counts, tokenize, write and split.

    Args:
        labelled: records with their judgements.
        config: of the reward model.
        labels: "judge" takes the judgements, "human" the people's labels.
        parents: what the labels were made from, for the model's metadata.
        out: the model directory, which must not be there, unless an interrupted training of the same kind lies in it.
        skipped: the rows that could not be read, complete once `labelled` is read to its end; they count as dropped.
        validation: records to hold out instead of a part of `labelled`.
        validation_labels: whose labels of those are taken.
        loss: the caller's own, instead of the configuration's.
        source: names all records. Examples of the same source that lie in `out` are read instead of made again; ""
            keeps none.

    Raises:
        RmjudgeError: for anything that would go wrong later.
    """
    if out is not None:
        refuse(out)
    if not config.model.backbone:
        raise ConfigError("a reward model needs a backbone (accepted: a model directory, a name on the hub, tiny)")
    if loss is None:
        training_loss(config)
    tokenizer = load_tokenizer(config.model.backbone)
    collate = _collator(config, tokenizer)
    key = source and _key(source, config, collate.tokenizer, labels, validation_labels)
    with example_folder(out, key) as folder:
        about = folder.about
        if about is None:
            data = _Labels(labelled, labels, validation, validation_labels, skipped)
            about = folder.finish(_write(data, config, collate.tokenizer, folder.path))
        collate.tokenizer.template.leaves_out |= set(about["leaves_out"])
        config = _resolved(config, about, loss)
        parts = _stored_parts(folder, about, collate.tokenizer)
        training, held_out = _split(parts, config)
        lengths = collate.lengths(training)
        prepared = PreparedTraining(
            config=config,
            labels=labels,
            parents=parents,
            tokenizer=tokenizer,
            collate=collate,
            examples=training,
            validation=held_out,
            dropped=Counter(about["dropped"]),
            cut=about["cut"],
            tokens=sum(lengths),
            steps=count_steps(training, config, lengths),
            gate_pairs=_gate_pairs(parts.get("gate_pairs"), training, held_out, config, collate),
            loss=loss,
            discard=folder.belongs_to(parts["examples"].store),
        )
        if out is not None:
            refuse_other(prepared.fingerprint(), out)
    return prepared


class _Labels(NamedTuple):
    """What is read: see `prepare`."""

    labelled: Iterable[Labelled]
    labels: str
    validation: Iterable[Labelled] | None
    validation_labels: str
    skipped: Sequence[object]


def _write(data: _Labels, config: RewardConfig, tokenizer: ExampleTokenizer, folder: Path) -> dict[str, Any]:
    """Read everything and write its examples; what a reader must know of them."""
    kind = config.model.kind
    beside = PairsBeside(data.labels, folder / "pairs.jsonl") if config.model.has_gate else None
    labelled = data.labelled if beside is None else beside.scored(data.labelled)
    stream, every, kept = ExampleStream(labelled, kind, data.labels), LabelSummary(), LabelSummary()
    written = {"examples": write_examples(_told(stream, every), tokenizer, folder / "examples", kept.add)}
    counts = written["examples"].counts
    dropped = stream.dropped + Counter({SKIPPED: len(data.skipped)}) + counts
    cut = dropped.pop(CUT, 0)
    if not kept.count:
        raise InputError(f"no example is left: {_reasons(dropped)} (max_length is {tokenizer.max_length} tokens)")
    kept.check(kind)
    if data.validation is not None:
        held_out = ExampleStream(data.validation, kind, data.validation_labels)
        written["validation"] = write_examples(held_out, tokenizer, folder / "validation")
    if beside is not None:
        if beside.present:
            written["gate_pairs"] = write_examples(beside, tokenizer, folder / "gate_pairs")
        beside.file.unlink()
    return {
        "dropped": dict(dropped),
        "cut": cut,
        "objectives": sorted(every.objectives),
        "compared": every.compared,
        "outcomes": every.outcomes,
        "leaves_out": sorted(tokenizer.template.leaves_out),
        "written": {name: [part.rows, part.tokens] for name, part in written.items()},
    }


def _told(made: Iterable[Example], summary: LabelSummary) -> Iterator[Example]:
    """The examples, each told to a summary as it passes."""
    for example in made:
        summary.add(example)
        yield example


def _stored_parts(
    folder: ExampleFolder, about: Mapping[str, Any], tokenizer: ExampleTokenizer
) -> dict[str, StoredExamples]:
    """The examples that were written, by part."""
    parts = {}
    for name, (rows, tokens) in about["written"].items():
        parts[name] = StoredExamples(ExampleStore(folder.path / name, tokenizer, rows, tokens))
    return parts


def _split(parts: Mapping[str, StoredExamples], config: RewardConfig) -> tuple[Sequence[Example], Sequence[Example]]:
    """Training examples with their weights, and those that are held out.

    Raises:
        InputError: where prompts of the training are among those of validation data of its own.
    """
    every = parts["examples"]
    if "validation" not in parts:
        training, held_out = split(every, config.data.validation_fraction, config.split_seed)
        return weighted(training, config), held_out
    held_out = parts["validation"]
    if shared := len(np.intersect1d(group_keys(every), group_keys(held_out))):
        raise InputError(f"{shared} prompts of the validation data are in the training data too; leave them out")
    return weighted(every, config), held_out


def _gate_pairs(
    pairs: Sequence[Example] | None,
    training: Sequence[Example],
    validation: Sequence[Example],
    config: RewardConfig,
    collate: Collator,
) -> Sequence[Example]:
    """What the gate of a gated model is fitted to: pairs of prompts that are not held out; where the data has none,
    those of scored responses to one prompt. InputError when there is neither."""
    if not config.model.has_gate:
        return ()
    if pairs is None:
        pairs, _ = stored(by_scores(training, config), collate.tokenizer)
    pairs = without(pairs, validation)
    if not pairs:
        raise InputError(NO_PAIRS)
    return pairs


def _key(source: str, config: RewardConfig, tokenizer: ExampleTokenizer, labels: str, validation_labels: str) -> str:
    """Names everything that examples and their tokens are made by."""
    settings = [config.model.kind, config.model.has_gate, tokenizer.max_length, tokenizer.apart]
    versions = [version("rmjudge"), version("transformers")]
    return content_id(source, labels, validation_labels, settings, versions, _tokenizer_hash(tokenizer.tokenizer))


def _tokenizer_hash(tokenizer: Any) -> str:
    """A hash of what a tokenizer makes of texts: its vocabulary and rules, its special tokens, its chat template."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = sorted(tokenizer.get_vocab().items()) if backend is None else backend.to_str()
    parts = (type(tokenizer).__name__, rules, tokenizer.special_tokens_map, tokenizer.chat_template)
    return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _fingerprint(part: Sequence[Example], collate: Collator) -> tuple[str, str]:
    """Hashes of a part's examples and of their tokens, in their order."""
    if isinstance(part, StoredExamples):
        return part.fingerprint()
    return content_id([[example.id, content_id(repr(example))] for example in part]), collate.fingerprint(part)


def _collator(config: RewardConfig, tokenizer: Any) -> Collator:
    """What makes the batches; RmjudgeError for a training that could not begin."""
    layout: Layout = "packed" if config.model.encoder == "joint" else "apart"
    preflight(config)
    return Collator(
        tokenizer,
        config.model.kind,
        max_tokens(config),
        layout,
        shared_prefix=config.data.shared_prefix,
        cache_size=0,  # tokens lie beside the examples
        every_token=config.model.head == "likelihood",
    )


def refuse(out: Path) -> None:
    """RunError for a directory that holds anything but the states of an interrupted training.

    A finished model is refused too; a state that a killed process left beside it is removed.
    """
    remove_state_of_finished(out)
    refuse_finished(out)
    if out.is_dir():
        names = sorted(path.name for path in out.iterdir() if path.name not in (STATE, LOGS))
        if names and not was_saving(out):
            raise RunError(f"{out}: is not empty ({', '.join(names[:3])}); name a directory that is not there yet")


def remove_state_of_finished(out: Path) -> None:
    """Remove the state of a finished model whose process was killed before it did so; the model stays as it is."""
    if (out / REWARD_FILE).is_file() and (out / STATE / SAVING).is_file():
        remove_state(out)


def load_tokenizer(backbone: str) -> Any:
    """The tokenizer that lies with a backbone, its template's date pinned; EngineError where there is none."""
    from transformers import AutoTokenizer

    try:
        tokenizer = pretrained(AutoTokenizer, backbone)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(f"the tokenizer of '{backbone}' cannot be loaded: {reason}") from None
    return pin_date(tokenizer)


def max_tokens(config: RewardConfig) -> int:
    """max_length, or the positions that the backbone reads where those are fewer; its config alone is read."""
    empty = empty_backbone(config)
    if empty is None:
        return config.data.max_length  # whatever is wrong is said when the weights are loaded
    return longest_text(empty, config.data.max_length)


def _resolved(config: RewardConfig, about: Mapping[str, Any], loss: Loss | None) -> RewardConfig:
    """A configuration with the objectives that were scored, unless some of them were named, and with the loss that fits
    the labels, where none was named; ConfigError where these do not go with the other settings."""
    if config.model.kind == "multi":
        for name in config.model.objectives:
            if name not in about["objectives"]:
                raise unknown("objective", name, about["objectives"])
        config = config.updated(objectives=config.model.objectives or tuple(about["objectives"]))
    config = config.updated(loss=default_loss(config, compared=about["compared"], outcomes=about["outcomes"]))
    if loss is None:
        training_loss(config)
    return config


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "there are none"
