from exporter.cli.flag_table import FLAGS
from exporter.cli.help import WIDTH, help_text


def test_help_names_every_flag_variable_and_default_within_the_width() -> None:
    text = help_text({"serve": "Serve."})
    for flag in FLAGS:
        assert f"--{flag.name}" in text
        assert not flag.shorthand or f"  -{flag.shorthand}, --{flag.name}" in text
        assert flag.variable in text
        assert flag.default == "false" or flag.default in text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.index("Collection:") < text.index("Kubernetes:") < text.index("Compatibility")
