"""What NVML's functions answer, by the quantities of the mock: a table for each shape of answer."""

import pynvml

NUMBERS = {
    "nvmlDeviceGetPerformanceState": "performance_state",
    "nvmlDeviceGetComputeMode": "compute_mode",
    "nvmlDeviceGetPersistenceMode": "persistence_mode",
    "nvmlDeviceGetVirtualizationMode": "virtualization_mode",
    "nvmlDeviceGetBrand": "brand",
    "nvmlDeviceGetCurrentClocksEventReasons": "clock_event_reasons",
    "nvmlDeviceGetPowerManagementLimit": "power_limit_mw",
    "nvmlDeviceGetPowerManagementDefaultLimit": "power_limit_default_mw",
    "nvmlDeviceGetEnforcedPowerLimit": "power_limit_enforced_mw",
    "nvmlDeviceGetMarginTemperature": "gpu_temperature_margin_c",
    "nvmlDeviceGetMaxPcieLinkGeneration": "pcie_max_link_generation",
    "nvmlDeviceGetMaxPcieLinkWidth": "pcie_max_link_width",
    "nvmlDeviceGetCurrPcieLinkGeneration": "pcie_link_generation",
    "nvmlDeviceGetCurrPcieLinkWidth": "pcie_link_width",
    "nvmlDeviceGetInforomConfigurationChecksum": "inforom_checksum",
    "nvmlDeviceGetUnrepairableMemoryFlag_v1": "unrepairable_memory",
    "nvmlDeviceGetFanSpeed": "fan_speed_percent",
    "nvmlDeviceGetPowerUsage": "power_usage_mw",
    "nvmlDeviceGetPcieReplayCounter": "pcie_replay_count",
}
"""The quantities of functions that take a GPU alone."""

PAIRS = {
    "nvmlDeviceGetCudaComputeCapability": ("compute_capability_major", "compute_capability_minor"),
    "nvmlDeviceGetPowerManagementLimitConstraints": ("power_limit_min_mw", "power_limit_max_mw"),
    "nvmlDeviceGetAutoBoostedClocksEnabled": ("auto_boost", "auto_boost"),
}
"""Likewise, of those that answer two numbers."""

_ECC_KINDS = {"sbe": pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, "dbe": pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED}
_ECC_LIVES = {"volatile": pynvml.NVML_VOLATILE_ECC, "aggregate": pynvml.NVML_AGGREGATE_ECC}
_ECC_PLACES = ("l1", "l2", "dram", "registers", "texture", "shared", "cbu", "sram")

CHOICES: dict[str, dict[tuple[int, ...], str]] = {
    "nvmlDeviceGetClockInfo": {
        (pynvml.NVML_CLOCK_GRAPHICS,): "graphics_clock_mhz",
        (pynvml.NVML_CLOCK_SM,): "sm_clock_mhz",
        (pynvml.NVML_CLOCK_MEM,): "memory_clock_mhz",
        (pynvml.NVML_CLOCK_VIDEO,): "video_clock_mhz",
    },
    "nvmlDeviceGetTemperature": {(pynvml.NVML_TEMPERATURE_GPU,): "gpu_temperature_c"},
    "nvmlDeviceGetMaxClockInfo": {
        (pynvml.NVML_CLOCK_GRAPHICS,): "max_graphics_clock_mhz",
        (pynvml.NVML_CLOCK_SM,): "max_sm_clock_mhz",
        (pynvml.NVML_CLOCK_MEM,): "max_memory_clock_mhz",
        (pynvml.NVML_CLOCK_VIDEO,): "max_video_clock_mhz",
    },
    "nvmlDeviceGetApplicationsClock": {
        (pynvml.NVML_CLOCK_GRAPHICS,): "app_graphics_clock_mhz",
        (pynvml.NVML_CLOCK_MEM,): "app_memory_clock_mhz",
    },
    "nvmlDeviceGetTemperatureThreshold": {
        (pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN,): "gpu_temperature_shutdown_c",
        (pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,): "gpu_temperature_slowdown_c",
        (pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX,): "gpu_temperature_max_c",
        (pynvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX,): "memory_temperature_max_c",
    },
    "nvmlDeviceGetPcieThroughput": {
        (pynvml.NVML_PCIE_UTIL_TX_BYTES,): "pcie_transmitted_kb_per_s",
        (pynvml.NVML_PCIE_UTIL_RX_BYTES,): "pcie_received_kb_per_s",
    },
    "nvmlDeviceGetMemoryErrorCounter": {
        (kind_id, life_id, place_id): f"ecc_{kind}_{life}_{place}"
        for kind, kind_id in _ECC_KINDS.items()
        for life, life_id in _ECC_LIVES.items()
        for place_id, place in enumerate(_ECC_PLACES)  # as NVML_MEMORY_LOCATION_* counts them
    },
}
"""The quantities of functions that take a GPU and what is meant of it."""

