"""Power smoothing of data centre GPUs from Blackwell on. Hopper answers none of it."""

import pynvml

from exporter.catalogue.convert import same
from exporter.catalogue.reading import SLOW, Field, FieldValue

NAMES = (
    "ENABLED",
    "PRIV_LVL",
    "IMM_RAMP_DOWN_ENABLED",
    "APPLIED_TMP_CEIL",
    "APPLIED_TMP_FLOOR",
    "MAX_PERCENT_TMP_FLOOR_SETTING",
    "MIN_PERCENT_TMP_FLOOR_SETTING",
    "HW_CIRCUITRY_PERCENT_LIFETIME_REMAINING",
    "MAX_NUM_PRESET_PROFILES",
    "PROFILE_PERCENT_TMP_FLOOR",
    "PROFILE_RAMP_UP_RATE",
    "PROFILE_RAMP_DOWN_RATE",
    "PROFILE_RAMP_DOWN_HYST_VAL",
    "ACTIVE_PRESET_PROFILE",
    "ADMIN_OVERRIDE_PERCENT_TMP_FLOOR",
    "ADMIN_OVERRIDE_RAMP_UP_RATE",
    "ADMIN_OVERRIDE_RAMP_DOWN_RATE",
    "ADMIN_OVERRIDE_RAMP_DOWN_HYST_VAL",
)

READINGS = tuple(
    FieldValue(
        getattr(pynvml, f"NVML_FI_PWR_SMOOTHING_{name}"),
        (Field(f"DCGM_FI_DEV_PWR_SMOOTHING_{name}", same),),
        period=SLOW,
    )
    for name in NAMES
)
