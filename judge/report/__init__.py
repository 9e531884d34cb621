"""Report: an agreement report drawn for people, as one self-contained page or as tables on a terminal.

Reads the rows of judge.agreement.schema and nothing else.
"""
