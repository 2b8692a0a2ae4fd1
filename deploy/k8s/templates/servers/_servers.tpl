{{/* The Service of a bundled server and the head of its StatefulSet. Call with (dict "root" $ "component" NAME "ports" MAP). */}}
{{- define "edugraph.serverService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "edugraph.fullname" .root }}-{{ .component }}
  labels: {{- include "edugraph.labels" . | nindent 4 }}
spec:
  selector: {{- include "edugraph.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}}
    {{- end }}
{{- end -}}

{{- define "edugraph.serverHead" -}}
serviceName: {{ include "edugraph.fullname" .root }}-{{ .component }}
replicas: 1
selector:
  matchLabels: {{- include "edugraph.selector" . | nindent 4 }}
{{- end -}}

{{- define "edugraph.serverVolume" -}}
volumeClaimTemplates:
  - metadata:
      name: data
      labels: {{- include "edugraph.selector" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .volume.storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests:
          storage: {{ .volume.size }}
{{- end -}}
