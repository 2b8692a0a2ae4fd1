{{/* What a pod of the restricted Pod Security level says of itself. */}}
{{- define "edugraph.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.podSecurity.runAsUser }}
runAsUser: {{ int64 . }}
{{- end }}
{{- with .Values.podSecurity.fsGroup }}
fsGroup: {{ int64 . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "edugraph.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Three quarters of the bundled Redis' memory limit, in bytes. The rest is for its buffers and for rewriting its file. */}}
{{- define "edugraph.redisMaxmemory" -}}
{{- $limit := dig "limits" "memory" "" .Values.redis.resources }}
{{- $limit = kindIs "string" $limit | ternary $limit (int64 $limit | toString) }}
{{- $units := dict "" 1 "k" 1000 "Ki" 1024 "M" 1000000 "Mi" 1048576 "G" 1000000000 "Gi" 1073741824 }}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?([kMG]|[KMG]i)?$" $limit) }}
{{- fail "set redis.resources.limits.memory, such as 512Mi: Redis is told to keep below it" }}
{{- end }}
{{- $number := regexFind "^[0-9.]+" $limit }}
{{- mulf (float64 $number) (float64 (get $units (trimPrefix $number $limit))) 0.75 | int64 }}
{{- end -}}

{{/* The head of every pod's spec. */}}
{{- define "edugraph.podHead" -}}
serviceAccountName: {{ include "edugraph.serviceAccount" . }}
automountServiceAccountToken: false
# Addresses come from values; a variable for each Service of the namespace would only be in the way.
enableServiceLinks: false
securityContext: {{- include "edugraph.podSecurity" . | nindent 2 }}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where a pod runs. Call with (dict "root" $ "component" NAME "where" VALUES "blobs" true|false). */}}
{{- define "edugraph.placement" -}}
{{- with .where.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .where.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .where.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if .where.affinity }}
affinity: {{- toYaml .where.affinity | nindent 2 }}
{{- else if and .blobs (eq (include "edugraph.blobsOnOneNode" .root) "true") }}
affinity:
  podAffinity:
    {{- if eq .component "gateway" }}
    # The one gateway goes where the volume is, if it can. When that node is drained, it is the first to choose another one.
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              app.kubernetes.io/instance: {{ .root.Release.Name }}
              edugraph.io/blobs: volume
    {{- else }}
    # A ReadWriteOnce volume is mounted on one node only, so workers follow the gateway. They must not follow each other: the
    # scheduler does not look again at waiting pods when the last pod that they would have followed is gone.
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "edugraph.selector" (dict "root" .root "component" "gateway") | nindent 12 }}
    {{- end }}
{{- end }}
topologySpreadConstraints:
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "edugraph.selector" $ | nindent 8 }}
{{- end }}
{{- end -}}

{{/* Whether a ReadWriteOnce volume holds gateway and workers on one node. They have no disruption budgets then: a pod that was
evicted gets the volume only when the last one has left the old node, so a budget that keeps one back would hold up a drain for ever. */}}
{{- define "edugraph.blobsOnOneNode" -}}
{{- if and (not .Values.blobs.url) (eq .Values.blobs.volume.accessMode "ReadWriteOnce") -}}true{{- end -}}
{{- end -}}

{{- define "edugraph.gatewayReplicas" -}}
{{- if not (kindIs "invalid" .Values.gateway.replicas) -}}
{{- .Values.gateway.replicas -}}
{{- else -}}
{{- ternary 1 2 (eq (include "edugraph.blobsOnOneNode" .) "true") -}}
{{- end -}}
{{- end -}}

{{/* Labels by which network policies and the affinity above know a pod of the services. */}}
{{- define "edugraph.blobLabel" -}}
{{- if not .Values.blobs.url }}
edugraph.io/blobs: volume
{{- end }}
{{- end -}}

{{/* Writable places: a read-only root needs /tmp; blobs and authorities are shared. */}}
{{- define "edugraph.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if not .Values.blobs.url }}
- name: blobs
  persistentVolumeClaim:
    claimName: {{ default (printf "%s-blobs" (include "edugraph.fullname" .)) .Values.blobs.volume.existingClaim }}
{{- end }}
{{- include "edugraph.authorityVolume" . }}
{{- end -}}

{{- define "edugraph.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if not .Values.blobs.url }}
- {name: blobs, mountPath: /var/lib/edugraph/blobs}
{{- end }}
{{- include "edugraph.authorityMount" . }}
{{- end -}}

{{- define "edugraph.authorityVolume" -}}
{{- with .Values.tls.caConfigMap }}
- name: authorities
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- define "edugraph.authorityMount" -}}
{{- if .Values.tls.caConfigMap }}
- {name: authorities, mountPath: /etc/edugraph/authorities, readOnly: true}
{{- end }}
{{- end -}}

{{/* Restarts pods when the secrets or settings they read have changed. */}}
{{- define "edugraph.checksums" -}}
checksum/settings: {{ include (print $.Template.BasePath "/settings.yaml") . | sha256sum }}
{{- end -}}
