"""A policy: the language model whose answers are chosen from, asked for whole answers or for the next step of some."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from judge.engines.base import Completion, Request
from judge.engines.jury import Judge, as_judges, close_loaded, load_jury, prompt_wanted_by
from judge.engines.spec import read_settings
from judge.errors import ConfigError, EngineError
from judge.prompting.template import load_template
from judge.records import Conversation, spoken
from judge.secrets import mask_secrets
from judge.tasks.queries import seed_for


class Draft(NamedTuple):
    """What the policy goes on with.

    Attributes:
        prompt: the conversation that is answered.
        begun: the beginning of the answer, "" for none.
        key: names the draw; its seed follows from it.
    """

    prompt: Conversation
    begun: str
    key: str


class Policy:
    """An engine that answers prompts by sampling.

    Attributes:
        tokens: how many tokens it has written.
    """

    def __init__(
        self,
        engine: Judge,
        *,
        prompt: str = "",
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_tokens: int = 1024,
        seed: int = 0,
        settings: Mapping[str, Any] | Iterable[str] | None = None,
    ) -> None:
        """
        Args:
            engine: a spec, or an `Engine`.
            prompt: a shipped prompt of the task `answer` or a path, "" for the engine's own, if it wants one; else the
                model is given the conversation as it is.
            temperature, top_p, max_tokens, seed: of sampling.
            settings: of the engine.

        Raises:
            ConfigError: for an engine or a setting that is not known, and for a temperature of 0.
        """
        if temperature <= 0:
            raise ConfigError(f"temperature {temperature:g}: answers to choose from have to differ (accepted: above 0)")
        self.tokens = 0
        self._judges = as_judges(engine)
        if len(self._judges) != 1:
            raise ConfigError(f"{len(self._judges)} policies are named (accepted: one)")
        wanted = prompt or prompt_wanted_by(self._judges[0])
        self._template = load_template("answer", wanted) if wanted else None
        self._engines = load_jury(self._judges, read_settings(settings))
        self._temperature, self._top_p, self._max_tokens, self._seed = temperature, top_p, max_tokens, seed

    @property
    def name(self) -> str:
        """The spec, or what the engine calls its model."""
        (judge,) = self._judges
        return mask_secrets(judge) if isinstance(judge, str) else str(judge.describe().get("model", "policy"))

    def write(self, drafts: Sequence[Draft], *, stop: Sequence[str] = ()) -> list[Completion]:
        """A completion of each draft, in their order.

        Raises:
            EngineError: when the engine gave out, or when every one failed.
        """
        (engine,) = self._engines
        for ticket, draft in enumerate(drafts):
            engine.submit(ticket, self._request(draft, stop))
        completions: dict[int, Completion] = {}
        while len(completions) < len(drafts):
            finished = engine.step()
            if not finished:
                raise EngineError(f"the policy holds {len(drafts) - len(completions)} requests and finished none")
            completions.update(finished)
        failed = [completion for completion in completions.values() if completion.finish == "error"]
        if drafts and len(failed) == len(drafts):
            raise EngineError(f"the policy answered nothing: {' '.join(failed[0].text.split())}")
        self.tokens += sum(completion.output_tokens for completion in completions.values())
        return [completions[ticket] for ticket in range(len(drafts))]

    def close(self) -> None:
        """Let go of a model that was loaded for it."""
        close_loaded(self._engines, self._judges)

    def _request(self, draft: Draft, stop: Sequence[str]) -> Request:
        template = self._template
        return Request(
            messages=draft.prompt if template is None else template.render(prompt=spoken(draft.prompt)),
            prefill=draft.begun,
            stop=tuple(stop),
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            top_p=self._top_p,
            seed=seed_for(self._seed, draft.key, 0),
            key=draft.key,
        )
