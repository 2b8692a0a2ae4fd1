# A stand-in for redis:8 where no registry is. For tests only.
ARG BASE
FROM ${BASE}
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN mkdir -m 777 /data
WORKDIR /data
USER 10001:0
CMD ["redis-server"]
