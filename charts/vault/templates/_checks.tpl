{{/* What values are refused, and what to do instead. The schema has refused what is of a wrong type before. */}}
{{- define "vault.checks" -}}
{{- range $name, $what := dict "injector" "the agent injector" "csi" "the CSI provider" -}}
  {{- if include "vault.on" (dict "switch" (get $.Values $name).enabled "root" $) -}}
    {{- fail (printf "%s.enabled: %s is not in this release yet. Set %s.enabled=false; to bring secrets into pods, install the chart vault-secrets-operator beside this one" $name $what $name) -}}
  {{- end -}}
{{- end -}}
{{- $server := .Values.server -}}
{{- $raftless := and (eq (include "vault.mode" .) "ha") (not (include "vault.raft" .)) -}}
{{- /* Rendering without a cluster goes on, since looking at one object of the chart needs no storage. */ -}}
{{- if and $raftless (not $server.ha.config) (lookup "v1" "Namespace" "" "kube-system") -}}
  {{- fail "server.ha.enabled needs server.ha.raft.enabled=true: the servers keep their data themselves and replicate it by Raft, and use no storage elsewhere, such as Consul. Or write a whole configuration to server.ha.config" -}}
{{- end -}}
{{- if and $server.tls.enabled (eq (include "vault.mode" .) "dev") -}}
  {{- fail "server.tls.enabled: development mode speaks plain HTTP. Use standalone mode (server.dev.enabled=false)" -}}
{{- end -}}
{{- if and $server.tls.enabled (eq $server.tls.source "secret") (not $server.tls.secretName) -}}
  {{- fail "server.tls.source=secret needs server.tls.secretName, a Secret with tls.crt, tls.key and ca.crt" -}}
{{- end -}}
{{- if and $server.peerUnseal.enabled (not (include "vault.raft" .)) -}}
  {{- fail "server.peerUnseal.enabled needs peers: set server.ha.enabled=true and server.ha.raft.enabled=true" -}}
{{- end -}}
{{- end -}}
