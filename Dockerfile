# Debian, because NVML needs glibc; the driver's libraries come from the NVIDIA runtime.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY exporter exporter
COPY podresources podresources
RUN python -m venv /opt/exporter \
    && /opt/exporter/bin/pip install --no-cache-dir .

FROM python:3.13-slim-bookworm
# What the NVIDIA container runtime looks at; dcgm-exporter's DaemonSets rely on the image to set them.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,compat32 \
    NVIDIA_DISABLE_REQUIRE=true \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GRPC_VERBOSITY=NONE \
    PATH=/opt/exporter/bin:$PATH
COPY --from=build /opt/exporter /opt/exporter
COPY exporter/counter_files/*.csv /etc/dcgm-exporter/
EXPOSE 9400
ENTRYPOINT ["gpu-metrics-exporter"]
