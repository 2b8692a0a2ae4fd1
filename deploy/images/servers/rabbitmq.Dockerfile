# A stand-in for rabbitmq:4-management where no registry is. For tests only.
ARG BASE
FROM ${BASE}
# Debian's own commands in /usr/sbin insist on the users root and rabbitmq; these do not.
ENV PATH=/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 RABBITMQ_LOGS=-
RUN rm -rf /etc/rabbitmq/* /var/lib/rabbitmq && mkdir -m 777 /var/lib/rabbitmq
USER 10001:0
CMD ["rabbitmq-server"]
