"""Every error of this package, as one tree.

PodResourcesError
├─ SocketMissing       nothing at the path, or not a socket
├─ Unreachable         the socket can't be connected to, or kubelet takes no call at the moment
├─ TimedOut            connected, but no answer within the deadline
├─ IncompleteList      a good answer of a kubelet that does not know the node's pods yet
└─ UnexpectedAnswer    an answer that is not the PodResources v1 API's

Each message is one sentence: the path, what is wrong, what to do about it.
"""

from typing import ClassVar


class PodResourcesError(Exception):
    """kubelet did not say who holds what.

    Attributes:
        reason: The kind of error, as a word that a metric's label can take.
        trouble: The sentence without what may differ from call to call: two errors of one trouble tell nothing new.
    """

    reason: ClassVar[str]

    def __init__(self, sentence: str, detail: str = "") -> None:
        """Take the sentence, and the piece of it that may differ from call to call."""
        super().__init__(sentence)
        self.trouble = sentence.replace(detail, "")


class SocketMissing(PodResourcesError):
    """There is no socket at the path."""

    reason = "socket_missing"


class Unreachable(PodResourcesError):
    """Nobody takes calls on the socket at the moment, or not from this user."""

    reason = "unreachable"


class TimedOut(PodResourcesError):
    """kubelet has not answered in time."""

    reason = "timed_out"


class IncompleteList(PodResourcesError):
    """kubelet lists less than there is, because it has just started."""

    reason = "incomplete_list"


class UnexpectedAnswer(PodResourcesError):
    """What came back is not what the PodResources v1 API answers."""

    reason = "unexpected_answer"
