import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from companion.show.ledgers.cost import Cost, CostCounter

ROW = 4 * 6  # bytes of a row of six in float32


def cost_of(call) -> Cost:
    with torch.inference_mode(), CostCounter() as counter:
        call()
    return counter.cost


def bytes_of(call) -> tuple[int, int]:
    cost = cost_of(call)
    return cost.bytes_read, cost.bytes_written


@pytest.fixture
def x():
    return torch.arange(30.0).reshape(5, 6)


class TestBytes:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
    def test_product_reads_both_and_writes_one(self, dtype):
        n, m, p = 5, 6, 7
        a, b = torch.ones(n, m, dtype=dtype), torch.ones(m, p, dtype=dtype)
        size = dtype.itemsize
        assert bytes_of(lambda: a @ b) == (size * (n * m + m * p), size * n * p)

    def test_linear_reads_its_weight_and_bias(self, x):
        linear = torch.nn.Linear(6, 7)
        read = 4 * (30 + 42 + 7)
        assert bytes_of(lambda: linear(x)) == (read, 4 * 35)

    @pytest.mark.parametrize(
        "view",
        [
            lambda x: x.mT,
            lambda x: x[1:3],
            lambda x: x[:, None].expand(5, 4, 6),
            lambda x: x.split(2),
            lambda x: x.chunk(2, dim=-1),
            lambda x: x.reshape(5, 2, 3).transpose(0, 1),
            lambda x: x.unbind(),
            lambda x: x.detach(),
            lambda x: x.to(torch.float32),
            lambda x: x.contiguous(),
        ],
    )
    def test_views_move_nothing(self, x, view):
        assert bytes_of(lambda: view(x)) == (0, 0)

    def test_reshape_that_copies_moves_it_all(self, x):
        assert bytes_of(lambda: x.mT.reshape(30)) == (5 * ROW, 5 * ROW)

    def test_expanded_elements_are_read_once(self, x):
        wide = x[:, None].expand(5, 4, 6)
        assert bytes_of(lambda: wide.clone()) == (5 * ROW, 20 * ROW)
        assert bytes_of(lambda: wide + 1) == (5 * ROW, 20 * ROW)
        assert bytes_of(lambda: x.repeat_interleave(4, dim=0)) == (5 * ROW, 20 * ROW)

    def test_broadcast_row_is_read_once(self, x):
        assert bytes_of(lambda: x * x[0]) == (6 * ROW, 5 * ROW)

    def test_one_tensor_given_twice_is_read_once(self, x):
        assert bytes_of(lambda: x * x) == (5 * ROW, 5 * ROW)

    def test_every_tensor_of_a_list_is_read(self, x):
        assert bytes_of(lambda: torch.cat([x, x[:2]])) == (7 * ROW, 7 * ROW)

    @pytest.mark.parametrize("kind", [torch.int64, torch.int32])
    def test_embedding_reads_the_rows_that_it_takes(self, kind):
        table, ids = torch.ones(1000, 6), torch.zeros(2, 3, dtype=kind)
        index = ids.numel() * kind.itemsize
        moved = (6 * ROW + index, 6 * ROW)
        assert bytes_of(lambda: F.embedding(ids, table)) == moved
        assert bytes_of(lambda: table[ids]) == moved
        assert bytes_of(lambda: table.index_select(0, ids.flatten())) == moved

    def test_gather_reads_what_it_takes(self):
        scores, best = torch.ones(3, 1000), torch.zeros(3, 2, dtype=torch.int64)
        assert bytes_of(lambda: scores.gather(1, best)) == (4 * 6 + 8 * 6, 4 * 6)

    def test_writing_to_a_part_counts_the_part(self, x):
        room = torch.zeros(100, 6)

        def write():
            room[3:8] = x

        assert bytes_of(write) == (5 * ROW, 5 * ROW)
        positions = torch.arange(5)
        put = (5 * ROW + 5 * 8, 5 * ROW)
        assert bytes_of(lambda: room.index_copy_(0, positions, x)) == put

        def put_rows():
            room[positions] = x

        assert bytes_of(put_rows) == put

    def test_changing_in_place_reads_too(self, x):
        assert bytes_of(lambda: x.add_(1)) == (5 * ROW, 5 * ROW)
        assert bytes_of(lambda: x.zero_()) == (0, 5 * ROW)
        assert bytes_of(lambda: torch.neg(x, out=torch.empty(5, 6))) == (5 * ROW,) * 2

    def test_memory_that_is_only_taken_is_not_written(self):
        assert bytes_of(lambda: torch.empty(1000)) == (0, 0)
        assert bytes_of(lambda: torch.zeros(1000)) == (0, 4000)
        assert bytes_of(lambda: torch.tensor([1.0, 2.0])) == (0, 0)

    def test_a_number_taken_out_is_read(self, x):
        assert bytes_of(lambda: x[0, 0].item()) == (4, 0)

    def test_fused_attention_is_one_operator(self):
        q, k, v = torch.ones(3, 1, 2, 5, 16).unbind()
        read, written = bytes_of(lambda: F.scaled_dot_product_attention(q, k, v))
        assert read == 3 * q.nbytes
        assert q.nbytes <= written <= q.nbytes + 4 * 2 * 5  # and the row's logarithm

    def test_packed_weight_counts_its_elements(self, x):
        packed = torch.ops.mkldnn._reorder_linear_weight(torch.ones(16, 6), 5)

        def linear():
            torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")

        cost = cost_of(linear)
        assert (cost.bytes_read, cost.bytes_written) == (4 * (30 + 96), 4 * 80)
        assert cost.flops == 2 * 5 * 6 * 16

    def test_meta_tensors_count_alike(self):
        def call(a):
            b = (a @ a.mT).softmax(dim=-1).masked_fill(a[..., :3] > 0, 0.0)
            return torch.cat([b, b[:1].expand(2, 3, 3)], dim=-1)

        given, scores, mask = 4 * 2 * 3 * 4, 4 * 2 * 3 * 3, 2 * 3 * 3
        read = [2 * given, scores, scores, scores + mask, scores + scores // 2]
        written = [scores, scores, mask, scores, 2 * scores]
        for where in ("cpu", "meta"):
            a = torch.ones(2, 3, 4, device=where)
            assert bytes_of(lambda a=a: call(a)) == (sum(read), sum(written)), where


class TestFlops:
    @pytest.mark.parametrize(
        "call",
        [
            lambda a: a @ a.mT,
            lambda a: torch.einsum("bij,bkj->bik", a, a),
            lambda a: F.linear(a, a[0], a[0, :, 0]),
            lambda a: torch.baddbmm(a @ a.mT, a, a.mT),
            lambda a: a.softmax(dim=-1),
        ],
    )
    def test_agree_with_torch(self, call):
        a = torch.ones(2, 5, 6)
        with FlopCounterMode(display=False) as counter:
            call(a)
        assert cost_of(lambda: call(a)).flops == counter.get_total_flops()

    def test_vectors_count_as_matrices_do(self, x):
        assert cost_of(lambda: x @ x[0]).flops == 2 * 5 * 6
        assert cost_of(lambda: x[0] @ x[1]).flops == 2 * 6
        assert cost_of(lambda: x[0] @ x.mT).flops == 2 * 5 * 6

    def test_fused_attention_counts_as_its_two_products(self):
        q, kv = torch.ones(2, 8, 5, 16), torch.ones(2, 2, 7, 16)
        flops = 2 * (2 * 2 * 8 * 5 * 7 * 16)
        for groups, key in ((1, kv.repeat_interleave(4, dim=1)), (4, kv)):
            call = {"query": q, "key": key, "value": key, "enable_gqa": groups > 1}
            assert (
                cost_of(lambda c=call: F.scaled_dot_product_attention(**c)).flops
                == flops
            )


def test_intensity_is_flops_for_each_byte():
    cost = cost_of(lambda: torch.ones(4, 4) @ torch.ones(4, 4))
    assert cost.flops == 128
    assert cost.bytes_moved == 2 * 64 + 3 * 64
    assert cost.intensity == 128 / 320
    assert Cost().intensity == 0.0
    assert Cost(3, 2, 1) - Cost(1, 1, 1) == Cost(2, 1, 0)
