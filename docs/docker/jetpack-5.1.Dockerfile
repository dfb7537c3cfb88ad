# Builds a TensorRT plan of a lowered bundle with JetPack 5.1 (TensorRT 8.5, Python 3.8) by trtexec.
# The runtime of stylepress needs Python 3.10 and is not in this image. Never built, never run here.
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r35.4.1
FROM ${BASE}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /bundle
ENV PATH="/usr/src/tensorrt/bin:${PATH}"
ENTRYPOINT ["trtexec"]
CMD ["--help"]
