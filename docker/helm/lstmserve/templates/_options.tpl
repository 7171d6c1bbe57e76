{{/* Options that are no values, with what sets them. docker/helm/reference.py knows their names. */}}
{{- define "lstmserve.options.setOtherwise" -}}
config: the chart writes the file, of what is in options
listen: the image says 0.0.0.0:50051
metrics_listen: the image says 0.0.0.0:9464
http_listen: set http.enabled
model_store: the image says /models; models.from says what is there
log_format: the image says JSON
auth_file: set callers.existingSecret
tls_certificate: set tls.existingSecret
tls_key: set tls.existingSecret
tls_client_authority: set tls.verifyClients
redis_url: put it into the secret that redis.existingSecret names, or set redis.url
{{- end -}}

{{/* server.toml. JSON's texts, numbers and truth values are TOML's; whole numbers come as floating ones. */}}
{{- define "lstmserve.options" -}}
{{- $options := deepCopy .Values.options -}}
{{- range $name, $instead := include "lstmserve.options.setOtherwise" . | fromYaml -}}
{{- if hasKey $options $name -}}
{{- fail (printf "options.%s cannot be given: %s" $name $instead) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $options "auth_file" "/etc/lstmserve/callers.toml" -}}
{{- if .Values.http.enabled -}}
{{- $_ := set $options "http_listen" "0.0.0.0:8000" -}}
{{- end -}}
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
