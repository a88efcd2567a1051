"""What is wrong with kubelet's socket or its answer, as the error that says so in one sentence.

gRPC folds every failed connection into one code, so the socket is looked at and tried here, without gRPC.
"""

import os
import socket
import stat
from pathlib import Path

from podresources.errors import PodResourcesError, SocketMissing, TimedOut, UnexpectedAnswer, Unreachable

_CONNECT_S = 1.0
_LONGEST_DETAILS = 200

SocketId = tuple[int, int, int]
"""Device, inode and time of the last change: an inode's number alone is often given again to the next file."""


def find_socket(path: Path) -> SocketId:
    """Return what tells the socket at a path from one that replaces it.

    Raises:
        SocketMissing: Nothing is there, or something that is not a socket.
        Unreachable: A folder on the way can't be entered.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise SocketMissing(
            f"kubelet's socket {path} does not exist: start kubelet, mount its pod-resources directory here, or give"
            " another path"
        ) from None
    except PermissionError:
        raise _not_permitted(path) from None
    except (OSError, ValueError) as error:
        raise SocketMissing(f"can't look at kubelet's socket {path} ({_sentence(error)}): give another path") from None
    if stat.S_ISDIR(found.st_mode):
        raise SocketMissing(
            f"{path} is a directory: give the path of kubelet's socket in it, usually {path / 'kubelet.sock'}"
        )
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketMissing(
            f"{path} is not a socket: give the path of kubelet's, usually kubelet.sock in its pod-resources directory"
        )
    return found.st_dev, found.st_ino, found.st_ctime_ns


def try_connecting(path: Path) -> None:
    """Connect to a socket once and hang up.

    Raises:
        Unreachable: Nobody listens, or not for this user.
        TimedOut: So many connections wait already that there is no room for another one.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_CONNECT_S)
            connection.connect(os.fspath(path))
    except PermissionError:
        raise _not_permitted(path) from None
    except (BlockingIOError, TimeoutError):
        raise TimedOut(f"kubelet accepts no more connections on {path}: it hangs, see its log or restart it") from None
    except (ConnectionRefusedError, FileNotFoundError):
        raise Unreachable(
            f"nothing listens on kubelet's socket {path}: kubelet is down or restarting, see its log if this lasts"
        ) from None
    except OSError as error:
        raise Unreachable(
            f"can't connect to kubelet's socket {path} ({_sentence(error)}): give the path of its pod-resources socket"
        ) from None


def explain_code(path: Path, code: str, details: str, deadline_s: float) -> PodResourcesError:
    """Return the error that a gRPC status stands for, given the status code's name and the details beside it."""
    detail = " ".join(details.split())[:_LONGEST_DETAILS]
    said = f"{code}: {detail}"
    match code:
        case "DEADLINE_EXCEEDED":
            return TimedOut(
                f"kubelet did not answer on {path} within {deadline_s:g} s: it is overloaded or hangs, see its log"
            )
        case "UNAVAILABLE" | "CANCELLED":
            return Unreachable(
                f"the connection to {path} was closed without an answer ({said}): kubelet is restarting, or what"
                " listens there is not kubelet",
                detail,
            )
        case "RESOURCE_EXHAUSTED" if "larger than max" in details:  # gRPC itself says so, on this side
            return UnexpectedAnswer(
                f"the answer on {path} is too large to be kubelet's ({said}): see what listens there", detail
            )
        case "RESOURCE_EXHAUSTED":
            return Unreachable(
                f"kubelet's rate limit on {path} rejected the call ({said}): other clients ask too often", detail
            )
        case "UNIMPLEMENTED":
            return UnexpectedAnswer(
                f"the server on {path} has no PodResources v1 API ({said}): give the path of kubelet's pod-resources"
                " socket, of Kubernetes 1.20 or newer",
                detail,
            )
    return UnexpectedAnswer(f"the call on {path} failed ({said}): see kubelet's log", detail)


def unreadable_answer(path: Path, size: int) -> PodResourcesError:
    """Return the error for an answer whose bytes are no List answer."""
    length = f"of {size} bytes"
    return UnexpectedAnswer(
        f"the answer {length} on {path} is cut off or not of the PodResources v1 API: see what listens there", length
    )


def _not_permitted(path: Path) -> PodResourcesError:
    return Unreachable(
        f"no permission for kubelet's socket {path}: run as user 0, only root can enter kubelet's directory"
    )


def _sentence(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
