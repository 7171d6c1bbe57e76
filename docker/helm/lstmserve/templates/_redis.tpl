{{/* Where Redis is: the secret says all of the URL, or its password alone, which Kubernetes puts into redis.url. */}}
{{- define "lstmserve.redis.environment" -}}
{{- if .url -}}
{{- if contains "$(REDIS_PASSWORD)" .url -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef: { name: {{ .existingSecret }}, key: {{ .key }} }
{{ end -}}
- { name: LSTMSERVE_REDIS_URL, value: {{ .url | quote }} }
{{- else -}}
- name: LSTMSERVE_REDIS_URL
  valueFrom:
    secretKeyRef: { name: {{ .existingSecret }}, key: {{ .key }}, optional: true }
{{- end -}}
{{- end -}}
