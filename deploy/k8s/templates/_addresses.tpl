{{/*
The ways out of a component to the addresses that are configured for it, as a YAML list of egress rules.
Call with (dict "root" $ "component" NAME).
*/}}
{{- define "edugraph.egress" -}}
{{- $root := .root }}
{{- $component := .component }}
{{- $values := .root.Values }}
{{- $group := dict }}
{{- with index $values.workers $component }}
{{- $group = include "edugraph.group" (dict "root" $root "group" .) | fromYaml }}
{{- end }}
{{- $service := default $component $group.service }}
{{- $isDoor := has $service (list "gateway" "insights") }}
{{- $hasBlobs := has $service (list "gateway" "importer" "analyzer" "backup") }}

{{- $env := dict }}
{{- $own := default dict (get $values (ternary "backups" $component (eq $component "backup"))) }}
{{- range concat (default list $own.env) (default list $group.env) }}
{{- $_ := set $env .name (default "" .value) }}
{{- end }}

{{- /* Each address and the name of its part of networkPolicy: PARTTo and PARTPorts. */}}
{{- $addresses := list }}
{{- if and $isDoor $values.login.issuer }}
{{- $addresses = append $addresses (dict "part" "issuer" "url" $values.login.issuer) }}
{{- end }}
{{- if and (eq $service "webhooks") $values.webhooks.url }}
{{- $addresses = append $addresses (dict "part" "webhooks" "url" $values.webhooks.url) }}
{{- end }}
{{- if eq $service "analyzer" }}
{{- range include "edugraph.providers" (dict "root" $root "env" $env) | fromYamlArray }}
{{- $addresses = append $addresses (dict "part" "provider" "url" .) }}
{{- end }}
{{- end }}
{{- $stores := list }}
{{- if and (eq $component "backup") $values.backups.url }}
{{- $stores = append $stores (dict "part" "blobs" "url" $values.backups.url) }}
{{- end }}
{{- if and $hasBlobs $values.blobs.url }}
{{- $stores = append $stores (dict "part" "blobs" "url" $values.blobs.url) }}
{{- end }}
{{- if and (not $values.neo4j.enabled) (has $service (list "importer" "insights" "prepare" "digest")) }}
{{- $addresses = append $addresses (dict "part" "neo4j" "url" $values.neo4j.external.uri) }}
{{- end }}
{{- $parts := dict
  "EDUGRAPH_OIDC_ISSUER" "issuer"
  "EDUGRAPH_OPENAI_BASE_URL" "provider"
  "OPENAI_BASE_URL" "provider"
  "EDUGRAPH_IMPORTS_FROM" "imports"
  "EDUGRAPH_WEBHOOK_URL" "webhooks"
  "EDUGRAPH_BLOB_URL" "blobs"
  "AWS_ENDPOINT_URL" "blobs"
  "AWS_ENDPOINT_URL_S3" "blobs"
  "OTEL_EXPORTER_OTLP_ENDPOINT" "traces"
  "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" "traces" }}
{{- /* Of a learning platform, pods reach the keys alone. */}}
{{- with get $env "EDUGRAPH_LTI_PLATFORMS" }}
{{- range fromJson . }}
{{- $addresses = append $addresses (dict "part" "external" "url" .keys_url) }}
{{- end }}
{{- end }}
{{- /* A browser goes there, and no pod. */}}
{{- range $name, $value := omit $env "EDUGRAPH_OIDC_REDIRECT_URL" "EDUGRAPH_LTI_LAUNCH_URL" "EDUGRAPH_DIGEST_PAGE_URL" "EDUGRAPH_LTI_PLATFORMS" }}
{{- range regexSplit "[\\s;]+" $value -1 }}
{{- $stores = append $stores (dict "part" (default "external" (get $parts $name)) "url" .) }}
{{- end }}
{{- end }}

{{- /* The name in the URL of an object store is a bucket: its address is Amazon's, or the endpoint's. */}}
{{- $bucket := "^(s3a?|gs|gcs|abfss?|az|adl|oss|cos|swift)://" }}
{{- $endpoint := coalesce (get $env "AWS_ENDPOINT_URL_S3") (get $env "AWS_ENDPOINT_URL") $values.blobs.endpoint "https://s3.amazonaws.com" }}
{{- $secret := default $values.blobs.credentialsSecret (ternary $values.backups.credentialsSecret "" (eq $component "backup")) }}
{{- $ownKeys := or $secret (hasKey $env "AWS_ACCESS_KEY_ID") }}
{{- $cloud := false }}
{{- range $stores }}
{{- if regexMatch $bucket .url }}
{{- $cloud = or $cloud (not $ownKeys) }}
{{- $addresses = append $addresses (dict "part" .part "url" $endpoint) }}
{{- else }}
{{- $addresses = append $addresses . }}
{{- end }}
{{- end }}

