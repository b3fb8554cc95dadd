from grades import accepts, rejects

from companion import explain_matmul
from companion.exercises import check_matmul_shape

test_accepts = accepts(check_matmul_shape, lambda a, b: explain_matmul(a, b).shape)

test_rejects = rejects(
    check_matmul_shape,
    (lambda a, b: (*a[:-1], b[-1]), r"has shape \(\)"),
)  # fmt: skip
