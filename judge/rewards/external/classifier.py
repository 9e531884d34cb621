"""A published classifier by its own class of transformers: padded rows, sorted by length.

    B rows, T tokens, C outputs.

Encoders (BERT and its like) read prompt and response as a pair of texts where their tokenizer has no chat template;
that is how cross-encoders such as OpenAssistant/reward-model-deberta-v3-large-v2 are called on their cards.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from judge.errors import EngineError
from judge.pretrained import pretrained
from judge.rewards.checkpoint.hf_format import quiet
from judge.rewards.config import RewardConfig
from judge.rewards.data.tokenize import ExampleTokenizer
from judge.rewards.external.decoder import (
    ReadingSettings,
    first_line,
    load_config,
    load_tokenizer,
    max_length,
    saved_dtype,
    unloadable,
    write_chat,
)
from judge.rewards.external.pairs import PairTokenizer, Row
from judge.rewards.external.recognition import PublishedModel
from judge.rewards.external.rows import RowReader, Writer, chat_writer
from judge.rewards.modeling.probes import is_causal
from judge.rewards.modeling.states import position_limit


class Classifier(RowReader):
    """Somebody else's classifier, ready to score.

    Attributes:
        config: in our own terms.
        longest: tokens of the longest text.

    Raises:
        EngineError: for weights or a tokenizer that cannot be loaded.
        ConfigError: for a decoder whose tokenizer has no chat template.
    """

    def __init__(self, model: PublishedModel, settings: ReadingSettings) -> None:
        self.published, self.settings = model, settings
        self.config: RewardConfig = model.reward_config(settings.objective_weights)
        self.tokenizer = load_tokenizer(model, settings)
        self.model = _load(model, settings)
        self.device = torch.device(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model.to(self.device).eval()
        longest = max_length(model, self.model.config, self.tokenizer, settings)
        self.longest = min(longest, position_limit(self.model) or longest)
        self.write, self.calibration = self._writer(), settings.calibration
        self._single = self.model.config.get_text_config().pad_token_id is None  # its class takes one text at a time

    # -- texts --------------------------------------------------------------------------------------------------------

    def _writer(self) -> Writer:
        """How prompt and response become tokens: by the chat template, or as a pair of texts."""
        has_template = bool(self.settings.chat_template or self.tokenizer.chat_template)
        if not has_template and (_has_pairs(self.tokenizer) or not is_causal(self.model.base_model)):
            return PairTokenizer(self.tokenizer, self.longest)
        tokenizer = write_chat(self.tokenizer, self.published, self.settings)
        return chat_writer(ExampleTokenizer(tokenizer, "scalar", self.longest))

    # -- numbers ------------------------------------------------------------------------------------------------------

    def values(self, rows: Sequence[Row], batch_tokens: int) -> dict[int, list[float]]:
        """The outputs of each row, by its identity."""
        values: dict[int, list[float]] = {}
        batch: list[Row] = []
        for row in sorted(rows, key=lambda row: -len(row.ids)):
            if batch and (self._single or len(batch[0].ids) * (len(batch) + 1) > batch_tokens):
                values |= self._forward(batch)
                batch = []
            batch.append(row)
        return values | (self._forward(batch) if batch else {})

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Row]) -> dict[int, list[float]]:
        width = len(batch[0].ids)
        pad = self.tokenizer.pad_token_id
        tokens = torch.full((len(batch), width), int(pad if pad is not None else 0))
        mask, types = torch.zeros_like(tokens), torch.zeros_like(tokens)
        for number, row in enumerate(batch):
            length = len(row.ids)
            tokens[number, :length], mask[number, :length] = torch.tensor(row.ids), 1
            if row.types:
                types[number, :length] = torch.tensor(row.types)
        inputs = {"input_ids": tokens, "attention_mask": mask} | ({"token_type_ids": types} if batch[0].types else {})
        try:
            outputs = self.model(**{name: value.to(self.device) for name, value in inputs.items()})
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise EngineError(f"{self.published.name}: cannot score a text: {first_line(error)}") from error
        logits = _logits(outputs).float().cpu()
        if logits.shape != (len(batch), len(self.published.labels)):
            shape = "x".join(map(str, logits.shape))
            raise EngineError(f"{self.published.name}: gave numbers of the shape {shape} for {len(batch)} texts")
        return dict(zip(map(id, batch), logits.tolist(), strict=True))


def _logits(outputs: Any) -> Tensor:
    """(B, C): `score` of a class that gives one reward of its own (ArmoRM), else its logits, else its bare output."""
    scores = getattr(outputs, "score", None)
    logits = scores if isinstance(scores, Tensor) else getattr(outputs, "logits", outputs)
    logits = logits[0] if isinstance(logits, tuple) else logits
    values: Tensor = logits[:, None] if logits.dim() == 1 else logits
    return values


def _load(model: PublishedModel, settings: ReadingSettings) -> Any:
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    remote = model.form == "remote"
    try:
        if remote:
            config = pretrained(AutoConfig, model.folder, trust_remote_code=True)
            known = "AutoModelForSequenceClassification" in (getattr(config, "auto_map", None) or {})
            auto: Any = AutoModelForSequenceClassification if known else AutoModel
        else:
            config, auto = load_config(model), AutoModelForSequenceClassification
        dtype = getattr(torch, settings.dtype or saved_dtype(config))
        more = {"trust_remote_code": True} if remote else {}
        with quiet():
            loaded, report = pretrained(
                auto, model.folder, weights=True, config=config, dtype=dtype, output_loading_info=True, **more
            )
    except (OSError, RuntimeError, ValueError, KeyError, ImportError, AttributeError, TypeError) as error:
        raise unloadable(model, error) from None
    missing = sorted(report["missing_keys"])
    if missing:
        raise EngineError(f"{model.name}: its weights lack {missing[0]}: the head of this model was never saved")
    return loaded


def _has_pairs(tokenizer: Any) -> bool:
    """Whether the tokenizer puts something between the two texts of a pair, as encoders' do."""
    return bool(tokenizer.num_special_tokens_to_add(pair=True) > tokenizer.num_special_tokens_to_add(pair=False))
