{{/* The Secret with generated (or given) passwords. */}}
{{- define "edugraph.credentials" -}}
{{- default (printf "%s-credentials" (include "edugraph.fullname" .)) .Values.secrets.existingSecret -}}
{{- end -}}

{{/*
A user of the bundled RabbitMQ and the key of its password, always together. The job that prepares the broker makes the
users of services; without it all are the operator. Call with (dict "root" $ "service" SERVICE).
*/}}
{{- define "edugraph.rabbitmqLogin" -}}
{{- if and .service .root.Values.prepare.enabled -}}
{{- $vhost := .root.Values.rabbitmq.vhost }}
user: {{ printf "%s-%s" (ternary "edugraph" (urlquery $vhost) (eq $vhost "/")) .service }}
passwordKey: rabbitmq-{{ .service }}-password
{{- else -}}
user: edugraph
passwordKey: rabbitmq-password
{{- end -}}
{{- end -}}

{{/*
Addresses as environment variables. The bundled servers' are put together from the password's variable by Kubernetes
($(NAME)), so no address with a password is ever written into an object; external ones come whole from their Secret.
*/}}
{{- define "edugraph.rabbitmqEnv" -}}
{{- $root := .root -}}
{{- $service := .service -}}
{{- $full := include "edugraph.fullname" $root -}}
{{- if $root.Values.rabbitmq.enabled }}
{{- $login := include "edugraph.rabbitmqLogin" . | fromYaml }}
- name: RABBITMQ_USER
  value: {{ urlquery $login.user }}
- name: RABBITMQ_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "edugraph.credentials" $root }}, key: {{ $login.passwordKey }}}}
- name: EDUGRAPH_BROKER_URL
  value: amqp://$(RABBITMQ_USER):$(RABBITMQ_PASSWORD)@{{ $full }}-rabbitmq:5672/{{ $root.Values.rabbitmq.vhost | urlquery }}
- name: EDUGRAPH_BROKER_MANAGEMENT_URL
  value: http://$(RABBITMQ_USER):$(RABBITMQ_PASSWORD)@{{ $full }}-rabbitmq:15672
{{- else }}
{{- with $root.Values.rabbitmq.external }}
- name: EDUGRAPH_BROKER_URL
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .urlKey }}}}
- name: EDUGRAPH_BROKER_MANAGEMENT_URL
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .managementUrlKey }}}}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the topology makes the users of services from. */}}
{{- define "edugraph.rabbitmqServices" -}}
gateway importer analyzer webhooks monitor
{{- end -}}

{{- define "edugraph.rabbitmqUsersEnv" -}}
{{- $pairs := list -}}
{{- range splitList " " (include "edugraph.rabbitmqServices" .) }}
- name: RABBITMQ_{{ upper . }}_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "edugraph.credentials" $ }}, key: rabbitmq-{{ . }}-password}}
{{- $pairs = append $pairs (printf "%q: \"$(RABBITMQ_%s_PASSWORD)\"" . (upper .)) }}
{{- end }}
- name: EDUGRAPH_BROKER_USERS
  value: {{ printf "{%s}" (join ", " $pairs) | quote }}
{{- end -}}

{{/* The services with a user of their own of the bundled Redis (files/redis-users.conf). */}}
{{- define "edugraph.redisServices" -}}
gateway insights importer analyzer
{{- end -}}

{{- define "edugraph.redisEnv" -}}
{{- $root := .root -}}
{{- if $root.Values.redis.enabled }}
{{- $address := printf "%s-redis:6379/0" (include "edugraph.fullname" $root) }}
{{- /* Others have the setting, and need no Redis. */}}
{{- if has .service (splitList " " (include "edugraph.redisServices" $root)) }}
- name: REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "edugraph.credentials" $root }}, key: redis-{{ .service }}-password}}
- name: EDUGRAPH_REDIS_URL
  value: redis://edugraph-{{ .service }}:$(REDIS_PASSWORD)@{{ $address }}
{{- else }}
- name: EDUGRAPH_REDIS_URL
  value: redis://{{ $address }}
{{- end }}
{{- else }}
{{- $external := $root.Values.redis.external }}
- name: EDUGRAPH_REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ $external.existingSecret }}, key: {{ get $external.urlKeys .service | default $external.urlKey }}}}
{{- end }}
{{- end -}}

{{- define "edugraph.neo4jEnv" -}}
{{- if .Values.neo4j.enabled }}
- name: EDUGRAPH_NEO4J_URI
  value: bolt://{{ include "edugraph.fullname" . }}-neo4j:7687
- name: EDUGRAPH_NEO4J_USER
  value: neo4j
- name: EDUGRAPH_NEO4J_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "edugraph.credentials" . }}, key: neo4j-password}}
{{- else }}
{{- with .Values.neo4j.external }}
- name: EDUGRAPH_NEO4J_URI
  value: {{ .uri | quote }}
- name: EDUGRAPH_NEO4J_USER
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .userKey }}}}
- name: EDUGRAPH_NEO4J_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .passwordKey }}}}
{{- end }}
{{- end }}
- name: EDUGRAPH_NEO4J_DATABASE
  value: {{ .Values.neo4j.database | quote }}
{{- end -}}

{{/* Keys the hashes of persons: in tombstones and in the audit log. */}}
{{- define "edugraph.privacyEnv" -}}
- name: EDUGRAPH_PRIVACY_SECRET
  valueFrom: {secretKeyRef: {name: {{ include "edugraph.credentials" . }}, key: privacy-secret}}
{{- end -}}

{{/* Whose tokens gateway and insights take, and whose sessions. */}}
{{- define "edugraph.issuerEnv" -}}
{{- with .Values.login.issuer }}
- {name: EDUGRAPH_OIDC_ISSUER, value: {{ . | quote }}}
- {name: EDUGRAPH_OIDC_AUDIENCE, value: {{ $.Values.login.audience | quote }}}
{{- end }}
{{- end -}}

{{/* What is no secret: one ConfigMap, and the blob store's own credentials. */}}
{{- define "edugraph.envFrom" -}}
- configMapRef: {name: {{ include "edugraph.fullname" . }}-settings}
{{- with .Values.blobs.credentialsSecret }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}
