{{/* What cannot work, a line each: what, where, and what to write. The schema has refused wrong keys and types before. */}}

{{- define "oms-sync-worker.validate" -}}
{{- $problems := list }}
{{- range list "required" "secrets" "credentials" "workload" "scaling" "exposure" }}
{{- range splitList "\n" (include (printf "oms-sync-worker.problems.%s" .) $) }}
{{- with trim . }}
{{- $problems = append $problems (printf "  - %s" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $problems }}
{{- fail (printf "\n\n%s\n" (join "\n" $problems)) }}
{{- end }}
{{- end }}

{{- define "oms-sync-worker.problems.required" -}}
{{- if not (include "oms-sync-worker.setting" (list . "kafka.brokers" "")) }}
config.kafka.brokers is missing: write host:port, several with commas between them
{{- end }}
{{- if not (include "oms-sync-worker.setting" (list . "kafka.topics" "")) }}
config.kafka.topics is missing: write the list of topics to read
{{- end }}
{{- if not (include "oms-sync-worker.setting" (list . "oms.region" (include "oms-sync-worker.setting" (list . "oms.endpoint" "")))) }}
config.oms.region is missing: write the region, such as cn-north-4, or the base URL in config.oms.endpoint
{{- end }}
{{- if not (include "oms-sync-worker.setting" (list . "oms.project_id" "")) }}
config.oms.project_id is missing: write the id of the project that owns the tasks
{{- end }}
{{- if not (or (hasKey .Values.config "routes") (include "oms-sync-worker.setting" (list . "routes" ""))) }}
config.routes is missing: write a task and a bucket for each route, or [] if every record names its task
{{- end }}
{{- end }}

{{- define "oms-sync-worker.problems.secrets" -}}
{{- $oms := .Values.config.oms | default dict }}
{{- $credentials := $oms.credentials | default dict }}
{{- range list "access_key" "secret_key" "security_token" }}
{{- if get $credentials . }}
config.oms.credentials.{{ . }} would be readable in a ConfigMap: write it in credentials.{{ . | camelcase | untitle }}, or name a Secret in credentials.existingSecret
{{- end }}
{{- end }}
{{- if ($credentials.user | default dict).password }}
config.oms.credentials.user.password would be readable in a ConfigMap: bring it as OMS_SYNC__OMS__CREDENTIALS__USER__PASSWORD from a Secret, in extraEnv
{{- end }}
{{- range $name, $value := (.Values.config.kafka | default dict).properties | default dict }}
{{- if regexMatch "password|secret|ssl\\.key\\.pem" $name }}
config.kafka.properties has {{ $name }}, which would be readable in a ConfigMap: name its Secret in kafka.secretProperties
{{- end }}
{{- if eq $name "group.instance.id" }}
config.kafka.properties has group.instance.id, and all pods would be the same member of the group: write kind=StatefulSet, which gives each its own
{{- end }}
{{- end }}
{{- end }}

{{- define "oms-sync-worker.problems.credentials" -}}
{{- $given := .Values.credentials }}
{{- $source := include "oms-sync-worker.source" . }}
{{- $secret := include "oms-sync-worker.credentialsSecret" . }}
{{- $elsewhere := or .Values.extraEnvFrom .Values.extraVolumes }}
{{- range .Values.extraEnv }}
{{- if regexMatch "^(HUAWEICLOUD|CLOUD)_SDK_|^OMS_SYNC__OMS__CREDENTIALS__(ACCESS|USER)" .name }}
{{- $elsewhere = true }}
{{- end }}
{{- end }}
{{- if and $given.existingSecret (or $given.accessKey $given.secretKey $given.securityToken) }}
credentials.existingSecret and keys in credentials are both given: keep one of the two
{{- else if ne (empty $given.accessKey) (empty $given.secretKey) }}
credentials.accessKey and credentials.secretKey belong together: write both, or name a Secret in credentials.existingSecret
{{- else if and $secret (not (has $source (list "file" "auto"))) }}
config.oms.credentials.source is {{ $source }}, which does not read the Secret {{ $secret }}: leave the source out, or the Secret
{{- else if and (not $secret) (eq $source "file") (not .Values.extraVolumes) }}
no credentials: name a Secret that has the keys access-key and secret-key in credentials.existingSecret, or write credentials.accessKey and credentials.secretKey, or use another config.oms.credentials.source, such as cce or ecs
{{- else if and (not $secret) (has $source (list "auto" "static" "token" "profile")) (not $elsewhere) }}
no credentials for config.oms.credentials.source {{ $source }}: bring them with extraEnv, extraEnvFrom or extraVolumes, or leave the source out and name a Secret in credentials.existingSecret
{{- end }}
{{- end }}

{{- define "oms-sync-worker.problems.workload" -}}
{{- $drain := include "oms-sync-worker.drainSeconds" . }}
{{- if not $drain }}
config.shutdown.drain_timeout is not a duration that the chart can read: write for example 25s or 1m 30s
{{- else if le (include "oms-sync-worker.gracePeriod" . | int) (int $drain) }}
terminationGracePeriodSeconds is {{ .Values.terminationGracePeriodSeconds }}, and the worker may take {{ $drain }} s to drain (config.shutdown.drain_timeout): write at least {{ add $drain 5 }}, or leave it out
{{- end }}
{{- if regexMatch "^(127\\.|localhost|\\[::1\\])" (include "oms-sync-worker.adminListen" .) }}
config.admin.listen is {{ include "oms-sync-worker.adminListen" . }}, where no probe reaches it: write 0.0.0.0:9464
{{- end }}
{{- end }}

{{- define "oms-sync-worker.problems.scaling" -}}
{{- $max := include "oms-sync-worker.maxReplicas" . }}
{{- if and .Values.keda.enabled .Values.hpa.enabled }}
keda.enabled and hpa.enabled are both true, and would scale against each other: set one of the two to false
{{- else if or .Values.keda.enabled .Values.hpa.enabled }}
{{- $which := ternary "keda" "hpa" .Values.keda.enabled }}
{{- if not $max }}
partitions is missing: write how many partitions config.kafka.topics have together, which is the most workers that {{ $which }} may start
{{- else if gt (get .Values $which).minReplicas (float64 $max) }}
{{ $which }}.minReplicas is {{ (get .Values $which).minReplicas }}, more than the {{ $max }} that may be started at most: write a smaller one
{{- end }}
{{- end }}
{{- if and .Values.hpa.enabled (not .Values.hpa.metrics) (not ((.Values.resources.requests | default dict).cpu)) }}
hpa.enabled is true, and there is no CPU request to measure against: write resources.requests.cpu, or hpa.metrics
{{- end }}
{{- $protocol := include "oms-sync-worker.securityProtocol" . | upper }}
{{- if and .Values.keda.enabled (hasPrefix "SASL" $protocol) (not (or .Values.keda.secretTargetRef .Values.keda.authenticationRef)) }}
keda.enabled is true, and Kafka wants a login ({{ $protocol }}), which KEDA does not share with the worker: write keda.secretTargetRef or keda.authenticationRef
{{- end }}
{{- end }}

{{- define "oms-sync-worker.securityProtocol" -}}
{{- get ((.Values.config.kafka | default dict).properties | default dict) "security.protocol" }}
{{- end }}

{{- define "oms-sync-worker.problems.exposure" -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
serviceMonitor.enabled and podMonitor.enabled are both true, and every series would be scraped twice: set one of the two to false
{{- end }}
{{- if and .Values.networkPolicy.enabled (eq (include "oms-sync-worker.source" .) "cce") (not .Values.networkPolicy.extraEgress) }}
networkPolicy.enabled is true, and the pod identity service is not let through: write its address in networkPolicy.extraEgress; it is in HC_CONTAINER_CREDENTIALS_FULL_URI of a pod
{{- end }}
{{- end }}
