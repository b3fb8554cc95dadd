"""The benchmarks' raw figures: rooflines, speeds, and the goals on a GPU."""
