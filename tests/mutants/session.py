"""The mutants of a file of code, as cosmic-ray makes them, and what became of each."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import (
    MutationSpec,
    TestOutcome,
    WorkerOutcome,
    WorkResult,
)

# Of cosmic-ray's operators one opposite for each sign, and the neighbors of each comparison. The rest
# of its arithmetic dies with these, and `is` for `==` of None or a small integer is the same program.
CHOSEN = re.compile(
    "core/("
    "ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|Pow_Mul"
    "|BitOr_BitAnd|BitAnd_BitOr|BitXor_BitAnd|LShift_RShift|RShift_LShift)"
    "|ReplaceComparisonOperator_(Eq_(NotEq|LtE|GtE)|NotEq_(Eq|Lt|Gt)|Lt_(LtE|GtE)"
    "|LtE_(Lt|Gt)|Gt_(GtE|LtE)|GtE_(Gt|Lt)|Is_IsNot|IsNot_Is)"
    "|ReplaceUnaryOperator_Delete_.*|(?!Replace.*Operator).*)$"
)


@dataclass
class Mutant:
    """One change of one file, and whether a test has failed for it, if that is known."""

    session: WorkDB
    job: str
    change: MutationSpec
    source: str
    killed: bool | None

    @property
    def file(self) -> Path:
        """The file that it changes."""
        return self.change.module_path

    @cached_property
    def code(self) -> str:
        """The file with this change."""
        operator = get_operator(self.change.operator_name)()
        code: str = mutate_code(self.source, operator, self.change.occurrence)
        return code

    @property
    def lines(self) -> tuple[str, str]:
        """The first line that differs, before and after."""
        before, after = self.source.splitlines(), [*self.code.splitlines(), ""]
        pairs = zip(before, after, strict=False)
        return next((a.strip(), b.strip()) for a, b in pairs if a != b)

    def judged(self, killed: bool) -> None:
        """Keep what became of it."""
        self.killed = killed
        outcome = TestOutcome.KILLED if killed else TestOutcome.SURVIVED
        result = WorkResult(WorkerOutcome.NORMAL, test_outcome=outcome)
        self.session.set_result(self.job, result)


def open_session(folder: Path, file: Path, source: str) -> WorkDB:
    """The mutants of a file; what was found of the very same code before is kept."""
    digest = sha256(source.encode()).hexdigest()[:12]
    name = "_".join(file.with_suffix("").parts)
    kept = folder / f"{name}_{digest}.sqlite"
    if kept.exists():
        return WorkDB(kept, WorkDB.Mode.open)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}_{'?' * 12}.sqlite"):
        old.unlink()
    session = WorkDB(kept, WorkDB.Mode.create)
    init([file], session, {})
    return session


def mutants(folder: Path, file: Path) -> Iterator[Mutant]:
    """All of the chosen operators, except where nothing is computed: in annotations, and at
    the star that keyword arguments follow.
    """
    source = file.read_text(encoding="utf-8")
    session, lines = open_session(folder, file, source), source.splitlines()
    spans, results = list(annotations(source)), dict(session.results)
    for item in session.work_items:
        [change] = item.mutations
        line, column = place = tuple(change.start_pos)
        annotated = any(start <= place < end for start, end in spans)
        star = lines[line - 1][column:].startswith("*,")
        if not (annotated or star) and CHOSEN.match(change.operator_name):
            result = results.get(item.job_id)
            killed = None if result is None else bool(result.is_killed)
            yield Mutant(session, item.job_id, change, source, killed)


Span = tuple[tuple[int, int], tuple[int, int]]  # line and column of start and end


def annotations(source: str) -> Iterable[Span]:
    """Where the annotations of a file are."""
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            a = getattr(node, name, None)
            if isinstance(a, ast.expr):
                end = (a.end_lineno or a.lineno, a.end_col_offset or a.col_offset)
                yield (a.lineno, a.col_offset), end
