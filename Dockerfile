# The bot in a container: `make image` here, ci.yml and deploy.yml on GitHub. Nothing secret goes in: keys arrive as
# environment variables of the running container and never as build arguments.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# Changes when a lock changes. Compiled here, because the root file system is read-only later.
FROM ${BASE} AS dependencies
# "no" leaves the experiment trackers out; "yes" adds MLflow's skinny client and neptune.
ARG TRACKERS=no
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY infra/image.lock infra/image-trackers.lock infra/image/build.lock infra/image/slim.py ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/build \
    && /opt/build/bin/pip install --quiet --no-compile --require-hashes -r build.lock \
    && python3 -m venv --without-pip /opt/bot \
    && lock=image.lock \
    && if [ "${TRACKERS}" = yes ]; then lock=image-trackers.lock; fi \
    && /opt/build/bin/pip --python /opt/bot/bin/python install --quiet --no-compile --only-binary :all: \
        --require-hashes -r "${lock}" \
    && python3 slim.py /opt/bot \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/bot/lib

# Changes with every commit, and is small.
FROM dependencies AS project
COPY pyproject.toml README.md LICENSE cron-job ./
COPY trader trader
COPY backtest backtest
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/build/bin/pip --python /opt/bot/bin/python install --quiet --no-compile --no-deps --no-index \
        --target /opt/trader /wheel/*.whl \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/trader

FROM ${BASE}
LABEL org.opencontainers.image.title="hourly-trader" org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --no-create-home --home-dir /state --shell /usr/sbin/nologin trader \
    && install -d -o trader -g trader /state
COPY --from=dependencies /opt/bot /opt/bot
COPY --from=project /opt/trader /opt/trader
COPY cron-job /app/cron-job
WORKDIR /app
# One thread for linear algebra: what is computed in an hour is small, and pools of threads cost memory.
ENV PATH=/opt/trader/bin:/opt/bot/bin:$PATH PYTHONPATH=/opt/trader HOME=/state TMPDIR=/tmp PYTHONUNBUFFERED=1 OPENBLAS_NUM_THREADS=1 \
    TRADER_STORE=/state/store TRADER_BARS=/state/bars TRADER_TRACKER_DIR=/state/tracking TRADER_WAIT_FOR_OBSERVERS=true
# The two places that may be written. Declared, so that a platform that mounts them keeps their owner.
VOLUME ["/state", "/tmp"]
USER 10001:10001
HEALTHCHECK --interval=10m --timeout=30s --start-period=15m --retries=2 CMD ["trader", "health"]
ENTRYPOINT ["trader"]
CMD ["run", "--cron-job", "/app/cron-job"]
