{{/* The beginning of all names: release and chart, once where one holds the other. */}}
{{- define "edugraph.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a selector may use: it never changes. Call with (dict "root" $ "component" NAME). */}}
{{- define "edugraph.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ include "edugraph.podOf" . }}
{{- end -}}

{{/* The components whose containers are in the gateway's pod, as a YAML list: none, unless onePod.enabled. */}}
{{- define "edugraph.inGatewayPod" -}}
{{- $components := list }}
{{- if .Values.onePod.enabled }}
{{- $components = list "insights" }}
{{- if .Values.webhooks.url }}
{{- $components = append $components "webhooks" }}
{{- end }}
{{- range $name, $own := .Values.workers }}
{{- if $own }}
{{- $components = append $components $name }}
{{- end }}
{{- end }}
{{- if .Values.proxy.enabled }}
{{- $components = append $components "proxy" }}
{{- end }}
{{- end }}
{{- toYaml $components }}
{{- end -}}

{{/* The component whose pods have the container of this one. Call with (dict "root" $ "component" NAME). */}}
{{- define "edugraph.podOf" -}}
{{- $others := include "edugraph.inGatewayPod" .root | fromYamlArray -}}
{{- ternary "gateway" .component (has .component $others) -}}
{{- end -}}

{{/* The components whose pods have the containers of these, each once, as a YAML list. Call with (dict "root" $ "components" NAMES). */}}
{{- define "edugraph.podsOf" -}}
{{- $found := list }}
{{- range .components }}
{{- $found = append $found (include "edugraph.podOf" (dict "root" $.root "component" .)) }}
{{- end }}
{{- $found | uniq | sortAlpha | toYaml }}
{{- end -}}

{{/* Labels of every object. Call with (dict "root" $ "component" NAME). */}}
{{- define "edugraph.labels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: edugraph
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The account of a component: one for each, unless serviceAccount.name says otherwise. Call with (dict "root" $ "component" NAME). */}}
{{- define "edugraph.serviceAccount" -}}
{{- $account := .root.Values.serviceAccount -}}
{{- if $account.name -}}
{{- $account.name -}}
{{- else if $account.create -}}
{{- printf "%s-%s" (include "edugraph.fullname" .root) .component -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* The components that have pods, as a YAML list. */}}
{{- define "edugraph.components" -}}
{{- $others := include "edugraph.inGatewayPod" . | fromYamlArray }}
- gateway
- test
{{- if not (has "insights" $others) }}
- insights
{{- end }}
{{- if .Values.flower.enabled }}
- flower
{{- end }}
{{- if and .Values.webhooks.url (not (has "webhooks" $others)) }}
- webhooks
{{- end }}
{{- if and .Values.proxy.enabled (not (has "proxy" $others)) }}
- proxy
{{- end }}
{{- if .Values.prepare.enabled }}
- prepare
{{- end }}
{{- if .Values.backups.enabled }}
- backup
{{- end }}
{{- if .Values.digest.enabled }}
- digest
{{- end }}
{{- range $name, $own := .Values.workers }}
{{- if and $own (not (has $name $others)) }}
- {{ $name }}
{{- end }}
{{- end }}
{{- range $name := list "rabbitmq" "redis" "neo4j" }}
{{- if (index $.Values $name).enabled }}
- {{ $name }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The name of an image. Call with (dict "root" $ "image" VALUES "own" true|false): own ones share images.registry and
images.tag, those of the bundled servers images.serverRegistry. */}}
{{- define "edugraph.image" -}}
{{- $repository := .image.repository -}}
{{- $first := first (splitList "/" $repository) -}}
{{- $registry := ternary .root.Values.images.registry .root.Values.images.serverRegistry (default false .own) -}}
{{- if and $registry (not (or (contains "." $first) (contains ":" $first) (eq "localhost" $first))) -}}
{{- $repository = printf "%s/%s" $registry $repository -}}
{{- end -}}
{{- $tag := .image.tag -}}
{{- if and .own (not $tag) -}}
{{- $tag = default .root.Chart.AppVersion .root.Values.images.tag -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository $tag -}}
{{- end -}}
{{- end -}}

{{/* A worker group: its own values over workerDefaults, as YAML. Call with (dict "root" $ "group" VALUES). */}}
{{- define "edugraph.group" -}}
{{- mergeOverwrite (deepCopy .root.Values.workerDefaults) (deepCopy .group) | toYaml -}}
{{- end -}}

{{/* Which service answers which path, where one address leads to both; the longest one that fits counts. The same as
edugraph_common/contracts/public_paths.py, which a test compares. */}}
{{- define "edugraph.paths" -}}
- {path: /v1/graph/verify, exact: true, service: gateway}
- {path: /v1/graph/rebuild, exact: true, service: gateway}
- {path: /v1/graph/remove, exact: true, service: gateway}
- {path: /v1/graph/rename, exact: true, service: gateway}
- {path: /ui, exact: false, service: insights}
- {path: /mcp, exact: false, service: insights}
- {path: /v1/insights, exact: false, service: insights}
- {path: /v1/graph, exact: false, service: insights}
- {path: /, exact: true, service: insights}
- {path: /, exact: false, service: gateway}
{{- end -}}
