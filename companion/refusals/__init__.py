"""What public functions refuse, in words: what came, what was expected, and the remedy.

Each function of the core names its guard here, so that its own body is the formula.
"""
