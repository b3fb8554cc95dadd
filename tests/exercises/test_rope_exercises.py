import torch
from grades import accepts, rejects

from companion import apply_rope
from companion.exercises import check_rope, rope


def as_complex_numbers(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    half = x.shape[-1] // 2
    turn = torch.complex(cos[:, None, :, :half], sin[:, None, :, :half])
    turned = torch.complex(first, second) * turn
    return torch.cat((turned.real, turned.imag), dim=-1)


test_accepts = accepts(check_rope, apply_rope, as_complex_numbers)

test_rejects = rejects(
    check_rope,
    (rope.rope_interleaved, "not of the pairs"),
    (rope.rope_backwards, "turned the other way"),
    (rope.rope_layout_mixed, "angles for neighbors"),
    (rope.rope_from_zero, "nothing was rotated"),
    (lambda x, cos, sin: x * cos[:, None], "length of the vectors"),
    (lambda x, cos, sin: x[..., :2], "has shape"),
)  # fmt: skip
