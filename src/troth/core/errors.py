"""Every error Troth raises, as one tree.

::

    TrothError                      exit  what it says
    ├── Refuted                        1  the evidence contradicts what was said
    │   └── ActRefused                 1  a deal refuses an act; nothing changed
    ├── Misuse                         2  the caller asked for something that makes no sense
    │   └── BadInput                   2  bytes or values that cannot be read as what they should be
    ├── Undecidable                    3  it could not be checked (missing key, sealed, unreachable, no trust)
    ├── Pending                        4  not yet: the answer depends on something still to come
    └── OutsideFailed                  5  the disk, the network, a chain or a program outside failed

"Wrong", "you misused me", "could not check" and "not yet" are different answers and never share a class.
Each message says what was expected, what was found, and what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class TrothError(Exception):
    """Root of the tree.

    message: what happened. expected, actual: what should have been and what was, where that says more.
    do: the reader's next act.
    """

    exit_status: ClassVar[int] = 5

    def __init__(self, message: str, *, expected: object = None, actual: object = None, do: str | None = None) -> None:
        self.message = message
        self.expected = None if expected is None else str(expected)
        self.actual = None if actual is None else str(actual)
        self.do = do
        super().__init__(self.diagnostics())

    def diagnostics(self) -> str:
        """The message with expected, actual and the next act, on one line."""
        parts = [self.message]
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.actual is not None:
            parts.append(f"found {self.actual}")
        text = "; ".join(parts)
        return f"{text}. {self.do}" if self.do else text


class Refuted(TrothError):
    """The evidence contradicts what was said."""

    exit_status = 1


class ActRefused(Refuted):
    """A deal refuses an act. Nothing changed. ``code`` is the rule's name, the same in Python and in the contract."""

    def __init__(self, code: str, message: str, *, expected: object = None, actual: object = None,
                 do: str | None = None) -> None:
        self.code = code
        super().__init__(f"{code}: {message}", expected=expected, actual=actual, do=do)


class Misuse(TrothError):
    """The caller asked for something that makes no sense here."""

    exit_status = 2


class BadInput(Misuse):
    """Bytes or values that cannot be read as what they should be. Nothing was done with them."""


class Undecidable(TrothError):
    """It could not be checked: a missing key, sealed evidence, an unreachable store, no trust."""

    exit_status = 3


class Pending(TrothError):
    """Not yet: the answer depends on something still to come."""

    exit_status = 4


class OutsideFailed(TrothError):
    """The disk, the network, a chain or a program outside Troth failed."""

    exit_status = 5


def unreadable(what: object, error: OSError, do: str | None = None) -> BadInput | OutsideFailed:
    """Why a file that the caller named cannot be read: BadInput where there is none or it is a folder, since another
    name helps; OutsideFailed where the disk or its rights refuse."""
    kind = BadInput if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError) else OutsideFailed
    return kind(f"cannot read {what}", actual=error.strerror, do=do)
