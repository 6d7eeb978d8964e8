# Runs nwb-ophys as a user without rights: docker run --rm -v /data:/data IMAGE batch /data/lab.yaml
FROM python:3.12.8-slim-bookworm AS build
# For the compiled part of the package.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
COPY . /source
RUN python -m venv /opt/nwb-ophys && /opt/nwb-ophys/bin/pip install --no-cache-dir "/source[all,cluster]"

FROM python:3.12.8-slim-bookworm
COPY --from=build /opt/nwb-ophys /opt/nwb-ophys
RUN useradd --create-home --uid 1000 scientist
USER scientist
WORKDIR /data
ENV PATH=/opt/nwb-ophys/bin:$PATH
ENTRYPOINT ["nwb-ophys"]
CMD ["--help"]
