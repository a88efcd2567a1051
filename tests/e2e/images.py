"""What pods name as images, made of programs of this machine: which files an image has, and what it starts."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TREE = Path(__file__).parents[2]
_PYTHON = Path("/opt/python")
_PROJECT = Path("/opt/project")


@dataclass(frozen=True, slots=True)
class Image:
    """An image. It has this machine's files, too."""

    entrypoint: tuple[str, ...]
    files: Mapping[Path, Path]  # where it lies in the image: what lies there
    environment: Mapping[str, str] = field(default_factory=dict)


Images = Mapping[str, Image]
"""Images by their name without tag."""


def make_images(tools: Mapping[str, Path]) -> Images:
    """Return the images of this project and of the programs that were built, under the names that charts give them."""
    return {
        "gpu-metrics-exporter": _python_image("-m", "exporter"),
        "model-server": _python_image("-m", "tests.e2e.model_server"),
        "registry.k8s.io/prometheus-adapter/prometheus-adapter": _binary_image("/adapter", tools["prometheus-adapter"]),
        "quay.io/prometheus/prometheus": _binary_image("/bin/prometheus", tools["prometheus"]),
        "quay.io/prometheus-operator/prometheus-config-reloader": _binary_image(
            "/bin/prometheus-config-reloader", tools["prometheus-config-reloader"]
        ),
    }


def image_of(images: Images, name: str) -> Image | None:
    """Return the image of a container; None where it is only played."""
    return images.get(name.partition("@")[0].rpartition(":")[0] or name)


def _binary_image(place: str, binary: Path) -> Image:
    return Image((place,), {Path(place): binary})


def _python_image(*arguments: str) -> Image:
    """Return an image with this project and the Python that runs now, where no volume of a pod can hide them."""
    files = {_PROJECT: TREE}
    python = sys.executable
    if sys.prefix != sys.base_prefix:
        files[_PYTHON] = Path(sys.prefix)
        python = str(_PYTHON / Path(sys.executable).relative_to(sys.prefix))
    return Image((python, *arguments), files, {"PYTHONPATH": str(_PROJECT), "PYTHONDONTWRITEBYTECODE": "1"})
