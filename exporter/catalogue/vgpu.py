"""Licence of a GPU that is used as a virtual GPU."""

from typing import Any

from exporter.catalogue.reading import SLOW, Call, Field
from exporter.model import Reason, Value


def licensed(features: Any) -> Value | Reason:
    """Return 1 if any licensable feature of the GPU is licensed, else 0."""
    count = features.licensableFeaturesCount if features.isGridLicenseSupported else 0
    return int(any(features.gridLicensableFeatures[i].featureState for i in range(count)))


READINGS = (
    Call(
        "nvmlDeviceGetGridLicensableFeatures",
        (Field("DCGM_FI_DEV_VGPU_LICENSE_STATUS", licensed),),
        period=SLOW,
    ),
)
