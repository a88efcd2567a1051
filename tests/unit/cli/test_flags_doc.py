from pathlib import Path

from exporter.cli.flags_doc import flags_doc

ROOT = Path(__file__).parents[3]


def test_docs_are_what_the_code_says() -> None:
    assert (ROOT / "docs/flags.md").read_text() == flags_doc(), "python -m exporter.cli.flags_doc > docs/flags.md"
