{{/* The pod of Deployment and StatefulSet, and the parts that the pod of helm test shares with it. */}}

{{- define "oms-sync-worker.podTemplate" -}}
metadata:
  labels:
    {{- include "oms-sync-worker.selectorLabels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A change of the configuration rolls the pods. Credentials are not in it: the worker takes up changed files by itself.
    checksum/config: {{ include "oms-sync-worker.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "oms-sync-worker.podSpec" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "oms-sync-worker.gracePeriod" . }}
  {{- with include "oms-sync-worker.spread" . }}
  topologySpreadConstraints:
    {{- . | trim | nindent 4 }}
  {{- end }}
  containers:
    - name: worker
      {{- include "oms-sync-worker.container" . | nindent 6 }}
      args: [run]
      env:
        {{- include "oms-sync-worker.env" . | nindent 8 }}
        {{- if eq .Values.kind "StatefulSet" }}
        - name: OMS_SYNC__KAFKA__PROPERTIES__GROUP_INSTANCE_ID
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        {{- end }}
      ports:
        - {name: metrics, containerPort: {{ include "oms-sync-worker.adminPort" . }}, protocol: TCP}
      startupProbe:
        httpGet: {path: /livez, port: metrics}
        {{- toYaml .Values.startupProbe | nindent 8 }}
      livenessProbe:
        httpGet: {path: /livez, port: metrics}
        {{- toYaml .Values.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: metrics}
        {{- toYaml .Values.readinessProbe | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
{{- end }}

{{- define "oms-sync-worker.podSpec" -}}
serviceAccountName: {{ include "oms-sync-worker.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automount }}
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: config
    configMap: {name: {{ include "oms-sync-worker.fullname" . }}}
  {{- with include "oms-sync-worker.credentialsSecret" . }}
  - name: credentials
    projected:
      defaultMode: 0440
      sources:
        - secret:
            name: {{ . }}
            items:
              - {key: {{ $.Values.credentials.keys.accessKey | quote }}, path: access-key}
              - {key: {{ $.Values.credentials.keys.secretKey | quote }}, path: secret-key}
        - secret:
            name: {{ . }}
            optional: true
            items:
              - {key: {{ $.Values.credentials.keys.securityToken | quote }}, path: security-token}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Image, rights and mounts. */}}
{{- define "oms-sync-worker.container" -}}
image: {{ include "oms-sync-worker.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - {name: config, mountPath: /etc/oms-sync/config, readOnly: true}
  {{- if include "oms-sync-worker.credentialsSecret" . }}
  {{- $directory := include "oms-sync-worker.setting" (list . "oms.credentials.directory" "/etc/oms-sync/credentials") }}
  - {name: credentials, mountPath: {{ $directory | quote }}, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "oms-sync-worker.env" -}}
- {name: OMS_SYNC_CONFIG, value: /etc/oms-sync/config/worker.yaml}
{{- range $property, $from := .Values.kafka.secretProperties }}
- name: OMS_SYNC__KAFKA__PROPERTIES__{{ $property | upper | replace "." "_" }}
  valueFrom: {secretKeyRef: {name: {{ $from.name }}, key: {{ $from.key | quote }}}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The constraints of the values, each for this workload's pods unless it says for which. */}}
{{- define "oms-sync-worker.spread" -}}
{{- range .Values.topologySpreadConstraints }}
{{- $constraint := deepCopy . }}
{{- if not .labelSelector }}
{{- $constraint = set $constraint "labelSelector" (dict "matchLabels" (include "oms-sync-worker.selectorLabels" $ | fromYaml)) }}
{{- end }}
- {{ toYaml $constraint | nindent 2 | trim }}
{{- end }}
{{- end }}
