{{/* Valkey's users for a password. certmill's can do everything with keys and channels, and nothing to the server. */}}
{{- define "certmill.users" -}}
user default off resetkeys resetchannels -@all
user certmill on #{{ sha256sum . }} ~* &* +@all -@admin -@dangerous +info +config|get
{{ end -}}
