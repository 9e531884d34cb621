"""Rounds of sampling, labelling, distilling and training a policy, kept in one directory."""
