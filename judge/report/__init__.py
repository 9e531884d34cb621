"""Report: an agreement report drawn for people, as one self-contained page or as tables on a terminal.

Reads judge.agreement.report's rows and nothing else. Refuses to compute a figure: what is not in the report is not shown.
"""
