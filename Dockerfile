# docker build --build-arg VERSION=1.2.3 -t multitenant .
# The flags are those of .goreleaser.yaml. There is no Git here, so VERSION says all
# that the program knows of its origin.
FROM golang:1.26.11 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -tags=nomsgpack \
	-ldflags "-s -w -X multitenant/version.number=${VERSION}" -o /image/multitenant .
# Certificates are for PostgreSQL over TLS. The folder of the data is made here,
# since there is no shell below, and empty, so that a new volume takes its owner.
RUN install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
	&& install -d -m 0700 /state/data

FROM scratch
ARG VERSION=
LABEL org.opencontainers.image.title="multitenant" \
	org.opencontainers.image.description="A multi-tenant backend with a database for each tenant" \
	org.opencontainers.image.licenses="MIT" \
	org.opencontainers.image.version="${VERSION}"
COPY --from=build /image /
COPY --from=build --chown=65532:65532 /state /
USER 65532:65532
WORKDIR /data
VOLUME /data
ENV HTTP_ADDR=0.0.0.0:8000 DATABASE_URL=sqlite:///data/core.db
EXPOSE 8000
# There is no shell and no curl here: the program asks itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/multitenant", "healthcheck"]
ENTRYPOINT ["/multitenant"]
