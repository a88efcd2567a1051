"""Who may import whom: the rules of the project's layout, checked on source text."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

LAYERS = {
    "exporter": (
        {"model", "errors", "fields"},
        {"user_file", "strict_yaml", "strict_json", "go_values"},
        {"settings", "counters", "counters_source", "kube", "counter_files", "mock"},
        {"catalogue"},
        {"nvml"},
        {"sampling"},
        {"attribution"},
        {"labels"},
        {"exposition"},
        {"telemetry"},
        {"pages", "scraping"},
        {"view"},
        {"server"},
        {"agent"},
        {"doctor", "top"},
        {"cli", "__main__"},
    ),
    "exporter.mock": ({"recordings", "document"}, {"machine"}, {"calls", "scenario"}, {"steering"}),
}
"""By package, left to right; a module imports from layers to the left of its own, and within its own."""

ONLY = {
    "pynvml": ("exporter.nvml", "exporter.catalogue", "exporter.mock"),
    "kubernetes": ("exporter.kube",),
    "grpc": ("podresources",),
    "prometheus_client": ("exporter.telemetry",),
    "tornado": ("exporter.server",),
    "rich": ("exporter.top",),
    "re2": ("exporter.attribution",),
    "bcrypt": ("exporter.server",),
    "podresources": ("podresources", "exporter.attribution", "exporter.agent", "exporter.doctor"),
    "podresources.device_plugin": ("podresources", "exporter.agent"),
    "podresources.fake_kubelet": ("podresources", "exporter.agent"),
    "podresources.fake_pods": ("podresources", "exporter.agent"),
    "exporter.mock": ("exporter.mock", "exporter.agent"),
}
"""What only these packages and modules may import."""


@cache
def sources(root: Path) -> Mapping[str, str]:
    """Return the text of every module below the packages, by dotted name."""
    found = {}
    for package in ("exporter", "podresources"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path.read_text()
    return found


_tree = cache(ast.parse)
"""Each text is read once, for all rules."""


def violations(modules: Mapping[str, str]) -> list[str]:
    """Return one line for each import or call that a rule forbids."""
    found = []
    for name, text in modules.items():
        tree = _tree(text)
        is_package = any(other.startswith(f"{name}.") for other in modules)
        for imported in _imports(tree, name, is_package=is_package):
            found += [f"{name} imports {imported}: {why}" for why in _forbidden(name, imported)]
        if _within(name, "exporter.catalogue"):
            found += [f"{name} calls {function}: the catalogue calls nothing" for function in _nvml_calls(tree)]
    return found


def repeated_classes(modules: Mapping[str, str]) -> list[str]:
    """Return one line for each class name that stands in more than one place, leading underscores apart."""
    places: dict[str, list[str]] = {}
    for module, text in modules.items():
        for node in ast.walk(_tree(text)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name.lstrip("_"), []).append(module)
    return [f"{name} stands in {' and '.join(found)}" for name, found in places.items() if len(found) > 1]


def _imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _forbidden(module: str, imported: str) -> Iterator[str]:
    for name, allowed in ONLY.items():
        if _within(imported, name) and not any(_within(module, a) for a in allowed):
            yield f"only {', '.join(allowed)} may"
    if _within(module, "podresources") and _within(imported, "exporter"):
        yield "podresources stands on its own"
    for package in LAYERS:
        ours, theirs = _layer(module, package), _layer(imported, package)
        if ours is not None and theirs is not None and theirs > ours:
            yield f"within {package} imports point only to the left"


def _layer(module: str, package: str) -> int | None:
    """Return the number of a module's layer in a package; None where it has none."""
    if not module.startswith(f"{package}."):
        return None
    part = module.removeprefix(f"{package}.").partition(".")[0]
    return next((i for i, layer in enumerate(LAYERS[package]) if part in layer), None)


def unplaced(modules: Mapping[str, str]) -> list[str]:
    """Return the modules of layered packages that stand in no layer."""
    return [
        name
        for package in LAYERS
        for name in modules
        if name.startswith(f"{package}.") and _layer(name, package) is None
    ]


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _nvml_calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name.startswith("nvml"):
                yield name
