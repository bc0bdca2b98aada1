{{/*
What each process may do. In one namespace of a list these are a Role, else a ClusterRole. Nothing may create Pods; nothing may list or
watch the values of Secrets but the controller, whom RBAC cannot restrict to what it asks for (below).
*/}}

{{- define "certmill.rules.controller" -}}
- apiGroups: [cert-manager.io]
  resources: [certificates, issuers]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [k8s.nginx.org]
  resources: [virtualservers]
  verbs: [get, list, watch]
# It asks for metadata only (PartialObjectMetadata), and for those with the label controller.cert-manager.io/fao. RBAC knows neither: whoever
# has this token could read every Secret of these namespaces. With a list of namespaces they are those alone.
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
{{- end -}}

{{- define "certmill.rules.worker" -}}
# A Certificate's manifest is written for Ingresses and VirtualServers, and for requests by other services.
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, list, create, update, patch, delete]
- apiGroups: [cert-manager.io]
  resources: [issuers]
  verbs: [get, list]
- apiGroups: [cert-manager.io]
  resources: [certificates/status, issuers/status]
  verbs: [update]
# The pair, account keys, credentials: by name. Neither list nor delete.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
# The way of a challenge: an Ingress of its own or a path in the user's, a Service, and EndpointSlices.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, create, update, patch, delete]
- apiGroups: [k8s.nginx.org]
  resources: [virtualservers]
  verbs: [get]
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [create, patch, delete]
# OpenShift alone knows it: a slice may then have addresses of Pods, and those of the responder are.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices/restricted]
  verbs: [create]
# Where owner references that block deletion are checked (OpenShift), naming an owner needs this.
- apiGroups: [cert-manager.io]
  resources: [certificates/finalizers]
  verbs: [update]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/finalizers]
  verbs: [update]
- apiGroups: [k8s.nginx.org]
  resources: [virtualservers/finalizers]
  verbs: [update]
{{ include "certmill.rules.worker.events" . }}
{{- end -}}

{{/* Also in the namespace default, where the events of ClusterIssuers are: the API takes them nowhere else. */}}
{{- define "certmill.rules.worker.events" -}}
- apiGroups: [""]
  resources: [events]
  verbs: [get, create, patch]
{{- end -}}

{{/* What has no namespace. */}}
{{- define "certmill.rules.controller.cluster" -}}
- apiGroups: [cert-manager.io]
  resources: [clusterissuers]
  verbs: [get, list, watch]
{{- end -}}

{{- define "certmill.rules.worker.cluster" -}}
- apiGroups: [cert-manager.io]
  resources: [clusterissuers]
  verbs: [get, list]
- apiGroups: [cert-manager.io]
  resources: [clusterissuers/status]
  verbs: [update]
{{- end -}}

{{/* In certmill's own namespace. The Lease is named by the release; to create is a right that cannot be bound to a name. */}}
{{- define "certmill.rules.controller.own" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "certmill.fullname" . }}-controller]
  verbs: [get, update]
# The uid of this namespace is the installation's id, which is noted in Redis.
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [{{ .Release.Namespace }}]
  verbs: [get]
{{- end -}}

{{/* Where the responders are, and what the installation is. */}}
{{- define "certmill.rules.worker.own" -}}
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
# The uid of this namespace is the installation's id, which is noted in Redis.
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [{{ .Release.Namespace }}]
  verbs: [get]
{{- end -}}

{{/* In the cluster resource namespace: ClusterIssuers' credentials, and account keys that are made. */}}
{{- define "certmill.rules.worker.issuers" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
{{- end -}}

{{/* A role and its binding: (dict "root" $ "component" "worker" "name" "…" "namespace" "…" "rules" "…"); namespace "": cluster-wide. */}}
{{- define "certmill.grant" -}}
{{- $kind := ternary "Role" "ClusterRole" (ne .namespace "") -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  {{- include "certmill.metadata" . | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  {{- include "certmill.metadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "certmill.fullname" .root }}-{{ .component }}
    namespace: {{ .root.Release.Namespace }}
{{ end -}}
