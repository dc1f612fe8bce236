{{/* What the chart must know of the worker's configuration. Reads `config` and `extraEnv`, and changes neither. */}}

{{/* The worker's YAML, as it is. */}}
{{- define "oms-sync-worker.config" -}}
{{- toYaml .Values.config }}
{{- end }}

{{/* A setting as text: extraEnv goes before config, as it does in the worker. (list ROOT PATH DEFAULT) */}}
{{- define "oms-sync-worker.setting" -}}
{{- $root := index . 0 }}
{{- $path := index . 1 }}
{{- $value := index . 2 }}
{{- $node := $root.Values.config }}
{{- range splitList "." $path }}
{{- $node = ternary (get (ternary $node dict (kindIs "map" $node)) .) "" (kindIs "map" $node) }}
{{- end }}
{{- if kindIs "slice" $node }}
{{- $value = join "," $node }}
{{- else if ne (toString $node) "" }}
{{- $value = toString $node }}
{{- end }}
{{- $name := printf "OMS_SYNC__%s" ($path | upper | replace "." "__") }}
{{- range $root.Values.extraEnv }}
{{- if eq .name $name }}
{{- $value = .value | default "(from elsewhere)" }}
{{- end }}
{{- end }}
{{- $value }}
{{- end }}

{{/* A duration of the worker (25s, 1m 30s) in whole seconds, rounded up; empty where it is none. */}}
{{- define "oms-sync-worker.seconds" -}}
{{- $text := . | toString | nospace }}
{{- if regexMatch "^([0-9]+[a-z]+)+$" $text }}
{{- $millis := dict "ms" 1 "msec" 1 "millis" 1 "s" 1000 "sec" 1000 "secs" 1000 "second" 1000 "seconds" 1000 "m" 60000 "min" 60000 "mins" 60000 "minute" 60000 "minutes" 60000 "h" 3600000 "hr" 3600000 "hour" 3600000 "hours" 3600000 }}
{{- $sum := 0 }}
{{- $known := true }}
{{- range regexFindAll "[0-9]+[a-z]+" $text -1 }}
{{- $unit := regexFind "[a-z]+" . }}
{{- $known = and $known (hasKey $millis $unit) }}
{{- $sum = add $sum (mul (regexFind "[0-9]+" . | int) (get $millis $unit | default 0 | int)) }}
{{- end }}
{{- if $known }}{{ div (add $sum 999) 1000 }}{{ end }}
{{- end }}
{{- end }}

{{- define "oms-sync-worker.drainSeconds" -}}
{{- include "oms-sync-worker.seconds" (include "oms-sync-worker.setting" (list . "shutdown.drain_timeout" "25s")) }}
{{- end }}

{{/* Ten seconds more than the worker takes at most. */}}
{{- define "oms-sync-worker.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}
{{- add (include "oms-sync-worker.drainSeconds" . | default "25" | int) 10 }}
{{- else }}
{{- .Values.terminationGracePeriodSeconds | int }}
{{- end }}
{{- end }}

{{- define "oms-sync-worker.source" -}}
{{- include "oms-sync-worker.setting" (list . "oms.credentials.source" "auto") }}
{{- end }}

{{- define "oms-sync-worker.adminListen" -}}
{{- include "oms-sync-worker.setting" (list . "admin.listen" "0.0.0.0:9464") }}
{{- end }}

{{- define "oms-sync-worker.adminPort" -}}
{{- regexFind "[0-9]+$" (include "oms-sync-worker.adminListen" .) | default "9464" }}
{{- end }}

{{/* The ports of the brokers, as a JSON list without repetitions. */}}
{{- define "oms-sync-worker.kafkaPorts" -}}
{{- $ports := list }}
{{- range splitList "," (include "oms-sync-worker.setting" (list . "kafka.brokers" "")) }}
{{- $port := regexFind ":[0-9]+$" (trim .) | trimPrefix ":" | default "9092" | int }}
{{- $ports = append $ports $port | uniq }}
{{- end }}
{{- toJson $ports }}
{{- end }}

{{/* The port of OMS: that of the endpoint, else that of its scheme. */}}
{{- define "oms-sync-worker.omsPort" -}}
{{- $endpoint := include "oms-sync-worker.setting" (list . "oms.endpoint" "") }}
{{- $port := regexFind "^https?://[^/]+:[0-9]+" $endpoint | regexFind "[0-9]+$" }}
{{- $port | default (ternary "80" "443" (hasPrefix "http://" $endpoint)) }}
{{- end }}

{{/* The most workers that autoscaling may start; empty without it. */}}
{{- define "oms-sync-worker.maxReplicas" -}}
{{- if .Values.keda.enabled }}
{{- .Values.keda.maxReplicas | default .Values.partitions | default "" }}
{{- else if .Values.hpa.enabled }}
{{- .Values.hpa.maxReplicas | default .Values.partitions | default "" }}
{{- end }}
{{- end }}
