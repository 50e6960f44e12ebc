# One image for every process: relay, keeper, dashboard, command line. docker-compose.yml runs them.
#
#   docker build -t tollkeeper .
#
# Every dependency is the locked one, checked against its hash; nothing of the build stays in the image.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv /opt/tollkeeper \
 && /opt/tollkeeper/bin/python -m pip install --require-hashes -r requirements/runtime.txt \
 && python -m pip install --require-hashes -r requirements/build.txt
COPY LICENSE README.md pyproject.toml ./
COPY service service
COPY dashboard dashboard
COPY migrations migrations
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
 && /opt/tollkeeper/bin/python -m pip install --no-deps --no-index wheels/*.whl \
 && /opt/tollkeeper/bin/python -m pip uninstall --yes pip setuptools

FROM python:3.11.14-slim-bookworm
RUN groupadd --gid 10001 tollkeeper \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tollkeeper \
 && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/tollkeeper
COPY --from=build /opt/tollkeeper /opt/tollkeeper
ENV PATH=/opt/tollkeeper/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TOLLKEEPER_DATA_DIR=/var/lib/tollkeeper \
    TOLLKEEPER_HOST=0.0.0.0 \
    TOLLKEEPER_DASHBOARD_HOST=0.0.0.0
USER 10001:10001
WORKDIR /var/lib/tollkeeper
EXPOSE 4000 8501
ENTRYPOINT ["tollkeeper"]
CMD ["serve"]
