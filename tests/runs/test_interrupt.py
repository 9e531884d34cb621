import os
import signal

import pytest

from judge.runs.interrupt import Interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_breaks_off_what_waits(number):
    with Interrupt().listening(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def act(interrupt: Interrupt, signals: int, done: list[str]) -> None:
    with interrupt.shielded():
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGINT)
        done.append("act")
    done.append("more")


@pytest.mark.parametrize(("signals", "expected"), [(1, ["act"]), (2, [])])
def test_a_shielded_act_is_finished_first_unless_a_second_signal_comes(signals, expected):
    done: list[str] = []
    with Interrupt().listening() as interrupt, pytest.raises(KeyboardInterrupt):
        act(interrupt, signals, done)
    assert done == expected


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupt().listening():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
