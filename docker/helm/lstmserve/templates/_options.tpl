{{/* server.toml. JSON's texts, numbers and truth values are TOML's; whole numbers come as floating ones. */}}
{{- define "lstmserve.options" -}}
{{- $options := deepCopy .Values.options -}}
{{- $_ := set $options "auth_file" "/etc/lstmserve/callers.toml" -}}
{{- if .Values.callers.existingSecret -}}
{{- $_ := set $options "auth_file" "/etc/lstmserve-callers/callers.toml" -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := unset $options "insecure" -}}
{{- $_ := set $options "tls_certificate" "/etc/lstmserve-tls/tls.crt" -}}
{{- $_ := set $options "tls_key" "/etc/lstmserve-tls/tls.key" -}}
{{- if .Values.tls.verifyClients -}}
{{- $_ := set $options "tls_client_authority" (printf "/etc/lstmserve-tls/%s" .Values.tls.authority) -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := $options }}
{{- if and (kindIs "float64" $value) (eq $value (floor $value)) }}
{{ $key }} = {{ int64 $value }}
{{- else }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end -}}
