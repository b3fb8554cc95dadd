"""Lines that the chapter on several devices shows without running them."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import tiny
import torch

from companion import generate
from companion.parallel import export

CHAPTER = Path(__file__).parents[2] / "book" / "parallel.ipynb"
RANKS = 2


def test_hugging_face_writes_the_same_tokens_on_two_ranks(tmp_path):
    cells = json.loads(CHAPTER.read_text())["cells"]
    prose = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] != "code")
    [script] = re.findall(r"```python\n(.*?)```", prose, re.DOTALL)
    (tmp_path / "theirs.py").write_text(script)
    torch.manual_seed(0)
    model = tiny.model(vocab_size=264)
    directory = export(model, tmp_path / "model")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--nproc-per-node", str(RANKS), tmp_path / "theirs.py", directory),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    whole = generate(model, torch.arange(6)[None], 8)[0, 6:].tolist()
    assert ast.literal_eval(done.stdout) == whole
    assert len(set(whole)) > 3
