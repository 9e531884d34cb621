"""Log-probabilities of choices from the likeliest first tokens that a server lists."""

import math
from collections.abc import Mapping, Sequence


def choice_logprobs(choices: Sequence[str], top: Mapping[str, float]) -> dict[str, float]:
    """Log-probabilities of the choices, normalised over them, from those of the likeliest first tokens.

    A token counts for the choice that it spells, or else for the only one that it begins; white space before it does
    not matter. A choice without a token gets the most it can have: the least probability listed, or what is left of the
    whole if that is less. Empty when no token counts for any.
    """
    mass: dict[str, float] = {}
    for token, logprob in top.items():
        word = token.strip()
        meant = [choice for choice in choices if choice.strip() == word]
        meant = meant or [choice for choice in choices if word and choice.strip().startswith(word)]
        if len(meant) == 1:
            mass[meant[0]] = mass.get(meant[0], 0.0) + math.exp(logprob)
    if not mass:
        return {}
    left = max(1.0 - sum(math.exp(logprob) for logprob in top.values()), 0.0)
    bound = max(min(math.exp(min(top.values())), left), 1e-12)
    full = {choice: mass.get(choice, bound) for choice in choices}
    total = math.log(sum(full.values()))
    return {choice: math.log(value) - total for choice, value in full.items()}
