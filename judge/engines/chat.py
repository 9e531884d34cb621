"""A conversation as the token ids that one model reads: its chat template, the prefill, the choices in context.

The model's own chat template decides everything: where turns begin, whether there is a BOS (nothing is added to it, so
never two). A marker of that template (`<|im_end|>`, `[INST]`, `</think>` ...) inside message content is broken by an
invisible character, so judged text cannot end its turn or open another. A model without a template is refused unless
one is given: a guessed format would judge badly without a word.

Loading a Chat reads the tokenizer alone, so tokens are counted without the model's weights.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from judge.engines.base import Request
from judge.engines.choices import ChoiceTree
from judge.engines.models import Source
from judge.engines.thinking import Marks, marks_of
from judge.errors import EngineError
from judge.pretrained import pretrained

PLAIN = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
"""The template `plain`: the turns' texts one below the other, for a model that knows no chat (prompts */few-shot)."""

BREAKERS = ("\u200d", "\u2060", " ")  # tried in turn: a tokenizer's normalizer may drop the invisible ones
MARKER = re.compile(
    r"<[|｜][^|｜<>\n]{1,48}[|｜]>|\[/?[A-Z][A-Z_]+\]|<</?SYS>>|</?(?:s|bos|eos|think|thinking)>|<(?:start|end)_of_turn>"
)


def break_markers(text: str) -> str:
    """Break every string that looks like a chat marker of some model: for a server whose tokenizer is unknown."""
    return MARKER.sub(lambda match: _broken(match.group(), BREAKERS[0]), text)


def _broken(marker: str, breaker: str) -> str:
    return marker[0] + breaker + marker[1:]


class Prompt(NamedTuple):
    """A rendered request. thinking: whether the text ends inside the model's thinking."""

    text: str
    ids: list[int]
    thinking: bool


