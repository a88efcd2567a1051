"""Where the exporter with some settings is asked on its own machine. For commands; it looks at files, not at ports."""

from exporter.errors import given_by
from exporter.server.web_config.document import has_tls
from exporter.settings import Settings


def page_url(settings: Settings) -> str:
    """Return the URL of the metrics. What TLS needs is not read: its key is the server's alone.

    Raises:
        ConfigError: The web configuration file can't be read, or is no YAML.
    """
    path = settings.web_config_file
    with given_by(settings.place("web-config-file")):
        scheme = "https" if path is not None and has_tls(path) else "http"
    return f"{settings.address.local().url(scheme)}/metrics"
