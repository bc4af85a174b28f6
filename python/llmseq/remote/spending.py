"""What keeps a run from costing more than it may: tokens spent, and requests spread over time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llmseq.errors import GenerationError

if TYPE_CHECKING:
    from collections.abc import Callable

_LETTERS_A_TOKEN = 3  # on the safe side: English has about four


class Spending:
    """Counts tokens against a cap; a request is refused before it could go beyond.

    Parameters
    ----------
    cap
        Tokens of prompts and answers together; None: no limit.
    """

    def __init__(self, cap: int | None) -> None:
        self._cap = cap
        self.spent = 0

    def require(self, letters: int, answer_tokens: int) -> None:
        """Refuse a request whose prompt and longest possible answer could exceed the cap.

        Raises
        ------
        GenerationError
            If they could; what was answered before is kept.
        """
        needed = letters // _LETTERS_A_TOKEN + 1 + answer_tokens
        if self._cap is not None and self.spent + needed > self._cap:
            raise GenerationError(
                f"the cap of {self._cap:,} tokens is reached: {self.spent:,} are spent, the next "
                f"request may take {needed:,}; answers so far are kept, raise max_tokens_spent to "
                "go on"
            )

    def add(self, tokens: int | None, letters: int) -> None:
        """Count a request: what the server says, else an estimate by letters."""
        self.spent += letters // _LETTERS_A_TOKEN + 1 if tokens is None else tokens


class Pace:
    """Lets requests start no closer together than a rate allows.

    Parameters
    ----------
    per_minute
        Requests in a minute; None: no limit.
    """

    def __init__(
        self,
        per_minute: float | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gap = 0.0 if per_minute is None else 60.0 / per_minute
        self._sleep, self._clock = sleep, clock
        self._next = float("-inf")

    def wait(self) -> None:
        """Sleep until the next request may start."""
        now = self._clock()
        if now < self._next:
            self._sleep(self._next - now)
            now = self._next
        self._next = now + self._gap
