"""Which elliptic curves a server takes part in key exchanges with; Python's own ssl can say it from 3.15 on alone."""

import ctypes
import ssl
import sys
from collections.abc import Sequence

CURVES = {"CurveP256": "P-256", "CurveP384": "P-384", "CurveP521": "P-521", "X25519": "X25519"}
"""OpenSSL's names, by Go's."""

_SET_GROUPS_LIST = 92  # SSL_CTRL_SET_GROUPS_LIST, the same in every OpenSSL since 1.1.1


def choose_curves(context: ssl.SSLContext, names: Sequence[str]) -> bool:
    """Let a context take these curves alone, by OpenSSL's names; False where that can't be done here."""
    if sys.version_info >= (3, 15):
        context.set_groups(":".join(names))
        return True
    # Up to 3.14 the context's SSL_CTX stands right behind the head that every Python object has.
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    try:
        control = ctypes.CDLL(sys.modules["_ssl"].__file__).SSL_CTX_ctrl
    except (AttributeError, OSError):  # OpenSSL was built into Python, without names
        return False
    control.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
    control.restype = ctypes.c_long
    return bool(control(pointer.value, _SET_GROUPS_LIST, 0, ":".join(names).encode()) == 1)
