{{/* Values that would have no effect, or a wrong one, stop the rendering and say what to do. */}}
{{- define "fairlead.refusals" -}}
{{- $found := concat
  (include "fairlead.refusedSettings" . | fromJsonArray)
  (include "fairlead.refusedConfig" . | fromJsonArray)
  (include "fairlead.refusedArguments" . | fromJsonArray) -}}
{{- if $found -}}
{{- printf "\n\n  - %s\n" (join "\n  - " $found) | fail -}}
{{- end -}}
{{- end -}}

{{- define "fairlead.refusedSettings" -}}
{{- $settings := include "fairlead.settings" . | fromJson -}}
{{- $found := list -}}
{{- if and (eq $settings.scope "cluster") $settings.namespaces -}}
{{- $found = append $found "watchNamespaces: with `scope: cluster` every namespace is watched; leave one of the two out" -}}
{{- end -}}
{{- if and (eq $settings.scope "cluster") (eq (toString .Values.createClusterRoles) "false") -}}
{{- $found = append $found "createClusterRoles: `scope: cluster` needs a ClusterRole; name the namespaces in watchNamespaces instead" -}}
{{- end -}}
{{- if and (gt (int $settings.replicas) 1) (not $settings.elects) -}}
{{- $found = append $found "replicas: more than one would all act at once without a leader; take `--leader-elect=off` out of extraArgs" -}}
{{- end -}}
{{- if and (eq .Values.image.variant "minimal") (not .Values.image.tag) .Values.authScripts.enabled -}}
{{- $found = append $found "authScripts.enabled: the minimal image has no shell to run scripts; use `image.variant: full`" -}}
{{- end -}}
{{- if and (or .Values.ingress.enabled .Values.route.enabled .Values.service.enabled) (not $settings.webhook) -}}
{{- $found = append $found "ingress, route and service lead to the webhook: set webhook.enabled, and webhook.secretName" -}}
{{- end -}}
{{- if and .Values.route.enabled (not .Values.route.parentRefs) -}}
{{- $found = append $found "route.parentRefs is needed: the Gateways that the route belongs to" -}}
{{- end -}}
{{- if (.Values.certificateSecret | default dict).enabled -}}
{{- $found = append $found "certificateSecret: make a Secret of type kubernetes.io/tls, and name it in webhook.tlsSecretName" -}}
{{- end -}}
{{- if and (hasKey .Values.containerPorts "health") (ne (int .Values.containerPorts.health) (int .Values.containerPorts.metrics)) -}}
{{- $found = append $found "containerPorts.health: health and metrics share the port containerPorts.metrics" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- $found = append $found "metrics.serviceMonitor.enabled: a ServiceMonitor needs the Service of metrics.enabled" -}}
{{- end -}}
{{- if eq .Values.metrics.serviceMonitor.scheme "https" -}}
{{- $found = append $found "metrics.serviceMonitor.scheme: metrics are served over plain http; narrow who may ask with networkPolicy" -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Keys of `config` that the older chart takes, and that mean nothing here once they are set. */}}
{{- define "fairlead.refusedConfig" -}}
{{- $config := .Values.config -}}
{{- $git := "is said by each policy, in spec.writeBack.git.commit" -}}
{{- $events := "events are written on changes only, and cannot be switched off" -}}
{{- $webhook := "sources and secrets are those of webhook.secretName, a key for each source; ports are containerPorts.webhook and service.port" -}}
{{- $own := "Fairlead shares one client and one list of tags for all; there is nothing to set" -}}
{{- $advice := dict
  "disableKubeEvents" $events "kube.events" $events
  "gitCommitUser" $git "gitCommitMail" $git "gitCommitTemplate" $git "gitCommitSigningKey" $git "gitCommitSignOff" $git
  "gitCommitSigningMethod" $git
  "git.user" $git "git.email" $git "git.commit-message-template" $git "git.commit-signing-key" $git "git.commit-sign-off" $git
  "git.commit-signing-method" $git
  "interval" "is said by each policy, in spec.interval"
  "max_concurrent_apps" $own "max_concurrent_reconciles" $own
  "webhook.port" $webhook "webhook.ratelimit-allowed" "the limit is fixed: 20 events a second from one source"
-}}
{{- $found := list -}}
{{- range $key, $words := $advice -}}
{{- if index $config $key -}}
{{- $found = append $found (printf "config.%s: %s" $key $words) -}}
{{- end -}}
{{- end -}}
{{- if $config.sshConfig.config -}}
{{- $found = append $found "config.sshConfig.config: mount a file of your own with volumes and volumeMounts" -}}
{{- end -}}
{{- if eq $config.applicationsAPIKind "argocd" -}}
{{- if not (or $config.argocd.token $config.argocd.tokenSecret.name) -}}
{{- $found = append $found "config.argocd.tokenSecret.name is needed: the Secret with the token of an account of Argo CD" -}}
{{- end -}}
{{- if .Values.imageUpdaters.enabled -}}
{{- $found = append $found "imageUpdaters.enabled: with `config.applicationsAPIKind: argocd` ImageUpdaters are not taken up; `fairlead convert` makes policies of them" -}}
{{- end -}}
{{- if and $config.argocd.plaintext (or $config.argocd.caConfigMap (hasPrefix "https://" $config.argocd.serverAddress)) -}}
{{- $found = append $found "config.argocd.plaintext: without TLS there is no certificate to check, and no https; leave one of the two out" -}}
{{- end -}}
{{- end -}}
{{- if eq (toString (index $config "webhook.require-secret")) "false" -}}
{{- $found = append $found "config.webhook.require-secret: a webhook without a secret is never taken" -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Flags and variables of the older updater, which the binary does not know. */}}
{{- define "fairlead.refusedArguments" -}}
{{- $policy := "policies say which Applications: spec.applications" -}}
{{- $health := "it is containerPorts.metrics" -}}
{{- $advice := dict
  "--interval" "each policy has its own: spec.interval"
  "--once" "`fairlead reconcile --once` looks once, at a folder"
  "--dry-run" "each policy has its own: spec.dryRun"
  "--match-application-name" $policy "--match-application-label" $policy
  "--application-namespace" "the namespaces are watchNamespaces" "--watch-namespaces" "the namespaces are watchNamespaces"
  "--loglevel" "it is config.logLevel" "--logformat" "it is config.logFormat"
  "--registries-conf-path" "registries are config.registries"
  "--health-port" $health "--metrics-port" $health "--metrics-bind-address" $health "--health-probe-bind-address" $health
  "--warmup-cache" "there is no cache to warm" "--max-concurrency" "there is nothing to set"
  "--max-concurrent-apps" "there is nothing to set" "--max-concurrent-reconciles" "there is nothing to set"
  "--enable-webhook" "it is webhook.enabled" "--webhook-port" "it is containerPorts.webhook"
  "--disable-kube-events" "events are written on changes only"
-}}
{{- $found := list -}}
{{- range .Values.extraArgs -}}
{{- $flag := splitList "=" (toString .) | first -}}
{{- with index $advice $flag -}}
{{- $found = append $found (printf "extraArgs: the binary does not know `%s`: %s" $flag .) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasPrefix "IMAGE_UPDATER_" .name -}}
{{- $found = append $found (printf "extraEnv: `%s` has no effect: `fairlead run --help` lists the variables" .name) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
