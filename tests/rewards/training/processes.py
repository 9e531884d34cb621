"""Trains in several processes of this machine's CPU, sharded or not, and says what came of it.

    python tests/rewards/training/processes.py SETTINGS

SETTINGS is JSON: backbone, out, labelled (a kind of data of test_loop), count, processes, sharded, stop (a step after
which the training is interrupted, 0 for none), config (of the reward model). Prints the figures of the training.
"""

import json
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from judge.rewards.config import RewardConfig
from judge.rewards.distill import distill
from judge.rewards.preparation import prepare
from tests.rewards.training.test_after_training import scored
from tests.rewards.training.test_loop import StopAt, pairs, solutions

LABELLED = {"pairs": pairs, "solutions": solutions, "scored": scored}
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
}


def main(settings: dict[str, Any]) -> None:
    """Fork the processes of a training, and wait for them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(settings["processes"]):
        child = os.fork()
        if not child:
            _work(settings, rank, port)
        children.append(child)
    if any([os.waitpid(child, 0)[1] for child in children]):  # noqa: C419 - each is waited for
        raise SystemExit(1)


def _work(settings: dict[str, Any], rank: int, port: int) -> None:
    """What a forked process does; it never comes back."""
    code, processes = 1, settings["processes"]
    try:
        os.environ["ACCELERATE_USE_CPU"] = "true"
        if processes > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
            os.environ |= {"LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        if settings["sharded"]:
            os.environ |= FSDP
        out, labelled = Path(settings["out"]), LABELLED[settings["labelled"]](settings["count"])
        config = RewardConfig.of(backbone=settings["backbone"], **settings["config"])
        source = f"{settings['count']} {settings['labelled']}"
        prepared = prepare(labelled, config, out=out, source=source)
        stop = StopAt(settings["stop"]) if settings["stop"] else None
        try:
            done = distill(prepared, out, stop)
        except KeyboardInterrupt:
            done = None
        if done is not None:
            print(json.dumps(done.to_dict()), flush=True)
        code = 0
    except Exception:  # noqa: BLE001 - a forked process says what happened, and ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
