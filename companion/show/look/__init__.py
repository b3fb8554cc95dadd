"""One visual language for pages, notebooks and figures: hue on an edge names an axis, hue
in a fill gives the sign of a value, the frame says what a tensor is.
"""