class Chat:
    """One model's way of writing conversations."""

    def __init__(
        self, tokenizer: Any, *, name: str, template: str = "", template_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        """tokenizer: of transformers. name: the model, for errors. template: Jinja text instead of the model's own.
        template_kwargs: further variables for it, such as enable_thinking."""
        self.tokenizer = tokenizer
        self._name = name
        self.template: str = template or _own_template(tokenizer)
        if not self.template:
            raise EngineError(
                f"model '{name}' has no chat template; give one with chat_template=FILE.jinja, or "
                "chat_template=plain with a few-shot prompt"
            )
        self._kwargs = dict(template_kwargs or {})
        added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
        self.marks: Marks | None = marks_of(self.template, added)
        self._replacements = self._find_replacements(added)
        longest_first = sorted(self._replacements, key=len, reverse=True)
        self._markers = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._branches = lru_cache(maxsize=512)(self._branch)

    @classmethod
    def load(
        cls,
        source: Source,
        *,
        chat_template: str = "",
        template_kwargs: Mapping[str, Any] | None = None,
        trust_remote_code: bool = False,
    ) -> "Chat":
        """Read a model's tokenizer, from its directory or the hub. chat_template: a Jinja file, or "plain"."""
        from transformers import AutoTokenizer

        try:
            tokenizer = pretrained(
                AutoTokenizer, source.location, revision=source.revision or None, trust_remote_code=trust_remote_code
            )
        except (OSError, ValueError) as error:
            raise EngineError(f"no tokenizer for '{source.name}': {str(error).splitlines()[0]}") from error
        template = PLAIN if chat_template == "plain" else ""
        if chat_template and not template:
            try:
                template = Path(chat_template).read_text(encoding="utf-8")
            except OSError as error:
                raise EngineError(f"chat_template '{chat_template}' cannot be read: {error.strerror}") from error
        return cls(tokenizer, name=source.name, template=template, template_kwargs=template_kwargs)

    def harmless(self, text: str) -> str:
        """The text with every marker of this model broken, as it reads to a person otherwise."""
        return self._markers.sub(lambda match: self._replacements[match.group()], text)

    def prompt(self, request: Request, *, think: bool = True) -> Prompt:
        """The request as text and token ids. think=False closes the model's thinking before it begins.

        A reply that goes on from a prefill or is one of several choices is never preceded by thinking.
        """
        text, thinking = self._text(request, think and not request.prefill and not request.choices)
        return Prompt(text, self.encode(text), thinking)

    def begin(self, request: Request, *, thinks: bool) -> tuple[Request, str]:
        """The request with its opening as the beginning of the reply, and that beginning; "" where the model is to
        think first or the reply is begun already."""
        if not request.opening or request.prefill or thinks:
            return request, ""
        return replace(request, prefill=request.opening), request.opening

    def choices(self, request: Request) -> tuple[list[int], ChoiceTree]:
        """The prompt's ids and the tree of the choices' tokens after them.

        A choice is tokenised in context: "[[" + "A" may be one token. So prompt + choice is tokenised as a whole for
        each choice; what all of them share is the prompt, the rest is the choice. Only the text after the last marker
        is tokenised again (tokens never reach across a marker), and that piece recurs from record to record.
        """
        text, ids, _ = self.prompt(request)
        start = max((match.start() for match in self._markers.finditer(text)), default=0)
        tail_ids, common, branches = self._branches(text[start:], request.choices)
        if tail_ids != ids[len(ids) - len(tail_ids) :]:  # a tokenizer that reads the tail otherwise on its own
            tail_ids, common, branches = self._branch(text, request.choices)
            return common, ChoiceTree(branches)
        return ids[: len(ids) - len(tail_ids)] + common, ChoiceTree(branches)

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text: markers count, nothing is added at either end."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    @property
    def marks_are_special(self) -> bool:
        """Whether decoding without special tokens would lose the marks of thinking."""
        special = set(self.tokenizer.all_special_tokens)
        return self.marks is not None and any(token in self.marks.end for token in special)

    def _text(self, request: Request, think: bool) -> tuple[str, bool]:
        messages = tuple((message.role, self.harmless(message.content)) for message in request.messages)
        text = self._render(messages, think)
        opened = self.marks is not None and text.rstrip().endswith(self.marks.start)
        if self.marks is not None and not think:
            text += f"\n{self.marks.end}\n\n" if opened else self.marks.skip
            opened = False
        return text + self.harmless(request.prefill), opened

    def _render(self, messages: tuple[tuple[str, str], ...], think: bool) -> str:
        """The chat template's text up to the start of the model's turn.

        Not `continue_final_message`: it strips the white space that a prefill ends with, and templates that cut the
        thinking out of past turns cut into it. A template that takes no system turn gets it atop the first user turn.
        """
        kwargs = self._kwargs if think else {**self._kwargs, "enable_thinking": False}
        rows = [{"role": role, "content": content} for role, content in messages]
        try:
            return self._apply(rows, kwargs)
        except Exception as error:  # a template is anybody's code
            merged = _without_system(rows)
            if merged is None:
                raise self._refused(error) from error
        try:
            return self._apply(merged, kwargs)
        except Exception as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> EngineError:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return EngineError(f"the chat template of '{self._name}' refuses the conversation: {reason}")

    def _apply(self, rows: list[dict[str, str]], kwargs: Mapping[str, Any]) -> str:
        from judge.sandbox.chat_templates import render_chat

        return render_chat(self.tokenizer, rows, ask=True, template=self.template, **kwargs)

    def _branch(self, text: str, choices: tuple[str, ...]) -> tuple[list[int], list[int], dict[str, list[int]]]:
        """Ids of the text; ids that text + choice shares for every choice; the rest of each, at least one token."""
        sequences = {choice: self.encode(text + choice) for choice in choices}
        shared = min(len(ids) for ids in sequences.values()) - 1
        first = next(iter(sequences.values()))
        for ids in sequences.values():
            shared = next((index for index in range(shared) if ids[index] != first[index]), shared)
        return self.encode(text), first[:shared], {choice: ids[shared:] for choice, ids in sequences.items()}

    def _find_replacements(self, added: list[str]) -> dict[str, str]:
        """Marker -> what it is turned into: every added token that looks like one, and those that the template writes
        as plain text. Tokens of white space or of a plain word were added for their sake and are left alone."""
        special = set(self.tokenizer.all_special_tokens)
        markers = {token for token in added if token.strip() and (token in special or not token.strip().isalnum())}
        if self.marks is not None:
            markers |= {mark for mark in (self.marks.start, self.marks.end) if mark}
        markers |= set(MARKER.findall(self.template)) | special
        return {marker: self._break(marker) for marker in markers if len(marker) > 1}

    def _break(self, marker: str) -> str:
        token = self.tokenizer.convert_tokens_to_ids(marker)
        for breaker in BREAKERS:
            broken = _broken(marker, breaker)
            if token is None or token not in self.encode(f"x{broken}x"):
                return broken
        raise EngineError(f"model '{self._name}': its marker '{marker}' cannot be broken inside judged text")


def _own_template(tokenizer: Any) -> str:
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):  # several named ones, as some tool-using models have
        template = template.get("default", "")
    return template or ""


def _without_system(rows: list[dict[str, str]]) -> list[dict[str, str]] | None:
    """The rows with a leading system turn put atop the user turn that follows it; None where there is none."""
    if len(rows) < 2 or rows[0]["role"] != "system" or rows[1]["role"] != "user":
        return None
    return [{"role": "user", "content": f"{rows[0]['content']}\n\n{rows[1]['content']}"}, *rows[2:]]
