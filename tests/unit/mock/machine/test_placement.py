import pytest

from exporter.errors import ConfigError
from tests.unit.mock_machines import scenario


@pytest.mark.parametrize(
    ("layout", "starts"),
    [
        ("[3g.40gb, 3g.40gb]", (0, 4)),
        ("[1g.10gb, 3g.40gb, 3g.40gb]", None),
        ("[1g.10gb, 2g.20gb, 3g.40gb]", (6, 4, 0)),
        ("[4g.40gb, 3g.40gb]", (0, 4)),
        ("[1g.20gb, 1g.20gb, 1g.20gb, 1g.20gb]", (0, 2, 4, 6)),
        ("[1g.10gb, 1g.10gb, 1g.10gb, 1g.10gb, 1g.10gb, 1g.10gb, 1g.10gb]", (0, 1, 2, 3, 4, 5, 6)),
        ("[7g.80gb]", (0,)),
        ("[7g.80gb, 1g.10gb]", None),
        ("[4g.40gb, 4g.40gb]", None),
    ],
)
def test_gpu_instances_are_placed_as_nvidia_smi_allows(layout: str, starts: tuple[int, ...] | None) -> None:
    text = f"gpus: [{{profile: a100-sxm, mig: {layout}}}]"
    if starts is None:
        with pytest.raises(ConfigError, match=r"lab\.yaml: gpus\[0\]\.mig: has .* which do not fit on one GPU"):
            scenario(text)
    else:
        assert tuple(instance.start for instance in scenario(text).gpus[0].instances) == starts
