"""Where a loaded model goes, and in which form, when nobody says."""

import tiny
import tiny_files
import torch

from companion import load
from companion.fast.kernels.layers import has_kernels


def test_auto_is_the_kernels_on_a_gpu_and_the_plain_model_elsewhere(tmp_path, device):
    model, _ = load(tiny_files.write_directory(tmp_path, tiny.model()))
    assert has_kernels(model) == torch.cuda.is_available()
    named, _ = load(tmp_path, device=device)
    assert not has_kernels(named)
