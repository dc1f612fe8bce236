{{/* Names, labels and where things are in the pod. */}}

{{- define "oms-sync-worker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "oms-sync-worker.fullname" -}}
{{- $name := include "oms-sync-worker.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What all pods of the release have, those of helm test too. */}}
{{- define "oms-sync-worker.releaseLabels" -}}
app.kubernetes.io/name: {{ include "oms-sync-worker.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What only the workers' pods have; never changes, for a workload's selector cannot. */}}
{{- define "oms-sync-worker.selectorLabels" -}}
{{ include "oms-sync-worker.releaseLabels" . }}
app.kubernetes.io/component: worker
{{- end }}

{{- define "oms-sync-worker.metaLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "oms-sync-worker.labels" -}}
{{ include "oms-sync-worker.selectorLabels" . }}
{{ include "oms-sync-worker.metaLabels" . }}
{{- end }}

{{- define "oms-sync-worker.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "oms-sync-worker.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "oms-sync-worker.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The Secret with the access key; empty where the credentials come from elsewhere. */}}
{{- define "oms-sync-worker.credentialsSecret" -}}
{{- if .Values.credentials.existingSecret }}
{{- .Values.credentials.existingSecret }}
{{- else if .Values.credentials.accessKey }}
{{- printf "%s-credentials" (include "oms-sync-worker.fullname" .) }}
{{- end }}
{{- end }}
