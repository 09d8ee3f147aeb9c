{{/* Certificates by server.tls. */}}

{{- define "vault.tls.secretName" -}}
{{- .Values.server.tls.secretName | default (printf "%s-tls" (include "vault.fullname" .)) -}}
{{- end -}}

{{/* The names that the servers are reached by, as a YAML list: Services, pods, and the pod from within. */}}
{{- define "vault.tls.dnsNames" -}}
{{- $full := include "vault.fullname" . -}}
{{- $namespace := include "vault.namespace" . -}}
{{- $names := list "localhost" -}}
{{- range list $full (printf "%s-active" $full) (printf "%s-standby" $full) (printf "%s-ui" $full) (printf "*.%s-internal" $full) -}}
  {{- $names = concat $names (list . (printf "%s.%s" . $namespace) (printf "%s.%s.svc" . $namespace) (printf "%s.%s.svc.cluster.local" . $namespace)) -}}
{{- end -}}
{{- concat $names .Values.server.tls.dnsNames | toYaml -}}
{{- end -}}

{{/* Whether a job of the chart makes the certificates. */}}
{{- define "vault.tls.generated" -}}
{{- if and (include "vault.runs" .) .Values.server.tls.enabled (eq .Values.server.tls.source "generated") -}}true{{- end -}}
{{- end -}}

{{/* The pod that sees to it that the Secret holds a certificate that is still good: dict "account" … "root" $. */}}
{{- define "vault.tls.pod" -}}
{{- $root := .root -}}
{{- $tls := $root.Values.server.tls -}}
metadata:
  labels:
    {{- include "vault.selector" $root | nindent 4 }}
    component: tls
spec:
  restartPolicy: OnFailure
  serviceAccountName: {{ .account }}
  {{- range $key := list "tolerations" "nodeSelector" }}
  {{- with get $root.Values.server $key }}
  {{ $key }}:
    {{- include "vault.yaml" (dict "value" . "root" $root) | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with include "vault.securityContext.pod" $root }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: tls
      image: {{ include "vault.image" $root }}
      imagePullPolicy: {{ $root.Values.server.image.pullPolicy }}
      command:
        - strongroom
        - tls
        - ensure
        - -secret={{ include "vault.tls.secretName" $root }}
        - -namespace={{ include "vault.namespace" $root }}
        {{- range (include "vault.tls.dnsNames" $root | fromYamlArray) }}
        - {{ printf "-dns-name=%s" . | quote }}
        {{- end }}
        {{- range prepend $tls.ipAddresses "127.0.0.1" }}
        - {{ printf "-ip-address=%s" . | quote }}
        {{- end }}
        - -valid={{ $tls.duration }}
        - -renew-before={{ $tls.renewBefore }}
      {{- with include "vault.securityContext.container" $root }}
      {{- . | nindent 6 }}
      {{- end }}
  {{- with include "vault.imagePullSecrets" $root }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Who that pod is, and what it may do: dict "name" … "annotations" (list …) "root" $. */}}
{{- define "vault.tls.account" -}}
{{- $metadata := include "vault.metadata" . -}}
{{- $secret := include "vault.tls.secretName" .root -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- $metadata | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- $metadata | nindent 2 }}
rules:
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [{{ $secret }}, {{ $secret }}-ca]
    verbs: [get, update, patch]
  # A creation cannot be limited to a name.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- $metadata | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ include "vault.namespace" .root }}
{{- end -}}
