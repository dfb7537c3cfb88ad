# The runtime of stylepress on JetPack 6.2 (TensorRT 10.3, Python 3.10), without network: the wheels lie in
# wheels/ beside this file (docs/jetson.md says how they come there). Never built, never run here.
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0
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
