"""Listening sockets: opened here for an address, or inherited from systemd."""

import errno
import os
import socket
from collections.abc import Mapping

from exporter.errors import ConfigError

_BACKLOG = 1024  # a burst of clients waits here, instead of for TCP's second SYN a second later
_FIRST_SYSTEMD_FD = 3  # sd_listen_fds(3)
_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - an exporter is for others to scrape

_REASONS = {
    errno.EADDRINUSE: "the port is in use; stop the program that listens on it or choose another port",
    errno.EACCES: "not permitted to listen on it; choose port 1024 or higher or grant CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "no interface of this machine has this address; leave out the host to listen on all",
}


def listening_socket(host: str | None, port: int) -> socket.socket:
    """Listen on a host's address, or on every address of the machine, IPv4 and IPv6, if none is given.

    As with Go's servers, 0.0.0.0 and :: mean every address too, and a name means its first IPv4 address if it
    has one. Port 0 lets the system choose.

    Raises:
        ConfigError: The address is taken, not permitted, not this machine's, or unknown.
    """
    try:
        if (host or "") in _WILDCARDS:
            dual = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if dual else socket.AF_INET
            return socket.create_server(("", port), family=family, backlog=_BACKLOG, dualstack_ipv6=dual)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"--address {_shown(host, port)}: the host name does not resolve; give an IP address or leave out the host"
        ) from error
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or f"can't listen on it ({os.strerror(error.errno or 0)})"
        raise ConfigError(f"--address {_shown(host, port)}: {reason}") from error


def systemd_sockets(environ: Mapping[str, str], pid: int) -> tuple[socket.socket, ...]:
    """Take over the listening sockets that systemd opened for process `pid` (LISTEN_PID, LISTEN_FDS).

    Raises:
        ConfigError: systemd handed over no socket, or something that is none.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not (count.isascii() and count.isdigit()) or int(count) == 0:
        raise ConfigError(
            "--web-systemd-socket: systemd passed no socket (LISTEN_PID and LISTEN_FDS name none for this process);"
            " start the exporter through a .socket unit or remove the flag"
        )
    return tuple(_inherited_socket(_FIRST_SYSTEMD_FD + offset) for offset in range(int(count)))


def _inherited_socket(fd: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
        is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    except OSError as error:
        raise ConfigError(f"--web-systemd-socket: file descriptor {fd} is not a socket ({error.strerror})") from error
    if not is_listening:
        sock.close()
        raise ConfigError(
            f"--web-systemd-socket: file descriptor {fd} is not listening; "
            "set ListenStream= and Accept=no in the .socket unit"
        )
    os.set_inheritable(fd, False)  # noqa: FBT003 - positional only
    return sock


def _shown(host: str | None, port: int) -> str:
    return f"[{host}]:{port}" if host and ":" in host else f"{host or ''}:{port}"
