"""`judge.hooks.remote_reward` against the real server: the same rewards, and none for what it cannot read."""

from collections.abc import Callable

import judge
from judge.serving import create_app
from tests.hooks.sources import Lengths
from tests.serving.conftest import Live


def test_a_hook_takes_the_servers_rewards(live: Callable[..., Live]) -> None:
    server = live(create_app(Lengths()))
    reward = judge.hooks.trl_reward(judge.hooks.remote_reward(f"http://127.0.0.1:{server.port}/get_reward"))
    prompts = [[{"role": "user", "content": "How long?"}]] * 3
    completions = [[{"role": "assistant", "content": text}] for text in ("aa", "?", "bbb")]
    assert reward(prompts=prompts, completions=completions) == [2.0, None, 3.0]