{{- $rules := list }}
{{- range $addresses }}
{{- with include "edugraph.way" (dict "root" $root "part" .part "url" .url) }}
{{- $rules = append $rules (fromYaml .) }}
{{- end }}
{{- end }}
{{- if $cloud }}
{{- /* Without keys a client asks the cloud who it is: EKS pod identity, the metadata of AWS, Azure and Google, and STS. */}}
{{- range $address, $port := dict "169.254.170.23/32" 80 "169.254.169.254/32" 80 "169.254.169.252/32" 988 }}
{{- $rules = append $rules (dict "to" (list (dict "ipBlock" (dict "cidr" $address))) "ports" (list (dict "protocol" "TCP" "port" $port))) }}
{{- end }}
{{- with include "edugraph.way" (dict "root" $root "part" "blobs" "url" "https://sts.amazonaws.com" "ports" (list 443)) }}
{{- $rules = append $rules (fromYaml .) }}
{{- end }}
{{- end }}
{{- if and (eq $component "digest") $values.networkPolicy.externalTo }}
{{- /* The address of the mail server is in a Secret, so its port stands in the values. */}}
{{- if $values.digest.key }}
{{- $rules = append $rules (dict "to" $values.networkPolicy.externalTo "ports" (list (dict "protocol" "TCP" "port" (int $values.digest.port)))) }}
{{- end }}
{{- if $values.digest.chatsKey }}
{{- $rules = append $rules (dict "to" $values.networkPolicy.externalTo "ports" (list (dict "protocol" "TCP" "port" (int $values.digest.chatsPort)))) }}
{{- end }}
{{- end }}
{{- toYaml (uniq $rules) }}
{{- end -}}

{{/* Where analyzers find their models, as a YAML list of URLs. Call with (dict "root" $ "env" VARIABLES). */}}
{{- define "edugraph.providers" -}}
{{- $model := .root.Values.analyzer.model }}
{{- $default := "https://api.openai.com/v1" }}
{{- $base := coalesce (get .env "EDUGRAPH_OPENAI_BASE_URL") (get .env "OPENAI_BASE_URL") $model.baseUrl }}
{{- $hasKey := or $model.existingSecret $model.keysSecret (hasKey .env "OPENAI_API_KEY") (hasKey .env "EDUGRAPH_OPENAI_API_KEY") }}
{{- $urls := list }}
{{- range dig "endpoints" list (fromToml $model.file) }}
{{- $urls = append $urls (default $default .base_url) }}
{{- end }}
{{- if or $base (and $hasKey (not $urls)) }}
{{- $urls = append $urls (default $default $base) }}
{{- end }}
{{- toYaml $urls }}
{{- end -}}

{{/*
The egress rule towards one address, or nothing: for a file, for this pod itself, and where the peers are an empty list.
Call with (dict "root" $ "part" PART "url" URL), and with "ports" where they do not follow from the values.
*/}}
{{- define "edugraph.way" -}}
{{- $policy := .root.Values.networkPolicy }}
{{- $pattern := "^([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?(\\[[^]]*\\]|[^/:?#]*)(?::([0-9]+))?.*$" }}
{{- if regexMatch $pattern .url }}
{{- $scheme := regexReplaceAll $pattern .url "${1}" | lower }}
{{- $host := regexReplaceAll $pattern .url "${2}" | lower | trimSuffix "." }}
{{- $port := regexReplaceAll $pattern .url "${3}" }}
{{- $usual := dict "http" 80 "ws" 80 "ftp" 21 "sftp" 22 "ssh" 22 "redis" 6379 "rediss" 6379 "amqp" 5672 "amqps" 5671
  "neo4j" 7687 "neo4j+s" 7687 "neo4j+ssc" 7687 "bolt" 7687 "bolt+s" 7687 "bolt+ssc" 7687 }}
{{- $ports := list (int (default (default 443 (get $usual $scheme)) $port)) }}
{{- if .ports }}
{{- $ports = .ports }}
{{- else if eq .part "neo4j" }}
{{- with .root.Values.neo4j.external.port }}
{{- $ports = list (int .) }}
{{- end }}
{{- else if ne .part "external" }}
{{- $ports = default $ports (get $policy (printf "%sPorts" .part)) }}
{{- end }}

{{- /* A name of the cluster's own is a Service: its pods are known by their namespace, since an ipBlock need not match
pods. NAME.NAMESPACE looks like a name outside, so that it is both. */}}
{{- $peers := get $policy (printf "%sTo" (ternary "external" .part (eq .part "neo4j"))) }}
{{- $namespace := "" }}
{{- if regexMatch "^[a-z0-9-]+$" $host }}
{{- $namespace = .root.Release.Namespace }}
{{- $peers = list }}
{{- else if regexMatch "\\.[a-z0-9-]+\\.svc(\\..+)?$" $host }}
{{- $namespace = regexReplaceAll "^.*\\.([a-z0-9-]+)\\.svc(\\..+)?$" $host "${1}" }}
{{- $peers = list }}
{{- else if regexMatch "^[a-z0-9-]+\\.[a-z][a-z0-9-]*$" $host }}
{{- $namespace = regexReplaceAll "^.*\\." $host "" }}
{{- end }}
{{- if $namespace }}
{{- $name := default .root.Chart.Name .root.Values.nameOverride }}
{{- $others := dict "matchExpressions" (list (dict "key" "app.kubernetes.io/name" "operator" "NotIn" "values" (list $name))) }}
{{- $there := dict "matchLabels" (dict "kubernetes.io/metadata.name" $namespace) }}
{{- $peers = append $peers (dict "namespaceSelector" $there "podSelector" $others) }}
{{- end }}
{{- $isHere := or (has $scheme (list "file" "local" "memory")) (has $host (list "" "localhost" "[::1]")) (hasPrefix "127." $host) }}
{{- if and $peers (not $isHere) }}
to: {{- toYaml $peers | nindent 2 }}
ports:
  {{- range $ports }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}
