from grades import accepts, rejects

from companion import apply_rope
from companion.exercises import check_rope, rope

test_accepts = accepts(check_rope, apply_rope)

test_rejects = rejects(
    check_rope,
    (rope.rope_interleaved, "not of the pairs"),
    (rope.rope_from_zero, "nothing was rotated"),
    (lambda x, cos, sin: x * cos[:, None], "length of the vectors"),
    (lambda x, cos, sin: x[..., :2], "has shape"),
)  # fmt: skip
