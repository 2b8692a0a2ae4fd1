# A stand-in for caddy:2 where no registry is. For tests only.
ARG BASE
FROM ${BASE}
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY caddy /usr/bin/caddy
RUN mkdir -m 777 /data
USER 10001:0
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
