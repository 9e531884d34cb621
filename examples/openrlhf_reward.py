"""A reward file for OpenRLHF: `--reward.remote_url examples/openrlhf_reward.py`.

`RMJUDGE_REWARD` names the source: a reward model's directory, a judge's spec, or the address of a server that speaks
OpenRLHF's protocol, such as http://127.0.0.1:8000/get_reward of `rmjudge serve`. Labels are known answers: a completion
that states another one has the truth 0, which `scores` shows OpenRLHF's dynamic filtering.
"""

import os
import re
from typing import Any

import judge

NUMBER = re.compile(r"-?\d+")


def truth(prompt: str, completion: str, *, label: Any) -> float | None:
    """1 where the last number of the completion is the label."""
    numbers = NUMBER.findall(completion)
    return None if label is None else float(bool(numbers) and numbers[-1] == str(label))


SOURCE = os.environ.get("RMJUDGE_REWARD", "models/reward")
reward_func = judge.hooks.openrlhf_reward(
    judge.hooks.remote_reward(SOURCE) if SOURCE.startswith("http") else SOURCE, truth=truth
)
