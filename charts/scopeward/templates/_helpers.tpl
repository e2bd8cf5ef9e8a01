{{/* The name that everything is called by. */}}
{{- define "scopeward.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selectors are made of: it never changes. */}}
{{- define "scopeward.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "scopeward.labels" -}}
{{ include "scopeward.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Selects the pods of one shard; takes a dict of `root` and `shard`. */}}
{{- define "scopeward.shardLabels" -}}
{{ include "scopeward.selectorLabels" .root }}
app.kubernetes.io/component: operator
scopeward.dev/shard: {{ .shard | quote }}
{{- end -}}

{{/* The name of one shard's Deployment: that of the release as long as there is one alone. */}}
{{- define "scopeward.shardName" -}}
{{- $name := include "scopeward.fullname" .root -}}
{{- if eq (int .root.Values.shards) 1 }}{{ $name }}{{ else }}{{ printf "%s-%d" $name .shard }}{{ end -}}
{{- end -}}

{{- define "scopeward.serviceAccountName" -}}
{{- default (include "scopeward.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "scopeward.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* The operator's ServiceAccount, as the subject of a binding. */}}
{{- define "scopeward.subject" -}}
kind: ServiceAccount
name: {{ include "scopeward.serviceAccountName" . }}
namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Whoever plans reads the four kinds, and the labels of namespaces for `from: Selector`. */}}
{{- define "scopeward.readRules" -}}
- apiGroups: [scopeward.dev]
  resources: [targets, scopes, scopebindings, appscopesets]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end -}}

{{- define "scopeward.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "scopeward.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}
