{{/* One name for every object: the release's, which holds the chart's. */}}
{{- define "ocisign.name" -}}
{{- if contains "ocisign" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-ocisign" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "ocisign.labels" -}}
app.kubernetes.io/name: ocisign
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: ocisign
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What selects the server's pods; never changes. */}}
{{- define "ocisign.selector" -}}
app.kubernetes.io/name: ocisign
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: webhook
{{- end }}

{{- define "ocisign.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ required "image.tag or image.digest: say which build" .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "ocisign.secret" -}}
{{- if eq .Values.certificate.mode "existing" }}{{ .Values.certificate.existingSecret }}{{ else }}{{ include "ocisign.name" . }}-tls{{ end }}
{{- end }}

{{- define "ocisign.policy" -}}
{{- .Values.policy.existingConfigMap | default (printf "%s-policy" (include "ocisign.name" .)) }}
{{- end }}

{{/* Whether anything is pinned: audit changes nothing. */}}
{{- define "ocisign.mutates" -}}
{{- if and (eq .Values.mode "enforce") (ne .Values.mutation.pin "off") }}true{{ end }}
{{- end }}

{{- define "ocisign.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "ocisign.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The pod that makes or renews the certificate. */}}
{{- define "ocisign.certificatePod" -}}
metadata:
  labels:
    {{- include "ocisign.labels" . | nindent 4 }}
    app.kubernetes.io/component: certificate
spec:
  serviceAccountName: {{ include "ocisign.name" . }}-certificate
  automountServiceAccountToken: true
  enableServiceLinks: false
  restartPolicy: OnFailure
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "ocisign.podSecurity" . | nindent 4 }}
  containers:
    - name: certificate
      image: {{ include "ocisign.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - certificate
        - rotate
        - --namespace={{ .Release.Namespace }}
        - --service={{ include "ocisign.name" . }}
        - --secret={{ include "ocisign.secret" . }}
        - --validating={{ include "ocisign.name" . }}
        {{- if include "ocisign.mutates" . }}
        - --mutating={{ include "ocisign.name" . }}
        {{- end }}
        {{- if .Values.webhook.enabled }}
        - --wait=2m
        {{- end }}
      resources:
        requests:
          cpu: 10m
          memory: 16Mi
        limits:
          memory: 64Mi
      securityContext:
        {{- include "ocisign.containerSecurity" . | nindent 8 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* What both webhooks have: dict "root" . "path" "validate" */}}
{{- define "ocisign.webhook" -}}
{{- $root := .root }}
{{- with $root -}}
- name: {{ $.path }}.admission.ocisign
  admissionReviewVersions: [v1]
  clientConfig:
    service:
      namespace: {{ .Release.Namespace }}
      name: {{ include "ocisign.name" . }}
      path: /{{ $.path }}
      port: 443
    {{- if eq .Values.certificate.mode "existing" }}
    caBundle: {{ .Values.certificate.caBundle | b64enc }}
    {{- end }}
  failurePolicy: {{ eq .Values.mode "enforce" | ternary "Fail" "Ignore" }}
  matchPolicy: Equivalent
  sideEffects: None
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
  {{- if eq $.path "mutate" }}
  reinvocationPolicy: IfNeeded
  {{- end }}
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: NotIn
        values:
          {{- range concat (list "kube-system" .Release.Namespace) .Values.webhook.exemptNamespaces | uniq }}
          - {{ . | quote }}
          {{- end }}
      {{- with .Values.webhook.namespaceExpressions }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  matchConditions:
    # see deploy/kustomize/webhooks for the reasons
    - name: more-than-metadata
      expression: >-
        request.operation != 'UPDATE' ||
        !object.all(field, field in ['metadata', 'status'] ||
        (field in oldObject && object[field] == oldObject[field]))
  rules:
    {{- if and (eq $.path "mutate") (eq .Values.mutation.pin "pods") }}
    - apiGroups: [""]
      apiVersions: [v1]
      resources: [pods, pods/ephemeralcontainers]
      operations: [CREATE, UPDATE]
      scope: Namespaced
    {{- else }}
    - apiGroups: [""]
      apiVersions: [v1]
      resources: [pods, pods/ephemeralcontainers, podtemplates, replicationcontrollers]
      operations: [CREATE, UPDATE]
      scope: Namespaced
    - apiGroups: [apps]
      apiVersions: [v1]
      resources: [deployments, replicasets, statefulsets, daemonsets]
      operations: [CREATE, UPDATE]
      scope: Namespaced
    - apiGroups: [batch]
      apiVersions: [v1]
      resources: [jobs, cronjobs]
      operations: [CREATE, UPDATE]
      scope: Namespaced
    {{- with .Values.extraRules }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end }}
{{- end }}
