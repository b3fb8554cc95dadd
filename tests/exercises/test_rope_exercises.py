import torch
from grades import accepts, rejects, rejects_each
from transformers import LlamaConfig as HFConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from companion import apply_rope
from companion.exercises import (
    check_cos_sin,
    check_moved_keys,
    check_permuted_rows,
    check_rope,
    rope,
)
from companion.exercises.graders.rope import (
    ANGLES_WRONGLY,
    MOVED_WRONGLY,
    PERMUTED_WRONGLY,
    moved,
)
from companion.rope import half_from_interleaved, rope_cos_sin


def as_complex_numbers(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    half = x.shape[-1] // 2
    turn = torch.complex(cos[:, None, :, :half], sin[:, None, :, :half])
    turned = torch.complex(first, second) * turn
    return torch.cat((turned.real, turned.imag), dim=-1)


def pair_by_pair(x, cos, sin):
    turned, half = torch.empty_like(x), x.shape[-1] // 2
    for i in range(half):
        c, s = cos[:, None, :, i], sin[:, None, :, i]
        turned[..., i] = x[..., i] * c - x[..., i + half] * s
        turned[..., i + half] = x[..., i] * s + x[..., i + half] * c
    return turned


test_accepts = accepts(check_rope, apply_rope, as_complex_numbers, pair_by_pair)

test_rejects = rejects(
    check_rope,
    (rope.rope_interleaved, "not of the pairs"),
    (rope.rope_backwards, "turned the other way"),
    (rope.rope_layout_mixed, "angles for neighbors"),
    (rope.rope_from_zero, "nothing was rotated"),
    (lambda x, cos, sin: x * cos[:, None], "length of the vectors"),
    (lambda x, cos, sin: x[..., :2], "has shape"),
)  # fmt: skip


def angle_by_angle(position_ids, head_dim, theta):
    angles = torch.empty(*position_ids.shape, head_dim, dtype=torch.float64)
    for i in range(head_dim // 2):
        angle = position_ids / theta ** (2 * i / head_dim)
        angles[..., i] = angles[..., i + head_dim // 2] = angle
    return angles.cos().float(), angles.sin().float()


def by_hugging_face(position_ids, head_dim, theta):
    config = HFConfig(head_dim=head_dim, rope_theta=theta)
    return LlamaRotaryEmbedding(config)(torch.zeros(1), position_ids)


test_accepts_angles = accepts(
    check_cos_sin, rope_cos_sin, angle_by_angle, by_hugging_face
)

test_rejects_angles = rejects(
    check_cos_sin,
    (lambda *given: rope_cos_sin(*given)[0], "two tensors"),
    (lambda *given: [x[..., ::2] for x in rope_cos_sin(*given)], "cos has shape"),
    (lambda *given: [x.double() for x in rope_cos_sin(*given)], "float64"),
    (lambda p, d, theta: rope_cos_sin(p, d, 10000.0), "^two texts: it is off"),
    (lambda *given: [-x for x in rope_cos_sin(*given)], "off by"),
)  # fmt: skip
test_rejects_known_angles = rejects_each(check_cos_sin, ANGLES_WRONGLY)


def row_by_row(weight, num_heads):
    head_dim = len(weight) // num_heads
    rows = []
    for head in weight.split(head_dim):
        rows += [*head[0::2], *head[1::2]]
    return torch.stack(rows)


def by_index(weight, num_heads):
    order = torch.arange(len(weight)).view(num_heads, -1, 2).mT.flatten()
    return weight[order]


def as_in_conversion_scripts(weight, num_heads):
    shape = num_heads, len(weight) // num_heads // 2, 2, *weight.shape[1:]
    return weight.view(shape).transpose(1, 2).reshape(weight.shape)


test_accepts_rows = accepts(
    check_permuted_rows,
    half_from_interleaved,
    row_by_row,
    by_index,
    as_in_conversion_scripts,
)

test_rejects_rows = rejects(
    check_permuted_rows,
    (lambda weight, heads: weight, "off by"),
    (lambda weight, heads: torch.cat((weight[0::2], weight[1::2])), "as one head"),
    (lambda weight, heads: weight.unflatten(0, (heads, -1)), "has shape"),
)  # fmt: skip
test_rejects_known_rows = rejects_each(check_permuted_rows, PERMUTED_WRONGLY)


def back_and_again(key, shift, theta):
    length, head_dim = key.shape[2:]
    cos, sin = rope_cos_sin(torch.arange(40, 40 + length)[None], head_dim, theta)
    at_zero = apply_rope(key, cos, -sin)
    earlier = torch.arange(40 - shift, 40 - shift + length)[None]
    return apply_rope(at_zero, *rope_cos_sin(earlier, head_dim, theta))


def by_the_sine(key, shift, theta):
    same = torch.tensor([[shift]]).expand(1, key.shape[2])
    cos, sin = rope_cos_sin(same, key.shape[-1], theta)
    return apply_rope(key, cos, -sin)


test_accepts_moved = accepts(check_moved_keys, moved, back_and_again, by_the_sine)

test_rejects_moved = rejects(
    check_moved_keys,
    (lambda key, shift, theta: moved(key, shift, 10000.0), "theta 500: it is off"),
    (lambda key, shift, theta: moved(key, shift, theta)[:, :, shift:], "has shape"),
)  # fmt: skip
test_rejects_known_moves = rejects_each(check_moved_keys, MOVED_WRONGLY)
