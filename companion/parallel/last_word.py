"""One voice for all ranks: rank 0 writes and says what is wrong, unless it is gone."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from torch.distributed.rendezvous import rendezvous

from companion.parallel.ranks import TIMEOUT, Rank, Store

SPOKEN = "companion.parallel/spoken"  # rank 0's exit status, once it has said why
# How many seconds the others wait for it to speak: all ranks refuse what one refuses,
# and when one has gone it may have been rank 0.
PATIENCE = {1: 1.0, 2: 30.0, 130: 1.0}


@dataclass(frozen=True)
class Speaker:
    """A rank, and torchrun's store, by which it knows whether rank 0 has spoken."""

    rank: Rank
    store: Store

    @classmethod
    def of_this_rank(cls) -> "Speaker":
        """Reach the store that torchrun keeps, and answer its signal to end.

        Raises: ValueError without torchrun.
        """
        rank = Rank.from_torchrun()
        store, _, _ = next(rendezvous("env://", timeout=TIMEOUT))
        speaker = cls(rank, store)
        speaker.answer_sigterm()
        return speaker

    @contextmanager
    def others_silent(self) -> Iterator[None]:
        """All ranks compute the same text; only what rank 0 prints is seen."""
        with ExitStack() as stack:
            if self.rank.number:
                nowhere = stack.enter_context(Path(os.devnull).open("w"))
                stack.enter_context(redirect_stdout(nowhere))
                stack.enter_context(redirect_stderr(nowhere))
            yield

    def left_alone(self, why: str) -> str:
        """What a rank says when another has gone."""
        return (
            f"companion.parallel: rank {self.rank.number}: another rank ended ({why})"
        )

    def leave(self, status: int, message: str | None) -> int:
        """Say the message, unless rank 0 says it; the status of rank 0, if it does."""
        signal.set_wakeup_fd(-1)
        if self.rank.number and status:
            deadline = time.monotonic() + PATIENCE[status]
            while time.monotonic() < deadline:
                if self.store.check([SPOKEN]):
                    return int(self.store.get(SPOKEN))
                time.sleep(0.05)
        if message is not None:
            print(message, file=sys.stderr, flush=True)
        if self.rank.number == 0:
            self.store.set(SPOKEN, str(status))
        return status

    def answer_sigterm(self) -> None:
        """When torchrun ends this rank, because another has gone: say so, and go.

        From a thread, as the main one may be waiting in a collective for good.
        """
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(writer.fileno())

        def answer() -> None:
            with reader, writer:
                while reader.recv(1)[0] != signal.SIGTERM:
                    pass
            if self.store.check([SPOKEN]):
                os._exit(int(self.store.get(SPOKEN)))
            message = self.left_alone("torchrun stopped this one")
            print(message, file=sys.__stderr__, flush=True)
            os._exit(1)

        Thread(target=answer, daemon=True).start()
