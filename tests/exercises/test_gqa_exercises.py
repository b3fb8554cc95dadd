from grades import accepts, rejects

from companion import repeat_kv
from companion.exercises import check_repeat_kv, gqa

test_accepts = accepts(check_repeat_kv, repeat_kv)

test_rejects = rejects(
    check_repeat_kv,
    (gqa.kv_tiled, r"\[0, 1, 0, 1, 0, 1\]"),
    (lambda x, n: x, "has shape"),
)  # fmt: skip
