# A static binary and nothing else. The build needs the network for Go modules, the image does not.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/sendgate ./cmd/sendgate \
 && mkdir -p /out/data /out/run /out/tmp

FROM scratch
# Certificate authorities for upstreams with verified TLS; time zones for the times that people read.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
COPY --from=build /out/sendgate /sendgate
COPY --from=build --chown=65532:65532 /out/data /var/lib/sendgate
COPY --from=build --chown=65532:65532 /out/run /run/sendgate
COPY --from=build --chown=65532:65532 /out/tmp /tmp
ENV ZONEINFO=/zoneinfo.zip
USER 65532:65532
VOLUME /var/lib/sendgate
# SMTP and HTTP. The configuration says on which addresses; the defaults are loopback only.
EXPOSE 2525 8025
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/sendgate", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/sendgate"]
CMD ["serve", "--config", "/etc/sendgate/sendgate.yaml"]
