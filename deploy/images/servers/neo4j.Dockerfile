# A stand-in for neo4j:5-community where no registry is. For tests only.
ARG BASE
FROM ${BASE}
ENV PATH=/var/lib/neo4j/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY lib/*.jar /var/lib/neo4j/lib/
COPY neo4j neo4j-admin /var/lib/neo4j/bin/
RUN chmod 755 /var/lib/neo4j/bin/* && mkdir -m 777 /data /logs /var/lib/neo4j/conf
USER 10001:0
CMD ["neo4j", "console"]
