{{/* Names */}}

{{- define "fairlead.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "fairlead.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/* Roles of several releases may meet in one namespace, and ClusterRoles in one cluster. */}}
{{- define "fairlead.roleName" -}}
{{- $namespace := include "fairlead.namespace" . -}}
{{- printf "%s-%s" $namespace (include "fairlead.name" .) | trunc 200 | trimSuffix "-" -}}
{{- end -}}

{{- define "fairlead.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "fairlead.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "fairlead.configName" -}}
{{- .Values.config.name | default (printf "%s-config" (include "fairlead.name" .)) -}}
{{- end -}}

{{- define "fairlead.scriptsName" -}}
{{- .Values.authScripts.name | default (printf "%s-scripts" (include "fairlead.name" .)) -}}
{{- end -}}

{{/* Labels */}}

{{- define "fairlead.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fairlead.labels" -}}
{{ include "fairlead.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{/* The image. Without a tag of the user's, the variant's. */}}
{{- define "fairlead.image" -}}
{{- $suffix := eq .Values.image.variant "full" | ternary "-full" "" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default (printf "%s%s" .Chart.AppVersion $suffix)) -}}
{{- end -}}

{{/* Settings: what several templates ask, with the names of the older chart taken in, as JSON. */}}
{{- define "fairlead.settings" -}}
{{- $config := .Values.config -}}
{{- $scope := .Values.scope -}}
{{- $watched := .Values.watchNamespaces -}}
{{- with index $config "watch.namespaces" -}}
{{- if eq . "*" -}}
{{- $scope = "cluster" -}}
{{- else -}}
{{- $watched = concat $watched (splitList "," (nospace .)) | uniq -}}
{{- end -}}
{{- end -}}
{{- $argocd := .Values.argocd.namespace | default (index $config "argocd.namespace") | default (include "fairlead.namespace" .) -}}
{{- if and (eq $scope "namespace") (not $watched) -}}
{{- $watched = list $argocd -}}
{{- end -}}
{{- $replicas := hasKey .Values "replicaCount" | ternary .Values.replicaCount .Values.replicas | int -}}
{{- $asked := or (has "--leader-elect" .Values.extraArgs) (has "--leader-elect=on" .Values.extraArgs) (has "--leader-elect=true" .Values.extraArgs) -}}
{{- $refused := or (has "--leader-elect=off" .Values.extraArgs) (has "--leader-elect=false" .Values.extraArgs) -}}
{{- dict
  "scope" $scope
  "namespaces" $watched
  "argocdNamespace" $argocd
  "replicas" $replicas
  "elects" (and (or $asked (gt $replicas 1)) (not $refused))
  "asksToElect" $asked
  "argocdAPI" (eq $config.applicationsAPIKind "argocd")
  "logLevel" (index $config "log.level" | default $config.logLevel)
  "logFormat" (index $config "log.format" | default $config.logFormat)
  "webhook" (or .Values.webhook.enabled (eq (toString (index $config "webhook.enable")) "true"))
| toJson -}}
{{- end -}}

{{/* The Secret with the token of Argo CD's API. */}}
{{- define "fairlead.tokenSecret" -}}
{{- if .Values.config.argocd.token -}}
{{- printf "%s-argocd-token" (include "fairlead.name" .) -}}
{{- else -}}
{{- .Values.config.argocd.tokenSecret.name -}}
{{- end -}}
{{- end -}}

{{/* How the Services take addresses. */}}
{{- define "fairlead.dualStack" -}}
{{- with .Values.dualStack.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.dualStack.ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
