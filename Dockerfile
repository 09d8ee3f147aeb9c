# The images of `make image`, built by docker or podman: the same program, build/image, makes their files, so both ways give the same.
#
#   docker build --target server   -t strongroom:0.1.0-dev .
#   docker build --target operator -t strongroom-operator:0.1.0-dev .
#
# The .git folder stays outside, so say which commit it is:
#   --build-arg REVISION=$(git rev-parse --short=12 HEAD) --build-arg BUILD_DATE=$(date -u +%Y-%m-%dT%H:%M:%SZ)

FROM --platform=$BUILDPLATFORM node:22-bookworm-slim AS ui
WORKDIR /src/ui
COPY ui/package.json ui/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY ui ./
RUN npm run build

# Debian, for the packages of busybox and of the CA certificates.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=ui /src/ui/dist/app ui/dist/app
ARG TARGETARCH
ARG VERSION=0.1.0-dev
ARG REVISION
ARG BUILD_DATE
RUN go run ./build/image -rootfs -version "$VERSION" -arch "$TARGETARCH" -out /out \
 && for image in strongroom strongroom-operator; do mkdir "/out/$image" && tar -xpf "/out/$image.tar" -C "/out/$image" --numeric-owner; done

FROM scratch AS operator
COPY --from=build /out/strongroom-operator/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /
USER 65532:65532
EXPOSE 8080/tcp 8081/tcp
ENTRYPOINT ["/strongroom-operator"]

# The last, so that it is what a build without --target makes.
FROM scratch AS server
COPY --from=build /out/strongroom/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV HOME=/home/vault
WORKDIR /
USER 100:1000
EXPOSE 8200/tcp 8201/tcp
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["server", "-dev"]
