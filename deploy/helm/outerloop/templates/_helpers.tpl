{{- define "outerloop.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "outerloop.image" -}}
{{- with .Values.image }}{{ if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{/* Of every object; takes (dict "root" $ "component" "ingest"). */}}
{{- define "outerloop.labels" -}}
{{ include "outerloop.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: outerloop
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "outerloop.selector" -}}
app.kubernetes.io/name: outerloop
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The services that may ask a model, that use git, that run agents. Nobody else is given the means. */}}
{{/* Triage asks one only where its settings name it. Takes (dict "root" $ "component" "triage"). */}}
{{- define "outerloop.asksModel" }}
{{- $judges := or .root.Values.services.triage.settings.triage_model .root.Values.settings.triage_model }}
{{- if or (has .component (list "draft" "propose" "gate")) (and (eq .component "triage") $judges) }}yes{{ end }}
{{- end }}
{{- define "outerloop.usesGit" }}{{ if has . (list "draft" "propose" "gate") }}yes{{ end }}{{ end }}
{{- define "outerloop.runsTrials" }}{{ if has . (list "draft" "propose" "gate") }}yes{{ end }}{{ end }}

{{- define "outerloop.kafkaSecret" -}}
{{- if .root.Values.kafka.existingSecretPerService }}{{ replace "%s" .component .root.Values.kafka.existingSecretPerService }}{{ else }}{{ .root.Values.kafka.existingSecret }}{{ end }}
{{- end }}

{{- define "outerloop.agents" -}}
{{- $all := list }}{{ range .Values.agents }}{{ $all = append $all (printf "%s=%s#%s" .name .repository (.branch | default "main")) }}{{ end }}{{ join "," $all }}
{{- end }}

{{- define "outerloop.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "outerloop.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "outerloop.secretEnv" -}}
- name: {{ .variable }}
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}
{{- end }}

{{/* What every container of ours is told: takes (dict "root" $ "component" "ingest"). */}}
{{- define "outerloop.env" -}}
{{- $v := .root.Values }}
- {name: OUTERLOOP_CACHE, value: /var/cache/outerloop}
- {name: HOME, value: /tmp}
- {name: OUTERLOOP_KAFKA, value: {{ $v.kafka.bootstrapServers | quote }}}
- {name: OUTERLOOP_KAFKA_SECURITY, value: {{ $v.kafka.security }}}
{{- if hasPrefix "SASL" $v.kafka.security }}
- {name: OUTERLOOP_KAFKA_SASL_MECHANISM, value: {{ $v.kafka.saslMechanism }}}
{{- if eq $v.kafka.saslMechanism "OAUTHBEARER" }}
- {name: OUTERLOOP_KAFKA_TOKEN_FILE, value: {{ $v.kafka.tokenFile | quote }}}
{{- else if $v.kafka.existingSecretPerService }}
{{- /* Strimzi's secrets hold the password alone: the user is who the secret is named for. */}}
- {name: OUTERLOOP_KAFKA_USERNAME, value: {{ include "outerloop.kafkaSecret" . | quote }}}
{{ include "outerloop.secretEnv" (dict "variable" "OUTERLOOP_KAFKA_PASSWORD" "secret" (include "outerloop.kafkaSecret" .) "key" "password") }}
{{- else }}
{{ include "outerloop.secretEnv" (dict "variable" "OUTERLOOP_KAFKA_USERNAME" "secret" $v.kafka.existingSecret "key" "username") }}
{{ include "outerloop.secretEnv" (dict "variable" "OUTERLOOP_KAFKA_PASSWORD" "secret" $v.kafka.existingSecret "key" "password") }}
{{- end }}
{{- end }}
{{- if $v.kafka.caSecret }}
- {name: OUTERLOOP_KAFKA_CA, value: /etc/outerloop/kafka-ca/{{ $v.kafka.caKey }}}
{{- end }}
{{- if $v.kafka.mtls }}
- {name: OUTERLOOP_KAFKA_CERTIFICATE, value: /etc/outerloop/kafka/{{ $v.kafka.certificateKey }}}
- {name: OUTERLOOP_KAFKA_CERTIFICATE_KEY, value: /etc/outerloop/kafka/{{ $v.kafka.privateKeyKey }}}
{{- end }}
- {name: OUTERLOOP_CLICKHOUSE, value: {{ $v.clickhouse.url | quote }}}
- {name: OUTERLOOP_CLICKHOUSE_DATABASE, value: {{ $v.clickhouse.database }}}
{{- if $v.clickhouse.existingSecret }}
{{ include "outerloop.secretEnv" (dict "variable" "OUTERLOOP_CLICKHOUSE_USERNAME" "secret" $v.clickhouse.existingSecret "key" "username") }}
{{ include "outerloop.secretEnv" (dict "variable" "OUTERLOOP_CLICKHOUSE_PASSWORD" "secret" $v.clickhouse.existingSecret "key" "password") }}
{{- end }}
{{- if $v.clickhouse.caSecret }}
- {name: OUTERLOOP_CLICKHOUSE_CA, value: /etc/outerloop/clickhouse-ca/ca.crt}
{{- end }}
- {name: OUTERLOOP_LOG_FORMAT, value: {{ $v.logFormat }}}
{{- with $v.monitoring.tracing.endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- end }}

{{- define "outerloop.volumeMounts" -}}
{{- $v := .root.Values }}
- {name: tmp, mountPath: /tmp}
- {name: cache, mountPath: /var/cache/outerloop}
{{- if $v.kafka.caSecret }}
- {name: kafka-ca, mountPath: /etc/outerloop/kafka-ca, readOnly: true}
{{- end }}
{{- if $v.kafka.mtls }}
- {name: kafka-user, mountPath: /etc/outerloop/kafka, readOnly: true}
{{- end }}
{{- if $v.clickhouse.caSecret }}
- {name: clickhouse-ca, mountPath: /etc/outerloop/clickhouse-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "outerloop.volumes" -}}
{{- $v := .root.Values }}
- {name: tmp, emptyDir: {sizeLimit: 2Gi}}
- {name: cache, emptyDir: {sizeLimit: 10Gi}}
{{- if $v.kafka.caSecret }}
- {name: kafka-ca, secret: {secretName: {{ $v.kafka.caSecret }}}}
{{- end }}
{{- if $v.kafka.mtls }}
- {name: kafka-user, secret: {secretName: {{ include "outerloop.kafkaSecret" . }}, defaultMode: 0440}}
{{- end }}
{{- if $v.clickhouse.caSecret }}
- {name: clickhouse-ca, secret: {secretName: {{ $v.clickhouse.caSecret }}}}
{{- end }}
{{- end }}
