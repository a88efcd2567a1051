import ssl

import pytest

from exporter.server.web_config.curves import CURVES
from tests.unit.server.web_config.test_tls import client, served, shake_hands
from tests.unit.server.web_config.writing import Files


@pytest.mark.parametrize("name", [name for name in CURVES if name != "X25519"])
def test_curves_are_kept(files: Files, name: str) -> None:
    curves = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1"}
    context = served(files, f"  curve_preferences: [{name}, X25519]\n")
    for other, curve in curves.items():
        theirs = client(files)
        theirs.set_ecdh_curve(curve)
        if other == name:
            shake_hands(theirs, context)
        else:
            with pytest.raises(ssl.SSLError):
                shake_hands(theirs, context)
