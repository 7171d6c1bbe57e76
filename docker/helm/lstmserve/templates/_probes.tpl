{{/*
Kubelets ask gRPC in clear only. With TLS the image's own command asks, which takes a third of a second of
processor time, so it is asked less often.
*/}}
{{- define "lstmserve.probe" -}}
{{- if .root.Values.tls.existingSecret }}
exec:
  command:
    - lstmserve
    - health
    - --tls
    - --timeout=4
    {{- with .service }}
    - --service={{ . }}
    {{- end }}
    {{- with .root.Values.tls.authority }}
    - --tls-authority=/etc/lstmserve-tls/{{ . }}
    {{- end }}
    {{- with .root.Values.tls.serverName }}
    - --tls-server-name={{ . }}
    {{- end }}
    {{- if .root.Values.tls.verifyClients }}
    - --tls-certificate=/etc/lstmserve-tls/tls.crt
    - --tls-key=/etc/lstmserve-tls/tls.key
    {{- end }}
periodSeconds: {{ max 5 .periodSeconds }}
timeoutSeconds: {{ max 5 .timeoutSeconds }}
{{- else }}
grpc:
  port: 50051
  {{- with .service }}
  service: {{ . }}
  {{- end }}
periodSeconds: {{ .periodSeconds }}
timeoutSeconds: {{ .timeoutSeconds }}
{{- end }}
failureThreshold: {{ .failureThreshold }}
{{- end -}}
