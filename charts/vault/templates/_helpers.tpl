{{/* Names, the mode, and what all objects share. The pod is in _pod.tpl, the server's configuration in _config.tpl. */}}

{{- define "vault.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "vault.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "vault.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" -}}
{{- end -}}

{{- define "vault.namespace" -}}
{{- .Values.global.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "vault.image" -}}
{{- with .Values.server.image }}{{ .repository }}:{{ .tag | default "latest" }}{{ end -}}
{{- end -}}

{{/* http or https: what clients of port 8200 speak. */}}
{{- define "vault.scheme" -}}
{{- or .Values.server.tls.enabled (not .Values.global.tlsDisable) | ternary "https" "http" -}}
{{- end -}}

{{/* A switch that is true, false, or "-" for what global.enabled says. Gives "true" or "". */}}
{{- define "vault.on" -}}
{{- $switch := toString .switch -}}
{{- if or (eq $switch "true") (and (eq $switch "-") (eq (toString .root.Values.global.enabled) "true")) -}}true{{- end -}}
{{- end -}}

{{- define "vault.externalAddr" -}}
{{- .Values.global.externalVaultAddr | default .Values.injector.externalVaultAddr -}}
{{- end -}}

{{/* What this release runs: dev, ha, standalone, external (a server that is elsewhere), or nothing. */}}
{{- define "vault.mode" -}}
{{- $server := .Values.server -}}
{{- if include "vault.externalAddr" . -}}external
{{- else if not (include "vault.on" (dict "switch" $server.enabled "root" .)) -}}
{{- else if eq (toString $server.dev.enabled) "true" -}}dev
{{- else if eq (toString $server.ha.enabled) "true" -}}ha
{{- else if include "vault.on" (dict "switch" $server.standalone.enabled "root" .) -}}standalone
{{- end -}}
{{- end -}}

{{/* Whether server pods are rendered: "true" or "". */}}
{{- define "vault.runs" -}}
{{- if has (include "vault.mode" .) (list "dev" "ha" "standalone") -}}true{{- end -}}
{{- end -}}

{{- define "vault.raft" -}}
{{- if and (eq (include "vault.mode" .) "ha") (eq (toString .Values.server.ha.raft.enabled) "true") -}}true{{- end -}}
{{- end -}}

{{- define "vault.replicas" -}}
{{- eq (include "vault.mode" .) "ha" | ternary (.Values.server.ha.replicas | int) 1 -}}
{{- end -}}

{{/* The labels that never change: what the StatefulSet and the Services select by. */}}
{{- define "vault.selector" -}}
app.kubernetes.io/name: {{ include "vault.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "vault.labels" -}}
helm.sh/chart: {{ include "vault.chart" . }}
{{ include "vault.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* A value that is YAML, or a string of YAML with templates in it: dict "value" … "root" $. */}}
{{- define "vault.yaml" -}}
{{- if kindIs "string" .value -}}
{{- tpl .value .root | trim -}}
{{- else -}}
{{- toYaml .value -}}
{{- end -}}
{{- end -}}

{{/* The key "annotations:" with every value of the list that is set; later ones win. dict "values" (list …) "root" $. */}}
{{- define "vault.annotations" -}}
{{- $all := dict -}}
{{- range .values -}}
  {{- if . -}}
    {{- $all = mergeOverwrite $all (include "vault.yaml" (dict "value" . "root" $.root) | fromYaml) -}}
  {{- end -}}
{{- end -}}
{{- with $all.Error -}}
  {{- fail (printf "annotations are neither a map nor a string of YAML with one: %s" .) -}}
{{- end -}}
{{- with $all -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Metadata of an object that has nothing special: dict "name" … "labels" (more of them) "annotations" (list …) "root" $. */}}
{{- define "vault.metadata" -}}
name: {{ .name }}
namespace: {{ include "vault.namespace" .root }}
labels:
  {{- include "vault.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with include "vault.annotations" (dict "values" (.annotations | default list) "root" .root) }}
{{ . }}
{{- end }}
{{- end -}}

{{/* Service accounts: of the servers, or of those who use a server elsewhere. */}}

{{- define "vault.serviceAccount.name" -}}
{{- with .Values.server.serviceAccount -}}
{{- .name | default (.create | ternary (include "vault.fullname" $) "default") -}}
{{- end -}}
{{- end -}}

{{- define "vault.serviceAccount.created" -}}
{{- if and .Values.server.serviceAccount.create (include "vault.mode" .) -}}true{{- end -}}
{{- end -}}

{{- define "vault.serviceDiscovery" -}}
{{- $account := .Values.server.serviceAccount -}}
{{- if and (eq (include "vault.mode" .) "ha") $account.create $account.serviceDiscovery.enabled -}}true{{- end -}}
{{- end -}}

{{/* The Service that an Ingress or a route leads to: dict "activeService" … "root" $. */}}
{{- define "vault.frontService" -}}
{{- $full := include "vault.fullname" .root -}}
{{- $active := and .activeService (eq (include "vault.mode" .root) "ha") .root.Values.server.service.active.enabled -}}
{{- $active | ternary (printf "%s-active" $full) $full -}}
{{- end -}}

{{/* The specification that the Services for clients share: dict "name" (of the node port's value) "selector" (more labels) "root" $. */}}
{{- define "vault.serviceSpec" -}}
{{- $service := .root.Values.server.service -}}
{{- with $service.type }}
type: {{ . }}
{{- end }}
{{- if and $service.externalTrafficPolicy (has $service.type (list "NodePort" "LoadBalancer")) }}
externalTrafficPolicy: {{ $service.externalTrafficPolicy }}
{{- end }}
{{- with $service.clusterIP }}
clusterIP: {{ . }}
{{- end }}
{{- include "vault.ipFamilies" (dict "policy" $service.ipFamilyPolicy "families" $service.ipFamilies "root" .root) }}
publishNotReadyAddresses: {{ $service.publishNotReadyAddresses }}
ports:
  - name: {{ include "vault.scheme" .root }}
    port: {{ $service.port }}
    targetPort: {{ $service.targetPort }}
    {{- $nodePort := get $service .nodePort }}
    {{- if and $nodePort (eq (toString $service.type) "NodePort") }}
    nodePort: {{ $nodePort }}
    {{- end }}
  - name: https-internal
    port: 8201
    targetPort: 8201
selector:
  app.kubernetes.io/name: {{ include "vault.name" .root }}
  {{- if $service.instanceSelector.enabled }}
  app.kubernetes.io/instance: {{ .root.Release.Name }}
  {{- end }}
  component: server
  {{- with .selector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* A Service's IP families, where the cluster is new enough to know them: dict "policy" … "families" … "root" $. */}}
{{- define "vault.ipFamilies" -}}
{{- if semverCompare ">=1.23.0-0" .root.Capabilities.KubeVersion.Version }}
{{- with .policy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .families }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
