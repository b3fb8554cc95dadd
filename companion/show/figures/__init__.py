"""Figures for any chapter, each drawn once as SVG. What a reader moves gets a room beside
this one.
"""
