"""Figures that respond: for each one a file that records its state from the package, and
a script beside it, a custom element on the parts in `figure.js`.
"""