TEXTS: dict[str, dict[tuple[int, ...], str]] = {
    "nvmlDeviceGetVbiosVersion": {(): "vbios"},
    "nvmlDeviceGetInforomImageVersion": {(): "inforom_image"},
    "nvmlDeviceGetInforomVersion": {
        (pynvml.NVML_INFOROM_OEM,): "inforom_oem",
        (pynvml.NVML_INFOROM_ECC,): "inforom_ecc",
        (pynvml.NVML_INFOROM_POWER,): "inforom_power",
    },
}
"""The profile's texts, likewise."""

LINK_ERRORS = {
    pynvml.NVML_NVLINK_ERROR_DL_REPLAY: "nvlink_replay_errors",
    pynvml.NVML_NVLINK_ERROR_DL_RECOVERY: "nvlink_recovery_errors",
    pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT: "nvlink_crc_flit_errors",
    pynvml.NVML_NVLINK_ERROR_DL_CRC_DATA: "nvlink_crc_data_errors",
    pynvml.NVML_NVLINK_ERROR_DL_ECC_DATA: "nvlink_ecc_data_errors",
}
"""The quantities of each link, by nvmlDeviceGetNvLinkErrorCounter's numbers."""

PEER_STATUSES = {pynvml.NVML_P2P_CAPS_INDEX_NVLINK: "nvlink_p2p_status"}
"""What a GPU reaches the others by: the status with each, behind a point its index."""

FIRSTS = {
    "nvmlDeviceGetEncoderUtilization": "encoder_utilization_percent",
    "nvmlDeviceGetDecoderUtilization": "decoder_utilization_percent",
}
"""The quantities of functions that answer a number before something else."""

COUNTS = {
    "nvmlDeviceGetRetiredPages": {
        (pynvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS,): "retired_pages_sbe",
        (pynvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR,): "field.RETIRED_DBE",
    }
}
"""The quantities of functions that answer a list, which count what is in it."""

MASKS = {"nvmlDeviceGetCpuAffinity": "cpu_affinity_mask", "nvmlDeviceGetMemoryAffinity": "memory_affinity_mask"}
"""The quantities of functions that answer a mask in words of 64 bits: the first word's; see word_of_mask."""

RINGS = {
    pynvml.NVML_GPU_UTILIZATION_SAMPLES: "gpu_utilization_percent",
    pynvml.NVML_MEMORY_UTILIZATION_SAMPLES: "memory_utilization_percent",
    pynvml.NVML_ENC_UTILIZATION_SAMPLES: "encoder_utilization_percent",
    pynvml.NVML_DEC_UTILIZATION_SAMPLES: "decoder_utilization_percent",
}
"""The quantities that the driver samples by itself, by nvmlDeviceGetSamples' numbers."""

MEMBERS = {
    "nvmlDeviceGetUtilizationRates": {"gpu": "gpu_utilization_percent", "memory": "memory_utilization_percent"},
    "nvmlDeviceGetBAR1MemoryInfo": {"bar1Total": "bar1_total_bytes", "bar1Used": "bar1_used_bytes"},
    "nvmlDeviceGetRowRemapperHistogram": {
        level: f"banks_remap_available_{level}" for level in ("max", "high", "partial", "low", "none")
    },
    "nvmlDeviceGetSramEccErrorStatus": {"bThresholdExceeded": "sram_threshold_exceeded"},
    "nvmlDeviceGetGpuFabricInfoV": {
        "state": "fabric_state",
        "status": "fabric_status",
        "cliqueId": "fabric_clique",
        "healthMask": "fabric_health_mask",
        "healthSummary": "fabric_health_summary",
    },
    "nvmlDeviceGetPlatformInfo": {
        "slotNumber": "platform_slot",
        "trayIndex": "platform_tray",
        "hostId": "platform_host",
        "peerType": "platform_peer_type",
        "moduleId": "platform_module",
    },
    "nvmlSystemGetConfComputeState": {"ccFeature": "confidential_computing"},
}
"""The quantities of functions that answer a structure, by its members."""


def word_of_mask(quantity: str, at: int) -> str:
    """Return the quantity of one word of a mask."""
    return f"{quantity}_{at}" if at else quantity
