"""The quantities that the mock can answer, by the names that profiles, scenarios and recordings have for them."""

import pynvml

from exporter.mock.machine.loads import UTILIZATION

GPM = "gpm."
FIELD = "field."

STATES = frozenset({"clock_event_reasons", "performance_state", "memory_clock_mhz", "pcie_link_generation"})
"""Between idle and busy there is no middle: bits, and what the performance state chooses."""

GETTERS = frozenset(
    {
        "performance_state",
        "compute_mode",
        "persistence_mode",
        "virtualization_mode",
        "confidential_computing",
        "brand",
        "compute_capability_major",
        "compute_capability_minor",
        "auto_boost",
        "power_limit_mw",
        "power_limit_min_mw",
        "power_limit_max_mw",
        "power_limit_default_mw",
        "power_limit_enforced_mw",
        "gpu_temperature_margin_c",
        "gpu_temperature_max_c",
        "gpu_temperature_slowdown_c",
        "gpu_temperature_shutdown_c",
        "memory_temperature_max_c",
        "app_graphics_clock_mhz",
        "app_memory_clock_mhz",
        "max_graphics_clock_mhz",
        "max_sm_clock_mhz",
        "max_memory_clock_mhz",
        "max_video_clock_mhz",
        "pcie_max_link_generation",
        "pcie_max_link_width",
        "pcie_link_generation",
        "pcie_link_width",
        "pcie_transmitted_kb_per_s",
        "pcie_received_kb_per_s",
        "bar1_total_bytes",
        "bar1_used_bytes",
        "inforom_checksum",
        "inforom_valid",
        "unrepairable_memory",
        "sram_threshold_exceeded",
        "retired_pages_sbe",
        "banks_remap_available_max",
        "banks_remap_available_high",
        "banks_remap_available_partial",
        "banks_remap_available_low",
        "banks_remap_available_none",
        "cpu_affinity_mask",
        "memory_affinity_mask",
        "fabric_state",
        "fabric_status",
        "fabric_clique",
        "fabric_health_mask",
        "fabric_health_summary",
        "platform_slot",
        "platform_tray",
        "platform_host",
        "platform_peer_type",
        "platform_module",
        "nvlink_state",
        "nvlink_replay_errors",
        "nvlink_recovery_errors",
        "nvlink_crc_flit_errors",
        "nvlink_crc_data_errors",
        "nvlink_ecc_data_errors",
        *(
            f"ecc_{kind}_{life}_{place}"
            for kind in ("sbe", "dbe")
            for life in ("volatile", "aggregate")
            for place in ("l1", "l2", "dram", "registers", "texture", "shared", "cbu", "sram")
        ),
    }
)
"""Quantities of NVML's plain getters. Those of NVLink are of each link."""

SAMPLED = (
    UTILIZATION,
    "memory_utilization_percent",
    "encoder_utilization_percent",
    "decoder_utilization_percent",
)
QUANTITIES = frozenset(
    {
        *SAMPLED,
        "energy_mj",
        "pcie_replay_count",
        "pcie_transmitted_bytes",
        "pcie_received_bytes",
        "graphics_clock_mhz",
        "sm_clock_mhz",
        "memory_clock_mhz",
        "video_clock_mhz",
        "gpu_temperature_c",
        "memory_temperature_c",
        "fan_speed_percent",
        "power_instant_mw",
        "power_usage_mw",
        "power_average_mw",
        "memory_used_bytes",
        "remapped_rows_correctable",
        "remapped_rows_uncorrectable",
        "remapped_rows_pending",
        "remapped_rows_failure",
        "clock_event_reasons",
        "nvlink_p2p_status",
        *GETTERS,
    }
)
"""Every quantity that the mock can answer, but for those of many: gpm.* are GPM's metrics by pynvml's names of them
(NVML_GPM_METRIC_*), field.* the field values (NVML_FI_DEV_*, NVML_FI_*) that have no name of their own.
"""


def is_quantity(name: str) -> bool:
    """Say whether the mock can answer a quantity of this name."""
    if name.startswith(GPM):
        return gpm_number(name.removeprefix(GPM)) is not None
    return name in QUANTITIES or (name.startswith(FIELD) and field_number(name.removeprefix(FIELD)) is not None)


def field_number(name: str) -> int | None:
    """Return a field value's number by pynvml's name of it, without what these begin with."""
    number: int | None = getattr(pynvml, f"NVML_FI_DEV_{name}", getattr(pynvml, f"NVML_FI_{name}", None))
    return number


def gpm_number(name: str) -> int | None:
    """Return a metric of GPM's number by pynvml's name of it, without what these begin with."""
    number: int | None = getattr(pynvml, f"NVML_GPM_METRIC_{name}", None)
    return number
