{{/*
Which value sets which environment variable of the operator: the only such table. A setting without a line here, or a
line without a setting, fails tests/unit/helm. Numbers pass through int64, because Helm would print 300000 as 3e+05.
*/}}
{{- define "tolstoy-operator.settings" -}}
USE_AWS_SECRETS: {{ eq .Values.store.kind "SecretsManager" | quote }}
AWS_REGION: {{ .Values.store.region | quote }}
ALLOWED_REGIONS: {{ .Values.store.allowedRegions | join "," | quote }}
AWS_SECRET_NAME: {{ .Values.store.databaseSecretName | quote }}
SQLITE_PATH: {{ .Values.store.sqlite.path | quote }}
SECRETS_CACHE_DURATION_MS: {{ .Values.cache.durationMs | int64 | quote }}
SECRETS_STALE_MAX_AGE_S: {{ .Values.cache.staleMaxAgeSeconds | int64 | quote }}
SECRETS_SWEEP_INTERVAL_S: {{ .Values.sync.sweepIntervalSeconds | int64 | quote }}
SECRETS_FULL_SWEEP_INTERVAL_S: {{ .Values.sync.fullSweepIntervalSeconds | int64 | quote }}
SECRETS_WRITES_PER_SECOND: {{ .Values.store.writesPerSecond | int64 | quote }}
WATCH_NAMESPACES: {{ .Values.watchNamespaces | join "," | quote }}
RESYNC_INTERVAL_S: {{ .Values.sync.resyncIntervalSeconds | int64 | quote }}
UNBIND_GRACE_S: {{ .Values.tenancy.unbindGraceSeconds | int64 | quote }}
STALL_AFTER_S: {{ .Values.sync.stallAfterSeconds | int64 | quote }}
WORKERS: {{ .Values.sync.workers | int64 | quote }}
CLUSTER_ID: {{ .Values.refresh.clusterId | quote }}
EXCLUSIVE_REFRESH: {{ .Values.refresh.exclusive | quote }}
SOLE_WRITER: {{ .Values.refresh.soleWriter | quote }}
ALLOW_SHARED_REVOCATION: {{ .Values.revocation.allowShared | quote }}
REVOCATION_TIMEOUT_S: {{ .Values.revocation.timeoutSeconds | int64 | quote }}
VALIDATE_TOKENS: {{ .Values.refresh.validateTokens | quote }}
REFRESH_WORKERS: {{ .Values.refresh.workers | int64 | quote }}
TOKEN_ENDPOINT_HOSTS: {{ .Values.refresh.tokenEndpointHosts | join "," | quote }}
TOKEN_ENDPOINT_NETWORKS: {{ .Values.refresh.tokenEndpointNetworks | join "," | quote }}
TOKEN_ENDPOINT_ORIGINS: {{ .Values.refresh.tokenEndpointOrigins | join "," | quote }}
PROVIDERS_DIR: {{ ternary "/etc/tolstoy/providers" "" (ne .Values.refresh.providersConfigMap "") | quote }}
IMMEDIATE_PROPAGATION: {{ .Values.propagation.immediate | quote }}
RESTART_WORKLOADS: {{ .Values.restarts.enabled | quote }}
POD_TOUCHES_PER_SECOND: {{ .Values.propagation.podsPerSecond | int64 | quote }}
LEADER_ELECTION: {{ .Values.leaderElection | quote }}
HTTP_HOST: {{ .Values.http.host | quote }}
HTTP_PORT: {{ .Values.http.port | int64 | quote }}
METRICS_PER_CREDENTIAL: {{ .Values.metrics.perCredential | quote }}
LOG_LEVEL: {{ .Values.logLevel | quote }}
{{- end -}}

{{/* The environment of the operator's containers: the table, who the pod is, and what the installation adds. */}}
{{- define "tolstoy-operator.env" -}}
{{- range $name, $value := include "tolstoy-operator.settings" . | fromYaml }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
# The numeric user has no entry in /etc/passwd, and kopf asks for its name.
- name: USER
  value: tolstoy
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
