"""Agreement: can this judge, or this reward model, stand in for people?

Reads rows that others wrote (records, judgements, human labels) and says how far they agree, how sure that is, and what
is wrong.
"""
