"""What attention of one query a head launches on a GPU, in numbers."""

from dataclasses import dataclass

from torch import Tensor

from companion.show.tables import amount


@dataclass(frozen=True)
class DecodeWork:
    """The programs of `attend_to_split`: one for each group of query heads and each
    part of the keys that the group shares.
    """

    groups: int  # of all texts
    group: int  # query heads that share their keys
    kv_len: int
    head_dim: int
    itemsize: int  # bytes of a number in the cache
    splits: int
    multiprocessors: int

    @property
    def programs(self) -> int:
        """One for each group and part."""
        return self.groups * self.splits

    @property
    def busy(self) -> int:
        """Multiprocessors that have a program."""
        return min(self.programs, self.multiprocessors)

    @property
    def parts(self) -> list[range]:
        """The keys of each part; the last may have fewer."""
        most = -(-self.kv_len // self.splits)
        starts = range(0, self.kv_len, most)
        return [range(i, min(i + most, self.kv_len)) for i in starts]

    @property
    def left_bytes(self) -> int:
        """Of one group, what the parts leave in float32: for each head `row_max`,
        `row_sum` and `acc`.
        """
        return 4 * self.group * self.splits * (2 + self.head_dim)

    def words(self) -> tuple[str, str, str]:
        """How the keys are cut, where the programs run, and what each of them reads."""
        most, last = len(self.parts[0]), len(self.parts[-1])
        read = amount(2 * most * self.head_dim * self.itemsize, "B")
        return (
            f"keys in {counted(self.splits, 'part')}",
            f"{counted(self.programs, 'program')} on {self.busy} of "
            f"{self.multiprocessors} multiprocessors",
            f"each reads {'' if last == most else 'up to '}{most:,} keys and values, "
            f"{read}",
        )


def counted(number: int, word: str) -> str:
    """A number of things."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def decode_work(
    query: Tensor, key: Tensor, splits: int, multiprocessors: int
) -> DecodeWork:
    """The launch for a query and a key of four axes; values are as wide as keys.

    Raises: ValueError for more than one query, and for heads that do not share their
    keys evenly.
    """
    (batch, heads, q_len, head_dim), (_, kv_heads, kv_len, _) = query.shape, key.shape
    if q_len != 1:
        raise ValueError(f"q_len is {q_len}: keys are split for a single query")
    if heads % kv_heads:
        raise ValueError(f"{kv_heads} key heads do not divide {heads} query heads")
    return DecodeWork(
        groups=batch * kv_heads,
        group=heads // kv_heads,
        kv_len=kv_len,
        head_dim=head_dim,
        itemsize=key.itemsize,
        splits=splits,
        multiprocessors=multiprocessors,
    )
