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

{{/* Where a pod runs unless its values say otherwise. Call with (dict "root" $ "component" NAME "blobs" true|false). */}}
{{- define "edugraph.placement" -}}
{{- if and .blobs (eq (include "edugraph.blobsOnOneNode" .root) "true") }}
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
{{- else }}
affinity:
  podAntiAffinity:
    # Zones are not in the constraint below: the scheduler ignores all constraints of a pod on a node that lacks one of their
    # labels, and nodes of one's own machines have no zone.
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: topology.kubernetes.io/zone
          labelSelector:
            matchLabels: {{- include "edugraph.selector" . | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "edugraph.selector" . | nindent 8 }}
    # Without this the old pods of an upgrade count as well. New pods would all go to the node that has the fewest old ones.
    matchLabelKeys: [pod-template-hash]
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

{{/* An object that makes pods, with the values that all components have: labels, places, volumes and so on. Environment
variables are merged by name, because the API server refuses a name that stands twice. Labels of the chart cannot be
changed: selectors and network policies know pods by them.
Call with (dict "root" $ "component" NAME "options" VALUES "object" OBJECT). */}}
{{- define "edugraph.pods" -}}
{{- $options := .options }}
{{- $object := .object }}
{{- $template := $object.spec.template }}
{{- $spec := $template.spec }}
{{- $_ := set $spec "serviceAccountName" (include "edugraph.serviceAccount" .) }}
{{- if $options.podLabels }}
{{- $_ := set $template.metadata "labels" (merge $template.metadata.labels $options.podLabels) }}
{{- end }}
{{- if $options.podAnnotations }}
{{- $_ := set $template.metadata "annotations" (mergeOverwrite (default dict $template.metadata.annotations) $options.podAnnotations) }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "topologySpreadConstraints" }}
{{- with get $options $key }}
{{- $_ := set $spec $key . }}
{{- end }}
{{- end }}
{{- if $options.strategy }}
{{- $_ := set $object.spec "strategy" $options.strategy }}
{{- end }}
{{- if not (kindIs "invalid" $options.revisionHistoryLimit) }}
{{- $_ := set $object.spec "revisionHistoryLimit" $options.revisionHistoryLimit }}
{{- end }}
{{- if $options.extraVolumes }}
{{- $_ := set $spec "volumes" (concat (default list $spec.volumes) $options.extraVolumes) }}
{{- end }}
{{- if $options.initContainers }}
{{- $_ := set $spec "initContainers" (concat (default list $spec.initContainers) $options.initContainers) }}
{{- end }}
{{- range $container := $spec.containers }}
{{- if $options.extraVolumeMounts }}
{{- $_ := set $container "volumeMounts" (concat (default list $container.volumeMounts) $options.extraVolumeMounts) }}
{{- end }}
{{- if $options.envFrom }}
{{- $_ := set $container "envFrom" (concat (default list $container.envFrom) $options.envFrom) }}
{{- end }}
{{- if $options.env }}
{{- $_ := set $container "env" (include "edugraph.mergedEnv" (dict "own" (default list $container.env) "more" $options.env) | fromYamlArray) }}
{{- end }}
{{- end }}
{{- toYaml $object }}
{{- end -}}

{{/* The variables of `own` with those of `more` in their place, and the rest of `more` behind them. */}}
{{- define "edugraph.mergedEnv" -}}
{{- $waiting := dict }}
{{- range .more }}
{{- $_ := set $waiting .name . }}
{{- end }}
{{- $merged := list }}
{{- range concat .own .more }}
{{- if not (hasKey $waiting .name) }}
{{- $merged = append $merged . }}
{{- else if get $waiting .name }}
{{- $merged = append $merged (get $waiting .name) }}
{{- /* It stands there now, so it is left out where it comes again. */}}
{{- $_ := set $waiting .name false }}
{{- end }}
{{- end }}
{{- toYaml $merged }}
{{- end -}}
