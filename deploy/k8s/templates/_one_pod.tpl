{{/* The gateway's Deployment with the containers of insights, webhooks, the proxy and all workers in its one pod, for onePod.enabled.
Every container keeps its own environment, and with that its own users of RabbitMQ, Redis and Neo4j. */}}
{{- define "edugraph.onePod" -}}
{{- $root := . }}
{{- $others := include "edugraph.inGatewayPod" . | fromYamlArray }}
{{- $whole := include "edugraph.partOfPod" (dict "root" $root "component" "gateway" "number" 0) | fromYaml }}
{{- $pod := $whole.spec.template }}
{{- $spec := $pod.spec }}
{{- $_ := set $whole.spec "replicas" 1 }}
{{- /* A second pod beside the first would need its memory once more. */}}
{{- $_ := set $whole.spec "strategy" (dict "type" "Recreate") }}
{{- $_ := set $whole.metadata "annotations" (dict "edugraph.io/migrations-allow" (toString .Values.migrations.allow)) }}
{{- $_ := set $pod.metadata.annotations "kubectl.kubernetes.io/default-container" "gateway" }}
{{- $containers := $spec.containers }}
{{- $initContainers := default list $spec.initContainers }}
{{- $volumes := $spec.volumes }}
{{- $grace := int $spec.terminationGracePeriodSeconds }}
{{- range $number, $component := $others }}
{{- $part := include "edugraph.partOfPod" (dict "root" $root "component" $component "number" (add1 $number)) | fromYaml }}
{{- $own := $part.spec.template }}
{{- $containers = concat $containers $own.spec.containers }}
{{- $initContainers = concat $initContainers (default list $own.spec.initContainers) }}
{{- $volumes = concat $volumes $own.spec.volumes }}
{{- $grace = max $grace (int (default 30 $own.spec.terminationGracePeriodSeconds)) }}
{{- $_ := set $pod.metadata "annotations" (merge $pod.metadata.annotations (default dict $own.metadata.annotations)) }}
{{- end }}
{{- $_ := set $spec "containers" $containers }}
{{- $_ := set $spec "volumes" ($volumes | uniq) }}
{{- $_ := set $spec "terminationGracePeriodSeconds" $grace }}
{{- if $initContainers }}
{{- $_ := set $spec "initContainers" $initContainers }}
{{- end }}
{{- toYaml $whole }}
{{- end -}}

{{/* The Deployment of one component, ready to be put into one pod with others: its container has the component's name,
its volumes have names and its metrics have a port that no other container has.
Call with (dict "root" $ "component" NAME "number" N). */}}
{{- define "edugraph.partOfPod" -}}
{{- $root := .root }}
{{- $component := .component }}
{{- $options := dict }}
{{- $object := dict }}
{{- if has $component (list "gateway" "insights" "webhooks" "proxy") }}
{{- $options = index $root.Values $component }}
{{- $object = include (printf "edugraph.%s" $component) $root | fromYaml }}
{{- else }}
{{- $options = include "edugraph.group" (dict "root" $root "group" (index $root.Values.workers $component)) | fromYaml }}
{{- $object = include "edugraph.worker" (dict "root" $root "name" $component "group" $options) | fromYaml }}
{{- end }}
{{- $object = include "edugraph.pods" (dict "root" $root "component" $component "options" $options "object" $object) | fromYaml }}
{{- $spec := $object.spec.template.spec }}
{{- $shared := list "blobs" "authorities" }}
{{- range $volume := $spec.volumes }}
{{- if not (has $volume.name $shared) }}
{{- $_ := set $volume "name" (printf "%s-%s" $component $volume.name) }}
{{- end }}
{{- end }}
{{- range $container := $spec.initContainers }}
{{- $_ := set $container "name" (printf "%s-%s" $component $container.name) }}
{{- end }}
{{- range $container := concat $spec.containers (default list $spec.initContainers) }}
{{- range $mount := $container.volumeMounts }}
{{- if not (has $mount.name $shared) }}
{{- $_ := set $mount "name" (printf "%s-%s" $component $mount.name) }}
{{- end }}
{{- end }}
{{- end }}
{{- $metricsPort := add 9100 .number }}
{{- range $container := $spec.containers }}
{{- $_ := set $container "name" $component }}
{{- range $variable := $container.env }}
{{- if eq $variable.name "EDUGRAPH_METRICS_PORT" }}
{{- $_ := set $variable "value" (toString $metricsPort) }}
{{- end }}
{{- end }}
{{- range $port := $container.ports }}
{{- if eq $port.name "metrics" }}
{{- $_ := set $port "containerPort" $metricsPort }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $object }}
{{- end -}}
