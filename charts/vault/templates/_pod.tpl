{{/* The server's pod, piece by piece. */}}

{{/* dict "given" (the user's context) "default" (name of ours) "root" $: the user's, or ours; none on OpenShift, which makes its own. */}}
{{- define "vault.securityContext" -}}
{{- if .given -}}
securityContext:
  {{- include "vault.yaml" (dict "value" .given "root" .root) | nindent 2 }}
{{- else if not .root.Values.global.openshift -}}
securityContext:
  {{- include .default .root | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "vault.securityContext.pod" -}}
{{- include "vault.securityContext" (dict "given" .Values.server.statefulSet.securityContext.pod "default" "vault.securityContext.defaultPod" "root" .) -}}
{{- end -}}

{{- define "vault.securityContext.container" -}}
{{- include "vault.securityContext" (dict "given" .Values.server.statefulSet.securityContext.container "default" "vault.securityContext.defaultContainer" "root" .) -}}
{{- end -}}

{{- define "vault.securityContext.defaultPod" -}}
runAsNonRoot: true
runAsGroup: {{ .Values.server.gid | default 1000 }}
runAsUser: {{ .Values.server.uid | default 100 }}
fsGroup: {{ .Values.server.gid | default 1000 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "vault.securityContext.defaultContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{- define "vault.imagePullSecrets" -}}
{{- with .Values.global.imagePullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name") }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Where the scheduler may put a pod. Development mode goes anywhere. */}}
{{- define "vault.scheduling" -}}
{{- $server := .Values.server -}}
{{- if ne (include "vault.mode" .) "dev" -}}
{{- range $key := list "affinity" "topologySpreadConstraints" "tolerations" "nodeSelector" }}
{{- with get $server $key }}
{{ $key }}:
  {{- include "vault.yaml" (dict "value" . "root" $) | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
{{- with $server.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* The environment, as a YAML list. A variable that the user sets is left to the user. */}}
{{- define "vault.env" -}}
{{- $server := .Values.server -}}
{{- $theirs := dict -}}
{{- range $name, $value := $server.extraEnvironmentVars -}}
  {{- $_ := set $theirs ($name | replace "." "_" | upper) $value -}}
{{- end -}}
{{- $mine := list -}}
{{- range (include "vault.env.ours" . | fromYamlArray) -}}
  {{- if not (hasKey $theirs .name) }}{{ $mine = append $mine . }}{{ end -}}
{{- end -}}
{{- toYaml $mine }}
{{- range $name, $value := $theirs }}
- name: {{ $name | quote }}
  value: {{ $value | quote }}
{{- end }}
{{- range $server.extraSecretEnvironmentVars }}
- name: {{ .envName }}
  valueFrom:
    secretKeyRef:
      name: {{ .secretName }}
      key: {{ .secretKey }}
{{- end }}
{{- if eq (include "vault.mode" .) "dev" }}
- name: VAULT_DEV_ROOT_TOKEN_ID
  value: {{ $server.dev.devRootToken | quote }}
- name: VAULT_DEV_LISTEN_ADDRESS
  value: "[::]:8200"
{{- end }}
{{- end -}}

{{- define "vault.env.ours" -}}
{{- $server := .Values.server -}}
{{- $full := include "vault.fullname" . -}}
{{- $scheme := include "vault.scheme" . -}}
- name: HOST_IP
  valueFrom: {fieldRef: {fieldPath: status.hostIP}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: VAULT_K8S_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: VAULT_K8S_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: VAULT_ADDR
  value: {{ $scheme }}://127.0.0.1:8200
- name: VAULT_API_ADDR
  {{- if $server.ha.apiAddr }}
  value: {{ tpl $server.ha.apiAddr . | quote }}
  {{- else if $server.tls.enabled }}
  value: https://$(VAULT_K8S_POD_NAME).{{ $full }}-internal.{{ include "vault.namespace" . }}.svc:8200
  {{- else }}
  value: {{ $scheme }}://$(POD_IP):8200
  {{- end }}
- name: SKIP_CHOWN
  value: "true"
- name: SKIP_SETCAP
  value: "true"
- name: HOSTNAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: VAULT_CLUSTER_ADDR
  value: {{ tpl ($server.ha.clusterAddr | default (printf "https://$(HOSTNAME).%s-internal:8201" $full)) . | quote }}
{{- if and (include "vault.raft" .) $server.ha.raft.setNodeId }}
- name: VAULT_RAFT_NODE_ID
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
- name: HOME
  value: /home/vault
{{- if $server.tls.enabled }}
- name: VAULT_CACERT
  value: /vault/tls/ca.crt
{{- end }}
{{- with $server.logLevel }}
- name: VAULT_LOG_LEVEL
  value: {{ . | quote }}
{{- end }}
{{- with $server.logFormat }}
- name: VAULT_LOG_FORMAT
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* What the container runs: the configuration with its placeholders filled in, and the server on it. */}}
{{- define "vault.script" -}}
{{- $server := .Values.server -}}
{{- if eq (include "vault.mode" .) "dev" -}}
exec /usr/local/bin/docker-entrypoint.sh vault server -dev{{ with $server.extraArgs }} {{ . }}{{ end }}
{{- else -}}
cp /vault/config/extraconfig-from-values.hcl /tmp/storageconfig.hcl
for name in HOST_IP POD_IP HOSTNAME API_ADDR TRANSIT_ADDR RAFT_ADDR; do
  eval "value=\${$name:-}"
  [ -z "$value" ] || sed -i "s|$name|$value|g" /tmp/storageconfig.hcl
done
exec /usr/local/bin/docker-entrypoint.sh vault server -config=/tmp/storageconfig.hcl{{ with $server.extraArgs }} {{ . }}{{ end }}
{{- end -}}
{{- end -}}

{{/* Folders that are written to and need not last, since the image's own are read-only: name and path, but those where the user mounts something. */}}
{{- define "vault.scratch" -}}
{{- $server := .Values.server -}}
{{- $folders := dict "home" "/home/vault" "tmp" "/tmp" "logs" "/vault/logs" -}}
{{- if and (not (include "vault.persistent" (dict "storage" "data" "root" .))) (ne (include "vault.mode" .) "dev") -}}
  {{- $_ := set $folders "data" $server.dataStorage.mountPath -}}
{{- end -}}
{{- $taken := list -}}
{{- range $server.volumeMounts }}{{ $taken = append $taken (trimSuffix "/" .mountPath) }}{{ end -}}
{{- if include "vault.persistent" (dict "storage" "audit" "root" .) }}{{ $taken = append $taken (trimSuffix "/" $server.auditStorage.mountPath) }}{{ end -}}
{{- range $name, $path := $folders }}
{{- if not (has (trimSuffix "/" $path) $taken) }}
- name: {{ $name }}
  mountPath: {{ $path }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Whether a claim is made for the data or the audit log: dict "storage" data|audit "root" $. */}}
{{- define "vault.persistent" -}}
{{- $mode := include "vault.mode" .root -}}
{{- $storage := get .root.Values.server (printf "%sStorage" .storage) -}}
{{- if eq (toString $storage.enabled) "true" -}}
{{- if or (eq $mode "standalone") (include "vault.raft" .root) (and (eq $mode "ha") (eq .storage "audit")) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "vault.volumes" -}}
{{- $server := .Values.server -}}
{{- if ne (include "vault.mode" .) "dev" }}
- name: config
  configMap:
    name: {{ include "vault.fullname" . }}-config
{{- end }}
{{- range (include "vault.scratch" . | fromYamlArray) }}
- name: {{ .name }}
  emptyDir: {}
{{- end }}
{{- range $server.extraVolumes }}
- name: userconfig-{{ .name }}
  {{ .type }}:
    {{ eq .type "secret" | ternary "secretName" "name" }}: {{ .name }}
    defaultMode: {{ .defaultMode | default 420 }}
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- if $server.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "vault.tls.secretName" . }}
    defaultMode: 0440
{{- end }}
{{- if $server.peerUnseal.enabled }}
- name: peer-token
  projected:
    sources:
      - serviceAccountToken:
          path: token
          audience: {{ $server.peerUnseal.audience }}
          expirationSeconds: {{ $server.peerUnseal.expirationSeconds }}
{{- end }}
{{- with $server.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "vault.volumeMounts" -}}
{{- $server := .Values.server -}}
{{- range $storage := list "audit" "data" }}
{{- if include "vault.persistent" (dict "storage" $storage "root" $) }}
- name: {{ $storage }}
  mountPath: {{ (get $server (printf "%sStorage" $storage)).mountPath }}
{{- end }}
{{- end }}
{{- if ne (include "vault.mode" .) "dev" }}
- name: config
  mountPath: /vault/config
{{- end }}
{{- include "vault.scratch" . }}
{{- range $server.extraVolumes }}
- name: userconfig-{{ .name }}
  readOnly: true
  mountPath: {{ .path | default "/vault/userconfig" }}/{{ .name }}
{{- end }}
{{- if $server.tls.enabled }}
- name: tls
  readOnly: true
  mountPath: /vault/tls
{{- end }}
{{- if $server.peerUnseal.enabled }}
- name: peer-token
  readOnly: true
  mountPath: /var/run/secrets/peer
{{- end }}
{{- with $server.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A probe's handler and its times: dict "probe" (the values) "command" (list; none: httpGet) "root" $. */}}
{{- define "vault.probe" -}}
{{- if .command -}}
exec:
  command:
    {{- toYaml .command | nindent 4 }}
{{- else -}}
httpGet:
  path: {{ .probe.path | quote }}
  port: {{ .probe.port }}
  scheme: {{ include "vault.scheme" .root | upper }}
{{- end }}
{{- range $key := list "failureThreshold" "initialDelaySeconds" "periodSeconds" "successThreshold" "timeoutSeconds" }}
{{ $key }}: {{ get $.probe $key }}
{{- end }}
{{- end -}}

{{/* The claims of the StatefulSet, data first. */}}
{{- define "vault.volumeClaimTemplates" -}}
{{- range $name := list "data" "audit" }}
{{- if include "vault.persistent" (dict "storage" $name "root" $) }}
{{- $storage := get $.Values.server (printf "%sStorage" $name) }}
- metadata:
    name: {{ $name }}
    {{- with include "vault.annotations" (dict "values" (list $storage.annotations) "root" $) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with $storage.labels }}
    labels:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    accessModes:
      - {{ $storage.accessMode | default "ReadWriteOnce" }}
    resources:
      requests:
        storage: {{ $storage.size }}
    {{- with $storage.storageClass }}
    storageClassName: {{ . | quote }}
    {{- end }}
{{- end }}
{{- end }}
{{- end -}}
