# docs/image.md says what is in the image, why, and how the pins are renewed.
# Debian, because the driver's NVML needs glibc; tag and digest name the same. BASE is a build argument so that a mirror
# of one's own can stand there.
ARG BASE=docker.io/library/debian:trixie-20261005-slim@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f
# What the program runs on: the stage below, or for another architecture a root with Python that cannot run here.
ARG RUNTIME=python

FROM ${BASE} AS python
# SOURCE_DATE_EPOCH: Python's compiled files then don't depend on times, and stay good where a builder rewrites those.
# Logs and caches differ from build to build, and nobody needs them.
RUN export DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH=0 \
    && apt-get update \
    && apt-get upgrade --yes \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig \
        /var/lib/dpkg/*-old /var/log/apt /var/log/*.log

FROM python AS pip
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-pip python3-setuptools
ENV SOURCE_DATE_EPOCH=0
WORKDIR /src

FROM pip AS dependencies
# A package index of one's own, and the certificates to trust, where there is no other way out.
ARG PIP_INDEX_URL=""
ARG PIP_CERT=""
# pip's --platform, where the wheels of another architecture are wanted.
ARG PLATFORM=""
COPY requirements.lock ./
# Left out: the dependencies' own commands and tests, and the half of the Kubernetes client that is asynchronous.
RUN packages=/out/usr/local/lib/python3.13/dist-packages \
    && python3 -m pip install --target="$packages" ${PLATFORM} --root-user-action=ignore --no-cache-dir --no-compile \
        --require-hashes --only-binary=:all: --requirement=requirements.lock \
    && cd "$packages" \
    && rm -r bin kubernetes/aio tornado/test ./*/tests \
    && python3 -m compileall -q -s /out /out

FROM pip AS program
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
COPY podresources podresources
RUN python3 -m pip install --root=/out --break-system-packages --root-user-action=ignore --no-warn-script-location \
        --no-cache-dir --no-compile --no-deps --no-build-isolation . \
    && python3 -m compileall -q -s /out /out

# Neither pip nor anything else of the stages above is in the last one.
FROM ${RUNTIME}
LABEL org.opencontainers.image.title="gpu-metrics-exporter" \
    org.opencontainers.image.description="DCGM-compatible GPU metrics for Prometheus, read through NVML alone" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="docker.io/library/debian:trixie-20261005-slim"
# NVIDIA_*: what the NVIDIA container runtime looks at; dcgm-exporter's DaemonSets rely on the image to set them.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,compat32 \
    NVIDIA_DISABLE_REQUIRE=true \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GRPC_VERBOSITY=NONE
COPY --from=dependencies /out /
COPY --from=program /out /
COPY exporter/counter_files/*.csv /etc/dcgm-exporter/
# Only root can enter the folder of kubelet's socket; without pod labels any other user will do.
USER 0:0
EXPOSE 9400
ENTRYPOINT ["gpu-metrics-exporter"]
