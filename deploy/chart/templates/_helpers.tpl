{{- define "echo.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "echo.labels" -}}
app.kubernetes.io/name: echo-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The pod of one role: {root, role, command, resources} and, of a role, ports, probes, volumes. */}}
{{- define "echo.pod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "echo.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
  annotations:
    checksum/config: {{ toYaml $root.Values.config | sha256sum }}
spec:
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  automountServiceAccountToken: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  {{- with .grace }}
  terminationGracePeriodSeconds: {{ . }}
  {{- end }}
  {{- with .nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  initContainers:
    # Upgrades are made one after the other, whoever comes first.
    - name: upgrade
      image: {{ include "echo.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: [db, upgrade]
      envFrom: [{secretRef: {name: {{ $root.Values.secretName }}}}]
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumeMounts:
        - {name: config, mountPath: /etc/echo-agent, readOnly: true}
        - {name: state, mountPath: /var/lib/echo-agent}
        - {name: tmp, mountPath: /tmp}
  containers:
    - name: {{ .role }}
      image: {{ include "echo.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: {{ toJson .command }}
      envFrom: [{secretRef: {name: {{ $root.Values.secretName }}}}]
      {{- with .env }}
      env: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .ports }}
      ports: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .readiness }}
      readinessProbe: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .liveness }}
      livenessProbe: {{- toYaml . | nindent 8 }}
      {{- end }}
      resources: {{- toYaml .resources | nindent 8 }}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumeMounts:
        - {name: config, mountPath: /etc/echo-agent, readOnly: true}
        - {name: state, mountPath: /var/lib/echo-agent}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - {name: config, configMap: {name: {{ $root.Release.Name }}-config}}
    - name: state
      emptyDir: {{ if .cache }}{sizeLimit: {{ .cache }}}{{ else }}{}{{ end }}
    - {name: tmp, emptyDir: {}}
{{- end }}

{{- define "echo.deployment" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $root.Release.Name }}-{{ .role }}
  labels:
    {{- include "echo.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
spec:
  {{- if hasKey . "replicas" }}
  replicas: {{ .replicas }}
  {{- end }}
  {{- with .strategy }}
  strategy: {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "echo.labels" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .role }}
  template: {{- include "echo.pod" . | nindent 4 }}
{{- end }}
