{{/*
The release's Secret: what is in it, and the checksums by which Pods are replaced when it changes.
*/}}

{{/* The data of an object in the release's namespace, {} if it is not there or no cluster is asked: (dict "root" $ "kind" … "name" …). */}}
{{- define "certmill.stored" -}}
{{- toJson ((lookup "v1" .kind .root.Release.Namespace .name).data | default dict) -}}
{{- end -}}

{{/* The Secret's data as JSON. Passwords and keys are made once per rendering, so that each template sees the same ones. */}}
{{- define "certmill.secretData" -}}
{{- if not (hasKey .Values "secretData") -}}
{{- $name := include "certmill.fullname" . -}}
{{- $stored := include "certmill.stored" (dict "root" . "kind" "Secret" "name" $name) | fromJson -}}
{{- $password := index $stored "valkey-password" | default (randAlphaNum 40 | b64enc) | b64dec -}}
{{- $url := .Values.redis.url | default (printf "redis://certmill:%s@%s-valkey:6379/0" $password $name) -}}
{{- $data := dict "seal-keys" (ternary (.Values.secret.sealKeys | b64enc) (index $stored "seal-keys" | default (randBytes 32 | b64enc)) (ne .Values.secret.sealKeys "")) -}}
{{- if .Values.flower.enabled -}}
{{- $_ := set $data "flower-password" (ternary (.Values.secret.flowerPassword | b64enc) (index $stored "flower-password" | default (randAlphaNum 32 | b64enc)) (ne .Values.secret.flowerPassword "")) -}}
{{- end -}}
{{- if not .Values.redis.existingSecret -}}
{{- $_ := set $data "redis-url" ($url | b64enc) -}}
{{- end -}}
{{- if include "certmill.runsValkey" . -}}
{{- $_ := set $data "valkey-password" ($password | b64enc) -}}
{{- $_ := set $data "users.acl" (include "certmill.users" $password | b64enc) -}}
{{- end -}}
{{- $_ := set .Values "secretData" $data -}}
{{- end -}}
{{- toJson .Values.secretData -}}
{{- end -}}

{{/*
A checksum of some keys of the Secret, and of Redis' URL and roots where they are somewhere else: (dict "root" $ "keys" (list "redis-url" …)).
A Secret that the chart did not make is looked up in the cluster. Without a cluster it does not change (restart the Pods yourself then).
*/}}
{{- define "certmill.secretChecksum" -}}
{{- $root := .root -}}
{{- $data := dict -}}
{{- with $root.Values.secret.existing -}}
{{- $data = include "certmill.stored" (dict "root" $root "kind" "Secret" "name" .) | fromJson -}}
{{- else -}}
{{- $data = include "certmill.secretData" $root | fromJson -}}
{{- end -}}
{{- $seen := pick $data -}}
{{- range .keys -}}
{{- $_ := set $seen . (index $data .) -}}
{{- end -}}
{{- if has "redis-url" .keys -}}
{{- with $root.Values.redis.existingSecret -}}
{{- $stored := include "certmill.stored" (dict "root" $root "kind" "Secret" "name" .) | fromJson -}}
{{- $_ := set $seen "redis-url" (index $stored $root.Values.redis.existingSecretKey) -}}
{{- end -}}
{{- with $root.Values.redis.caConfigMap -}}
{{- $_ := set $seen "redis-ca" (include "certmill.stored" (dict "root" $root "kind" "ConfigMap" "name" .)) -}}
{{- end -}}
{{- end -}}
{{- toJson $seen | sha256sum | trunc 32 | quote -}}
{{- end -}}
