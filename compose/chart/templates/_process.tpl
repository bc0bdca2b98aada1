{{/*
The Deployment of one process: (dict "root" $ "component" "worker" "command" (list …) "env" (list …) "secrets" (list …) …).

secrets: which of redis-url, seal-keys and flower-password it may see.    port: of what it serves.    path: there, says that it is ready.
own: there, says that it is alive, as it has no admin port.    api: it has a token for the API server.    grace: seconds to stop.
*/}}
{{- define "certmill.deployment" -}}
{{- $root := .root -}}
{{- $values := mergeOverwrite (deepCopy $root.Values.defaults) (deepCopy (index $root.Values .component)) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "certmill.metadata" . | nindent 2 }}
spec:
  {{- if not (include "certmill.isAutoscaled" $values) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  {{- with $values.strategy }}
  strategy: {{ toJson . }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "certmill.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "certmill.selector" . | nindent 8 }}
        {{- with merge $values.podLabels $root.Values.commonLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      annotations:
        # A process reads its Secret and roots when it starts: Pods are replaced when these change.
        certmill.io/secret: {{ include "certmill.secretChecksum" (dict "root" $root "keys" .secrets) }}
        {{- with $values.podAnnotations }}{{ toYaml . | nindent 8 }}{{ end }}
    spec:
      serviceAccountName: {{ include "certmill.fullname" $root }}-{{ .component }}
      automountServiceAccountToken: {{ .api | default false }}
      enableServiceLinks: false  # a Service's link would be CERTMILL_RESPONDER_PORT, and no port
      terminationGracePeriodSeconds: {{ .grace | default 15 }}
      {{- include "certmill.scheduling" (dict "root" $root "values" $values) | nindent 6 }}
      containers:
        - name: {{ .component }}
          {{- include "certmill.container" (dict "root" $root "values" $values) | nindent 10 }}
          command: {{ toJson .command }}
          env:
            {{- include "certmill.env" . | nindent 12 }}
          ports:
            {{- if .port }}
            - {name: http, containerPort: {{ .port }}, protocol: TCP}
            {{- end }}
            {{- if not .own }}
            - {name: http-metrics, containerPort: {{ $root.Values.metrics.port }}, protocol: TCP}
            {{- end }}
          # /livez fails when a main loop stands still, not when Redis or the API server is away; then /readyz does.
          {{- $alive := dict "path" (.own | default "/livez") "port" (ternary "http" "http-metrics" (not (empty .own))) }}
          startupProbe:
            httpGet: {{ toJson $alive }}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: {{ toJson $alive }}
            periodSeconds: 20
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: {{ toJson (dict "path" (.path | default "/readyz") "port" (ternary "http" "http-metrics" (not (empty .path)))) }}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          volumeMounts:
            - {name: home, mountPath: /var/run/certmill}
            - {name: tmp, mountPath: /tmp}
            - {name: secrets, mountPath: /etc/certmill/secrets, readOnly: true}
            {{- if $root.Values.redis.caConfigMap }}
            - {name: redis-ca, mountPath: /etc/certmill/redis-ca, readOnly: true}
            {{- end }}
            {{- with $values.volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        # A home for what can be lost: manifests, Secrets and statuses are in the API server.
        - name: home
          emptyDir: {sizeLimit: 256Mi}
        - name: tmp
          emptyDir: {sizeLimit: 64Mi}
        - name: secrets
          projected:
            sources:
              {{- include "certmill.secretSources" . | trim | nindent 14 }}
        {{- with $root.Values.redis.caConfigMap }}
        - name: redis-ca
          configMap: {name: {{ . }}}
        {{- end }}
        {{- with $values.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{- define "certmill.env" -}}
{{- $root := .root -}}
- {name: CERTMILL_HOME, value: /var/run/certmill}
{{- if .api }}
- {name: CERTMILL_HOME_KIND, value: kubernetes}
- {name: CERTMILL_NAMESPACE, value: {{ $root.Release.Namespace }}}
- {name: CERTMILL_CLUSTER_RESOURCE_NAMESPACE, value: {{ include "certmill.clusterResourceNamespace" $root }}}
{{- end }}
- {name: CERTMILL_LOG_FORMAT, value: json}
- {name: CERTMILL_LOG_LEVEL, value: {{ $root.Values.logLevel }}}
- {name: CERTMILL_REDIS_URL_FILE, value: /etc/certmill/secrets/redis-url}
{{- if $root.Values.redis.caConfigMap }}
- {name: CERTMILL_REDIS_CA_FILE, value: /etc/certmill/redis-ca/ca.crt}
{{- end }}
{{- if has "seal-keys" .secrets }}
- {name: CERTMILL_SEAL_KEYS_FILE, value: /etc/certmill/secrets/seal-keys}
{{- end }}
{{- if has "flower-password" .secrets }}
- {name: CERTMILL_FLOWER_PASSWORD_FILE, value: /etc/certmill/secrets/flower-password}
{{- end }}
{{- if not .own }}
- {name: CERTMILL_ADMIN_HOST, value: {{ $root.Values.metrics.host | quote }}}
- {name: CERTMILL_ADMIN_PORT, value: {{ $root.Values.metrics.port | quote }}}
{{- end }}
{{- range .env }}
- {name: {{ .name }}, value: {{ .value | toString | quote }}}
{{- end }}
{{- range $name, $value := $root.Values.settings }}
- {name: CERTMILL_{{ upper $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Each process sees the keys that it needs, and no other. */}}
{{- define "certmill.secretSources" -}}
{{- $redis := .root.Values.redis -}}
{{- $own := .secrets -}}
{{- with $redis.existingSecret }}
{{- $own = without $own "redis-url" -}}
- secret:
    name: {{ . }}
    items:
      - {key: {{ $redis.existingSecretKey }}, path: redis-url}
{{- end }}
{{- if $own }}
- secret:
    name: {{ include "certmill.secret" .root }}
    items:
      {{- range $own }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- end -}}

{{/* Of a Pod: (dict "root" $ "values" …). */}}
{{- define "certmill.scheduling" -}}
securityContext:
  {{- toYaml .values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" "hostAliases" "dnsPolicy" "dnsConfig" }}
{{- with index $.values $name }}
{{ $name }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Of a container: (dict "root" $ "values" …); with "image" and "pullPolicy", that image. */}}
{{- define "certmill.container" -}}
image: {{ .image | default (include "certmill.image" .root) | quote }}
imagePullPolicy: {{ .pullPolicy | default .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .values.containerSecurityContext | nindent 2 }}
{{- with .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
