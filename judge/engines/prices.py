"""What answers cost: prices by model, and the budget of a run, which no request may leave.

A price file is YAML or JSON, in dollars per million tokens:

    gpt-4o-mini: {prompt: 0.15, cached: 0.075, completion: 0.60}
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from judge.engines.base import Completion, Engine, Request
from judge.errors import ConfigError, CostLimitError, InputError, unknown

MILLION = 1_000_000
FREE = frozenset({"hf", "recorded", "scripted", "vllm"})
"""Engines that run here: without a price they cost nothing."""

Prices = Mapping[str, "Price | Mapping[str, float]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one model costs, in dollars per million tokens.

    Attributes:
        prompt: for tokens that are read.
        completion: for tokens that are written, thinking included.
        cached: for prompt tokens that the server had in its prefix cache; the price of `prompt` where it is not given.
        batch: the share of these prices that a batch endpoint takes.
    """

    prompt: float
    completion: float
    cached: float | None = None
    batch: float = 0.5

    def of(self, *, prompt_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """The cost of tokens in dollars, without a batch's share; cached ones are part of the prompt ones."""
        cached = self.prompt if self.cached is None else self.cached
        computed = (prompt_tokens - cached_tokens) * self.prompt + cached_tokens * cached
        return (computed + output_tokens * self.completion) / MILLION


def read_prices(prices: str | Path | Prices | None) -> dict[str, Price]:
    """Prices by model: of a file, or of a mapping of mappings.

    Raises:
        InputError: for a file that cannot be read.
        ConfigError: for an entry that is no price, with the model's name.
    """
    if prices is None or prices == "":
        return {}
    place = "prices" if isinstance(prices, Mapping) else str(prices)
    entries: Any = prices if isinstance(prices, Mapping) else _load(Path(prices))
    if not isinstance(entries, Mapping) or not entries:
        raise ConfigError(f"{place}: no prices (accepted: a mapping MODEL: {{prompt: 0.15, completion: 0.60}})")
    return {str(model): _price(entry, f"{place}: {model}") for model, entry in entries.items()}


def _load(path: Path) -> Any:
    from judge.yaml_input import YamlError, load_yaml

    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except YamlError as error:
        raise InputError(f"{path}:{error.line}: not YAML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"{path}: cannot be read as a price file: {reason}") from None


def _price(entry: Any, place: str) -> Price:
    if isinstance(entry, Price):
        return entry
    accepted = [field.name for field in fields(Price)]
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{place}: found {entry!r} (accepted: a mapping of {', '.join(accepted)})")
    for name, value in entry.items():
        if name not in accepted:
            raise unknown(f"field of a price, {place}:", str(name), accepted)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < 0:
            raise ConfigError(f"{place}: {name} is {value!r} (accepted: dollars per million tokens, 0 or more)")
    if missing := [name for name in ("prompt", "completion") if name not in entry]:
        raise ConfigError(f"{place}: lacks {' and '.join(missing)}")
    return Price(**{str(name): float(value) for name, value in entry.items()})


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer cost, in dollars. full: what it would have cost without a batch's share."""

    model: str
    dollars: float
    full: float


def limit_reached(limit: float, spent: float, rows: int, *, forfeited: float = 0.0) -> CostLimitError:
    """The error of a run that stops at its cost limit; forfeited: of it what workers that died may have
    spent without saying so."""
    unknown_part = f" (up to ${forfeited:,.4f} of it by workers that died)" if forfeited else ""
    return CostLimitError(
        f"the cost limit of ${limit:,.2f} is reached: ${spent:,.4f} spent{unknown_part}, "
        f"{rows:,} rows are judged; the same command with a higher limit goes on"
    )


class Budget:
    """The prices of a run's judges, and the most that it may cost."""

    def __init__(self, engines: Sequence[Engine], prices: Mapping[str, Price], limit: float | None = None) -> None:
        """Raises ConfigError for a limit without prices, and for a judge on a server whose model has no price."""
        if limit is not None and not (math.isfinite(limit) and limit > 0):
            raise ConfigError(f"max_cost is an amount above 0 in dollars, not {limit}")
        if limit is not None and not prices:
            raise ConfigError("max_cost needs prices: dollars per million tokens by model (--prices FILE)")
        self.limit = math.inf if limit is None else limit
        self._engines = engines
        self._models: list[str] = []
        self._prices: list[Price | None] = []
        for engine in engines if prices else ():
            described = engine.describe()
            model = str(described.get("model", ""))
            if model not in prices and described.get("engine") not in FREE:
                raise unknown("model, it has no price:", model, prices)
            self._models.append(model)
            self._prices.append(prices.get(model))

    def cost(self, judge: int, completion: Completion) -> Cost | None:
        """What an answer of a judge cost, None where it has no price."""
        price = self._prices[judge] if self._prices else None
        if price is None:
            return None
        full = price.of(
            prompt_tokens=completion.prompt_tokens,
            cached_tokens=completion.cached_tokens,
            output_tokens=completion.output_tokens,
        )
        return Cost(self._models[judge], full * self._share(judge, price), full)

    def most(self, request: Request) -> float:
        """The most that a request may cost: nothing of its prompt is cached, and its reply is the longest."""
        price = self._prices[request.judge] if self._prices else None
        if price is None or self.limit == math.inf:
            return 0.0
        engine = self._engines[request.judge]
        longest = 1 if request.choices else request.max_tokens + int(getattr(engine, "thinking_tokens", 0))
        tokens = engine.count_tokens(request)
        full = price.of(prompt_tokens=tokens, cached_tokens=0, output_tokens=longest)
        return full * self._share(request.judge, price)

    def _share(self, judge: int, price: Price) -> float:
        return price.batch if getattr(self._engines[judge], "batch", False) else 1.0
