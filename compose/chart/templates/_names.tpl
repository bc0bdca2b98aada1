{{/* Names and labels. */}}

{{- define "certmill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "certmill.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "certmill.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "certmill.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "certmill.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "certmill.clusterResourceNamespace" -}}
{{- .Values.clusterResourceNamespace | default .Release.Namespace -}}
{{- end -}}

{{/* "true" if a HorizontalPodAutoscaler owns the number of Pods; of a process's values. */}}
{{- define "certmill.isAutoscaled" -}}
{{- if and .autoscaling .autoscaling.enabled }}true{{ end -}}
{{- end -}}

{{/* Valkey's image: its own, else certmill's. */}}
{{- define "certmill.valkeyImage" -}}
{{- with .Values.valkey.image -}}
{{- if not .repository }}{{ include "certmill.image" $ }}
{{- else if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ required "valkey.image.repository needs valkey.image.tag or .digest" .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* "true" if the chart runs Valkey. */}}
{{- define "certmill.runsValkey" -}}
{{- if not (or .Values.redis.url .Values.redis.existingSecret) }}true{{ end -}}
{{- end -}}

{{- define "certmill.secret" -}}
{{- .Values.secret.existing | default (include "certmill.fullname" .) -}}
{{- end -}}

{{/* (dict "root" $ "component" "worker") */}}
{{- define "certmill.selector" -}}
app.kubernetes.io/name: {{ include "certmill.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "certmill.labels" -}}
{{ include "certmill.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: (dict "root" $ "component" "worker" "name" "certmill-worker" "namespace" "…"); namespace "" for none. */}}
{{- define "certmill.metadata" -}}
name: {{ .name | default (printf "%s-%s" (include "certmill.fullname" .root) .component) }}
{{- $namespace := .root.Release.Namespace }}
{{- if hasKey . "namespace" }}{{ $namespace = .namespace }}{{ end }}
{{- with $namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "certmill.labels" . | nindent 2 }}
{{- end -}}
