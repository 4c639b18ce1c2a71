# The operator's image. Build it at the root of the repository:
#
#   docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" -t tolstoy/tolstoy-operator:0.1.0 .
#
# The base is named by its digest, for all architectures: a tag that moves changes nothing. The tag is for people.
ARG PYTHON_IMAGE=python:3.12.15-slim-trixie@sha256:29113dcae7aad06daa8e95260fa09f27d62be33b9687ea3774f771d601a02256

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Wheels only, each with a hash that this repository names: nothing is compiled, nothing unexpected is fetched.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --only-binary :all: --require-hashes -r requirements/runtime.txt \
 && python -m pip install --only-binary :all: --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md ./
COPY operator operator
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && python -m pip --python /opt/venv/bin/python install --no-deps --no-index dist/*.whl \
 && python -m pip --python /opt/venv/bin/python check \
 && rm -rf /opt/venv/bin/[Aa]ctivate* \
           # A class for each group of the Kubernetes API, 77 MB, and nobody asks for one: the operator has its own client.
           /opt/venv/lib/python*/site-packages/kubernetes/client/api \
           /opt/venv/lib/python*/site-packages/kubernetes/aio/client/api \
 && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib \
 && /opt/venv/bin/python -c 'import tolstoy_operator.app'

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tolstoy-operator" \
      org.opencontainers.image.description="Keeps third-party credentials alive: Secrets Manager and OAuth to native Secrets" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
# No package installer and nothing of Python that a server doesn't use; the rest of the standard library is compiled,
# because a read-only root cannot keep what the first start would compile.
RUN library="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && rm -rf "$library"/site-packages/* "$library"/ensurepip "$library"/idlelib "$library"/lib2to3 "$library"/tkinter \
           "$library"/turtledemo "$library"/pydoc_data "$(dirname "$(command -v python)")"/pip* \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$library"
COPY --from=build /opt/venv /opt/venv
# USER: kopf asks for the user's name, and a numeric user has none in /etc/passwd.
# PYTHONSAFEPATH: the working directory is no place to import from.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    USER=tolstoy
WORKDIR /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["python", "-m", "tolstoy_operator"]
