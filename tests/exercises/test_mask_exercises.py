import torch
from grades import accepts, rejects

from companion import causal_mask
from companion.exercises import check_causal_mask, mask

test_accepts = accepts(check_causal_mask, causal_mask)

test_rejects = rejects(
    check_causal_mask,
    (mask.mask_off_by_one, "does not see the last key"),
    (mask.mask_top_left, "does not see the last key"),
    (mask.mask_reversed, "exchanged"),
    (lambda q, k: torch.ones(q, k, dtype=torch.bool), "row 0"),
    (lambda q, k: causal_mask(q, k).float(), "torch.float32"),
)  # fmt: skip
