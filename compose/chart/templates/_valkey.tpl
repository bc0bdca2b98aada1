{{/* Valkey's users for a password. certmill's can do everything with keys and channels, and nothing to the server. */}}
{{- define "certmill.users" -}}
user default off resetkeys resetchannels -@all
user certmill on #{{ sha256sum . }} ~* &* +@all -@admin -@dangerous +info +config|get
{{ end -}}

{{/* valkey.conf. */}}
{{- define "certmill.valkeyConf" -}}
port 6379
bind * -::*
# Every user has a password, and the default one is off.
aclfile /etc/certmill/users/users.acl
dir /data
# At most a second of accepted work is lost when the machine dies.
appendonly yes
appendfsync everysec
save ""
# Never evict: a key that vanishes is a message or a lock that vanishes.
maxmemory-policy noeviction
maxmemory {{ .Values.valkey.maxmemory }}
{{- end -}}
