{{/* A file of its own: the job's name is made from it. */}}
{{- define "edugraph.prepareSpec" }}
{{- include "edugraph.podHead" . }}
# A server that is still starting is no failure: the containers try again until the job's deadline.
restartPolicy: OnFailure
containers:
  - name: topology
    image: {{ include "edugraph.image" (dict "root" . "image" .Values.gateway.image "own" true) }}
    imagePullPolicy: {{ .Values.images.pullPolicy }}
    command: [edugraph, topology, apply]
    securityContext: {{- include "edugraph.containerSecurity" . | nindent 6 }}
    # It knows no blob store, so it gets no credentials of one.
    envFrom:
      - configMapRef: {name: {{ include "edugraph.fullname" . }}-settings}
    env:
      {{- include "edugraph.rabbitmqEnv" (dict "root" . "service" "") | nindent 6 }}
      {{- if .Values.rabbitmq.enabled }}
      {{- include "edugraph.rabbitmqUsersEnv" . | nindent 6 }}
      {{- end }}
      {{- include "edugraph.redisEnv" (dict "root" . "service" "") | nindent 6 }}
    resources: {{- toYaml .Values.prepare.resources | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- include "edugraph.authorityMount" . | nindent 6 }}
  - name: constraints
    image: {{ include "edugraph.image" (dict "root" . "image" .Values.importer.image "own" true) }}
    imagePullPolicy: {{ .Values.images.pullPolicy }}
    command: [python, -m, edugraph_importer.prepare]
    securityContext: {{- include "edugraph.containerSecurity" . | nindent 6 }}
    # It knows no blob store, so it gets no credentials of one.
    envFrom:
      - configMapRef: {name: {{ include "edugraph.fullname" . }}-settings}
    env:
      {{- include "edugraph.neo4jEnv" . | nindent 6 }}
      {{- include "edugraph.privacyEnv" . | nindent 6 }}
      - {name: EDUGRAPH_MIGRATE_UP_TO, value: {{ .Values.migrations.allow | quote }}}
    resources: {{- toYaml .Values.prepare.resources | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- include "edugraph.authorityMount" . | nindent 6 }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- include "edugraph.authorityVolume" . | nindent 2 }}
{{- end }}
