"""Rewards inside other people's trainers: one line in the user's script, and no server.

Each hook takes what `judge.open_reward` takes (a reward model of ours or of somebody else, a judge, an object that
gives rewards), loads it when the first reward is asked for, and scores all completions of a prompt together.
"""

from judge.hooks.openrlhf import openrlhf_reward
from judge.hooks.remote import remote_reward
from judge.hooks.trl import trl_reward
from judge.hooks.verl import verl_compute_score, verl_reward

__all__ = ["openrlhf_reward", "remote_reward", "trl_reward", "verl_compute_score", "verl_reward"]
