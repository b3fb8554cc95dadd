"""The launchers: each takes tensors, and tells the kernel of its name where they lie.

What they refuse is in `refusals`. A kernel is imported when it is launched for the first
time, so that neither Triton nor a GPU is needed before.
"""
