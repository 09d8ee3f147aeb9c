{{/* What everything is named after: vault-secrets-operator when the release is called so. */}}
{{- define "vso.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* A name with a suffix, which a long name makes room for: (list . "suffix"). */}}
{{- define "vso.named" -}}
{{- $suffix := index . 1 -}}
{{- $name := include "vso.fullname" (index . 0) -}}
{{- printf "%s-%s" ($name | trunc (sub 62 (len $suffix) | int) | trimSuffix "-") $suffix -}}
{{- end -}}

{{- define "vso.serviceAccount" -}}
{{- if .Values.controller.serviceAccount.name -}}
{{- .Values.controller.serviceAccount.name -}}
{{- else if .Values.controller.serviceAccount.create -}}
{{- include "vso.named" (list . "controller-manager") -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "vso.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
control-plane: controller-manager
{{- end -}}

{{/* Labels of the operator's own objects. */}}
{{- define "vso.labels" -}}
{{ include "vso.selector" . }}
{{ include "vso.commonLabels" . }}
{{- end -}}

{{- define "vso.commonLabels" -}}
app.kubernetes.io/component: controller-manager
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Labels of what hooks and tests run: not those by which the operator's pods are selected. */}}
{{- define "vso.hookLabels" -}}
app.kubernetes.io/name: {{ printf "%s-hook" (default .Chart.Name .Values.nameOverride | trunc 58) }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "vso.image" -}}
{{- with .Values.controller.manager.image -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}

{{/* Where the pods of the operator, of hooks and of tests run, and from where their image comes. */}}
{{- define "vso.placement" -}}
{{- with .Values.controller.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ .name }}{{ end }}
  {{- end }}
{{- end }}
{{- with .Values.controller.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.controller.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The rules of config/rbac/role.yaml that hold in the namespaces whose resources are served. A test compares them. */}}
{{- define "vso.rules" -}}
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [create, delete, get, list, patch, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [serviceaccounts/token]
  {{- with .Values.controller.rbac.serviceAccountNames }}
  resourceNames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  verbs: [create]
- apiGroups: [apps]
  resources: [daemonsets, deployments, statefulsets]
  verbs: [get, list, patch]
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [get, list, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch, update]
- apiGroups: [secrets.hashicorp.com]
  resources: [secrettransformations, vaultauthglobals, vaultauths, vaultconnections]
  verbs: [get, list, watch]
- apiGroups: [secrets.hashicorp.com]
  resources: [vaultdynamicsecrets, vaultpkisecrets, vaultpushsecrets, vaultsecrets, vaultstaticsecrets]
  verbs: [get, list, patch, watch]
- apiGroups: [secrets.hashicorp.com]
  resources:
    - secrettransformations/status
    - vaultauthglobals/status
    - vaultauths/status
    - vaultconnections/status
    - vaultdynamicsecrets/status
    - vaultpkisecrets/status
    - vaultpushsecrets/status
    - vaultsecrets/status
    - vaultstaticsecrets/status
  verbs: [get, patch, update]
- apiGroups: [secrets.hashicorp.com]
  resources: [vaultdynamicsecrets/finalizers, vaultpkisecrets/finalizers, vaultpushsecrets/finalizers, vaultsecrets/finalizers, vaultstaticsecrets/finalizers]
  verbs: [update]
{{- end -}}

{{/* The kinds' plurals, of which the list . names some: VaultAuth or *. */}}
{{- define "vso.resources" -}}
{{- $kinds := list "secrettransformation" "vaultauth" "vaultauthglobal" "vaultconnection" "vaultdynamicsecret" "vaultpkisecret" "vaultpushsecret" "vaultsecret" "vaultstaticsecret" -}}
{{- $chosen := list -}}
{{- range . -}}
{{- if eq . "*" -}}
{{- $chosen = $kinds -}}
{{- else if has (lower .) $kinds -}}
{{- $chosen = append $chosen (lower .) -}}
{{- else -}}
{{- fail (printf "controller.rbac.clusterRoleAggregation: this operator has no kind %s; it has SecretTransformation, VaultAuth, VaultAuthGlobal, VaultConnection, VaultDynamicSecret, VaultPKISecret, VaultPushSecret, VaultSecret and VaultStaticSecret" .) -}}
{{- end -}}
{{- end -}}
{{- range $chosen | uniq | sortAlpha }}
- {{ . }}s
{{- end -}}
{{- end -}}

{{/* Refuses what cannot work, and says what to do. */}}
{{- define "vso.checks" -}}
{{- if .Values.csi.enabled -}}
{{- fail "csi.enabled: the CSI driver is not shipped yet; use VaultSecret resources, and leave csi.enabled false" -}}
{{- end -}}
{{- with .Values.defaultVaultConnection -}}
{{- if and .enabled (not .address) -}}
{{- fail "defaultVaultConnection.address: say where the server is, such as http://vault.vault.svc.cluster.local:8200" -}}
{{- end -}}
{{- end -}}
{{- with .Values.defaultAuthMethod -}}
{{- if .enabled -}}
{{- if not (has .method (list "kubernetes" "jwt" "appRole")) -}}
{{- fail (printf "defaultAuthMethod.method: this operator logs in by kubernetes, jwt or appRole, not by %s" .method) -}}
{{- end -}}
{{- if and (eq .method "kubernetes") (not .kubernetes.role) -}}
{{- fail "defaultAuthMethod.kubernetes.role: say which role of the server to log in as" -}}
{{- end -}}
{{- if and (eq .method "jwt") (not .jwt.role) -}}
{{- fail "defaultAuthMethod.jwt.role: say which role of the server to log in as" -}}
{{- end -}}
{{- if and (eq .method "appRole") (not .appRole.roleId) -}}
{{- fail "defaultAuthMethod.appRole.roleId: say which role of the server to log in as" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.watchNamespaces (or .Values.defaultVaultConnection.enabled .Values.defaultAuthMethod.enabled) (not (has .Release.Namespace .Values.watchNamespaces)) -}}
{{- fail (printf "watchNamespaces: defaultVaultConnection and defaultAuthMethod are made in namespace %s, which the operator would not see; add it to the list" .Release.Namespace) -}}
{{- end -}}
{{- range .Values.metricsService.ports -}}
{{- if not (has (toString (default .port .targetPort)) (list "http" "8080")) -}}
{{- fail (printf "metricsService.ports: the operator serves its metrics, over plain HTTP, at the target port http, not %v" (default .port .targetPort)) -}}
{{- end -}}
{{- end -}}
{{- if ne .Values.telemetry.serviceMonitor.scheme "http" -}}
{{- fail "telemetry.serviceMonitor.scheme: the operator's metrics are served over http; they hold no secrets" -}}
{{- end -}}
{{- end -}}
