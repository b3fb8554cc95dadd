from grades import accepts, rejects

from companion import split_heads
from companion.exercises import check_split_heads, heads

test_accepts = accepts(check_split_heads, split_heads)

test_rejects = rejects(
    check_split_heads,
    (heads.heads_by_view, "mixes tokens and heads"),
    (heads.heads_interleaved, "head 0 of token 0"),
    (lambda x, n: x, "has shape"),
)  # fmt: skip
