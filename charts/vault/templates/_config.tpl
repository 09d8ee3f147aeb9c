{{/* The server's configuration: the user's, and what single values add to it. What the user wrote wins. */}}

{{- define "vault.config" -}}
{{- $mode := include "vault.mode" . -}}
{{- $config := .Values.server.standalone.config -}}
{{- if include "vault.raft" . -}}
  {{- $config = .Values.server.ha.raft.config -}}
{{- else if eq $mode "ha" -}}
  {{- $config = .Values.server.ha.config -}}
{{- end -}}
{{- if and $config (not (kindIs "string" $config)) -}}
  {{- fail "structured server config is not supported, value must be a string: write server.standalone.config, server.ha.config or server.ha.raft.config as HCL or JSON in a block scalar (config: |)" -}}
{{- end -}}
{{- $config = tpl ($config | default "") . -}}
{{- if hasPrefix "{" (trim $config) -}}
{{- include "vault.config.json" (dict "config" (mustFromJson $config) "root" .) -}}
{{- else -}}
{{- include "vault.config.hcl" (dict "config" $config "root" .) -}}
{{- end -}}
{{- end -}}

{{- define "vault.config.hcl" -}}
{{- $config := .config -}}
{{- $tls := .root.Values.server.tls -}}
{{- /* A listener that has a certificate is the user's. Those that have not get one, and lose their tls_disable. */ -}}
{{- if and $tls.enabled (not (regexMatch "(?m)^[ \\t]*tls_cert_file\\b" $config)) -}}
  {{- $config = regexReplaceAll "(?m)^[ \\t]*tls_disable[ \\t]*=.*\\n?" $config "" -}}
  {{- $files := "tls_cert_file = \"/vault/tls/tls.crt\"\n  tls_key_file = \"/vault/tls/tls.key\"" -}}
  {{- $config = regexReplaceAll "(?m)^([ \\t]*listener[ \\t]+\"?tcp\"?[ \\t]*\\{)" $config (printf "${1}\n  %s" $files) -}}
{{- end -}}
{{- if and (include "vault.raft" .root) (not (regexMatch "(?m)^[^#\\n]*\\bretry_join\\b" $config)) -}}
  {{- $blocks := "" -}}
  {{- range (include "vault.config.peers" .root | fromYamlArray) -}}
    {{- $blocks = printf "%s\n  retry_join {" $blocks -}}
    {{- range $key, $value := . -}}
      {{- $blocks = printf "%s\n    %s = %q" $blocks $key $value -}}
    {{- end -}}
    {{- $blocks = printf "%s\n  }" $blocks -}}
  {{- end -}}
  {{- $config = regexReplaceAll "(?m)^([ \\t]*storage[ \\t]+\"?raft\"?[ \\t]*\\{)" $config (printf "${1}%s\n" $blocks) -}}
{{- end -}}
{{- $config = trim $config -}}
{{- with .root.Values.server.peerUnseal -}}
  {{- if and .enabled (not (regexMatch "(?m)^[ \\t]*seal[ \\t]+\"?peer\\b" $config)) -}}
    {{- $config = printf "%s\n\nseal \"peer\" {\n  token_path = %q\n  audience = %q\n}" $config "/var/run/secrets/peer/token" .audience -}}
  {{- end -}}
{{- end -}}
{{- with .root.Values.server.initialize -}}
  {{- $config = printf "%s\n\n%s" $config (trim .) -}}
{{- end -}}
{{- if not (regexMatch "(?m)^[ \\t]*disable_mlock\\b" $config) -}}
  {{- $config = printf "%s\ndisable_mlock = true" $config | trim -}}
{{- end -}}
{{- $config -}}
{{- end -}}

{{- define "vault.config.json" -}}
{{- $config := .config -}}
{{- if not (hasKey $config "disable_mlock") }}{{ $_ := set $config "disable_mlock" true }}{{ end -}}
{{- if and .root.Values.server.tls.enabled (not (contains "tls_cert_file" (toJson $config))) -}}
  {{- fail "server.tls.enabled with a configuration in JSON: name \"tls_cert_file\": \"/vault/tls/tls.crt\" and \"tls_key_file\": \"/vault/tls/tls.key\" in its listener, or write it in HCL" -}}
{{- end -}}
{{- if .root.Values.server.initialize -}}
  {{- fail "server.initialize with a configuration in JSON: put \"initialize\" into that, or write the configuration in HCL" -}}
{{- end -}}
{{- $raft := dig "storage" "raft" dict $config -}}
{{- if and (include "vault.raft" .root) (kindIs "map" $raft) (not (hasKey $raft "retry_join")) -}}
  {{- $_ := set $raft "retry_join" (include "vault.config.peers" .root | fromYamlArray) -}}
{{- end -}}
{{- with .root.Values.server.peerUnseal -}}
  {{- if and .enabled (not (hasKey $config "seal")) -}}
    {{- $_ := set $config "seal" (dict "peer" (dict "token_path" "/var/run/secrets/peer/token" "audience" .audience)) -}}
  {{- end -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{/* The servers that a new one asks to let it in, as a YAML list of retry_join's keys. */}}
{{- define "vault.config.peers" -}}
{{- $full := include "vault.fullname" . -}}
{{- range until (int (include "vault.replicas" .)) }}
- leader_api_addr: {{ include "vault.scheme" $ }}://{{ $full }}-{{ . }}.{{ $full }}-internal:8200
  {{- if $.Values.server.tls.enabled }}
  leader_ca_cert_file: /vault/tls/ca.crt
  {{- end }}
{{- end }}
{{- end -}}

{{/* The annotation that changes with the configuration. */}}
{{- define "vault.config.checksum" -}}
{{- if and .Values.server.includeConfigAnnotation (ne (include "vault.mode" .) "dev") -}}
vault.hashicorp.com/config-checksum: {{ include "vault.config" . | sha256sum }}
{{- end -}}
{{- end -}}
