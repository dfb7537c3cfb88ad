# The runtime of stylepress on JetPack 7 (TensorRT 10.13 or 10.16, Python 3.12), without network: the
# wheels lie in wheels/ beside this file (docs/jetson.md). Never built, never run here.
# JetPack 7 takes the images of arm64 servers: give the one whose TensorRT is the device's, e.g.
# --build-arg BASE=nvcr.io/nvidia/tensorrt:25.08-py3
ARG BASE=nvcr.io/nvidia/tensorrt:25.08-py3
FROM ${BASE}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY wheels /wheels
RUN python3 -m venv --without-pip --system-site-packages /opt/stylepress \
 && /opt/stylepress/bin/python "$(echo /wheels/pip-*.whl)/pip" install \
      --no-cache-dir --no-index --find-links /wheels /wheels/stylepress-*.whl
ENV PATH="/opt/stylepress/bin:${PATH}" STYLEPRESS_CACHE=/cache
VOLUME ["/cache"]
ENTRYPOINT ["stylepress"]
CMD ["doctor"]
